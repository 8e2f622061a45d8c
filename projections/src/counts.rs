use infra::read_models::{Column, ReadModelError, Row, Table, Value};

use crate::{FoldError, Record, Rows, projection::add};

/// Counts by name: `orders`, `order_lines` and `units` (placed and not cancelled), `products`,
/// `skus`, `users`; each in the read model that it counts.
pub(crate) static COUNTS: Table = Table {
    name: "counts",
    columns: &[Column::text("name"), Column::integer("value")],
    key: 1,
    clustered: true,
    indexes: &[],
};

/// A row of [`COUNTS`].
#[derive(Debug)]
pub(crate) struct Count {
    name: &'static str,
    value: i64,
}

const NAMES: [&str; 6] = ["orders", "order_lines", "units", "products", "skus", "users"];

impl Record for Count {
    type Key = &'static str;
    const KEPT: usize = NAMES.len();

    fn table() -> &'static Table {
        &COUNTS
    }

    fn key(&self) -> Self::Key {
        self.name
    }

    fn write_key(key: &Self::Key, values: &mut Vec<Value>) {
        values.push((*key).into());
    }

    fn read(row: &mut Row) -> Result<Self, ReadModelError> {
        let name = row.text(0)?;
        let known = NAMES.into_iter().find(|known| *known == name);
        let name = known
            .ok_or_else(|| ReadModelError::Unavailable(format!("the count {name:?} is unknown")))?;
        Ok(Self { name, value: row.integer(1)? })
    }

    fn write(&self, values: &mut Vec<Value>) {
        values.push(self.value.into());
    }
}

impl Rows<Count> {
    /// Adds `part`, `times` times, to the count of that name.
    pub(crate) fn add(
        &mut self,
        name: &'static str,
        times: i64,
        part: i64,
    ) -> Result<(), FoldError> {
        let count = self.change(name).get_or_insert(Count { name, value: 0 });
        add(&mut count.value, times, part, name)
    }
}

/// A length as a count; no list in memory is longer.
pub(crate) fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
