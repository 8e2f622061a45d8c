use infra::{
    http::{Cursor, CursorValue, Problem},
    read_models::{Row, Snapshot, Value},
};

use crate::{ask::Ask, posted::unreadable};

/// The sequence of a list: by one column, ties by the id, which always ascends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sort {
    /// The column.
    pub(crate) column: &'static str,
    /// Whether the greatest comes first.
    pub(crate) descending: bool,
}

impl Sort {
    /// Reads `sort`: one of `columns`, with `-` before it if the greatest comes first.
    pub(crate) fn read(ask: &mut Ask, columns: &[&'static str], unless_given: Self) -> Self {
        let Some(text) = ask.query.take("sort", &mut ask.faults) else { return unless_given };
        let descending = text.starts_with('-');
        let name = text.strip_prefix('-').unwrap_or(&text);
        if let Some(column) = columns.iter().find(|column| **column == name) {
            return Self { column, descending };
        }
        let words: Vec<_> = columns.iter().map(|column| format!("{column} or -{column}")).collect();
        ask.faults.parameter("sort", format!("is {text:?}; it must be {}", words.join(", ")));
        unless_given
    }

    /// By a column, the least first.
    pub(crate) const fn ascending(column: &'static str) -> Self {
        Self { column, descending: false }
    }
}

/// A page of one table, cut by where the page before ended and never by counting rows: pages stay
/// right while rows are added.
pub(crate) struct List {
    table: &'static str,
    id: &'static str,
    select: &'static str,
    sort: Sort,
    limit: usize,
    conditions: Vec<String>,
    parameters: Vec<Value>,
    /// What the list's cursors are bound to.
    fingerprint: String,
}

/// The rows of a page and, if there are more, the cursor of the next one.
pub(crate) struct Page {
    /// What was selected, behind the sort column and the id.
    pub(crate) rows: Vec<Row>,
    /// The next page's cursor.
    pub(crate) next: Option<String>,
}

impl List {
    /// A list of `select` (one or more columns) of a table whose key is `id`.
    pub(crate) fn new(
        table: &'static str,
        id: &'static str,
        select: &'static str,
        sort: Sort,
    ) -> Self {
        let (conditions, parameters) = (Vec::new(), Vec::new());
        let fingerprint = String::new();
        Self { table, id, select, sort, limit: 50, conditions, parameters, fingerprint }
    }

    /// Narrows the list; `condition` has one `?`.
    pub(crate) fn filter<T: Into<Value>>(&mut self, condition: &str, value: Option<T>) {
        if let Some(value) = value {
            self.conditions.push(condition.to_owned());
            self.parameters.push(value.into());
        }
    }

    /// Narrows the list always.
    pub(crate) fn only(&mut self, condition: &str) {
        self.conditions.push(condition.to_owned());
    }

    /// Reads `limit` and `cursor`. Every filter has to be there before.
    pub(crate) fn cut(&mut self, ask: &mut Ask) {
        let Self { table, sort, conditions, parameters, .. } = &*self;
        self.fingerprint = format!("{table} {sort:?} {conditions:?} {parameters:?}");
        self.limit = ask.query.limit(&mut ask.faults);
        let Some(text) = ask.query.take("cursor", &mut ask.faults) else { return };
        let Some(cursor) = Cursor::decode(&text, &self.fingerprint, &mut ask.faults) else {
            return;
        };
        let [last, id] = cursor.0.as_slice() else {
            ask.faults
                .parameter("cursor", "cannot be read; send next of the page before as it was");
            return;
        };
        let Sort { column, descending } = self.sort;
        let beyond = if descending { '<' } else { '>' };
        if column == self.id {
            self.conditions.push(format!("{column} {beyond} ?"));
            self.parameters.push(value(id));
        } else {
            // The first half lets an index begin at the right place.
            self.conditions.push(format!("{column} {beyond}= ?"));
            self.conditions.push(format!("({column} {beyond} ? OR {} > ?)", self.id));
            self.parameters.extend([value(last), value(last), value(id)]);
        }
    }

    /// Reads the page. [`List::cut`] comes before.
    ///
    /// # Errors
    /// 503 if the rows cannot be read.
    pub(crate) async fn read(self, snapshot: &mut Snapshot) -> Result<Page, Problem> {
        let sql = self.sql();
        let Self { limit, parameters, fingerprint, .. } = self;
        let mut rows = snapshot.scan(&sql, parameters).await.map_err(|error| unreadable(&error))?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next = last.map(|row| Cursor::encode(&fingerprint, &[key(row, 0), key(row, 1)]));
        Ok(Page { rows, next })
    }

    fn sql(&self) -> String {
        let Self { table, id, select, sort: Sort { column, descending }, .. } = self;
        let direction = if *descending { "DESC" } else { "ASC" };
        let ties = if column == id { String::new() } else { format!(", {id} ASC") };
        let conditions = match self.conditions.as_slice() {
            [] => String::new(),
            some => format!(" WHERE {}", some.join(" AND ")),
        };
        let one_more = self.limit + 1;
        format!(
            "SELECT {column}, {id}, {select} FROM {table}{conditions} ORDER BY {column} {direction}{ties} LIMIT {one_more}"
        )
    }
}

impl Page {
    /// `{"items":[...],"next":...}` of JSON documents.
    pub(crate) fn document(items: &[String], next: Option<&str>) -> Vec<u8> {
        let size = items.iter().map(|item| item.len() + 1).sum::<usize>();
        let mut out = Vec::with_capacity(size + 128);
        out.extend_from_slice(b"{\"items\":[");
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(item.as_bytes());
        }
        out.extend_from_slice(b"],\"next\":");
        match next {
            // A cursor is base64url and needs no escape.
            Some(next) => out.extend_from_slice(format!("\"{next}\"}}").as_bytes()),
            None => out.extend_from_slice(b"null}"),
        }
        out
    }

    /// The page of rows whose third column is the document of an item.
    ///
    /// # Errors
    /// 503 if a row is not as it was written.
    pub(crate) fn of_documents(mut self) -> Result<Vec<u8>, Problem> {
        let documents = self.rows.iter_mut().map(|row| row.text(2)).collect::<Result<Vec<_>, _>>();
        let documents = documents.map_err(|error| unreadable(&error))?;
        Ok(Self::document(&documents, self.next.as_deref()))
    }
}

fn value(value: &CursorValue) -> Value {
    match value {
        CursorValue::Int(value) => Value::Integer(*value),
        CursorValue::Text(text) => Value::Text(text.clone()),
    }
}

fn key(row: &Row, column: usize) -> CursorValue {
    match row.0.get(column) {
        Some(Value::Integer(value)) => CursorValue::Int(*value),
        Some(Value::Text(text)) => CursorValue::Text(text.clone()),
        Some(Value::Null) | None => CursorValue::Text(String::new()),
    }
}
