//! Products: a document a product.

mod tables;

use event_schemas::{Event, ProductEvent, resource::ProductResource};
use infra::read_models::{ReadModelError, Row, Schema, Table, Value};

use crate::{
    Entry, FoldError, Projection, Record, Rows, Working,
    counts::{Count, count},
};

pub use tables::{PRODUCTS, SCHEMA};

/// The fold of products.
#[derive(Debug, Default)]
pub struct Products {
    products: Rows<Product>,
    counts: Rows<Count>,
}

#[derive(Debug)]
struct Product {
    revision: i64,
    document: ProductResource,
}

impl Record for Product {
    const KEPT: usize = 5_000;
    type Key = String;

    fn table() -> &'static Table {
        &PRODUCTS
    }

    fn key(&self) -> String {
        self.document.id.clone()
    }

    fn write_key(key: &String, values: &mut Vec<Value>) {
        values.push(key.as_str().into());
    }

    fn read(row: &mut Row) -> Result<Self, ReadModelError> {
        let document = row.text(7)?;
        let document = serde_json::from_str(&document).map_err(|error| {
            ReadModelError::Unavailable(format!("a product's document: {error}"))
        })?;
        Ok(Self { revision: row.integer(6)?, document })
    }

    fn write(&self, values: &mut Vec<Value>) {
        let document = &self.document;
        values.extend([
            document.title.as_str().into(),
            document.brand.as_str().into(),
            document.department.as_str().into(),
            document.category.as_str().into(),
            document.status.as_str().into(),
            self.revision.into(),
            // Texts, integers and maps with text keys: nothing that JSON cannot hold.
            serde_json::to_string(document).unwrap_or_default().into(),
        ]);
    }
}

impl Projection for Products {
    const SCHEMA: &'static Schema = &SCHEMA;
    const CATEGORIES: &'static [&'static str] = &[ProductEvent::CATEGORY];

    fn touch(&mut self, entry: Entry<'_>) {
        if !entry.is_first() {
            self.products.want(entry.id().to_owned());
        }
        self.counts.want("products");
        self.counts.want("skus");
    }

    fn fold(&mut self, entry: Entry<'_>) -> Result<(), FoldError> {
        let Event::Product(event) = entry.event() else { return Ok(()) };
        match event {
            ProductEvent::Created(event) => {
                self.counts.add("products", 1, 1)?;
                self.counts.add("skus", 1, count(event.variants.len()))?;
            }
            ProductEvent::VariantAdded(_) => self.counts.add("skus", 1, 1)?,
            ProductEvent::Described(_)
            | ProductEvent::VariantPriced(_)
            | ProductEvent::PutOnShelf(_)
            | ProductEvent::TakenOffShelf(_)
            | ProductEvent::ClaimAbandoned(_) => {}
        }
        let row = self.products.change(entry.id().to_owned());
        let before = row.take().map(|product| product.document);
        let after = ProductResource::evolve(before, event);
        *row = after.map(|document| Product { revision: entry.revision(), document });
        // A product that was never made may have lost a claim.
        if row.is_none() && !matches!(event, ProductEvent::ClaimAbandoned(_)) {
            return Err(FoldError::Unknown(format!("the product {:?}", entry.id())));
        }
        Ok(())
    }

    fn tables(&mut self) -> Vec<&mut dyn Working> {
        vec![&mut self.products, &mut self.counts]
    }
}
