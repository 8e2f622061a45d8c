//! What is read: tables that projectors post from the log, one engine at a time. Everything here
//! can be thrown away and posted anew; rows and the checkpoint they belong to commit together.

mod mysql;
mod parts;
mod schema;
mod skipped;
mod sqlite;
mod value;

use std::path::PathBuf;

use event_schemas::{Position, StoreId};
use thiserror::Error;
use uuid::Uuid;

use crate::mysql::MysqlUrl;

pub use mysql::{MysqlReadModels, MysqlReader, MysqlSnapshot, MysqlWriter};
pub use schema::{Column, Index, Kind, Schema, Table};
pub use skipped::Skipped;
pub use sqlite::{SqliteReadModels, SqliteReader, SqliteSnapshot, SqliteWriter};
pub use value::{Row, Value};

/// The read models of one place, by engine.
#[derive(Clone, Debug)]
pub enum ReadModels {
    /// A directory with a SQLite file for each read model and generation.
    Sqlite(SqliteReadModels),
    /// A database of a MySQL or MariaDB server, with a set of tables for each read model and
    /// generation.
    Mysql(MysqlReadModels),
}

/// The one writer of one read model.
#[derive(Debug)]
pub enum Writer {
    /// See [`ReadModels::Sqlite`].
    Sqlite(SqliteWriter),
    /// See [`ReadModels::Mysql`].
    Mysql(MysqlWriter),
}

/// Readers of one read model; cheap to clone.
#[derive(Clone, Debug)]
pub enum Reader {
    /// See [`ReadModels::Sqlite`].
    Sqlite(SqliteReader),
    /// See [`ReadModels::Mysql`].
    Mysql(MysqlReader),
}

/// One state of one read model: every query of it sees the same rows, those of its checkpoint.
/// Short-lived: never kept while a client is waited for.
#[derive(Debug)]
pub enum Snapshot {
    /// See [`ReadModels::Sqlite`].
    Sqlite(SqliteSnapshot),
    /// See [`ReadModels::Mysql`].
    Mysql(MysqlSnapshot),
}

/// How far a read model is posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The store that it was posted from.
    pub store: StoreId,
    /// The last place fully applied.
    pub position: Position,
    /// The last event of the program's own categories at or before it, with its id: if it is no
    /// longer there, the store is another one than it was.
    pub last: Option<(Position, Uuid)>,
    /// What was passed over up to here, each kind once.
    pub skipped: Vec<Skipped>,
}

/// What a batch does to one table.
#[derive(Debug)]
pub struct Changes {
    /// The table.
    pub table: &'static Table,
    /// Whole rows, one after the other, each with all columns in the table's order.
    pub upserts: Vec<Value>,
    /// The keys of rows that go, one after the other.
    pub deletes: Vec<Value>,
}

