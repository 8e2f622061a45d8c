//! What every event store owes its callers (`contract`), and what is SQLite's own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod contract;
mod eventstoredb;
mod eventstoredb_faults;
mod eventstoredb_tls;
mod fake;
mod parts;
mod proxy;
mod sqlite;
mod sqlite_faults;
mod support;
