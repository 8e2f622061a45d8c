//! Opening the file: the lock, what the file is, its settings, its tables.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use event_schemas::StoreId;
use rusqlite::{Connection, OpenFlags, params};
use uuid::Uuid;

use super::{SqliteOptions, state::State};
use crate::{
    event_store::OpenError,
    lock::{Lock, LockError},
    sqlite::{Found, keep_plans, look},
};

/// "DBev": tells a Daybook event store from any other SQLite file.
pub(super) const APPLICATION_ID: i64 = 0x4442_6576;
/// The format written, in SQLite's `user_version`. Up to 1 there were no [`NOTES`].
pub(super) const FORMAT: i64 = 2;
/// How long a statement waits for a lock; only opening and closing ever meet one.
const BUSY: Duration = Duration::from_secs(5);

/// Positions have no gaps: the head is the number of events. A stream's name stands in the row,
/// so that the index of the streams is the only tree in random order. `events_kind` holds, per
/// kind, the positions in order: rare types are found without a scan. `received_at` (microseconds
/// since the epoch) and `json` are noted only of what other programs' clients sent.
pub(super) const TABLES: &str = "
    CREATE TABLE store (
        id BLOB NOT NULL,
        key_fingerprint TEXT
    ) STRICT;
    CREATE TABLE kinds (
        id INTEGER PRIMARY KEY,
        category TEXT NOT NULL,
        type TEXT NOT NULL,
        UNIQUE (category, type)
    ) STRICT;
    CREATE TABLE events (
        position INTEGER PRIMARY KEY,
        stream TEXT NOT NULL,
        revision INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        id BLOB NOT NULL,
        data BLOB NOT NULL,
        metadata BLOB NOT NULL,
        received_at INTEGER,
        json INTEGER
    ) STRICT;";
pub(super) const INDEXES: &str = "
    CREATE UNIQUE INDEX events_stream ON events (stream, revision);
    CREATE INDEX events_kind ON events (kind);";

/// What makes format 2 of format 1.
const NOTES: &str = "
    ALTER TABLE events ADD COLUMN received_at INTEGER;
    ALTER TABLE events ADD COLUMN json INTEGER;";

/// A store that is open for writing.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    /// Held for as long as it is open.
    pub(super) lock: Lock,
    pub(super) id: StoreId,
    pub(super) state: State,
}

/// Takes the lock, makes the file if there is none, and reads what the writer needs to know.
pub(super) fn for_writing(options: &SqliteOptions) -> Result<Opened, OpenError> {
    let path = &options.path;
    let lock = take_lock(path)?;
    create(path).map_err(|error| OpenError::Io { path: path.clone(), error })?;
    let (mut connection, fresh) = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, options.cache_kib)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // A transaction fits the memory: nothing of it goes to the WAL before COMMIT.
    connection.pragma_update(None, "cache_spill", "OFF")?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        let error = io::Error::other("this file system cannot hold a SQLite WAL: use a local disk");
        return Err(OpenError::Io { path: path.clone(), error });
    }
    if fresh {
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.execute_batch(INDEXES)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction
            .execute("INSERT INTO store (id) VALUES (?1)", params![Uuid::new_v4().as_bytes()])?;
        transaction.commit()?;
    } else if !has_notes(&connection)? {
        let transaction = connection.transaction()?;
        transaction.execute_batch(NOTES)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.commit()?;
    }
    let (id, state) = (store_id(&connection)?, State::read(&connection)?);
    Ok(Opened { connection, lock, id, state })
}

/// Checks that the file is a store, and reads its id. Leaves nothing behind.
pub(super) fn for_reading(path: &Path) -> Result<StoreId, OpenError> {
    if !path.try_exists().map_err(|error| OpenError::Io { path: path.to_owned(), error })? {
        return Err(OpenError::Missing(path.to_owned()));
    }
    let (connection, fresh) = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, 256)?;
    if fresh {
        // Its file is there, its tables are not: another process is making it.
        return Err(OpenError::Missing(path.to_owned()));
    }
    Ok(store_id(&connection)?)
}

/// A connection with a page cache of this size.
pub(super) fn connect(
    path: &Path,
    access: OpenFlags,
    cache_kib: u32,
) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    keep_plans(&connection)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    Ok(connection)
}

/// Opens a file that is ours, and says whether it is still empty. Leaves any other file alone.
fn open(path: &Path, access: OpenFlags, cache_kib: u32) -> Result<(Connection, bool), OpenError> {
    match look(APPLICATION_ID, FORMAT, || connect(path, access, cache_kib))? {
        Found::Ours(connection) => Ok((connection, false)),
        Found::Empty(connection) => Ok((connection, true)),
        Found::Newer(found) => Err(OpenError::NewerVersion { found, known: FORMAT }),
        Found::Foreign => Err(OpenError::NotAStore(path.to_owned())),
    }
}

/// Whether the store has columns for what is noted of other programs' events.
pub(super) fn has_notes(connection: &Connection) -> rusqlite::Result<bool> {
    let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(format >= 2)
}

fn store_id(connection: &Connection) -> rusqlite::Result<StoreId> {
    let id = connection.query_row("SELECT id FROM store", [], |row| row.get(0))?;
    Ok(StoreId(Uuid::from_bytes(id)))
}

/// Makes an empty file that only its owner may read; SQLite gives the WAL the same mode.
fn create(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            file.sync_all()?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::metadata(path)?.is_file() {
                return Ok(());
            }
            Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no file: name a file"))
        }
        Err(error) => Err(error),
    }
}

/// The lock of the one process that writes.
pub(super) fn take_lock(path: &Path) -> Result<Lock, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    Lock::take(Path::new(&name)).map_err(|error| match error {
        LockError::Held { pid } => OpenError::Locked { pid },
        LockError::Io { path, error } => OpenError::Io { path, error },
    })
}
