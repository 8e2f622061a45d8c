//! Making, switching and removing generations. A generation that is being built is guarded by a
//! lock of that name, which ends with the connection of whoever builds it.

use std::time::Duration;

use event_schemas::StoreId;
use sqlx::{AssertSqlSafe, Executor as _, MySqlConnection};

use super::{
    super::{ReadModelError, Schema},
    failed, sql,
};
use crate::mysql::{self, answered, within};

/// How long making the indexes of a table may take, or removing a table: a connection that has
/// become silent is given up in the end.
const LONG: Duration = Duration::from_secs(60 * 60);

/// Makes the next generation, empty and without secondary indexes. One process at a time does this.
pub(super) async fn make(
    connection: &mut MySqlConnection,
    schema: &'static Schema,
    store: StoreId,
) -> Result<i64, ReadModelError> {
    let made = async {
        let generation = known(connection, schema).await?.into_iter().max().unwrap_or(0) + 1;
        let collation = mysql::collation(connection).await?;
        // Known first: tables without it would never be removed.
        let inserting = sqlx::query(sql::INSERT_CHECKPOINT)
            .bind(schema.name)
            .bind(generation)
            .bind(schema.fingerprint())
            .bind(store.to_string());
        answered(inserting.execute(&mut *connection)).await?;
        let prefix = sql::prefix(schema.name, generation);
        for table in schema.tables {
            run(connection, sql::create_table(table, &prefix, collation)).await?;
        }
        Ok(generation)
    };
    made.await.map_err(|error| failed(schema, &error))
}

/// Guards a generation that is being built.
pub(super) async fn claim(
    connection: &mut MySqlConnection,
    schema: &'static Schema,
    generation: i64,
) -> Result<(), ReadModelError> {
    let claimed = mysql::try_lock(connection, &sql::prefix(schema.name, generation)).await;
    if claimed.map_err(|error| failed(schema, &error))? {
        return Ok(());
    }
    // The server has not yet seen that the connection before this one is gone.
    Err(ReadModelError::Unavailable(format!("read model {}: its lock is still held", schema.name)))
}

/// Makes the secondary indexes, where they are not there yet.
pub(super) async fn index(
    connection: &mut MySqlConnection,
    schema: &'static Schema,
    generation: i64,
) -> Result<(), ReadModelError> {
    let prefix = sql::prefix(schema.name, generation);
    for table in schema.tables {
        let Some(statement) = sql::create_indexes(table, &prefix) else { continue };
        match run_long(connection, statement).await {
            // All of them are made by one statement.
            Err(error) if mysql::number(&error) == Some(DUPLICATE_INDEX) => {}
            other => other.map_err(|error| failed(schema, &error))?,
        }
    }
    Ok(())
}

const DUPLICATE_INDEX: u16 = 1061;

/// From here on this generation is read.
pub(super) async fn switch(
    connection: &mut MySqlConnection,
    schema: &'static Schema,
    generation: i64,
) -> Result<(), ReadModelError> {
    let switching = sqlx::query(sql::SWITCH).bind(schema.name).bind(generation);
    let switched = answered(switching.execute(connection)).await;
    switched.map(drop).map_err(|error| failed(schema, &error))
}

/// Puts a generation that was built in the place of the one that is read, which stays for those who
/// are reading it.
pub(super) async fn install(
    connection: &mut MySqlConnection,
    schema: &'static Schema,
    generation: i64,
) -> Result<(), ReadModelError> {
    let fail = |error: sqlx::Error| failed(schema, &error);
    let before = live(connection, schema).await.map_err(fail)?;
    switch(connection, schema, generation).await?;
    let prefix = sql::prefix(schema.name, generation);
    mysql::unlock(connection, &prefix).await.map_err(fail)?;
    let kept: Vec<_> = before.into_iter().chain([generation]).collect();
    // Not beside somebody who has made a generation and not yet claimed it.
    mysql::lock(connection, schema.name).await.map_err(fail)?;
    let swept = sweep(connection, schema, &kept).await;
    mysql::unlock(connection, schema.name).await.map_err(fail)?;
    swept
}

/// Removes every generation that nobody reads or builds, but for those in `kept`.
pub(super) async fn sweep(
    connection: &mut MySqlConnection,
    schema: &'static Schema,
    kept: &[i64],
) -> Result<(), ReadModelError> {
    let swept = async {
        let live = live(connection, schema).await?;
        for generation in known(connection, schema).await? {
            let name = sql::prefix(schema.name, generation);
            if live == Some(generation)
                || kept.contains(&generation)
                || !mysql::try_lock(connection, &name).await?
            {
                continue;
            }
            let removed = remove(connection, schema, generation).await;
            mysql::unlock(connection, &name).await?;
            match removed {
                // Somebody still reads it: the next one removes it.
                Err(error) if mysql::is_lock_conflict(&error) => {
                    tracing::info!(read_model = schema.name, generation, %error, "not yet removed");
                }
                other => other?,
            }
        }
        Ok(())
    };
    swept.await.map_err(|error| failed(schema, &error))
}

async fn remove(
    connection: &mut MySqlConnection,
    schema: &Schema,
    generation: i64,
) -> sqlx::Result<()> {
    // In a pattern an underscore stands for any character.
    let pattern = format!("{}%", sql::prefix(schema.name, generation).replace('_', "\\_"));
    let asking = sqlx::query_scalar(sql::TABLES_LIKE).bind(pattern);
    let tables: Vec<String> = answered(asking.fetch_all(&mut *connection)).await?;
    for table in tables {
        run_long(connection, format!("DROP TABLE IF EXISTS {table}")).await?;
    }
    // Forgotten last: tables without it would never be removed.
    let deleting = sqlx::query(sql::DELETE_CHECKPOINT).bind(schema.name).bind(generation);
    answered(deleting.execute(connection)).await.map(drop)
}

async fn live(connection: &mut MySqlConnection, schema: &Schema) -> sqlx::Result<Option<i64>> {
    let asking = sqlx::query_scalar(sql::LIVE).bind(schema.name);
    answered(asking.fetch_optional(connection)).await
}

async fn known(connection: &mut MySqlConnection, schema: &Schema) -> sqlx::Result<Vec<i64>> {
    let asking = sqlx::query_scalar(sql::GENERATIONS).bind(schema.name);
    answered(asking.fetch_all(connection)).await
}

async fn run(connection: &mut MySqlConnection, statement: String) -> sqlx::Result<()> {
    answered(connection.execute(AssertSqlSafe(statement))).await.map(drop)
}

/// For what takes the longer the more rows there are.
async fn run_long(connection: &mut MySqlConnection, statement: String) -> sqlx::Result<()> {
    within(LONG, connection.execute(AssertSqlSafe(statement))).await.map(drop)
}
