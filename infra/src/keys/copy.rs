//! A copy of a key store's file, made beside the processes that use it: for a backup, and from one.

use std::{io, path::Path};

use rusqlite::{Connection, OpenFlags, Transaction, params};

use super::{
    KeysError, MasterKey,
    master::{HASH_SECRET, Wrapping},
    open::{APPLICATION_ID, BUSY, FORMAT, HEADS, TABLES, WRAPPED},
    secret::HashSecret,
};
use crate::sqlite::{Found, look};

/// A key store's file that is only read.
#[derive(Debug)]
pub struct KeysFile {
    connection: Connection,
    format: i64,
    fingerprint: String,
}

/// What was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopiedKeys {
    /// Persons, those who were forgotten included.
    pub persons: usize,
    /// Signed heads that were left out, since they cover more than the log has.
    pub heads_left_out: usize,
}

impl KeysFile {
    /// Opens a file and leaves it as it is. `master` is what it is wrapped by, if it is.
    ///
    /// # Errors
    /// [`KeysError`], as where a key store is opened.
    pub fn open(path: &Path, master: Option<MasterKey>) -> Result<Self, KeysError> {
        if !path.exists() {
            let error = io::Error::from(io::ErrorKind::NotFound);
            return Err(KeysError::Io { path: path.to_owned(), error });
        }
        let connect = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(BUSY)?;
            Ok(connection)
        };
        let connection = match look(APPLICATION_ID, WRAPPED, connect)? {
            Found::Ours(connection) => connection,
            Found::Newer(found) => {
                return Err(KeysError::NewerVersion { found, known: WRAPPED });
            }
            Found::Empty(_) | Found::Foreign => {
                return Err(KeysError::NotAKeyStore(path.to_owned()));
            }
        };
        let format = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let kept: Vec<u8> =
            connection.query_row("SELECT hash_secret FROM secret", [], |row| row.get(0))?;
        let secret = HashSecret::new(Wrapping(master).unwrap(HASH_SECRET, &kept)?);
        Ok(Self { connection, format, fingerprint: secret.fingerprint().to_owned() })
    }

    /// Tells this key store from any other, without telling a secret.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// How many events the largest signed head covers; 0 where nothing was signed.
    ///
    /// # Errors
    /// [`KeysError`]
    pub fn signed_events(&self) -> Result<u64, KeysError> {
        if self.format < FORMAT {
            return Ok(0);
        }
        let select = "SELECT coalesce(max(size), 0) FROM heads";
        let size: i64 = self.connection.query_row(select, [], |row| row.get(0))?;
        Ok(size.cast_unsigned())
    }

    /// Copies all of it, as it is at one moment, into an empty file; what is wrapped stays so. Of
    /// the signed heads only those over `events` events or fewer: a log of that length cannot go on
    /// from the others. It is durable when the caller has synced it.
    ///
    /// # Errors
    /// [`KeysError`]
    pub fn copy(&self, to: &Path, events: u64) -> Result<CopiedKeys, KeysError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut copy = Connection::open_with_flags(to, flags)?;
        copy.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))?;
        copy.pragma_update(None, "synchronous", "OFF")?;
        let writing = copy.transaction()?;
        writing.execute_batch(TABLES)?;
        writing.execute_batch(HEADS)?;
        writing.pragma_update(None, "application_id", APPLICATION_ID)?;
        writing.pragma_update(None, "user_version", self.format.max(FORMAT))?;
        let moment = self.connection.unchecked_transaction()?;
        let copied = copy_rows(&moment, &writing, self.format, events)?;
        moment.rollback()?;
        writing.commit()?;
        copy.close().map_err(|(_, error)| error)?;
        Ok(copied)
    }
}

fn copy_rows(
    from: &Connection,
    to: &Transaction<'_>,
    format: i64,
    events: u64,
) -> rusqlite::Result<CopiedKeys> {
    let secret: Vec<u8> = from.query_row("SELECT hash_secret FROM secret", [], |row| row.get(0))?;
    to.execute("INSERT INTO secret (hash_secret) VALUES (?1)", [secret])?;
    let mut copied = CopiedKeys { persons: 0, heads_left_out: 0 };
    let mut select = from.prepare("SELECT person, key FROM persons ORDER BY person")?;
    let mut insert = to.prepare("INSERT INTO persons (person, key) VALUES (?1, ?2)")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (person, key): (String, Option<Vec<u8>>) = (row.get(0)?, row.get(1)?);
        insert.execute(params![person, key])?;
        copied.persons += 1;
    }
    // Before that format nothing was signed.
    if format < FORMAT {
        return Ok(copied);
    }
    let mut select = from.prepare("SELECT seed FROM signing")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let seed: Vec<u8> = row.get(0)?;
        to.execute("INSERT INTO signing (only_one, seed) VALUES (1, ?1)", [seed])?;
    }
    let mut select = from.prepare("SELECT n, signer, size, head FROM heads ORDER BY n")?;
    let mut insert =
        to.prepare("INSERT INTO heads (n, signer, size, head) VALUES (?1, ?2, ?3, ?4)")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (n, signer): (i64, String) = (row.get(0)?, row.get(1)?);
        let (size, head): (i64, String) = (row.get(2)?, row.get(3)?);
        if size.cast_unsigned() > events {
            copied.heads_left_out += 1;
        } else {
            insert.execute(params![n, signer, size, head])?;
        }
    }
    Ok(copied)
}
