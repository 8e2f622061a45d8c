use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use event_schemas::Position;
use sqlx::{AssertSqlSafe, Executor as _, MySql, MySqlPool, pool::PoolConnection};

use super::{
    super::{Checkpoint, ReadModelError, Row, Schema, Value},
    failed, read_checkpoint, sql, values,
};
use crate::mysql::{self, MysqlUrl, answered};

/// How long a query waits for a connection to the replica: the primary has to have time, too.
const REPLICA_PATIENCE: Duration = Duration::from_millis(500);
/// How long a replica is passed by once it has failed.
const PASSED_BY: Duration = Duration::from_secs(5);

/// Reads one read model over shared connections.
#[derive(Clone, Debug)]
pub struct MysqlReader {
    pool: MySqlPool,
    replica: Option<Replica>,
    schema: &'static Schema,
}

/// A copy of the database, and when it failed last: while it is away, queries are not to wait for
/// it.
#[derive(Clone, Debug)]
pub(super) struct Replica {
    pool: MySqlPool,
    failed: Arc<Mutex<Option<Instant>>>,
}

/// A connection with a read transaction open; the pool ends it when it gets it back.
#[derive(Debug)]
pub struct MysqlSnapshot {
    schema: &'static Schema,
    checkpoint: Checkpoint,
    generation: i64,
    connection: PoolConnection<MySql>,
}

impl MysqlReader {
    pub(super) fn new(pool: MySqlPool, replica: Option<Replica>, schema: &'static Schema) -> Self {
        Self { pool, replica, schema }
    }

    pub(in super::super) async fn snapshot(&self) -> Result<MysqlSnapshot, ReadModelError> {
        begin(&self.pool, self.schema).await
    }

    /// From the copy, if it is there and has come so far.
    pub(in super::super) async fn snapshot_from(
        &self,
        wanted: Position,
    ) -> Result<MysqlSnapshot, ReadModelError> {
        if let Some(replica) = self.replica.as_ref().filter(|replica| !replica.is_away()) {
            match begin(&replica.pool, self.schema).await {
                Ok(snapshot) if snapshot.checkpoint.position >= wanted => return Ok(snapshot),
                Ok(_) => {}
                Err(error) => replica.failed(&error),
            }
        }
        self.snapshot().await
    }
}

impl Replica {
    pub(super) fn new(url: &MysqlUrl) -> Self {
        Self { pool: mysql::pool(url, REPLICA_PATIENCE), failed: Arc::default() }
    }

    fn is_away(&self) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|since| since.elapsed() < PASSED_BY)
    }

    fn failed(&self, error: &ReadModelError) {
        tracing::warn!(%error, "the read models' replica cannot be read; the primary is");
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

async fn begin(pool: &MySqlPool, schema: &'static Schema) -> Result<MysqlSnapshot, ReadModelError> {
    let mut connection = pool.acquire().await.map_err(|error| failed(schema, &error))?;
    // Its first read makes the state that all others see.
    let begun = answered(connection.execute("START TRANSACTION READ ONLY")).await;
    let found = match begun {
        Ok(_) => read_checkpoint(&mut connection, schema, sql::READ_LIVE, None)
            .await
            .and_then(|found| schema.check_to_read(&found.fingerprint).map(|()| found)),
        Err(error) => Err(failed(schema, &error)),
    };
    match found {
        Ok(found) => Ok(MysqlSnapshot {
            schema,
            checkpoint: found.checkpoint,
            generation: found.generation,
            connection,
        }),
        Err(error) => {
            if matches!(error, ReadModelError::Unavailable(_)) {
                connection.close_on_drop();
            }
            Err(error)
        }
    }
}

impl MysqlSnapshot {
    pub(in super::super) const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    pub(in super::super) const fn generation(&self) -> u64 {
        self.generation.unsigned_abs()
    }

    pub(in super::super) async fn query(
        &mut self,
        sql: &str,
        parameters: &[Value],
    ) -> Result<Vec<Row>, ReadModelError> {
        let schema = self.schema;
        let fail = |error: sqlx::Error| failed(schema, &error);
        let sql = sql::of_generation(sql, schema, self.generation);
        let arguments = values::arguments(parameters).map_err(fail)?;
        let asking = sqlx::query_with(AssertSqlSafe(sql), arguments);
        let found = answered(asking.fetch_all(&mut *self.connection)).await;
        if found.as_ref().is_err_and(|error| error.as_database_error().is_none()) {
            self.connection.close_on_drop();
        }
        found.and_then(|rows| rows.iter().map(values::row).collect()).map_err(fail)
    }
}
