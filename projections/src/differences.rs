use infra::read_models::{Column, ReadModelError, Row, Schema, Snapshot, Table, Value};

/// Rows that are compared at once.
const PAGE: usize = 1_000;

/// A row in which two states of a read model differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its table.
    pub table: &'static str,
    /// Its key.
    pub key: Vec<Value>,
    /// The row in the one, if it is there.
    pub one: Option<Row>,
    /// The row in the other, if it is there.
    pub other: Option<Row>,
}

/// Compares two states of a read model row by row, wherever they lie, and tells each difference.
/// Only a page of rows of each is in memory. Returns how many differ.
///
/// # Errors
/// If one of them cannot be read.
pub async fn differences(
    schema: &'static Schema,
    one: &mut Snapshot,
    other: &mut Snapshot,
    mut tell: impl FnMut(Difference),
) -> Result<u64, ReadModelError> {
    let mut count = 0;
    for table in schema.tables {
        let (mut ones, mut others) = (Rows::of(table), Rows::of(table));
        loop {
            let (left, right) = (ones.peek(one).await?, others.peek(other).await?);
            let order = match (&left, &right) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(left), Some(right)) => left.0[..table.key].cmp(&right.0[..table.key]),
            };
            let left = left.filter(|_| order.is_le()).inspect(|_| ones.pass());
            let right = right.filter(|_| order.is_ge()).inspect(|_| others.pass());
            if left != right {
                let row = left.as_ref().or(right.as_ref());
                let key = row.map(|row| row.0[..table.key].to_vec()).unwrap_or_default();
                count += 1;
                tell(Difference { table: table.name, key, one: left, other: right });
            }
        }
    }
    Ok(count)
}

/// The rows of a table in the order of its key, a page at a time.
struct Rows {
    table: &'static Table,
    page: std::collections::VecDeque<Row>,
    last: Option<Vec<Value>>,
    at_end: bool,
}

impl Rows {
    fn of(table: &'static Table) -> Self {
        Self { table, page: Default::default(), last: None, at_end: false }
    }

    /// The next row, read if need be.
    async fn peek(&mut self, snapshot: &mut Snapshot) -> Result<Option<Row>, ReadModelError> {
        if self.page.is_empty() && !self.at_end {
            let (sql, parameters) = next_page(self.table, self.last.as_deref());
            self.page = snapshot.scan(&sql, parameters).await?.into();
            self.at_end = self.page.len() < PAGE;
            let last = self.page.back().map(|row| row.0[..self.table.key].to_vec());
            self.last = last.or(self.last.take());
        }
        Ok(self.page.front().cloned())
    }

    fn pass(&mut self) {
        self.page.pop_front();
    }
}

/// The statement that reads the rows behind a key, with its parameters.
fn next_page(table: &Table, last: Option<&[Value]>) -> (String, Vec<Value>) {
    let names = |columns: &[Column]| {
        columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    };
    let (all, key) = (names(table.columns), names(table.key_columns()));
    let mut parameters = Vec::new();
    let mut beyond = Vec::new();
    for (at, column) in table.key_columns().iter().enumerate().take_while(|_| last.is_some()) {
        // Equal in the columns before, and greater in this one: an engine that compares whole keys
        // would look at every row.
        let before = table.key_columns()[..at].iter().map(|column| format!("{} = ?", column.name));
        let greater = format!("{} > ?", column.name);
        beyond.push(before.chain([greater]).collect::<Vec<_>>().join(" AND "));
        parameters.extend_from_slice(&last.unwrap_or_default()[..=at]);
    }
    let condition = match beyond.len() {
        0 => String::new(),
        _ => format!(" WHERE ({})", beyond.join(") OR (")),
    };
    let sql = format!("SELECT {all} FROM {}{condition} ORDER BY {key} LIMIT {PAGE}", table.name);
    (sql, parameters)
}
