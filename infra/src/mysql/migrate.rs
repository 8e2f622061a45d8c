use std::borrow::Cow;

use sqlx::{
    AssertSqlSafe, Executor as _, MySqlConnection, SqlSafeStr as _,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::{answered, collation, is_missing, lock, unlock};

/// The lock of whoever makes tables.
const LOCK: &str = "migrate";

/// A step of a database's making: one statement. `{collation}` stands for the engine's own. It can
/// be run again where it was cut short: no engine undoes the making of a table.
pub(crate) struct Step {
    /// In rising order. Each use of a database has its own numbers, so that one is not taken for
    /// the other.
    pub(crate) version: i64,
    pub(crate) description: &'static str,
    pub(crate) sql: &'static str,
}

/// What a database turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Migrated {
    /// As these steps make it.
    Done,
    /// Made by other steps: those of something else, or of a newer version.
    Foreign,
}

/// Takes the steps that are still to be taken. One process at a time does this.
pub(crate) async fn migrate(
    connection: &mut MySqlConnection,
    steps: &[Step],
) -> sqlx::Result<Migrated> {
    lock(connection, LOCK).await?;
    let migrated = run(connection, steps).await;
    unlock(connection, LOCK).await?;
    migrated
}

async fn run(connection: &mut MySqlConnection, steps: &[Step]) -> sqlx::Result<Migrated> {
    let forget = "DELETE FROM _sqlx_migrations WHERE NOT success";
    match answered(connection.execute(forget)).await {
        Ok(_) => {}
        Err(error) if is_missing(&error) => {
            let counting = "SELECT count(*) FROM information_schema.tables \
                            WHERE table_schema = DATABASE()";
            let counting = sqlx::query_scalar(counting).fetch_one(&mut *connection);
            let tables: i64 = answered(counting).await?;
            if tables > 0 {
                return Ok(Migrated::Foreign);
            }
        }
        Err(error) => return Err(error),
    }
    let collation = collation(connection).await?;
    let migration = |step: &Step| {
        // The same step on both engines.
        let of_step = Migration::new(
            step.version,
            Cow::Borrowed(step.description),
            MigrationType::Simple,
            step.sql.into_sql_str(),
            true,
        );
        Migration {
            sql: AssertSqlSafe(step.sql.replace("{collation}", collation)).into_sql_str(),
            ..of_step
        }
    };
    let migrator = Migrator {
        migrations: steps.iter().map(migration).collect(),
        // Its own lock waits without an end, which MariaDB does not know.
        locking: false,
        ..Migrator::DEFAULT
    };
    match answered(async { Ok(migrator.run_direct(None, connection, false).await) }).await? {
        Ok(()) => Ok(Migrated::Done),
        Err(MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_)) => {
            Ok(Migrated::Foreign)
        }
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => Err(error),
        Err(error) => Err(sqlx::Error::Migrate(Box::new(error))),
    }
}
