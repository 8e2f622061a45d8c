//! The command side over HTTP, on a real embedded store in a temporary folder.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod openapi;
mod orders;
mod products;
mod stock;
mod support;
mod users;
mod watch;
