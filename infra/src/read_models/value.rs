use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use super::ReadModelError;

/// What a column of a row holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Value {
    /// Nothing.
    Null,
    /// An integer.
    Integer(i64),
    /// A text.
    Text(String),
}

/// A row that a query gave, its columns in the query's order. Columns are taken out: each can be
/// read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(pub Vec<Value>);

impl Row {
    /// The integer in a column.
    ///
    /// # Errors
    /// If it holds something else: the file is not as it was written.
    pub fn integer(&mut self, column: usize) -> Result<i64, ReadModelError> {
        self.optional_integer(column)?.ok_or_else(|| unexpected(column, &Value::Null))
    }

    /// The integer in a column, `None` if it holds nothing.
    ///
    /// # Errors
    /// If it holds something else.
    pub fn optional_integer(&mut self, column: usize) -> Result<Option<i64>, ReadModelError> {
        match self.take(column)? {
            Value::Null => Ok(None),
            Value::Integer(value) => Ok(Some(value)),
            other @ Value::Text(_) => Err(unexpected(column, &other)),
        }
    }

    /// The text in a column.
    ///
    /// # Errors
    /// If it holds something else.
    pub fn text(&mut self, column: usize) -> Result<String, ReadModelError> {
        self.optional_text(column)?.ok_or_else(|| unexpected(column, &Value::Null))
    }

    /// The text in a column, `None` if it holds nothing.
    ///
    /// # Errors
    /// If it holds something else.
    pub fn optional_text(&mut self, column: usize) -> Result<Option<String>, ReadModelError> {
        match self.take(column)? {
            Value::Null => Ok(None),
            Value::Text(value) => Ok(Some(value)),
            other @ Value::Integer(_) => Err(unexpected(column, &other)),
        }
    }

    fn take(&mut self, column: usize) -> Result<Value, ReadModelError> {
        self.0
            .get_mut(column)
            .map(|value| std::mem::replace(value, Value::Null))
            .ok_or_else(|| ReadModelError::Unavailable(format!("a row has no column {column}")))
    }
}

fn unexpected(column: usize, found: &Value) -> ReadModelError {
    ReadModelError::Unavailable(format!("column {column} of a row holds {found:?}"))
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
        }))
    }
}

impl Value {
    /// A value as SQLite gave it. Nothing here is written as a float or as bytes, but a query may
    /// have made one of something else.
    pub(super) fn from_sqlite(value: ValueRef<'_>) -> Result<Self, ReadModelError> {
        match value {
            ValueRef::Null => Ok(Self::Null),
            ValueRef::Integer(value) => Ok(Self::Integer(value)),
            ValueRef::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => Ok(Self::Text(text.to_owned())),
                Err(_) => Err(ReadModelError::Unavailable("a text is not UTF-8".to_owned())),
            },
            ValueRef::Real(_) | ValueRef::Blob(_) => {
                Err(ReadModelError::Unavailable("a query gave a float or bytes".to_owned()))
            }
        }
    }
}
