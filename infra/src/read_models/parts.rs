//! The parts of statements that every dialect writes alike.

use super::Column;

/// The columns' names, parted by commas.
pub(super) fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

/// So many parameters in parentheses.
pub(super) fn placeholders(count: usize) -> String {
    format!("({})", repeated("?", count))
}

/// The part so many times, parted by commas.
pub(super) fn repeated(part: &str, count: usize) -> String {
    vec![part; count].join(", ")
}
