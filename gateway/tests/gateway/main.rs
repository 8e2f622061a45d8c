//! The gateway, asked by the official Rust client and by requests made by hand.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rust_client;
mod support;
