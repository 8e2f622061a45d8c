//! The statements, each made once for a table, and the names of a generation's tables.

use std::fmt::Write as _;

use super::super::{
    Column, Kind, Schema, Table,
    parts::{names, placeholders, repeated},
};
use crate::mysql::Step;

/// What stands in the database beside the generations.
pub(super) const STEPS: [Step; 4] = [
    Step {
        version: 1,
        description: "the generation of each read model that is read",
        sql: "CREATE TABLE IF NOT EXISTS read_models (\
              name VARCHAR(64) NOT NULL PRIMARY KEY, generation BIGINT NOT NULL) \
              ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE {collation}",
    },
    Step {
        version: 2,
        description: "the checkpoint of each generation",
        sql: "CREATE TABLE IF NOT EXISTS checkpoints (\
              name VARCHAR(64) NOT NULL, generation BIGINT NOT NULL, fingerprint LONGTEXT NOT NULL, \
              store VARCHAR(36) NOT NULL, position BIGINT NOT NULL, last_position BIGINT, \
              last_id VARCHAR(36), PRIMARY KEY (name, generation)) \
              ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE {collation}",
    },
    Step {
        version: 3,
        description: "who posts each projection",
        sql: "CREATE TABLE IF NOT EXISTS leases (\
              name VARCHAR(64) NOT NULL PRIMARY KEY, holder VARCHAR(255) NOT NULL, \
              until DATETIME(6) NOT NULL) \
              ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE {collation}",
    },
    // Not every server knows IF NOT EXISTS here, and a step that was cut short is taken again.
    Step {
        version: 4,
        description: "what each generation has passed over",
        sql: "SET @adding = IF((SELECT count(*) FROM information_schema.columns \
              WHERE table_schema = DATABASE() AND table_name = 'checkpoints' \
              AND column_name = 'skipped') = 0, \
              'ALTER TABLE checkpoints ADD COLUMN skipped LONGTEXT', 'DO 0'); \
              PREPARE adding FROM @adding; EXECUTE adding; DEALLOCATE PREPARE adding",
    },
];

pub(super) const LIVE: &str = "SELECT generation FROM read_models WHERE name = ?";
pub(super) const GENERATIONS: &str = "SELECT generation FROM checkpoints WHERE name = ?";
pub(super) const TABLES_LIKE: &str = "SELECT CONVERT(table_name USING utf8mb4) \
     FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name LIKE ?";
pub(super) const INSERT_CHECKPOINT: &str = "INSERT INTO checkpoints (name, generation, fingerprint, store, position) \
     VALUES (?, ?, ?, ?, 0)";
pub(super) const DELETE_CHECKPOINT: &str =
    "DELETE FROM checkpoints WHERE name = ? AND generation = ?";
pub(super) const SWITCH: &str = "INSERT INTO read_models (name, generation) VALUES (?, ?) \
     ON DUPLICATE KEY UPDATE generation = VALUES(generation)";
/// As whoever reads sees it, in the state of its transaction.
pub(super) const READ_LIVE: &str = "SELECT c.generation, c.fingerprint, c.store, c.position, c.last_position, c.last_id, c.skipped \
     FROM read_models AS r JOIN checkpoints AS c ON c.name = r.name AND c.generation = r.generation \
     WHERE r.name = ?";
/// As whoever writes has to know it: a commit that is still on its way is waited for.
pub(super) const READ_WRITTEN: &str = "SELECT c.generation, c.fingerprint, c.store, c.position, c.last_position, c.last_id, c.skipped \
     FROM read_models AS r JOIN checkpoints AS c ON c.name = r.name AND c.generation = r.generation \
     WHERE r.name = ? LOCK IN SHARE MODE";
/// As whoever switches has to know it: nothing is posted before the switch is over.
pub(super) const READ_REPLACED: &str = "SELECT c.generation, c.fingerprint, c.store, c.position, c.last_position, c.last_id, c.skipped \
     FROM read_models AS r JOIN checkpoints AS c ON c.name = r.name AND c.generation = r.generation \
     WHERE r.name = ? FOR UPDATE";
/// As whoever looks on sees it.
pub(super) const READ_BUILT: &str = "SELECT generation, fingerprint, store, position, last_position, last_id, skipped \
     FROM checkpoints WHERE name = ? AND generation = ?";
pub(super) const READ_BUILDING: &str = "SELECT generation, fingerprint, store, position, last_position, last_id, skipped \
     FROM checkpoints WHERE name = ? AND generation = ? LOCK IN SHARE MODE";
/// A writer whose generation has been replaced finds no row, and neither does one whose checkpoint
/// is elsewhere.
pub(super) const MOVE_LIVE: &str = "UPDATE checkpoints AS c JOIN read_models AS r \
     ON r.name = c.name AND r.generation = c.generation \
     SET c.position = ?, c.last_position = ?, c.last_id = ?, c.skipped = ? \
     WHERE c.name = ? AND c.generation = ? AND c.store = ? AND c.position = ?";
