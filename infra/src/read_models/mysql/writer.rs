use std::{collections::HashMap, sync::Arc};

use event_schemas::{Position, StoreId};
use sqlx::{AssertSqlSafe, Executor as _, MySqlConnection};

use super::{
    super::{Changes, Checkpoint, ReadModelError, Row, Schema, Skipped, Table, Value},
    Found, failed, generations, read_checkpoint, sql, values,
};
use crate::mysql::{self, MysqlUrl, answered};

/// Rows a statement: as many of the largest as there are, then of the next one. Few sizes, so
/// that every statement stays prepared.
const ROWS: [usize; 4] = [512, 64, 8, 1];
/// The most bytes in a statement of several rows; servers take 16 MiB and more.
const BYTES: usize = 4 << 20;
/// How often a transaction is tried that meets a lock of somebody else's.
const ATTEMPTS: usize = 5;

/// The connection that writes one read model; made anew whenever it was lost.
#[derive(Debug)]
pub struct MysqlWriter {
    url: Arc<MysqlUrl>,
    schema: &'static Schema,
    connection: Option<MySqlConnection>,
    generation: i64,
    /// Of the tables of this generation.
    statements: HashMap<&'static str, Statements>,
    building: bool,
}

/// The statements of one table, by [`ROWS`].
#[derive(Debug)]
struct Statements {
    load: [String; ROWS.len()],
    upsert: [String; ROWS.len()],
    delete: [String; ROWS.len()],
}

/// A checkpoint on its way.
struct Moving<'a> {
    sql: &'static str,
    name: &'static str,
    generation: i64,
    from: &'a Checkpoint,
    to: &'a Checkpoint,
}

/// Why a transaction did not go through.
enum Failed {
    /// The checkpoint is not where it was left: nothing was changed.
    Moved,
    /// Nothing was changed, and it may go through when tried again.
    Conflict(sqlx::Error),
    /// Nothing was changed.
    Undone(sqlx::Error),
    /// The commit was sent, and what became of it is not known.
    Unknown(sqlx::Error),
}

impl MysqlWriter {
    pub(super) async fn open(
        url: Arc<MysqlUrl>,
        schema: &'static Schema,
        store: StoreId,
    ) -> Result<Self, ReadModelError> {
        let fail = |error: sqlx::Error| failed(schema, &error);
        let mut connection = mysql::connect(&url).await.map_err(fail)?;
        // Two that begin together make one generation.
        mysql::lock(&mut connection, schema.name).await.map_err(fail)?;
        let opened = Self::open_alone(&mut connection, schema, store).await;
        mysql::unlock(&mut connection, schema.name).await.map_err(fail)?;
        let generation = opened?;
        Ok(Self::of(url, schema, connection, generation, false))
    }

    async fn open_alone(
        connection: &mut MySqlConnection,
        schema: &'static Schema,
        store: StoreId,
    ) -> Result<i64, ReadModelError> {
        let generation = match read_checkpoint(connection, schema, sql::READ_LIVE, None).await {
            Ok(found) => {
                schema.check(&found.fingerprint)?;
                found.generation
            }
            Err(error @ (ReadModelError::Damaged { .. } | ReadModelError::Missing(_))) => {
                tracing::info!(read_model = schema.name, %error, "posting it anew");
                let generation = generations::make(connection, schema, store).await?;
                generations::index(connection, schema, generation).await?;
                generations::switch(connection, schema, generation).await?;
                generation
            }
            Err(error) => return Err(error),
        };
        Ok(generation)
    }

    pub(super) async fn build(
        url: Arc<MysqlUrl>,
        schema: &'static Schema,
        store: StoreId,
    ) -> Result<Self, ReadModelError> {
        let fail = |error: sqlx::Error| failed(schema, &error);
        let mut connection = mysql::connect(&url).await.map_err(fail)?;
        mysql::lock(&mut connection, schema.name).await.map_err(fail)?;
        let made = async {
            generations::sweep(&mut connection, schema, |_| true).await?;
            let generation = generations::make(&mut connection, schema, store).await?;
            generations::claim(&mut connection, schema, generation).await?;
            Ok(generation)
        };
        let made = made.await;
        mysql::unlock(&mut connection, schema.name).await.map_err(fail)?;
        Ok(Self::of(url, schema, connection, made?, true))
    }

    pub(super) async fn unfinished(
        url: Arc<MysqlUrl>,
        schema: &'static Schema,
        store: StoreId,
    ) -> Result<Option<Self>, ReadModelError> {
        let fail = |error: sqlx::Error| failed(schema, &error);
        let mut connection = mysql::connect(&url).await.map_err(fail)?;
        let found = generations::unfinished(&mut connection, schema, store).await?;
        Ok(found.map(|generation| Self::of(url, schema, connection, generation, true)))
    }

