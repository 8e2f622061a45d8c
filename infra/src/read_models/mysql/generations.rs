//! Making, switching and removing generations. A generation that is being built is guarded by a
//! lock of that name, which ends with the connection of whoever builds it.

use std::time::Duration;

use event_schemas::{Position, StoreId};
use sqlx::{AssertSqlSafe, Executor as _, MySqlConnection};

use super::{
    super::{Checkpoint, ReadModelError, Schema},
    failed, read_checkpoint, sql,
};
use crate::mysql::{self, answered, within};

/// How long making the indexes of a table may take, or removing a table: a connection that has
/// become silent is given up in the end.
const LONG: Duration = Duration::from_secs(60 * 60);

/// How often a switch is tried that meets a lock of somebody who posts.
const ATTEMPTS: usize = 20;

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

/// Puts a generation that was built in the place of the one that is read, which stays. With `own`,
/// its checkpoint, only if that is not posted further; it is not posted into meanwhile.
pub(super) async fn install(
    connection: &mut MySqlConnection,
    schema: &'static Schema,
    generation: i64,
    own: Option<&Checkpoint>,
) -> Result<(), ReadModelError> {
    let fail = |error: sqlx::Error| failed(schema, &error);
    let before = live(connection, schema).await.map_err(fail)?;
    begin_alone(connection, schema).await.map_err(fail)?;
    let switched = switch_in_order(connection, schema, generation, own).await;
    let end = if switched.is_ok() { "COMMIT" } else { "ROLLBACK" };
    answered(connection.execute(end)).await.map_err(fail)?;
    switched?;
    let prefix = sql::prefix(schema.name, generation);
    mysql::unlock(connection, &prefix).await.map_err(fail)?;
    let kept: Vec<_> = before.into_iter().chain([generation]).collect();
    // Not beside somebody who has made a generation and not yet claimed it.
    mysql::lock(connection, schema.name).await.map_err(fail)?;
    let swept = sweep(connection, schema, |other| !kept.contains(&other)).await;
    mysql::unlock(connection, schema.name).await.map_err(fail)?;
    swept.map(drop)
}

/// Begins a transaction in which nobody posts. Whoever posts at the same moment goes first.
async fn begin_alone(connection: &mut MySqlConnection, schema: &Schema) -> sqlx::Result<()> {
    for attempt in 1.. {
        answered(connection.execute("START TRANSACTION")).await?;
        let locking = sqlx::query(sql::READ_REPLACED).bind(schema.name);
        match answered(locking.fetch_optional(&mut *connection)).await {
            Err(error) if mysql::is_lock_conflict(&error) && attempt < ATTEMPTS => {
                answered(connection.execute("ROLLBACK")).await?;
            }
            locked => return locked.map(drop),
        }
    }
    Ok(())
}

async fn switch_in_order(
    connection: &mut MySqlConnection,
    schema: &'static Schema,
    generation: i64,
    own: Option<&Checkpoint>,
) -> Result<(), ReadModelError> {
    let shown = read_checkpoint(connection, schema, sql::READ_REPLACED, None).await;
    match (shown, own) {
        (Ok(shown), Some(own)) if own.is_behind(&shown.checkpoint) => {
            let live = shown.checkpoint.position;
            Err(ReadModelError::Behind { name: schema.name, live })
        }
        (Err(error @ ReadModelError::Unavailable(_)), _) => Err(error),
        // What cannot be read is not shown to anybody.
        _ => switch(connection, schema, generation).await,
    }
}

/// Claims a generation that was begun and left unfinished, if there is one.
pub(super) async fn unfinished(
    connection: &mut MySqlConnection,
    schema: &'static Schema,
    store: StoreId,
) -> Result<Option<i64>, ReadModelError> {
    let fail = |error: sqlx::Error| failed(schema, &error);
    let live = live(connection, schema).await.map_err(fail)?.unwrap_or(0);
    for generation in known(connection, schema).await.map_err(fail)? {
        if generation <= live {
            continue;
        }
        let found = read_checkpoint(connection, schema, sql::READ_BUILDING, Some(generation)).await;
        let name = sql::prefix(schema.name, generation);
        if found.is_ok_and(|found| {
            found.checkpoint.store == store && schema.check(&found.fingerprint).is_ok()
        }) && has_all_tables(connection, schema, generation).await.map_err(fail)?
            && mysql::try_lock(connection, &name).await.map_err(fail)?
        {
            return Ok(Some(generation));
        }
    }
    Ok(None)
}

/// The generation that somebody is building, if somebody is, and how far that is.
pub(super) async fn building(
    connection: &mut MySqlConnection,
    schema: &'static Schema,
) -> Result<Option<(i64, Position)>, ReadModelError> {
    let fail = |error: sqlx::Error| failed(schema, &error);
    let live = live(connection, schema).await.map_err(fail)?.unwrap_or(0);
    for generation in known(connection, schema).await.map_err(fail)? {
        let name = sql::prefix(schema.name, generation);
        if generation > live && mysql::is_locked(connection, &name).await.map_err(fail)? {
            let found =
                read_checkpoint(connection, schema, sql::READ_BUILT, Some(generation)).await?;
            return Ok(Some((generation, found.checkpoint.position)));
        }
    }
    Ok(None)
}

/// Removes what was replaced. Returns how many generations that were.
pub(super) async fn drop_old(
    connection: &mut MySqlConnection,
    schema: &'static Schema,
) -> Result<usize, ReadModelError> {
    let live = live(connection, schema).await.map_err(|error| failed(schema, &error))?;
    sweep(connection, schema, |other| live.is_some_and(|live| other < live)).await
}

/// Removes every generation for which `goes` holds and that nobody reads or builds. Returns how
/// many that were.
pub(super) async fn sweep(
    connection: &mut MySqlConnection,
    schema: &'static Schema,
    goes: impl Fn(i64) -> bool,
) -> Result<usize, ReadModelError> {
    let swept = async {
        let mut swept = 0;
        let live = live(connection, schema).await?;
        for generation in known(connection, schema).await? {
            let name = sql::prefix(schema.name, generation);
            if live == Some(generation)
                || !goes(generation)
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
                other => {
                    other?;
                    swept += 1;
                }
            }
        }
        Ok(swept)
    };
    swept.await.map_err(|error| failed(schema, &error))
}

/// Whether every table of the generation was made: they are not made in one step.
async fn has_all_tables(
    connection: &mut MySqlConnection,
    schema: &Schema,
    generation: i64,
) -> sqlx::Result<bool> {
    Ok(tables(connection, schema, generation).await?.len() == schema.tables.len())
}

async fn tables(
    connection: &mut MySqlConnection,
    schema: &Schema,
    generation: i64,
) -> sqlx::Result<Vec<String>> {
    // In a pattern an underscore stands for any character.
    let pattern = format!("{}%", sql::prefix(schema.name, generation).replace('_', "\\_"));
    let asking = sqlx::query_scalar(sql::TABLES_LIKE).bind(pattern);
    answered(asking.fetch_all(connection)).await
}

async fn remove(
    connection: &mut MySqlConnection,
    schema: &Schema,
    generation: i64,
) -> sqlx::Result<()> {
    let tables = tables(connection, schema, generation).await?;
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
