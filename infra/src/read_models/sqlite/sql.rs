//! The statements, each made once for a table.

use std::fmt::Write as _;

use super::super::{
    Column, Kind, Schema, Table,
    parts::{names, placeholders, repeated},
};

pub(super) const CREATE_CHECKPOINT: &str = "CREATE TABLE checkpoint (\
    only INTEGER PRIMARY KEY CHECK (only = 1), schema TEXT NOT NULL, store TEXT NOT NULL, \
    position INTEGER NOT NULL, last_position INTEGER, last_id TEXT, skipped TEXT)";
pub(super) const INSERT_CHECKPOINT: &str =
    "INSERT INTO checkpoint (only, schema, store, position) VALUES (1, ?, ?, ?)";
pub(super) const READ_SCHEMA: &str = "SELECT schema FROM checkpoint";
pub(super) const READ_CHECKPOINT: &str =
    "SELECT store, position, last_position, last_id, skipped FROM checkpoint";
pub(super) const MOVE_CHECKPOINT: &str = "UPDATE checkpoint SET position = ?, last_position = ?, last_id = ?, skipped = ? \
     WHERE store = ? AND position = ?";

/// Stands in a generation that is being built: in which run of the machine that is. Nothing is
/// synced meanwhile, so what another run has left may be anything.
pub(super) const CREATE_BUILDING: &str = "CREATE TABLE building (boot TEXT NOT NULL)";
pub(super) const INSERT_BUILDING: &str = "INSERT INTO building (boot) VALUES (?)";
pub(super) const READ_BUILDING: &str = "SELECT boot FROM building";

pub(super) fn create_table(table: &Table) -> String {
    let columns: Vec<String> = table.columns.iter().map(definition).collect();
    format!(
        "CREATE TABLE {} ({}, PRIMARY KEY ({})){}",
        table.name,
        columns.join(", "),
        names(table.key_columns()),
        if table.clustered { " WITHOUT ROWID" } else { "" },
    )
}

pub(super) fn create_indexes(schema: &Schema) -> Vec<String> {
    let of = |table: &Table| -> Vec<String> {
        table
            .indexes
            .iter()
            .map(|index| {
                format!(
                    "CREATE INDEX IF NOT EXISTS {} ON {} ({})",
                    index.name,
                    table.name,
                    index.columns.join(", ")
                )
            })
            .collect()
    };
    schema.tables.iter().flat_map(|table| of(table)).collect()
}

/// Rows by their keys, `rows` of them in one statement.
pub(super) fn load(table: &Table, rows: usize) -> String {
    let key = names(table.key_columns());
    let wanted = if table.key == 1 {
        format!("{key} IN ({})", repeated("?", rows))
    } else {
        format!("({key}) IN (VALUES {})", repeated(&placeholders(table.key), rows))
    };
    format!("SELECT {} FROM {} WHERE {wanted}", names(table.columns), table.name)
}

/// Whole rows, `rows` of them in one statement. `OR FAIL`, and no `NOT NULL` in the table: so SQLite
/// keeps no journal of each statement, a third of its price. A statement that fails takes the whole
/// transaction with it anyway.
pub(super) fn upsert(table: &Table, rows: usize) -> String {
    let mut sql = format!(
        "INSERT OR FAIL INTO {} ({}) VALUES {} ON CONFLICT ({}) DO ",
        table.name,
        names(table.columns),
        repeated(&placeholders(table.columns.len()), rows),
        names(table.key_columns()),
    );
    if table.other_columns().is_empty() {
        sql.push_str("NOTHING");
    } else {
        sql.push_str("UPDATE SET ");
        for (at, column) in table.other_columns().iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let _ = write!(sql, "{comma}{0} = excluded.{0}", column.name);
        }
    }
    sql
}

/// Rows that go, by their keys, `rows` of them in one statement.
pub(super) fn delete(table: &Table, rows: usize) -> String {
    format!(
        "DELETE FROM {} WHERE ({}) IN (VALUES {})",
        table.name,
        names(table.key_columns()),
        repeated(&placeholders(table.key), rows),
    )
}

fn definition(column: &Column) -> String {
    let kind = match column.kind {
        Kind::Integer => "INTEGER",
        Kind::Text | Kind::Document => "TEXT",
    };
    format!("{} {kind}", column.name)
}
