use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ProductEvent, Variant};

/// What `GET /v1/products/{id}` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductResource {
    /// The product's id.
    pub id: String,
    /// What customers see.
    pub title: String,
    /// The brand; may be empty.
    pub brand: String,
    /// The department.
    pub department: String,
    /// The category; may be empty.
    pub category: String,
    /// Further facts by name.
    pub attributes: BTreeMap<String, String>,
    /// Whether it can be ordered.
    pub status: ProductStatus,
    /// What can be ordered, in the order given.
    pub variants: Vec<Variant>,
}

/// Whether a product can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProductStatus {
    /// It can.
    OnShelf,
    /// It cannot.
    OffShelf,
}

impl ProductStatus {
    /// As it stands in JSON and in query strings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnShelf => "on_shelf",
            Self::OffShelf => "off_shelf",
        }
    }

    /// Of a product that is on the shelf, or not.
    pub const fn of(on_shelf: bool) -> Self {
        if on_shelf { Self::OnShelf } else { Self::OffShelf }
    }
}

impl ProductResource {
    /// The product after one more event; `None` before its first.
    pub fn evolve(before: Option<Self>, event: &ProductEvent) -> Option<Self> {
        if let ProductEvent::Created(created) = event {
            return Some(Self {
                id: created.product_id.clone(),
                title: created.title.clone(),
                brand: created.brand.clone(),
                department: created.department.clone(),
                category: created.category.clone(),
                attributes: created.attributes.clone(),
                status: created.status,
                variants: created.variants.clone(),
            });
        }
        let mut product = before?;
        match event {
            ProductEvent::Created(_) | ProductEvent::ClaimAbandoned(_) => {}
            ProductEvent::Described(now) => {
                product.title.clone_from(&now.title);
                product.brand.clone_from(&now.brand);
                product.department.clone_from(&now.department);
                product.category.clone_from(&now.category);
                product.attributes.clone_from(&now.attributes);
            }
            ProductEvent::VariantAdded(added) => product.variants.push(added.variant.clone()),
            ProductEvent::VariantPriced(priced) => {
                for variant in product.variants.iter_mut().filter(|known| known.sku == priced.sku) {
                    variant.price = priced.price;
                }
            }
            ProductEvent::PutOnShelf(_) => product.status = ProductStatus::OnShelf,
            ProductEvent::TakenOffShelf(_) => product.status = ProductStatus::OffShelf,
        }
        Some(product)
    }
}
