use event_schemas::{
    Event, Money, Position, ProductEvent, StockEvent, Variant, resource::ProductStatus,
};
use infra::search::{Document, Found, Schema, TextField};
use serde::{Deserialize, Serialize};

use crate::FoldError;

/// The title: text, sortable.
pub const TITLE: &str = "title";
/// The brand: a facet.
pub const BRAND: &str = "brand";
/// The department: a facet.
pub const DEPARTMENT: &str = "department";
/// The category: a facet.
pub const CATEGORY: &str = "category";
/// The skus of the variants: keywords.
pub const SKU: &str = "sku";
/// The lowest price of the variants: minor units.
pub const PRICE: &str = "price";
/// The flag of what can be ordered.
pub const ON_SHELF: &str = "on_shelf";
/// The flag of what has a variant that is available.
pub const IN_STOCK: &str = "in_stock";

// Texts need names of their own beside the facets of the same values.
const VARIANT_TEXT: &str = "variant_text";
const BRAND_TEXT: &str = "brand_text";
const CATEGORY_TEXT: &str = "category_text";
const DEPARTMENT_TEXT: &str = "department_text";

/// What the index holds of a product.
pub fn schema() -> Schema {
    let text = |name, boost| TextField { name, boost, sortable: name == TITLE };
    Schema {
        version: 1,
        texts: vec![
            text(TITLE, 8),
            text(VARIANT_TEXT, 4),
            text(BRAND_TEXT, 3),
            text(CATEGORY_TEXT, 2),
            text(DEPARTMENT_TEXT, 1),
        ],
        keywords: vec![DEPARTMENT, BRAND, CATEGORY, SKU],
        integers: vec![PRICE],
        flags: vec![ON_SHELF, IN_STOCK],
    }
}

/// An item of `GET /v1/products/search`: the body of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Item {
    id: String,
    title: String,
    brand: String,
    department: String,
    category: String,
    /// The lowest of the variants; null without one.
    price: Option<Money>,
    /// Whether one of the variants is.
    in_stock: bool,
    variants: Vec<ItemVariant>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ItemVariant {
    sku: String,
    title: String,
    price: Money,
    in_stock: bool,
}

/// A product as the projection knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Product {
    item: Item,
    on_shelf: bool,
    /// Whatever concerns it up to this place is in it.
    posted: Position,
}

/// What an event asks of the documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Touch<'a> {
    /// The product of the event's stream changes.
    Product(&'a ProductEvent),
    /// The sku of the event's stream becomes available, or no longer is.
    Availability(bool),
}

/// What the event asks, if anything.
pub(super) fn touch(event: &Event) -> Option<Touch<'_>> {
    match event {
        Event::Product(ProductEvent::ClaimAbandoned(_)) => None,
        Event::Product(event) => Some(Touch::Product(event)),
        Event::Stock(event) => flip(event).map(Touch::Availability),
        Event::User(_) | Event::Email(_) | Event::Order(_) | Event::Access(_) => None,
    }
}

/// Whether the sku is available after the event, where that differs from before it.
fn flip(event: &StockEvent) -> Option<bool> {
    let (after, change) = match event {
        StockEvent::Introduced(_) | StockEvent::SkuReleased(_) => return None,
        // Held units leave the house: they were not available before either.
        StockEvent::Dispatched(_) => return None,
        StockEvent::Received(event) => (event.on_hand - event.reserved, event.quantity),
        StockEvent::Reserved(event) => (event.on_hand - event.reserved, -event.quantity),
        StockEvent::Released(event) => (event.on_hand - event.reserved, event.quantity),
        StockEvent::Adjusted(event) => (event.on_hand - event.reserved, event.delta),
    };
    let (before, after) = (after.saturating_sub(change) > 0, after > 0);
    (before != after).then_some(after)
}

