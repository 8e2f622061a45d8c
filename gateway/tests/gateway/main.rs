//! The gateway, asked by the official Rust client and by requests made by hand.

mod rust_client;
mod support;
