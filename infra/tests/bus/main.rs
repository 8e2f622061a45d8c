//! The relay and the consumer over a real NATS server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "../event_store/proxy.rs"]
mod proxy;
mod relay;
mod support;
