use event_schemas::Position;
use sqlx::{AssertSqlSafe, Executor as _, MySql, MySqlPool, pool::PoolConnection};

use super::{
    super::{Checkpoint, ReadModelError, Row, Schema, Value},
    failed, read_checkpoint, sql, values,
};
use crate::mysql::answered;

/// Reads one read model over shared connections.
#[derive(Clone, Debug)]
pub struct MysqlReader {
    pool: MySqlPool,
    replica: Option<MySqlPool>,
    schema: &'static Schema,
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
    pub(super) fn new(
        pool: MySqlPool,
        replica: Option<MySqlPool>,
        schema: &'static Schema,
    ) -> Self {
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
        if let Some(replica) = &self.replica {
            match begin(replica, self.schema).await {
                Ok(snapshot) if snapshot.checkpoint.position >= wanted => return Ok(snapshot),
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(read_model = self.schema.name, %error, "the replica is passed by");
                }
            }
        }
        self.snapshot().await
    }
}

async fn begin(pool: &MySqlPool, schema: &'static Schema) -> Result<MysqlSnapshot, ReadModelError> {
    let mut connection = pool.acquire().await.map_err(|error| failed(schema, &error))?;
    // Its first read makes the state that all others see.
    let begun = answered(connection.execute("START TRANSACTION READ ONLY")).await;
    let found = match begun {
        Ok(_) => read_checkpoint(&mut connection, schema, sql::READ_LIVE, None).await,
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