impl Product {
    /// The product after one more of its events, which stands at `posted`.
    pub(super) fn evolve(
        before: Option<Self>,
        event: &ProductEvent,
        posted: Position,
    ) -> Result<Self, FoldError> {
        if let ProductEvent::Created(created) = event {
            let item = Item {
                id: created.product_id.clone(),
                title: created.title.clone(),
                brand: created.brand.clone(),
                department: created.department.clone(),
                category: created.category.clone(),
                price: None,
                in_stock: false,
                variants: created.variants.iter().map(ItemVariant::new).collect(),
            };
            let on_shelf = created.status == ProductStatus::OnShelf;
            return Ok(Self { item, on_shelf, posted }.summed_up());
        }
        let mut product =
            before.ok_or_else(|| FoldError::Unknown("the product of this event".to_owned()))?;
        let item = &mut product.item;
        match event {
            ProductEvent::Created(_) | ProductEvent::ClaimAbandoned(_) => {}
            ProductEvent::Described(now) => {
                item.title.clone_from(&now.title);
                item.brand.clone_from(&now.brand);
                item.department.clone_from(&now.department);
                item.category.clone_from(&now.category);
            }
            ProductEvent::VariantAdded(added) => {
                item.variants.push(ItemVariant::new(&added.variant));
            }
            ProductEvent::VariantPriced(priced) => {
                for variant in item.variants.iter_mut().filter(|known| known.sku == priced.sku) {
                    variant.price = priced.price;
                }
            }
            ProductEvent::PutOnShelf(_) => product.on_shelf = true,
            ProductEvent::TakenOffShelf(_) => product.on_shelf = false,
        }
        Ok(Self { posted, ..product }.summed_up())
    }

    /// The product after a sku became available, or no longer is, at `posted`.
    pub(super) fn with_availability(
        mut self,
        sku: &str,
        available: bool,
        posted: Position,
    ) -> Self {
        self.posted = posted;
        for variant in self.item.variants.iter_mut().filter(|known| known.sku == sku) {
            variant.in_stock = available;
        }
        self.summed_up()
    }

    fn summed_up(mut self) -> Self {
        let variants = &self.item.variants;
        self.item.price =
            variants.iter().map(|variant| variant.price).min_by_key(|price| price.amount);
        self.item.in_stock = variants.iter().any(|variant| variant.in_stock);
        self
    }

    pub(super) const fn posted(&self) -> Position {
        self.posted
    }

    pub(super) fn id(&self) -> &str {
        &self.item.id
    }

    pub(super) fn skus(&self) -> impl Iterator<Item = &str> {
        self.item.variants.iter().map(|variant| variant.sku.as_str())
    }

    pub(super) fn read(found: &Found) -> Result<Self, serde_json::Error> {
        let on_shelf = found.flags.contains(&ON_SHELF);
        let item = serde_json::from_str(&found.body)?;
        Ok(Self { item, on_shelf, posted: found.position })
    }

    pub(super) fn document(&self) -> Result<Document, serde_json::Error> {
        let item = &self.item;
        let mut texts = vec![
            (TITLE, item.title.clone()),
            (BRAND_TEXT, item.brand.clone()),
            (CATEGORY_TEXT, item.category.clone()),
            (DEPARTMENT_TEXT, item.department.clone()),
        ];
        let mut keywords = vec![
            (DEPARTMENT, item.department.clone()),
            (BRAND, item.brand.clone()),
            (CATEGORY, item.category.clone()),
        ];
        for variant in &item.variants {
            texts.push((VARIANT_TEXT, variant.title.clone()));
            keywords.push((SKU, variant.sku.clone()));
        }
        let flags = [(ON_SHELF, self.on_shelf), (IN_STOCK, item.in_stock)];
        Ok(Document {
            id: item.id.clone(),
            position: self.posted,
            texts,
            keywords,
            integers: item.price.iter().map(|price| (PRICE, price.amount)).collect(),
            flags: flags.into_iter().filter(|(_, set)| *set).map(|(flag, _)| flag).collect(),
            body: serde_json::to_string(item)?,
        })
    }
}