/// Why a read model cannot be read or written.
#[derive(Debug, Error)]
pub enum ReadModelError {
    /// There is none yet.
    #[error(
        "the read model {0} has not been made yet: start the server, or run `daybook rebuild {0}`"
    )]
    Missing(&'static str),
    /// Other code posted it. Where its tables are the same it can be read meanwhile.
    #[error("the read model {0} was made by another version of Daybook: run `daybook rebuild {0}`")]
    OtherVersion(&'static str),
    /// Newer code posted it.
    #[error(
        "the read model {0} was made by a newer version of Daybook: start that one, or run `daybook \
         rebuild {0}` to go back"
    )]
    NewerVersion(&'static str),
    /// The file is no longer what it was written as.
    #[error("the read model {name} is damaged ({reason}): run `daybook rebuild {name}`")]
    Damaged {
        /// The read model.
        name: &'static str,
        /// What the engine said.
        reason: String,
    },
    /// The checkpoint is not where this writer left it: somebody else wrote.
    #[error("the read model {0} is written by somebody else, too")]
    Moved(&'static str),
    /// The generation that is read is posted further than the one that was to take its place:
    /// somebody may have been shown that. Nothing was changed.
    #[error("the read model {name} is posted up to position {live} meanwhile")]
    Behind {
        /// The read model.
        name: &'static str,
        /// How far it is.
        live: Position,
    },
    /// Nothing that will not pass: a full disk, a lock, an IO error. Trying again is right, after
    /// the checkpoint has been read.
    #[error("{0}")]
    Unavailable(String),
}

impl Checkpoint {
    /// Nothing is posted yet.
    pub const fn start(store: StoreId) -> Self {
        Self { store, position: Position::START, last: None, skipped: Vec::new() }
    }

    /// Whether the other one is posted further from the same store.
    pub fn is_behind(&self, other: &Self) -> bool {
        self.store == other.store && self.position < other.position
    }
}

impl ReadModels {
    /// SQLite files in `dir`, which is made if it is not there.
    pub fn sqlite(dir: impl Into<PathBuf>) -> Self {
        Self::Sqlite(SqliteReadModels::new(dir.into()))
    }

    /// A MySQL or MariaDB database, whose tables are made if they are not there. Queries are sent to
    /// the `replica`, if there is one. The server may be away: then the tables are made by whoever
    /// posts first once it is there.
    ///
    /// # Errors
    /// [`ReadModelError::Unavailable`] if the server lets us not in, or the database is something
    /// else's.
    pub async fn open_mysql(
        url: MysqlUrl,
        replica: Option<&MysqlUrl>,
    ) -> Result<Self, ReadModelError> {
        let models = MysqlReadModels::new(url, replica);
        models.begin().await?;
        Ok(Self::Mysql(models))
    }

    /// A MySQL or MariaDB database to read, and to leave as it is.
    ///
    /// # Errors
    /// [`ReadModelError::Unavailable`] if the server is away or lets us not in.
    pub async fn read_mysql(url: MysqlUrl) -> Result<Self, ReadModelError> {
        let models = MysqlReadModels::new(url, None);
        models.check().await?;
        Ok(Self::Mysql(models))
    }

    /// Whether they can be read now. Of SQLite files each query finds out for itself.
    ///
    /// # Errors
    /// [`ReadModelError::Unavailable`]
    pub async fn ping(&self) -> Result<(), ReadModelError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Mysql(models) => models.ping().await,
        }
    }

    /// Takes or renews the lease of `projection` for `holder`: for 3 s by the engine's own clock,
    /// nobody else gets it. False: somebody else has it. In SQLite there is nothing to take: the
    /// event store's lock keeps a second process out.
    ///
    /// # Errors
    /// [`ReadModelError::Unavailable`]: whether it was taken is unknown, and 2 s may have gone.
    pub async fn lease(&self, projection: &str, holder: &str) -> Result<bool, ReadModelError> {
        match self {
            Self::Sqlite(_) => Ok(true),
            Self::Mysql(models) => models.lease(projection, holder).await,
        }
    }

    /// Gives the lease back, if `holder` has it: the next one need not wait.
    ///
    /// # Errors
    /// [`ReadModelError::Unavailable`]: it ends by itself, then.
    pub async fn release(&self, projection: &str, holder: &str) -> Result<(), ReadModelError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Mysql(models) => models.release(projection, holder).await,
        }
    }

    /// Opens the read model for writing. Where there is none, or one that is damaged, an empty one
    /// takes its place, to be posted from the start of `store`.
    ///
    /// # Errors
    /// [`ReadModelError::OtherVersion`] or [`ReadModelError::NewerVersion`]: it is left as it is, and
    /// another one is to be built beside it. [`ReadModelError::Unavailable`].
    pub async fn open(
        &self,
        schema: &'static Schema,
        store: StoreId,
    ) -> Result<Writer, ReadModelError> {
        match self {
            Self::Sqlite(models) => models.open(schema, store).map(Writer::Sqlite),
            Self::Mysql(models) => models.open(schema, store).await.map(Writer::Mysql),
        }
    }

    /// Begins a new generation beside the one that is read: written fast, without secondary
    /// indexes and without syncs, and seen by nobody before [`Writer::install`]. What was begun and
    /// left before is removed.
    ///
    /// # Errors
    /// [`ReadModelError::Unavailable`].
    pub async fn build(
        &self,
        schema: &'static Schema,
        store: StoreId,
    ) -> Result<Writer, ReadModelError> {
        match self {
            Self::Sqlite(models) => models.build(schema, store).map(Writer::Sqlite),
            Self::Mysql(models) => models.build(schema, store).await.map(Writer::Mysql),
        }
    }

    /// Goes on with the generation that was begun by [`ReadModels::build`] and left unfinished, from
    /// its checkpoint; none if there is none that this very code began for this store.
    ///
    /// # Errors
    /// [`ReadModelError::Unavailable`].
    pub async fn unfinished(
        &self,
        schema: &'static Schema,
        store: StoreId,
    ) -> Result<Option<Writer>, ReadModelError> {
        match self {
            Self::Sqlite(models) => Ok(models.unfinished(schema, store)?.map(Writer::Sqlite)),
            Self::Mysql(models) => Ok(models.unfinished(schema, store).await?.map(Writer::Mysql)),
        }
    }

    /// The generation that some process is building now, and the place that it is built up to. Of
    /// SQLite files none: the event store's lock keeps another process out.
    ///
    /// # Errors
    /// [`ReadModelError::Unavailable`].
    pub async fn building(
        &self,
        schema: &'static Schema,
    ) -> Result<Option<(u64, Position)>, ReadModelError> {
        match self {
            Self::Sqlite(_) => Ok(None),
            Self::Mysql(models) => models.building(schema).await,
        }
    }

    /// Removes the generations that were replaced. Returns how many there were.
    ///
    /// # Errors
    /// [`ReadModelError::Unavailable`].
    pub async fn drop_old(&self, schema: &'static Schema) -> Result<usize, ReadModelError> {
        match self {
            Self::Sqlite(models) => models.drop_old(schema),
            Self::Mysql(models) => models.drop_old(schema).await,
        }
    }

    /// Readers of a read model. Nothing is opened before the first snapshot.
    pub fn reader(&self, schema: &'static Schema) -> Reader {
        match self {
            Self::Sqlite(models) => Reader::Sqlite(models.reader(schema)),
            Self::Mysql(models) => Reader::Mysql(models.reader(schema)),
        }
    }
}

