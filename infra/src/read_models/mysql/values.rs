//! Values on their way to the server and back.

use sqlx::{
    Arguments as _, Column as _, Row as _, TypeInfo as _, ValueRef as _,
    mysql::{MySqlArguments, MySqlRow},
};

use super::super::{Row, Value};

/// The values as a statement's parameters.
pub(super) fn arguments(values: &[Value]) -> sqlx::Result<MySqlArguments> {
    let mut arguments = MySqlArguments::default();
    arguments.reserve(values.len(), values.iter().map(size).sum());
    for value in values {
        match value {
            Value::Null => arguments.add(None::<&str>),
            Value::Integer(value) => arguments.add(value),
            Value::Text(text) => arguments.add(text.as_str()),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// About how many bytes a value takes on its way.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::Null => 1,
        Value::Integer(_) => 8,
        Value::Text(text) => text.len() + 9,
    }
}

/// A row as SQLite would give it: integers and texts. A sum of integers comes as a decimal number.
pub(super) fn row(row: &MySqlRow) -> sqlx::Result<Row> {
    let value = |at: usize| {
        let raw = row.try_get_raw(at)?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        let kind = raw.type_info();
        match kind.name() {
            "DECIMAL" => {
                let text: String = row.try_get_unchecked(at)?;
                let parsed = text.parse().map_err(|_| not_integer(row, at, &text))?;
                Ok(Value::Integer(parsed))
            }
            name if name.ends_with("UNSIGNED") => {
                let number: u64 = row.try_get_unchecked(at)?;
                let fits = number.try_into();
                fits.map(Value::Integer).map_err(|_| not_integer(row, at, &number.to_string()))
            }
            name if name.ends_with("INT") || name == "BOOLEAN" => {
                row.try_get_unchecked(at).map(Value::Integer)
            }
            _ => row.try_get_unchecked(at).map(Value::Text),
        }
    };
    (0..row.len()).map(value).collect::<sqlx::Result<_>>().map(Row)
}

fn not_integer(row: &MySqlRow, at: usize, found: &str) -> sqlx::Error {
    let index = row.column(at).name().to_owned();
    let source = format!("{found} is no integer of 64 bits").into();
    sqlx::Error::ColumnDecode { index, source }
}
