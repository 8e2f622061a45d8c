//! Queries about products.

pub(crate) mod list;
pub(crate) mod one;
pub(crate) mod search;
