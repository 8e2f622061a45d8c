//! What the deciders promise: each rule as a sentence, what holds for any sequence of commands,
//! and every interleaving of the handlers of one order.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod email;
mod model;
mod order;
mod product;
mod properties;
mod reservation;
mod stock;
mod support;
mod user;
