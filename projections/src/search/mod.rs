//! The search for products: one document a product, in a search index.
//!
//! A stock event concerns a document only if its sku was available before it and is not after it,
//! or the other way round. The event itself says so; of all others only the position is posted.

mod document;
mod sink;

pub use document::{BRAND, CATEGORY, DEPARTMENT, IN_STOCK, ON_SHELF, PRICE, SKU, TITLE, schema};
pub use sink::SearchSink;

/// The projection's name.
pub const NAME: &str = "search";
