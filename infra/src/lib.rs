//! Adapters to the world, one file or folder a technology. No business noun stands here.

pub mod bus;
pub mod event_store;
mod fingerprint;
pub mod http;
pub mod keys;
pub mod lock;
pub mod mysql;
pub mod read_models;
pub mod search;
pub mod snapshots;
mod sqlite;
pub mod unfinished;
