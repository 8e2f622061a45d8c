//! One database for all read models of a shop. A generation is a set of tables,
//! `NAME_GENERATION_TABLE`, with a checkpoint of its own; the row of `read_models` says which one
//! is read. A generation that was replaced stays until the next one is made or somebody drops it, so
//! that queries under way end in peace; one that was left unfinished, until somebody goes on with it
//! or begins anew.

mod generations;
mod lease;
mod reader;
mod sql;
mod values;
mod writer;

use std::{sync::Arc, time::Duration};

use event_schemas::{Position, StoreId};
use sqlx::{MySqlConnection, MySqlPool, Row as _, mysql::MySqlRow};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::{Checkpoint, ReadModelError, Schema, Skipped};
use crate::mysql::{self, Migrated, MysqlUrl, answered};

use reader::Replica;

pub use reader::{MysqlReader, MysqlSnapshot};
pub use writer::MysqlWriter;

/// How long a query waits for a connection.
const PATIENCE: Duration = Duration::from_secs(2);

/// A database of read models and, if there is one, a copy of it that queries are sent to.
#[derive(Clone, Debug)]
pub struct MysqlReadModels {
    url: Arc<MysqlUrl>,
    pool: MySqlPool,
    replica: Option<Replica>,
    /// Whether what stands beside the generations is there: made by whoever posts first.
    made: Arc<OnceCell<()>>,
}

impl MysqlReadModels {
    pub(super) fn new(url: MysqlUrl, replica: Option<&MysqlUrl>) -> Self {
        let (pool, replica) = (mysql::pool(&url, PATIENCE), replica.map(Replica::new));
        Self { url: Arc::new(url), pool, replica, made: Arc::default() }
    }

    /// Sees that the server is there and lets us in.
    pub(super) async fn check(&self) -> Result<(), ReadModelError> {
        self.connect().await.map(drop)
    }

    /// Makes what stands beside the generations, if it is not there yet. A server that is away is
    /// no error: whoever posts does it then.
    pub(super) async fn begin(&self) -> Result<(), ReadModelError> {
        match self.made.get_or_try_init(|| self.migrate()).await {
            Ok(()) => Ok(()),
            Err(NotMade::Error(error)) if mysql::is_away(&error) => {
                tracing::warn!(url = %self.url, %error, "the read models' server is away; what needs it waits");
                Ok(())
            }
            Err(error) => Err(self.not_made(error)),
        }
    }

    /// The same, for who cannot do without.
    async fn made(&self) -> Result<(), ReadModelError> {
        let made = self.made.get_or_try_init(|| self.migrate()).await;
        made.map(drop).map_err(|error| self.not_made(error))
    }

    async fn migrate(&self) -> Result<(), NotMade> {
        let mut connection = mysql::connect(&self.url).await?;
        match mysql::migrate(&mut connection, &sql::STEPS).await? {
            Migrated::Done => Ok(()),
            Migrated::Foreign => Err(NotMade::Foreign),
        }
    }

    fn not_made(&self, error: NotMade) -> ReadModelError {
        match error {
            NotMade::Error(error) => self.away(&error),
            NotMade::Foreign => ReadModelError::Unavailable(format!(
                "{} holds something else, or read models of a newer version of Daybook; name an \
                 empty database",
                self.url
            )),
        }
    }

    /// Whether the server answers those who query.
    pub(super) async fn ping(&self) -> Result<(), ReadModelError> {
        mysql::ping(&self.pool).await.map_err(|error| self.away(&error))
    }

    async fn connect(&self) -> Result<MySqlConnection, ReadModelError> {
        mysql::connect(&self.url).await.map_err(|error| self.away(&error))
    }

    pub(super) async fn open(
        &self,
        schema: &'static Schema,
        store: StoreId,
    ) -> Result<MysqlWriter, ReadModelError> {
        self.made().await?;
        MysqlWriter::open(Arc::clone(&self.url), schema, store).await
    }

    pub(super) async fn build(
        &self,
        schema: &'static Schema,
        store: StoreId,
    ) -> Result<MysqlWriter, ReadModelError> {
        self.made().await?;
        MysqlWriter::build(Arc::clone(&self.url), schema, store).await
    }

