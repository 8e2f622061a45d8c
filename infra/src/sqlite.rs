//! What every SQLite connection of ours is told.

use rusqlite::{Connection, config::DbConfig};

/// Statements keep their plans. Otherwise (SQLite is built with STAT4) a statement is prepared anew
/// whenever a bound value might call for another plan, which costs more than the statement itself.
/// <https://sqlite.org/c3ref/c_dbconfig_defensive.html>, `SQLITE_DBCONFIG_ENABLE_QPSG`.
pub(crate) fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}
