use infra::read_models::{ReadModelError, Row, Snapshot, Value};
use projections::sales::Dimension;

use super::sums::{Bucket, Sums};

/// Rows read at once.
const PAGE: usize = 10_000;

/// The buckets of one dimension, in the order of time, page by page.
pub(super) struct Buckets {
    dimension: Dimension,
    /// Seconds since 1970, exclusive.
    to: i64,
    /// Beyond this; no bucket begins a second before `from`.
    after: (i64, String),
    at_end: bool,
}

impl Buckets {
    pub(super) fn new(dimension: Dimension, from: i64, to: i64) -> Self {
        Self { dimension, to, after: (from.saturating_sub(1), String::new()), at_end: false }
    }

    /// The next page; `None` at the end.
    pub(super) async fn next(
        &mut self,
        snapshot: &mut Snapshot,
    ) -> Result<Option<Vec<Bucket>>, ReadModelError> {
        if self.at_end {
            return Ok(None);
        }
        // MySQL finds its place in the index by single columns only.
        let sql = format!(
            "SELECT bucket, item, orders, units, revenue FROM sales \
             WHERE dimension = ? AND bucket >= ? AND (bucket, item) > (?, ?) AND bucket < ? \
             ORDER BY bucket, item LIMIT {PAGE}"
        );
        let (bucket, item) = std::mem::take(&mut self.after);
        let parameters = vec![
            Value::Integer(self.dimension.code()),
            Value::Integer(bucket),
            Value::Integer(bucket),
            Value::Text(item),
            Value::Integer(self.to),
        ];
        let mut rows = snapshot.scan(&sql, parameters).await?;
        self.at_end = rows.len() < PAGE;
        let buckets = rows.iter_mut().map(read).collect::<Result<Vec<_>, _>>()?;
        if let Some(last) = buckets.last() {
            self.after = (last.start, last.key.clone());
        }
        Ok(Some(buckets))
    }
}

fn read(row: &mut Row) -> Result<Bucket, ReadModelError> {
    Ok(Bucket {
        start: row.integer(0)?,
        key: row.text(1)?,
        sums: Sums { orders: row.integer(2)?, units: row.integer(3)?, revenue: row.integer(4)? },
    })
}