    pub(super) async fn unfinished(
        &self,
        schema: &'static Schema,
        store: StoreId,
    ) -> Result<Option<MysqlWriter>, ReadModelError> {
        self.made().await?;
        MysqlWriter::unfinished(Arc::clone(&self.url), schema, store).await
    }

    pub(super) async fn building(
        &self,
        schema: &'static Schema,
    ) -> Result<Option<(u64, Position)>, ReadModelError> {
        let mut connection = self.pool.acquire().await.map_err(|error| self.away(&error))?;
        let building = generations::building(&mut connection, schema).await?;
        Ok(building.map(|(generation, position)| (generation.unsigned_abs(), position)))
    }

    pub(super) async fn drop_old(&self, schema: &'static Schema) -> Result<usize, ReadModelError> {
        let mut connection = self.connect().await?;
        generations::drop_old(&mut connection, schema).await
    }

    pub(super) fn reader(&self, schema: &'static Schema) -> MysqlReader {
        MysqlReader::new(self.pool.clone(), self.replica.clone(), schema)
    }

    fn away(&self, error: &sqlx::Error) -> ReadModelError {
        ReadModelError::Unavailable(format!("{}: {error}", self.url))
    }
}

/// Why what stands beside the generations is not there.
enum NotMade {
    Error(sqlx::Error),
    Foreign,
}

impl From<sqlx::Error> for NotMade {
    fn from(error: sqlx::Error) -> Self {
        Self::Error(error)
    }
}

/// A generation as it stands in `checkpoints`.
struct Found {
    generation: i64,
    /// By which code it was made.
    fingerprint: String,
    checkpoint: Checkpoint,
}

/// Reads a checkpoint by a statement of [`sql`].
async fn read_checkpoint(
    connection: &mut MySqlConnection,
    schema: &'static Schema,
    statement: &'static str,
    generation: Option<i64>,
) -> Result<Found, ReadModelError> {
    let mut asking = sqlx::query(statement).bind(schema.name);
    if let Some(generation) = generation {
        asking = asking.bind(generation);
    }
    match answered(asking.fetch_optional(connection)).await {
        Ok(Some(row)) => of_row(schema, &row),
        Ok(None) => Err(ReadModelError::Missing(schema.name)),
        Err(error) if mysql::is_missing(&error) => Err(ReadModelError::Missing(schema.name)),
        Err(error) => Err(failed(schema, &error)),
    }
}

fn of_row(schema: &'static Schema, row: &MySqlRow) -> Result<Found, ReadModelError> {
    let damaged =
        |reason: &str| ReadModelError::Damaged { name: schema.name, reason: reason.to_owned() };
    let fail = |error: sqlx::Error| damaged(&error.to_string());
    let fingerprint: String = row.try_get(1).map_err(fail)?;
    let uuid = |text: String| text.parse::<Uuid>().map_err(|_| damaged("an id is no UUID"));
    let position = |number: i64| {
        u64::try_from(number).map(Position).map_err(|_| damaged("a position is below 0"))
    };
    let store = StoreId(uuid(row.try_get(2).map_err(fail)?)?);
    let last_position: Option<i64> = row.try_get(4).map_err(fail)?;
    let last_id: Option<String> = row.try_get(5).map_err(fail)?;
    let last = match (last_position, last_id) {
        (Some(at), Some(id)) => Some((position(at)?, uuid(id)?)),
        _ => None,
    };
    let position = position(row.try_get(3).map_err(fail)?)?;
    let skipped: Option<String> = row.try_get(6).map_err(fail)?;
    let skipped = Skipped::read(skipped.as_deref()).map_err(|e| damaged(&e.to_string()))?;
    let generation = row.try_get(0).map_err(fail)?;
    let checkpoint = Checkpoint { store, position, last, skipped };
    Ok(Found { generation, fingerprint, checkpoint })
}

/// What an error of the server or on the way to it means for a read model. It never shows the URL.
fn failed(schema: &'static Schema, error: &sqlx::Error) -> ReadModelError {
    ReadModelError::Unavailable(format!("read model {}: {error}", schema.name))
}
