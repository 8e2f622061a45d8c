use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{CachedStatement, Connection, OpenFlags, params_from_iter};

use super::{
    super::{Checkpoint, ReadModelError, Row, Schema, Value},
    Generation, SqliteReadModels, failed, read_checkpoint, sql,
};

/// Connections kept for the next snapshot; more are opened when needed, and closed again.
const KEPT: usize = 8;

/// A pool of connections that read one read model.
#[derive(Clone, Debug)]
pub struct SqliteReader {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    models: SqliteReadModels,
    schema: &'static Schema,
    idle: Mutex<Idle>,
}

/// Connections that wait for the next snapshot, all of one generation.
#[derive(Debug, Default)]
struct Idle {
    generation: u64,
    connections: Vec<Connection>,
}

/// A connection with a read transaction open; given back when dropped.
#[derive(Debug)]
pub struct SqliteSnapshot {
    pool: Arc<Pool>,
    generation: u64,
    checkpoint: Checkpoint,
    connection: Option<Connection>,
}

impl SqliteReader {
    pub(super) fn new(models: SqliteReadModels, schema: &'static Schema) -> Self {
        Self { pool: Arc::new(Pool { models, schema, idle: Mutex::default() }) }
    }

    pub(in super::super) fn snapshot(&self) -> Result<SqliteSnapshot, ReadModelError> {
        let pool = &self.pool;
        let (generation, connection) = match pool.take() {
            Some(idle) => idle,
            None => pool.open()?,
        };
        let begun = connection.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([]));
        begun.map_err(|error| failed(pool.schema, &error))?;
        let checkpoint = read_checkpoint(&connection, pool.schema)?;
        let (pool, connection) = (Arc::clone(pool), Some(connection));
        Ok(SqliteSnapshot { pool, generation, checkpoint, connection })
    }
}

impl Pool {
    /// A connection to the generation that is read now; those to the one before are closed.
    fn take(&self) -> Option<(u64, Connection)> {
        let live = self.models.live(self.schema.name).number()?;
        let mut idle = self.idle();
        if idle.generation != live {
            *idle = Idle { generation: live, connections: Vec::new() };
        }
        Some((live, idle.connections.pop()?))
    }

    fn open(&self) -> Result<(u64, Connection), ReadModelError> {
        let name = self.schema.name;
        loop {
            let current = self.models.current(name)?.ok_or(ReadModelError::Missing(name))?;
            match self.connect(&current) {
                Ok(connection) => return Ok((current.number, connection)),
                // It was replaced and removed meanwhile.
                Err(_) if self.models.live(name).number() != Some(current.number) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn connect(&self, generation: &Generation) -> Result<Connection, ReadModelError> {
        let schema = self.schema;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let fail = |error: rusqlite::Error| failed(schema, &error);
        let connection = Connection::open_with_flags(&generation.path, flags).map_err(fail)?;
        connection.busy_timeout(Duration::from_secs(2)).map_err(fail)?;
        crate::sqlite::keep_plans(&connection).map_err(fail)?;
        connection
            .execute_batch(
                "PRAGMA query_only = ON; PRAGMA cache_size = -2048; PRAGMA mmap_size = 16777216;",
            )
            .map_err(fail)?;
        connection.set_prepared_statement_cache_capacity(64);
        schema.check_to_read(&read_schema(&connection, schema)?)?;
        Ok(connection)
    }

    fn give_back(&self, generation: u64, connection: Connection) {
        let mut idle = self.idle();
        if idle.generation == generation && idle.connections.len() < KEPT {
            idle.connections.push(connection);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SqliteSnapshot {
    pub(in super::super) const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    pub(in super::super) const fn generation(&self) -> u64 {
        self.generation
    }

    pub(in super::super) fn query(
        &mut self,
        sql: &str,
        parameters: &[Value],
    ) -> Result<Vec<Row>, ReadModelError> {
        let Some(connection) = &self.connection else { return Err(lost()) };
        run(connection, self.pool.schema, sql, parameters)
    }

    pub(in super::super) async fn scan(
        &mut self,
        sql: &str,
        parameters: Vec<Value>,
    ) -> Result<Vec<Row>, ReadModelError> {
        let Some(connection) = self.connection.take() else { return Err(lost()) };
        let (sql, schema) = (sql.to_owned(), self.pool.schema);
        let scanned = tokio::task::spawn_blocking(move || {
            let rows = run(&connection, schema, &sql, &parameters);
            (connection, rows)
        });
        let (connection, rows) = scanned.await.map_err(|_| lost())?;
        self.connection = Some(connection);
        rows
    }
}

impl Drop for SqliteSnapshot {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let ended =
            connection.prepare_cached("ROLLBACK").and_then(|mut end| end.execute([])).is_ok();
        if ended {
            self.pool.give_back(self.generation, connection);
        }
    }
}

/// A scan before this one was cut short and took the connection with it.
fn lost() -> ReadModelError {
    ReadModelError::Unavailable("the snapshot's connection was lost".to_owned())
}

fn run(
    connection: &Connection,
    schema: &'static Schema,
    sql: &str,
    parameters: &[Value],
) -> Result<Vec<Row>, ReadModelError> {
    let mut statement = connection.prepare_cached(sql).map_err(|error| failed(schema, &error))?;
    let mut rows = Vec::new();
    read_rows(&mut statement, parameters, &mut rows, schema)?;
    Ok(rows)
}

/// Whether the file was made by this very code.
pub(super) fn check_schema(
    connection: &Connection,
    schema: &'static Schema,
) -> Result<(), ReadModelError> {
    schema.check(&read_schema(connection, schema)?)
}

/// By which code the file was made.
fn read_schema(connection: &Connection, schema: &'static Schema) -> Result<String, ReadModelError> {
    let found = connection.query_row(sql::READ_SCHEMA, [], |row| row.get::<_, String>(0));
    match found {
        Ok(found) => Ok(found),
        // No such table: made by nobody we know.
        Err(rusqlite::Error::SqliteFailure(cause, Some(text)))
            if cause.code == rusqlite::ErrorCode::Unknown =>
        {
            Err(ReadModelError::Damaged { name: schema.name, reason: text })
        }
        Err(rusqlite::Error::QueryReturnedNoRows) => Err(ReadModelError::Damaged {
            name: schema.name,
            reason: "it has no checkpoint".to_owned(),
        }),
        Err(error) => Err(failed(schema, &error)),
    }
}

pub(super) fn read_rows(
    statement: &mut CachedStatement<'_>,
    parameters: &[Value],
    found: &mut Vec<Row>,
    schema: &'static Schema,
) -> Result<(), ReadModelError> {
    let columns = statement.column_count();
    let fail = |error: rusqlite::Error| failed(schema, &error);
    let mut rows = statement.query(params_from_iter(parameters)).map_err(fail)?;
    while let Some(row) = rows.next().map_err(fail)? {
        let values = (0..columns).map(|at| Value::from_sqlite(row.get_ref(at).map_err(fail)?));
        found.push(Row(values.collect::<Result<_, _>>()?));
    }
    Ok(())
}