impl ItemVariant {
    fn new(variant: &Variant) -> Self {
        Self {
            sku: variant.sku.clone(),
            title: variant.title.clone(),
            price: variant.price,
            in_stock: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use event_schemas::{
        Currency, ProductCreated, ProductTakenOffShelf, StockAdjusted, StockDispatched,
        StockReceived, StockReleased, StockReserved, VariantAdded, VariantPriced,
    };

    use super::*;

    fn variant(sku: &str, price: i64) -> Variant {
        Variant { sku: sku.to_owned(), title: String::new(), price: Currency::USD.money(price) }
    }

    fn created() -> ProductEvent {
        ProductEvent::Created(ProductCreated {
            product_id: "mug".to_owned(),
            title: "Mug".to_owned(),
            brand: "Acme".to_owned(),
            department: "HOME".to_owned(),
            category: String::new(),
            attributes: [].into(),
            status: ProductStatus::OnShelf,
            variants: vec![variant("mug-red", 1099), variant("mug-blue", 999)],
        })
    }

    #[test]
    fn a_document_is_what_its_events_say() {
        let product = Product::evolve(None, &created(), Position(1)).unwrap();
        let product = product.with_availability("mug-red", true, Position(2));
        let green = VariantAdded { variant: variant("mug-green", 899) };
        let product = Product::evolve(Some(product), &green.into(), Position(3)).unwrap();
        let priced =
            VariantPriced { sku: "mug-green".to_owned(), price: Currency::USD.money(1200) };
        let product = Product::evolve(Some(product), &priced.into(), Position(5)).unwrap();
        let off_shelf = ProductTakenOffShelf {}.into();
        let product = Product::evolve(Some(product), &off_shelf, Position(8)).unwrap();
        let document = product.document().unwrap();
        assert_eq!((document.position, &document.flags[..]), (Position(8), &[IN_STOCK][..]));
        assert_eq!(document.integers, [(PRICE, 999)]);
        let body: serde_json::Value = serde_json::from_str(&document.body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "id": "mug", "title": "Mug", "brand": "Acme", "department": "HOME",
                "category": "", "price": {"amount": 999, "currency": "USD"}, "in_stock": true,
                "variants": [
                    {"sku": "mug-red", "title": "", "in_stock": true,
                     "price": {"amount": 1099, "currency": "USD"}},
                    {"sku": "mug-blue", "title": "", "in_stock": false,
                     "price": {"amount": 999, "currency": "USD"}},
                    {"sku": "mug-green", "title": "", "in_stock": false,
                     "price": {"amount": 1200, "currency": "USD"}},
                ]
            })
        );
        let Document { id, position, flags, body, .. } = document;
        let found = Found { id, position, flags, body };
        assert_eq!(Product::read(&found).unwrap(), product);
    }

    #[test]
    fn a_product_that_never_was_cannot_change() {
        let changed = Product::evolve(None, &ProductTakenOffShelf {}.into(), Position(1));
        assert!(matches!(changed, Err(FoldError::Unknown(_))));
    }

    #[test]
    fn only_a_change_between_none_and_some_is_a_flip() {
        let received = |quantity, on_hand, reserved| {
            flip(&StockReceived { quantity, batch: None, on_hand, reserved }.into())
        };
        assert_eq!(received(5, 5, 0), Some(true));
        assert_eq!(received(5, 9, 4), Some(true));
        assert_eq!(received(5, 6, 0), None);
        let order_id = "o".to_owned();
        let reserved = |quantity, on_hand, reserved| {
            let order_id = "o".to_owned();
            let (hold, request_hash) = (1, None);
            flip(
                &StockReserved { order_id, quantity, hold, request_hash, on_hand, reserved }.into(),
            )
        };
        assert_eq!(reserved(2, 5, 2), None);
        assert_eq!(reserved(2, 5, 5), Some(false));
        let released = StockReleased { order_id, quantity: 2, hold: 1, on_hand: 5, reserved: 3 };
        assert_eq!(flip(&released.clone().into()), Some(true));
        assert_eq!(flip(&StockReleased { reserved: 2, ..released }.into()), None);
        let dispatched = StockDispatched {
            order_id: "o".to_owned(),
            quantity: 2,
            hold: 1,
            on_hand: 3,
            reserved: 3,
        };
        assert_eq!(flip(&dispatched.into()), None);
        let adjusted = |delta, on_hand, reserved| {
            let reason = "counted".to_owned();
            flip(&StockAdjusted { delta, reason, on_hand, reserved }.into())
        };
        assert_eq!(adjusted(-3, 4, 4), Some(false));
        assert_eq!(adjusted(-3, 4, 3), None);
        assert_eq!(adjusted(3, 3, 0), Some(true));
    }
}
