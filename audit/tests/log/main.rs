//! The audit of real logs: on the embedded store, through the gateway, changed and unchanged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation)]

mod backup;
mod export;
mod keeper;
mod support;
mod tamper;
mod verify;