    fn of(
        url: Arc<MysqlUrl>,
        schema: &'static Schema,
        connection: MySqlConnection,
        generation: i64,
        building: bool,
    ) -> Self {
        let statements = Statements::of_all(schema, generation);
        Self { url, schema, connection: Some(connection), generation, statements, building }
    }

    /// The connection, a new one if the last was lost. It is out while it is used, and back with
    /// [`MysqlWriter::keep`] once its answers have come: after an error, and wherever whoever waits
    /// is cut off, an answer may still be on its way or a transaction be open.
    async fn connected(&mut self) -> Result<MySqlConnection, ReadModelError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let schema = self.schema;
        let connecting = mysql::connect(&self.url).await;
        let mut connection = connecting.map_err(|error| failed(schema, &error))?;
        if self.building {
            generations::claim(&mut connection, schema, self.generation).await?;
        }
        Ok(connection)
    }

    fn keep(&mut self, connection: MySqlConnection) {
        self.connection = Some(connection);
    }

    pub(in super::super) async fn checkpoint(&mut self) -> Result<Checkpoint, ReadModelError> {
        let (schema, building) = (self.schema, self.building.then_some(self.generation));
        let statement = building.map_or(sql::READ_WRITTEN, |_| sql::READ_BUILDING);
        let mut connection = self.connected().await?;
        let found = read_checkpoint(&mut connection, schema, statement, building).await;
        let Found { generation, fingerprint, checkpoint } = found?;
        self.keep(connection);
        schema.check(&fingerprint)?;
        if generation != self.generation {
            // A rebuild put another one in its place.
            self.generation = generation;
            self.statements = Statements::of_all(schema, generation);
        }
        Ok(checkpoint)
    }

    pub(in super::super) async fn load(
        &mut self,
        table: &'static Table,
        keys: &[Value],
    ) -> Result<Vec<Row>, ReadModelError> {
        let schema = self.schema;
        let mut found = Vec::new();
        let mut connection = self.connected().await?;
        for (sql, part) in parts(&self.statements[table.name].load, keys, table.key) {
            let loading = load(&mut connection, sql, part, &mut found).await;
            loading.map_err(|error| failed(schema, &error))?;
        }
        self.keep(connection);
        Ok(found)
    }

    pub(in super::super) async fn commit(
        &mut self,
        from: &Checkpoint,
        to: &Checkpoint,
        changes: &[Changes],
    ) -> Result<(), ReadModelError> {
        let schema = self.schema;
        let mut attempt = 1;
        loop {
            let mut connection = self.connected().await?;
            let moving = Moving {
                sql: if self.building { sql::MOVE_BUILDING } else { sql::MOVE_LIVE },
                name: schema.name,
                generation: self.generation,
                from,
                to,
            };
            let committed = commit(&mut connection, &self.statements, &moving, changes).await;
            if let Ok(()) | Err(Failed::Moved | Failed::Conflict(_)) = &committed {
                self.keep(connection);
            }
            let error = match committed {
                Ok(()) => return Ok(()),
                Err(Failed::Moved) => return Err(ReadModelError::Moved(schema.name)),
                Err(Failed::Conflict(error)) if attempt < ATTEMPTS => {
                    tracing::debug!(read_model = schema.name, %error, "the batch is tried again");
                    attempt += 1;
                    continue;
                }
                Err(Failed::Conflict(error) | Failed::Undone(error)) => error,
                Err(Failed::Unknown(error)) => {
                    if self.checkpoint().await.is_ok_and(|found| found == *to) {
                        return Ok(());
                    }
                    error
                }
            };
            return Err(failed(schema, &error));
        }
    }

    pub(in super::super) async fn index(&mut self) -> Result<(), ReadModelError> {
        if !self.building {
            return Ok(());
        }
        let mut connection = self.connected().await?;
        generations::index(&mut connection, self.schema, self.generation).await?;
        self.keep(connection);
        Ok(())
    }

    pub(in super::super) const fn generation(&self) -> u64 {
        self.generation.unsigned_abs()
    }

    pub(in super::super) async fn install(&mut self) -> Result<(), ReadModelError> {
        self.index().await?;
        let own = self.checkpoint().await?;
        self.switch(Some(&own)).await
    }

    pub(in super::super) async fn replace(&mut self) -> Result<(), ReadModelError> {
        self.index().await?;
        self.switch(None).await
    }

    async fn switch(&mut self, own: Option<&Checkpoint>) -> Result<(), ReadModelError> {
        if !self.building {
            return Ok(());
        }
        let (schema, generation) = (self.schema, self.generation);
        let mut connection = self.connected().await?;
        let installed = generations::install(&mut connection, schema, generation, own).await;
        // What it found to be further is no fault of the connection, which guards this generation.
        if let Ok(()) | Err(ReadModelError::Behind { .. }) = &installed {
            self.keep(connection);
        }
        installed?;
        self.building = false;
        Ok(())
    }
}

