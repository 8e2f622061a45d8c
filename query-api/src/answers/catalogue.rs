//! Products, stock and the search.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::Money;

/// The stock of a sku, in units.
#[derive(Serialize, ToSchema)]
pub struct Stock {
    #[schema(example = "mug-red")]
    sku: String,
    #[schema(example = 20)]
    on_hand: i64,
    /// Held for orders.
    #[schema(example = 2)]
    reserved: i64,
    /// on_hand - reserved
    #[schema(example = 18)]
    available: i64,
}

/// A product.
#[derive(Serialize, ToSchema)]
pub struct Product {
    #[schema(example = "mug")]
    id: String,
    #[schema(example = "Mug")]
    title: String,
    /// May be empty.
    #[schema(example = "Acme")]
    brand: String,
    #[schema(example = "HOME")]
    department: String,
    /// May be empty.
    #[schema(example = "CUPS")]
    category: String,
    /// Further facts by name.
    attributes: BTreeMap<String, String>,
    /// `on_shelf` or `off_shelf`.
    #[schema(example = "on_shelf")]
    status: String,
    variants: Vec<Variant>,
}

/// What can be ordered of a product.
#[derive(Serialize, ToSchema)]
pub struct Variant {
    #[schema(example = "mug-red")]
    sku: String,
    /// May be empty.
    #[schema(example = "Red, 300 ml")]
    title: String,
    price: Money,
}

/// A product as a search finds it.
#[derive(Serialize, ToSchema)]
pub struct FoundProduct {
    id: String,
    title: String,
    brand: String,
    department: String,
    category: String,
    /// The lowest of its variants.
    #[schema(required)]
    price: Option<Money>,
    /// Whether a unit of any variant is available.
    in_stock: bool,
    variants: Vec<FoundVariant>,
}

/// A variant as a search finds it.
#[derive(Serialize, ToSchema)]
pub struct FoundVariant {
    sku: String,
    title: String,
    price: Money,
    /// Whether a unit of it is available.
    in_stock: bool,
}

/// What a search found.
#[derive(Serialize, ToSchema)]
pub struct SearchResult {
    items: Vec<FoundProduct>,
    /// How many products match, exactly.
    total: u64,
    facets: Facets,
    /// The cursor of the next page.
    #[schema(required)]
    next: Option<String>,
}

/// The most frequent values, at most 20 each. The counts of a facet ignore its own filter.
#[derive(Serialize, ToSchema)]
pub struct Facets {
    department: Vec<FacetCount>,
    brand: Vec<FacetCount>,
    category: Vec<FacetCount>,
}

/// How many of the products found have a value.
#[derive(Serialize, ToSchema)]
pub struct FacetCount {
    key: String,
    count: u64,
}
