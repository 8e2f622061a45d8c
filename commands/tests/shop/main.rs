//! The command side over HTTP, on a real embedded store in a temporary folder.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod openapi;
mod orders;
mod products;
#[path = "../../../infra/tests/event_store/proxy.rs"]
mod proxy;
mod stock;
mod support;
mod two_nodes;
mod users;
mod watch;