impl Writer {
    /// The checkpoint as it is stored.
    ///
    /// # Errors
    /// [`ReadModelError::Unavailable`] or [`ReadModelError::Damaged`].
    pub async fn checkpoint(&mut self) -> Result<Checkpoint, ReadModelError> {
        match self {
            Self::Sqlite(writer) => writer.checkpoint(),
            Self::Mysql(writer) => writer.checkpoint().await,
        }
    }

    /// The rows with these keys (one after the other, each with all key columns), in any order;
    /// those that are not there are left out.
    ///
    /// # Errors
    /// [`ReadModelError::Unavailable`] or [`ReadModelError::Damaged`].
    pub async fn load(
        &mut self,
        table: &'static Table,
        keys: &[Value],
    ) -> Result<Vec<Row>, ReadModelError> {
        match self {
            Self::Sqlite(writer) => writer.load(table, keys),
            Self::Mysql(writer) => writer.load(table, keys).await,
        }
    }

    /// Moves the checkpoint from `from` to `to` and applies the changes, in one transaction.
    ///
    /// # Errors
    /// [`ReadModelError::Moved`] if the checkpoint is not at `from`, and nothing was changed.
    /// After any other error read the checkpoint before deciding anything: the outcome of the
    /// commit may be unknown.
    pub async fn commit(
        &mut self,
        from: &Checkpoint,
        to: &Checkpoint,
        changes: &[Changes],
    ) -> Result<(), ReadModelError> {
        match self {
            Self::Sqlite(writer) => writer.commit(from, to, changes),
            Self::Mysql(writer) => writer.commit(from, to, changes).await,
        }
    }

    /// Makes the secondary indexes of a generation begun by [`ReadModels::build`], if it has none
    /// yet: best when most rows are in it, and when there is time for it.
    ///
    /// # Errors
    /// [`ReadModelError::Unavailable`]
    pub async fn index(&mut self) -> Result<(), ReadModelError> {
        match self {
            Self::Sqlite(writer) => writer.index(),
            Self::Mysql(writer) => writer.index().await,
        }
    }

    /// Brings to the disk what a generation begun by [`ReadModels::build`] has by now, so that
    /// [`Writer::install`] has little left to bring.
    ///
    /// # Errors
    /// [`ReadModelError::Unavailable`]
    pub fn sync(&mut self) -> Result<(), ReadModelError> {
        match self {
            Self::Sqlite(writer) => writer.sync(),
            Self::Mysql(_) => Ok(()),
        }
    }

