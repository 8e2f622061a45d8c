//! What every SQLite connection of ours is told.

use rusqlite::{Connection, ErrorCode, config::DbConfig};

/// Statements keep their plans. Otherwise (SQLite is built with STAT4) a statement is prepared anew
/// whenever a bound value might call for another plan, which costs more than the statement itself.
/// <https://sqlite.org/c3ref/c_dbconfig_defensive.html>, `SQLITE_DBCONFIG_ENABLE_QPSG`.
pub(crate) fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}

/// What a file turned out to be.
pub(crate) enum Found {
    /// A database of ours, of this format or an older one.
    Ours(Connection),
    /// A database with nothing in it yet.
    Empty(Connection),
    /// A database of ours whose format is newer than we know.
    Newer(i64),
    /// Anything else.
    Foreign,
}

/// Looks at the file that `connect` opens, by its application id and format, and leaves it alone.
pub(crate) fn look(
    application_id: i64,
    format: i64,
    connect: impl FnOnce() -> rusqlite::Result<Connection>,
) -> rusqlite::Result<Found> {
    let look = || -> rusqlite::Result<_> {
        let connection = connect()?;
        let found: (i64, i64, i64) = connection.query_row(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
             FROM pragma_application_id, pragma_user_version",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        Ok((connection, found))
    };
    match look() {
        Ok((_, (id, found, _))) if id == application_id && found > format => {
            Ok(Found::Newer(found))
        }
        Ok((connection, (id, ..))) if id == application_id => Ok(Found::Ours(connection)),
        Ok((connection, (0, 0, 0))) => Ok(Found::Empty(connection)),
        Ok(_) => Ok(Found::Foreign),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Ok(Found::Foreign)
        }
        Err(error) => Err(error),
    }
}
