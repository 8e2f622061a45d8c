//! Orders: a document an order, with its history.

mod history;
mod tables;

use event_schemas::{Event, OrderBody, OrderEvent, resource::OrderResource};
use infra::read_models::{ReadModelError, Row, Schema, Table, Value};

use crate::{
    Entry, FoldError, Projection, Record, Rows, Working,
    counts::{Count, count},
};

pub use tables::{ORDERS, SCHEMA};

/// The fold of orders.
#[derive(Debug, Default)]
pub struct Orders {
    orders: Rows<Order>,
    counts: Rows<Count>,
}

#[derive(Debug)]
struct Order {
    id: String,
    status: String,
    customer_id: Option<String>,
    channel: Option<String>,
    placed_at: i64,
    total: i64,
    /// JSON of an [`OrderResource`], written once an event; most orders are never changed.
    document: String,
    /// A JSON array.
    history: String,
}

impl Record for Order {
    // An order is seldom touched again soon, and documents are large.
    const KEPT: usize = 500;
    type Key = String;

    fn table() -> &'static Table {
        &ORDERS
    }

    fn key(&self) -> String {
        self.id.clone()
    }

    fn write_key(key: &String, values: &mut Vec<Value>) {
        values.push(key.as_str().into());
    }

    fn read(row: &mut Row) -> Result<Self, ReadModelError> {
        Ok(Self {
            id: row.text(0)?,
            status: row.text(1)?,
            customer_id: row.optional_text(2)?,
            channel: row.optional_text(3)?,
            placed_at: row.integer(4)?,
            total: row.integer(5)?,
            document: row.text(6)?,
            history: row.text(7)?,
        })
    }

    fn write(&self, values: &mut Vec<Value>) {
        values.extend([
            self.status.as_str().into(),
            self.customer_id.clone().into(),
            self.channel.clone().into(),
            self.placed_at.into(),
            self.total.into(),
            self.document.as_str().into(),
            self.history.as_str().into(),
        ]);
    }
}

impl Projection for Orders {
    const SCHEMA: &'static Schema = &SCHEMA;
    const CATEGORIES: &'static [&'static str] = &[OrderEvent::CATEGORY];

    fn touch(&mut self, entry: Entry<'_>) {
        if !entry.is_first() {
            self.orders.want(entry.id().to_owned());
        }
        for name in ["orders", "order_lines", "units"] {
            self.counts.want(name);
        }
    }

    fn fold(&mut self, entry: Entry<'_>) -> Result<(), FoldError> {
        let Event::Order(event) = entry.event() else { return Ok(()) };
        match event {
            OrderEvent::Placed(event) => self.count(&event.order, 1)?,
            OrderEvent::Cancelled(event) => self.count(&event.order, -1)?,
            OrderEvent::Refused(_)
            | OrderEvent::Abandoned(_)
            | OrderEvent::Dispatched(_)
            | OrderEvent::Delivered(_) => {}
        }
        let id = entry.id().to_owned();
        let row = self.orders.change(id.clone());
        let before = match &row {
            Some(order) => Some(serde_json::from_str(&order.document)?),
            None => None,
        };
        let order = OrderResource::evolve(before, &id, event, entry.metadata());
        let order = order.ok_or_else(|| FoldError::Unknown(format!("the order {id:?}")))?;
        let element = history::element(entry)?;
        let history = match row.take() {
            Some(before) => history::extend(before.history, &element),
            None => format!("[{element}]"),
        };
        *row = Some(Order {
            id,
            status: order.status.as_str().to_owned(),
            document: serde_json::to_string(&order)?,
            history,
            placed_at: order.placed_at.as_micros(),
            total: order.total.map_or(0, |total| total.amount),
            customer_id: order.customer_id,
            channel: order.channel,
        });
        Ok(())
    }

    fn tables(&mut self) -> Vec<&mut dyn Working> {
        vec![&mut self.orders, &mut self.counts]
    }
}

impl Orders {
    /// Adds an order to the counts, or (`times` -1) takes it back.
    fn count(&mut self, order: &OrderBody, times: i64) -> Result<(), FoldError> {
        self.counts.add("orders", times, 1)?;
        self.counts.add("order_lines", times, count(order.lines.len()))?;
        for line in &order.lines {
            self.counts.add("units", times, line.quantity)?;
        }
        Ok(())
    }
}
