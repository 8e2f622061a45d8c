//! Stock: a row a sku.

mod tables;

use event_schemas::{Event, StockEvent};
use infra::read_models::{ReadModelError, Row, Schema, Table, Value};

use crate::{Entry, FoldError, Projection, Record, Rows, Working};

pub use tables::{SCHEMA, STOCK};

/// The fold of stock.
#[derive(Debug, Default)]
pub struct Stock {
    items: Rows<Item>,
}

#[derive(Debug)]
struct Item {
    sku: String,
    product_id: String,
    on_hand: i64,
    reserved: i64,
    revision: i64,
    hidden: bool,
}

impl Record for Item {
    const KEPT: usize = 100_000;
    type Key = String;

    fn table() -> &'static Table {
        &STOCK
    }

    fn key(&self) -> String {
        self.sku.clone()
    }

    fn write_key(key: &String, values: &mut Vec<Value>) {
        values.push(key.as_str().into());
    }

    fn read(row: &mut Row) -> Result<Self, ReadModelError> {
        Ok(Self {
            sku: row.text(0)?,
            product_id: row.text(1)?,
            on_hand: row.integer(2)?,
            reserved: row.integer(3)?,
            revision: row.integer(5)?,
            hidden: row.integer(6)? != 0,
        })
    }

    fn write(&self, values: &mut Vec<Value>) {
        values.extend([
            self.product_id.as_str().into(),
            self.on_hand.into(),
            self.reserved.into(),
            // Both are sums that a decider has bounded; a difference of such does not wrap.
            self.on_hand.saturating_sub(self.reserved).into(),
            self.revision.into(),
            i64::from(self.hidden).into(),
        ]);
    }
}

impl Projection for Stock {
    const SCHEMA: &'static Schema = &SCHEMA;
    const CATEGORIES: &'static [&'static str] = &[StockEvent::CATEGORY];

    fn touch(&mut self, entry: Entry<'_>) {
        if !entry.is_first() {
            self.items.want(entry.id().to_owned());
        }
    }

    fn fold(&mut self, entry: Entry<'_>) -> Result<(), FoldError> {
        let Event::Stock(event) = entry.event() else { return Ok(()) };
        let row = self.items.change(entry.id().to_owned());
        let item = match (&mut *row, event) {
            (Some(item), _) => item,
            (None, StockEvent::Introduced(event)) => row.insert(Item {
                sku: entry.id().to_owned(),
                product_id: event.product_id.clone(),
                on_hand: 0,
                reserved: 0,
                revision: 0,
                hidden: false,
            }),
            (None, _) => return Err(FoldError::Unknown(format!("the sku {:?}", entry.id()))),
        };
        item.revision = entry.revision();
        match event {
            StockEvent::Introduced(event) => {
                item.product_id.clone_from(&event.product_id);
                item.hidden = false;
            }
            StockEvent::SkuReleased(_) => item.hidden = true,
            StockEvent::Received(event) => item.count(event.on_hand, event.reserved),
            StockEvent::Reserved(event) => item.count(event.on_hand, event.reserved),
            StockEvent::Released(event) => item.count(event.on_hand, event.reserved),
            StockEvent::Dispatched(event) => item.count(event.on_hand, event.reserved),
            StockEvent::Adjusted(event) => item.count(event.on_hand, event.reserved),
        }
        Ok(())
    }

    fn tables(&mut self) -> Vec<&mut dyn Working> {
        vec![&mut self.items]
    }
}

impl Item {
    const fn count(&mut self, on_hand: i64, reserved: i64) {
        self.on_hand = on_hand;
        self.reserved = reserved;
    }
}
