//! Opening the key store's file.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, ffi};

use super::{
    KeysError,
    master::{HASH_SECRET, Wrapping},
};
use crate::sqlite::{self, Found};

/// "DBky": tells a Daybook key store from any other SQLite file.
pub(super) const APPLICATION_ID: i64 = 0x4442_6b79;
/// The format written, in SQLite's `user_version`. Up to 1 there were no [`HEADS`].
pub(super) const FORMAT: i64 = 2;
/// The format of a file that is wrapped by a master key.
pub(super) const WRAPPED: i64 = 3;
/// How long a statement waits for another process.
pub(super) const BUSY: Duration = Duration::from_secs(5);
/// A person whose `key` is NULL was forgotten: the row stays, so that no new key is ever made.
pub(super) const TABLES: &str = "
    CREATE TABLE secret (hash_secret BLOB NOT NULL) STRICT;
    CREATE TABLE persons (person TEXT PRIMARY KEY, key BLOB) STRICT, WITHOUT ROWID;";
/// What makes format 2 of format 1: the key that heads are signed with, and the heads, numbered
/// from 1, to which is only ever added.
pub(super) const HEADS: &str = "
    CREATE TABLE signing (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), seed BLOB NOT NULL)
        STRICT;
    CREATE TABLE heads (
        n INTEGER PRIMARY KEY,
        signer TEXT NOT NULL,
        size INTEGER NOT NULL,
        head TEXT NOT NULL
    ) STRICT;
    CREATE INDEX heads_size ON heads (signer, size);
    CREATE TRIGGER heads_stay BEFORE UPDATE ON heads
        BEGIN SELECT RAISE(ABORT, 'signed heads are only ever added'); END;
    CREATE TRIGGER heads_remain BEFORE DELETE ON heads
        BEGIN SELECT RAISE(ABORT, 'signed heads are only ever added'); END;";

/// Opens the file or makes it. One process at a time does this.
/// The hash secret is given as it is kept.
pub(super) fn open(path: &Path, wrapping: &Wrapping) -> Result<(Connection, Vec<u8>), KeysError> {
    let io_error = |error| KeysError::Io { path: path.to_owned(), error };
    let _lock = take_lock(path).map_err(io_error)?;
    create(path).map_err(io_error)?;
    let (mut connection, fresh) = look(path)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    if fresh {
        let mut secret = [0_u8; 32];
        getrandom::fill(&mut secret)?;
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.execute_batch(HEADS)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        let format = if wrapping.0.is_some() { WRAPPED } else { FORMAT };
        transaction.pragma_update(None, "user_version", format)?;
        let kept = wrapping.wrap(HASH_SECRET, &secret)?;
        transaction.execute("INSERT INTO secret (hash_secret) VALUES (?1)", [kept])?;
        transaction.commit().map_err(synced)?;
    } else if format(&connection)? < FORMAT {
        let transaction = connection.transaction()?;
        transaction.execute_batch(HEADS)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.commit().map_err(synced)?;
    }
    let secret = connection.query_row("SELECT hash_secret FROM secret", [], |row| row.get(0))?;
    Ok((connection, secret))
}

fn format(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "cache_size", -512)?;
    Ok(connection)
}

/// Opens a file that is ours, and says whether it is still empty. Leaves any other file alone.
fn look(path: &Path) -> Result<(Connection, bool), KeysError> {
    match sqlite::look(APPLICATION_ID, WRAPPED, || connect(path))? {
        Found::Ours(connection) => Ok((connection, false)),
        Found::Empty(connection) => Ok((connection, true)),
        Found::Newer(found) => Err(KeysError::NewerVersion { found, known: WRAPPED }),
        Found::Foreign => Err(KeysError::NotAKeyStore(path.to_owned())),
    }
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
            if std::fs::metadata(path)?.is_file() {
                return Ok(());
            }
            Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no file: name a file"))
        }
        Err(error) => Err(error),
    }
}

fn take_lock(path: &Path) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let options =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(name)?;
    options.lock()?;
    Ok(options)
}

/// An error of a commit. After a failed sync a later success would prove nothing: the process
/// ends before anything is sealed under a key that may not last.
pub(super) fn synced(error: rusqlite::Error) -> rusqlite::Error {
    let extended = error.sqlite_error().map_or(0, |error| error.extended_code);
    if matches!(extended, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) {
        eprintln!("daybook: the key store's disk failed: {error}. Check it, then start again.");
        std::process::exit(1);
    }
    error
}
