//! Sales by the quarter of an hour, along each dimension that a report can be asked for.

mod tables;

use std::collections::HashMap;

use event_schemas::{Currency, Event, OrderBody, OrderEvent};
use infra::read_models::{ReadModelError, Row, Schema, Table, Value};

use crate::{Entry, FoldError, Projection, Record, Rows, Working, projection::add};

pub use tables::{SALES, SCHEMA};

/// Seconds in a bucket: no time zone's offset is finer.
pub const BUCKET: i64 = 900;

/// What sales can be told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// Nothing: everything together.
    None,
    /// The department.
    Department,
    /// The brand.
    Brand,
    /// Where it was ordered.
    Channel,
    /// The sku.
    Sku,
    /// Who ordered.
    Customer,
}

impl Dimension {
    /// How the column `dimension` says it.
    pub const fn code(self) -> i64 {
        match self {
            Self::None => 0,
            Self::Department => 1,
            Self::Brand => 2,
            Self::Channel => 3,
            Self::Sku => 4,
            Self::Customer => 5,
        }
    }
}

/// The fold of sales.
#[derive(Debug, Default)]
pub struct Sales {
    sales: Rows<Sale>,
}

type Key = (i64, i64, String);

#[derive(Debug)]
struct Sale {
    key: Key,
    orders: i64,
    units: i64,
    revenue: i64,
    currency: String,
}

impl Record for Sale {
    const KEPT: usize = 50_000;
    type Key = Key;

    fn table() -> &'static Table {
        &SALES
    }

    fn key(&self) -> Key {
        self.key.clone()
    }

    fn write_key((dimension, bucket, item): &Key, values: &mut Vec<Value>) {
        values.extend([(*dimension).into(), (*bucket).into(), item.as_str().into()]);
    }

    fn read(row: &mut Row) -> Result<Self, ReadModelError> {
        Ok(Self {
            key: (row.integer(0)?, row.integer(1)?, row.text(2)?),
            orders: row.integer(3)?,
            units: row.integer(4)?,
            revenue: row.integer(5)?,
            currency: row.text(6)?,
        })
    }

    fn write(&self, values: &mut Vec<Value>) {
        values.extend([
            self.orders.into(),
            self.units.into(),
            self.revenue.into(),
            self.currency.as_str().into(),
        ]);
    }
}

impl Projection for Sales {
    const SCHEMA: &'static Schema = &SCHEMA;
    const CATEGORIES: &'static [&'static str] = &[OrderEvent::CATEGORY];

    fn touch(&mut self, entry: Entry<'_>) {
        // A sum that does not fit stops the fold, not the asking.
        for sold in sold(entry.event()).unwrap_or_default() {
            self.sales.want(sold.key());
        }
    }

    fn fold(&mut self, entry: Entry<'_>) -> Result<(), FoldError> {
        for sold in sold(entry.event())? {
            let key = sold.key();
            let row = self.sales.change(key.clone());
            let sale = row.get_or_insert_with(|| Sale {
                key,
                orders: 0,
                units: 0,
                revenue: 0,
                currency: sold.currency.to_string(),
            });
            if sale.currency != sold.currency.as_str() {
                return Err(FoldError::Currency {
                    found: sold.currency.to_string(),
                    known: sale.currency.clone(),
                });
            }
            add(&mut sale.orders, 1, sold.orders, "orders")?;
            add(&mut sale.units, 1, sold.units, "units")?;
            add(&mut sale.revenue, 1, sold.revenue, "revenue")?;
            if sale.orders == 0 {
                *row = None;
            }
        }
        Ok(())
    }

    fn tables(&mut self) -> Vec<&mut dyn Working> {
        vec![&mut self.sales]
    }
}

/// What an event adds under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sold<'a> {
    /// What the key is one of.
    pub dimension: Dimension,
    /// The beginning of the quarter of an hour in which the order was placed, seconds since 1970.
    pub bucket: i64,
    /// The department, brand, ...
    pub item: &'a str,
    /// 1, or -1 where the event takes an order back; the sums are negative then too.
    pub orders: i64,
    /// Units.
    pub units: i64,
    /// Minor units of the currency.
    pub revenue: i64,
    /// Of the revenue.
    pub currency: Currency,
}

/// What an event adds to sales, or takes back; nothing unless an order was placed or cancelled.
///
/// # Errors
/// If a sum within the order does not fit.
pub fn sold(event: &Event) -> Result<Vec<Sold<'_>>, FoldError> {
    let (order, times) = match event {
        Event::Order(OrderEvent::Placed(event)) => (&event.order, 1),
        Event::Order(OrderEvent::Cancelled(event)) => (&event.order, -1),
        _ => return Ok(Vec::new()),
    };
    let seconds = order.placed_at.as_micros().div_euclid(1_000_000);
    let bucket = seconds - seconds.rem_euclid(BUCKET);
    let sums = sums(order)?.into_iter();
    Ok(sums
        .map(|((dimension, item), sum)| Sold {
            dimension,
            bucket,
            item,
            orders: times,
            units: times * sum.units,
            revenue: times * sum.revenue,
            currency: order.currency,
        })
        .collect())
}

impl Sold<'_> {
    fn key(&self) -> Key {
        (self.dimension.code(), self.bucket, self.item.to_owned())
    }
}

/// What an order adds under one key.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    units: i64,
    revenue: i64,
}

/// What an order adds under each key that it touches.
fn sums(order: &OrderBody) -> Result<HashMap<(Dimension, &str), Sum>, FoldError> {
    let mut sums = HashMap::with_capacity(3 * order.lines.len() + 3);
    let mut all = Sum::default();
    for line in &order.lines {
        let line_sum = Sum { units: line.quantity, revenue: line.total };
        all.add(line_sum)?;
        for key in [
            (Dimension::Department, line.department.as_str()),
            (Dimension::Brand, line.brand.as_str()),
            (Dimension::Sku, line.sku.as_str()),
        ] {
            sums.entry(key).or_insert_with(Sum::default).add(line_sum)?;
        }
    }
    sums.insert((Dimension::None, ""), all);
    sums.insert((Dimension::Channel, order.channel.as_str()), all);
    sums.insert((Dimension::Customer, order.customer_id.as_str()), all);
    Ok(sums)
}

impl Sum {
    fn add(&mut self, part: Self) -> Result<(), FoldError> {
        add(&mut self.units, 1, part.units, "units")?;
        add(&mut self.revenue, 1, part.revenue, "revenue")
    }
}