/// One transaction, the checkpoint first. Whatever fails before the end of it is rolled back.
async fn commit(
    connection: &mut MySqlConnection,
    statements: &HashMap<&'static str, Statements>,
    moving: &Moving<'_>,
    changes: &[Changes],
) -> Result<(), Failed> {
    match fill(connection, statements, moving, changes).await {
        Ok(true) => {
            let committed = answered(connection.execute("COMMIT")).await;
            committed.map(drop).map_err(Failed::Unknown)
        }
        Ok(false) => {
            answered(connection.execute("ROLLBACK")).await.map_err(Failed::Undone)?;
            Err(Failed::Moved)
        }
        Err(error) if mysql::is_lock_conflict(&error) => {
            // A wait that was too long has undone its statement only.
            answered(connection.execute("ROLLBACK")).await.map_err(Failed::Undone)?;
            Err(Failed::Conflict(error))
        }
        Err(error) => Err(Failed::Undone(error)),
    }
}

/// Fills a transaction; false if the checkpoint is elsewhere.
async fn fill(
    connection: &mut MySqlConnection,
    statements: &HashMap<&'static str, Statements>,
    moving: &Moving<'_>,
    changes: &[Changes],
) -> sqlx::Result<bool> {
    answered(connection.execute("START TRANSACTION")).await?;
    let Moving { sql, name, generation, from, to } = moving;
    let moving = sqlx::query(*sql)
        .bind(number(to.position)?)
        .bind(to.last.map(|(position, _)| number(position)).transpose()?)
        .bind(to.last.map(|(_, id)| id.to_string()))
        .bind(Skipped::text(&to.skipped))
        .bind(*name)
        .bind(*generation)
        .bind(from.store.to_string())
        .bind(number(from.position)?);
    if answered(moving.execute(&mut *connection)).await?.rows_affected() == 0 {
        return Ok(false);
    }
    for Changes { table, upserts, deletes } in changes {
        let statements = &statements[table.name];
        for (sql, part) in parts(&statements.delete, deletes, table.key) {
            run(connection, sql, part).await?;
        }
        for (sql, part) in parts(&statements.upsert, upserts, table.columns.len()) {
            run(connection, sql, part).await?;
        }
    }
    Ok(true)
}

async fn run(connection: &mut MySqlConnection, sql: &str, values: &[Value]) -> sqlx::Result<()> {
    let running = sqlx::query_with(AssertSqlSafe(sql), values::arguments(values)?);
    answered(running.execute(connection)).await.map(drop)
}

async fn load(
    connection: &mut MySqlConnection,
    sql: &str,
    keys: &[Value],
    found: &mut Vec<Row>,
) -> sqlx::Result<()> {
    let loading = sqlx::query_with(AssertSqlSafe(sql), values::arguments(keys)?);
    for row in answered(loading.fetch_all(connection)).await? {
        found.push(values::row(&row)?);
    }
    Ok(())
}

/// A position as the column holds it; no store has more events than that.
fn number(position: Position) -> sqlx::Result<i64> {
    i64::try_from(position.0).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// Cuts `values`, `width` of them a row, into the statements that take them.
fn parts<'a>(
    statements: &'a [String; ROWS.len()],
    values: &'a [Value],
    width: usize,
) -> impl Iterator<Item = (&'a str, &'a [Value])> {
    debug_assert!(values.len().is_multiple_of(width), "rows are whole");
    let mut rest = values;
    std::iter::from_fn(move || {
        let bytes = |rows: usize| rest[..rows * width].iter().map(values::size).sum::<usize>();
        let fits =
            |&rows: &usize| rows * width <= rest.len() && (rows == 1 || bytes(rows) <= BYTES);
        let at = ROWS.iter().position(fits)?;
        let (part, left) = rest.split_at(ROWS[at] * width);
        rest = left;
        Some((statements[at].as_str(), part))
    })
}

impl Statements {
    fn of_all(schema: &Schema, generation: i64) -> HashMap<&'static str, Self> {
        let prefix = sql::prefix(schema.name, generation);
        let of = |table: &Table| Self {
            load: ROWS.map(|rows| sql::load(table, &prefix, rows)),
            upsert: ROWS.map(|rows| sql::upsert(table, &prefix, rows)),
            delete: ROWS.map(|rows| sql::delete(table, &prefix, rows)),
        };
        schema.tables.iter().map(|table| (table.name, of(table))).collect()
    }
}