    /// The number of the generation that is written.
    pub fn generation(&self) -> u64 {
        match self {
            Self::Sqlite(writer) => writer.generation(),
            Self::Mysql(writer) => writer.generation(),
        }
    }

    /// Ends a generation begun by [`ReadModels::build`]: makes its secondary indexes if it has none
    /// yet, syncs it and puts it in the place of the one before, which stays until
    /// [`ReadModels::drop_old`] or the next switch. Whoever posts into that one meets
    /// [`ReadModelError::Moved`] and goes on in this one, whoever queries sees this one from the
    /// next snapshot on.
    ///
    /// # Errors
    /// [`ReadModelError::Behind`] if the one before is posted further, [`ReadModelError::Unavailable`];
    /// the generation before is still in its place.
    pub async fn install(&mut self) -> Result<(), ReadModelError> {
        match self {
            Self::Sqlite(writer) => writer.install(),
            Self::Mysql(writer) => writer.install().await,
        }
    }

    /// The same, however far the one before is posted: right where what it posted is not in the log.
    ///
    /// # Errors
    /// [`ReadModelError::Unavailable`]; the generation before is still in its place.
    pub async fn replace(&mut self) -> Result<(), ReadModelError> {
        match self {
            Self::Sqlite(writer) => writer.replace(),
            Self::Mysql(writer) => writer.replace().await,
        }
    }
}

impl Reader {
    /// The newest state. A few of these at once are cheap: connections are kept.
    ///
    /// # Errors
    /// [`ReadModelError`], but never `Moved`.
    pub async fn snapshot(&self) -> Result<Snapshot, ReadModelError> {
        match self {
            Self::Sqlite(reader) => reader.snapshot().map(Snapshot::Sqlite),
            Self::Mysql(reader) => reader.snapshot().await.map(Snapshot::Mysql),
        }
    }

    /// A state that is posted up to `wanted`, from wherever reading is cheapest; the newest if there
    /// is none.
    ///
    /// # Errors
    /// [`ReadModelError`], but never `Moved`.
    pub async fn snapshot_from(&self, wanted: Position) -> Result<Snapshot, ReadModelError> {
        match self {
            Self::Sqlite(_) => self.snapshot().await,
            Self::Mysql(reader) => reader.snapshot_from(wanted).await.map(Snapshot::Mysql),
        }
    }
}

impl Snapshot {
    /// How far this state is posted.
    pub const fn checkpoint(&self) -> &Checkpoint {
        match self {
            Self::Sqlite(snapshot) => snapshot.checkpoint(),
            Self::Mysql(snapshot) => snapshot.checkpoint(),
        }
    }

    /// The number of the generation that is read.
    pub fn generation(&self) -> u64 {
        match self {
            Self::Sqlite(snapshot) => snapshot.generation(),
            Self::Mysql(snapshot) => snapshot.generation(),
        }
    }

    /// A query that reads few rows by an index: runs at once, in SQLite on the caller's thread. Each
    /// `?` in `sql` is a parameter; a table is named behind `FROM` and nowhere else.
    ///
    /// # Errors
    /// [`ReadModelError::Unavailable`] or [`ReadModelError::Damaged`].
    pub async fn query(
        &mut self,
        sql: &str,
        parameters: &[Value],
    ) -> Result<Vec<Row>, ReadModelError> {
        match self {
            Self::Sqlite(snapshot) => snapshot.query(sql, parameters),
            Self::Mysql(snapshot) => snapshot.query(sql, parameters).await,
        }
    }

    /// A query that may read many rows: runs where it holds up no other request.
    ///
    /// # Errors
    /// [`ReadModelError::Unavailable`] or [`ReadModelError::Damaged`].
    pub async fn scan(
        &mut self,
        sql: &str,
        parameters: Vec<Value>,
    ) -> Result<Vec<Row>, ReadModelError> {
        match self {
            Self::Sqlite(snapshot) => snapshot.scan(sql, parameters).await,
            Self::Mysql(snapshot) => snapshot.query(sql, &parameters).await,
        }
    }
}