pub(super) const MOVE_BUILDING: &str = "UPDATE checkpoints \
     SET position = ?, last_position = ?, last_id = ?, skipped = ? \
     WHERE name = ? AND generation = ? AND store = ? AND position = ?";

/// What the names of a generation's tables begin with. A read model's name has letters only.
pub(super) fn prefix(name: &str, generation: i64) -> String {
    format!("{name}_{generation}_")
}

/// `sql` with the generation's tables in the place of the read model's, whose names stand behind
/// `FROM`.
pub(super) fn of_generation(sql: &str, schema: &Schema, generation: i64) -> String {
    const FROM: &str = "FROM ";
    let prefix = prefix(schema.name, generation);
    let mut parts = sql.split(FROM);
    let mut made = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        made.push_str(FROM);
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
        if schema.tables.iter().any(|table| table.name == &part[..end]) {
            made.push_str(&prefix);
        }
        made.push_str(part);
    }
    made
}

/// The table without its secondary indexes.
pub(super) fn create_table(table: &Table, prefix: &str, collation: &str) -> String {
    let columns: Vec<String> =
        table.columns.iter().map(|column| definition(table, column)).collect();
    format!(
        "CREATE TABLE {prefix}{} ({}, PRIMARY KEY ({})) ENGINE=InnoDB ROW_FORMAT=DYNAMIC \
         CHARACTER SET utf8mb4 COLLATE {collation}",
        table.name,
        columns.join(", "),
        names(table.key_columns()),
    )
}

/// All secondary indexes of a table in one statement, if it has any.
pub(super) fn create_indexes(table: &Table, prefix: &str) -> Option<String> {
    let added: Vec<_> = table
        .indexes
        .iter()
        .map(|index| format!("ADD INDEX {} ({})", index.name, index.columns.join(", ")))
        .collect();
    (!added.is_empty()).then(|| format!("ALTER TABLE {prefix}{} {}", table.name, added.join(", ")))
}

/// Rows by their keys, `rows` of them in one statement.
pub(super) fn load(table: &Table, prefix: &str, rows: usize) -> String {
    format!(
        "SELECT {} FROM {prefix}{} WHERE {}",
        names(table.columns),
        table.name,
        of_keys(table, rows)
    )
}

/// Whole rows, `rows` of them in one statement.
pub(super) fn upsert(table: &Table, prefix: &str, rows: usize) -> String {
    let mut sql = format!(
        "INSERT INTO {prefix}{} ({}) VALUES {} ON DUPLICATE KEY UPDATE ",
        table.name,
        names(table.columns),
        repeated(&placeholders(table.columns.len()), rows),
    );
    // A row that is all key is there already, and stays as it is.
    let changed =
        if table.other_columns().is_empty() { table.columns } else { table.other_columns() };
    for (at, column) in changed.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        let _ = write!(sql, "{comma}{0} = VALUES({0})", column.name);
    }
    sql
}

/// Rows that go, by their keys, `rows` of them in one statement.
pub(super) fn delete(table: &Table, prefix: &str, rows: usize) -> String {
    format!("DELETE FROM {prefix}{} WHERE {}", table.name, of_keys(table, rows))
}

fn of_keys(table: &Table, rows: usize) -> String {
    let key = names(table.key_columns());
    if table.key == 1 {
        format!("{key} IN ({})", repeated("?", rows))
    } else {
        format!("({key}) IN ({})", repeated(&placeholders(table.key), rows))
    }
}

/// Texts in a key or an index have a length, the longest with which three of them fit into one.
fn definition(table: &Table, column: &Column) -> String {
    let in_key = table.key_columns().iter().any(|key| key.name == column.name);
    let indexed = in_key || table.indexes.iter().any(|index| index.has(column));
    let kind = match column.kind {
        Kind::Integer => "BIGINT",
        Kind::Text if indexed => "VARCHAR(250)",
        Kind::Text | Kind::Document => "LONGTEXT",
    };
    let null = if column.nullable { "" } else { " NOT NULL" };
    format!("{} {kind}{null}", column.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    static ORDERS: Table = Table {
        name: "orders",
        columns: &[Column::text("id"), Column::integer("orders")],
        key: 1,
        clustered: false,
        indexes: &[],
    };
    static SCHEMA: Schema = Schema { name: "shop", version: 1, tables: &[&ORDERS] };

    #[test]
    fn a_table_is_named_behind_from_and_nowhere_else() {
        for (sql, expected) in [
            ("SELECT orders FROM orders", "SELECT orders FROM shop_3_orders"),
            (
                "SELECT (SELECT count(*) FROM orders) FROM orders WHERE orders > ?",
                "SELECT (SELECT count(*) FROM shop_3_orders) FROM shop_3_orders WHERE orders > ?",
            ),
            ("SELECT 1 FROM orders_old", "SELECT 1 FROM orders_old"),
            ("SELECT 1", "SELECT 1"),
        ] {
            assert_eq!(of_generation(sql, &SCHEMA, 3), expected);
        }
    }
}
