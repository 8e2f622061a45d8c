use std::collections::{BTreeMap, BTreeSet};

use event_schemas::{ProductEvent, Variant, resource::ProductStatus};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A product as its events left it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Whether it was created: claims can be abandoned before that.
    pub created: bool,
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
    /// Whether it can be ordered.
    pub on_shelf: bool,
    /// The variants in the order in which they came.
    pub variants: Vec<Variant>,
    /// The commands whose claims were abandoned; they are refused for ever.
    pub abandoned: BTreeSet<Uuid>,
}

impl State {
    /// The variant with this sku.
    pub fn variant(&self, sku: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.sku == sku)
    }
}

pub(super) fn evolve(mut state: State, event: &ProductEvent) -> State {
    match event {
        ProductEvent::Created(event) => {
            state.created = true;
            state.title.clone_from(&event.title);
            state.brand.clone_from(&event.brand);
            state.department.clone_from(&event.department);
            state.category.clone_from(&event.category);
            state.attributes.clone_from(&event.attributes);
            state.on_shelf = event.status == ProductStatus::OnShelf;
            state.variants.clone_from(&event.variants);
        }
        ProductEvent::Described(event) => {
            state.title.clone_from(&event.title);
            state.brand.clone_from(&event.brand);
            state.department.clone_from(&event.department);
            state.category.clone_from(&event.category);
            state.attributes.clone_from(&event.attributes);
        }
        ProductEvent::VariantAdded(event) => state.variants.push(event.variant.clone()),
        ProductEvent::VariantPriced(event) => {
            if let Some(variant) = state.variants.iter_mut().find(|v| v.sku == event.sku) {
                variant.price = event.price;
            }
        }
        ProductEvent::PutOnShelf(_) => state.on_shelf = true,
        ProductEvent::TakenOffShelf(_) => state.on_shelf = false,
        ProductEvent::ClaimAbandoned(event) => {
            state.abandoned.insert(event.command_id);
        }
    }
    state
}
