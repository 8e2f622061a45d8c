use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Money, codec::events, resource::ProductStatus};

events! {
    /// What happens to a product.
    ProductEvent in "product" {
        Created(ProductCreated) = "ProductCreated" 2,
        Described(ProductDescribed) = "ProductDescribed" 1,
        VariantAdded(VariantAdded) = "VariantAdded" 1,
        VariantPriced(VariantPriced) = "VariantPriced" 1,
        PutOnShelf(ProductPutOnShelf) = "ProductPutOnShelf" 1,
        TakenOffShelf(ProductTakenOffShelf) = "ProductTakenOffShelf" 1,
        ClaimAbandoned(ClaimAbandoned) = "ClaimAbandoned" 1,
    }
}

/// A product with its variants came to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductCreated {
    /// The product's id.
    pub product_id: String,
    /// What customers see.
    pub title: String,
    /// The brand; empty if it has none.
    pub brand: String,
    /// The department, the coarser group.
    pub department: String,
    /// The category, the finer group; empty if it has none.
    pub category: String,
    /// Further facts by name.
    pub attributes: BTreeMap<String, String>,
    /// Whether it can be ordered. (Version 1 said `on_shelf`, true or false, which left no room for a
    /// product that is neither.)
    pub status: ProductStatus,
    /// What can be ordered, in the order given.
    pub variants: Vec<Variant>,
}

/// One thing that can be ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Variant {
    /// The stock keeping unit, unique in the shop.
    pub sku: String,
    /// What tells it from the product's other variants; may be empty.
    pub title: String,
    /// The price of one unit, 0 or more.
    pub price: Money,
}

/// The description changed; these are its values now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductDescribed {
    /// What customers see.
    pub title: String,
    /// The brand; empty if it has none.
    pub brand: String,
    /// The department.
    pub department: String,
    /// The category; empty if it has none.
    pub category: String,
    /// Further facts by name.
    pub attributes: BTreeMap<String, String>,
}

/// A variant came to a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VariantAdded {
    /// The variant.
    pub variant: Variant,
}

/// A variant's price is now this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VariantPriced {
    /// The variant's sku.
    pub sku: String,
    /// The price of one unit, 0 or more.
    pub price: Money,
}

/// The product can be ordered again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductPutOnShelf {}

/// The product can no longer be ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductTakenOffShelf {}

/// The owner of a claim will never fulfil it: after this the command is refused, so that the
/// claim's stream can be taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimAbandoned {
    /// The command that made the claim.
    pub command_id: Uuid,
}
