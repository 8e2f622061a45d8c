use std::collections::BTreeMap;

use event_schemas::{Money, Variant};
use uuid::Uuid;

/// What can be asked of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Make the product; the skus of its variants have been claimed.
    Create {
        /// The command that claimed the skus.
        command_id: Uuid,
        /// The product's id.
        product_id: String,
        /// What customers see.
        title: String,
        /// The brand; empty if it has none.
        brand: String,
        /// The department, the coarser group.
        department: String,
        /// The category, the finer group; empty if it has none.
        category: String,
        /// Further facts by name.
        attributes: BTreeMap<String, String>,
        /// Whether it can be ordered.
        on_shelf: bool,
        /// What can be ordered.
        variants: Vec<Variant>,
    },
    /// Change some of the description, or put it on or take it off the shelf.
    Change(Change),
    /// Add a variant whose sku has been claimed.
    AddVariant {
        /// The command that claimed the sku.
        command_id: Uuid,
        /// The variant.
        variant: Variant,
    },
    /// Set the price of a variant.
    Price {
        /// The variant's sku.
        sku: String,
        /// The price of one unit, 0 or more.
        price: Money,
    },
    /// Give up a claim that this product made and never fulfilled.
    AbandonClaim {
        /// The command that made the claim.
        command_id: Uuid,
        /// The sku that it claimed.
        sku: String,
    },
}

/// The parts of a product to change; `None` leaves a part as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// What customers see.
    pub title: Option<String>,
    /// The brand; empty takes it away.
    pub brand: Option<String>,
    /// The department.
    pub department: Option<String>,
    /// The category; empty takes it away.
    pub category: Option<String>,
    /// Further facts.
    pub attributes: Option<AttributesPatch>,
    /// Whether it can be ordered.
    pub on_shelf: Option<bool>,
}

/// A merge patch (RFC 7396) of the attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributesPatch {
    /// Set the attributes that have a value, take away those that have none.
    Merge(BTreeMap<String, Option<String>>),
    /// Take all away.
    Clear,
}
