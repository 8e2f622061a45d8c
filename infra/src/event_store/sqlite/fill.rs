//! A new store that takes in the events of another one, each at its place. It has no name before it
//! is whole, so nothing of it is synced, and no journal kept, until then.

use std::path::{Path, PathBuf};

use event_schemas::{Recorded, StoreId};
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use thiserror::Error;
use uuid::Uuid;

use super::{
    kinds::Kinds,
    open::{APPLICATION_ID, FORMAT, INDEXES, TABLES, connect, take_lock},
    row::{self, EventRow},
};
use crate::{
    event_store::OpenError,
    lock::Lock,
    unfinished::{Unfinished, UnfinishedError},
};

/// Pages are written when the cache is full; the indexes are sorted in it.
const CACHE_KIB: u32 = 64 << 10;

/// A store that is being filled. Dropped, nothing is left of it.
#[derive(Debug)]
pub struct Filling {
    connection: Connection,
    kinds: Kinds,
    head: u64,
    unfinished: Unfinished,
    /// The writer's: nobody begins a store of that name meanwhile.
    lock: Lock,
}

/// A store that holds all it shall hold, and has no name yet. Dropped, nothing is left of it.
#[derive(Debug)]
pub struct Filled {
    id: StoreId,
    unfinished: Unfinished,
    lock: Lock,
}

/// Why a store cannot be filled.
#[derive(Debug, Error)]
pub enum FillError {
    /// There is one.
    #[error(
        "there is an event store at {} already, and nothing is written over it: name another \
         directory with --data, or move that one away",
        .0.display()
    )]
    Exists(PathBuf),
    /// Another process has the name.
    #[error(transparent)]
    Open(OpenError),
    /// The file.
    #[error(transparent)]
    File(UnfinishedError),
    /// Two events claim one place in a stream.
    #[error("two events stand in the same place of a stream")]
    Doubled,
    /// The disk is full.
    #[error("the disk is full, make room on it: {0}")]
    Full(rusqlite::Error),
    /// SQLite.
    #[error("the event store cannot be written: {0}")]
    Sqlite(rusqlite::Error),
}

impl Filling {
    /// Begins a store of this name, of which there is none yet.
    ///
    /// # Errors
    /// [`FillError`]
    pub fn begin(path: &Path) -> Result<Self, FillError> {
        let exists = |error| match error {
            UnfinishedError::Exists(path) => FillError::Exists(path),
            error => FillError::File(error),
        };
        if path.exists() {
            return Err(FillError::Exists(path.to_owned()));
        }
        let lock = take_lock(path).map_err(FillError::Open)?;
        let unfinished = Unfinished::database(path).map_err(exists)?;
        let connection = connect(unfinished.part(), OpenFlags::SQLITE_OPEN_READ_WRITE, CACHE_KIB)?;
        connection.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
        connection.execute_batch("BEGIN")?;
        connection.execute_batch(TABLES)?;
        Ok(Self { connection, kinds: Kinds::default(), head: 0, unfinished, lock })
    }

    /// Adds the event at the next position, the first being 1.
    ///
    /// # Errors
    /// [`FillError`]
    pub fn push(&mut self, event: &Recorded) -> Result<(), FillError> {
        let category = event.stream.category();
        let kind = self.kinds.intern(&self.connection, category, &event.event_type)?;
        self.head += 1;
        let row = EventRow {
            position: self.head,
            stream: &event.stream,
            revision: event.revision,
            kind,
            id: event.id,
            data: &event.data,
            metadata: &event.metadata,
            received: event.received,
        };
        let mut insert = self.connection.prepare_cached(row::INSERT)?;
        Ok(row.write(&mut insert)?)
    }

    /// Makes what is found by, an id of its own, and notes which key store belongs to it.
    ///
    /// # Errors
    /// [`FillError`]
    pub fn complete(self, key_fingerprint: &str) -> Result<Filled, FillError> {
        let Self { connection, unfinished, lock, .. } = self;
        connection.execute_batch(INDEXES)?;
        let id = Uuid::new_v4();
        connection.execute(
            "INSERT INTO store (id, key_fingerprint) VALUES (?1, ?2)",
            params![id.as_bytes(), key_fingerprint],
        )?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", FORMAT)?;
        connection.execute_batch("COMMIT")?;
        connection.close().map_err(|(_, error)| error)?;
        Ok(Filled { id: StoreId(id), unfinished, lock })
    }
}

impl Filled {
    /// Gives it its name, durably, and says its id.
    ///
    /// # Errors
    /// [`FillError`]
    pub fn publish(self) -> Result<StoreId, FillError> {
        let Self { id, unfinished, lock } = self;
        unfinished.publish().map_err(FillError::File)?;
        drop(lock);
        Ok(id)
    }
}

impl From<rusqlite::Error> for FillError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => Self::Doubled,
            Some(ErrorCode::DiskFull) => Self::Full(error),
            _ => Self::Sqlite(error),
        }
    }
}
