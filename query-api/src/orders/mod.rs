//! Queries about orders.

pub(crate) mod history;
pub(crate) mod list;
pub(crate) mod one;
