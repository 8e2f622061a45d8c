use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, ffi};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::seal::{Key, open_sealed, seal_with};

/// "DBky": tells a Daybook key store from any other SQLite file.
const APPLICATION_ID: i64 = 0x4442_6b79;
/// The format written, in SQLite's `user_version`.
const FORMAT: i64 = 1;
/// How long a statement waits for another process.
const BUSY: Duration = Duration::from_secs(5);
/// How long a key is held in memory: so long can another process still use a destroyed one.
const HELD: Duration = Duration::from_secs(5);
/// The most keys held in memory.
const MAX_HELD: usize = 10_000;

/// A person whose `key` is NULL was forgotten: the row stays, so that no new key is ever made.
const TABLES: &str = "
    CREATE TABLE secret (hash_secret BLOB NOT NULL) STRICT;
    CREATE TABLE persons (person TEXT PRIMARY KEY, key BLOB) STRICT, WITHOUT ROWID;";

/// Why the key store failed.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The person was forgotten.
    #[error("the key of this person was destroyed: nothing can be sealed for them any more")]
    Destroyed,
    /// Not sealed under this key and associated data.
    #[error("the value was not sealed under this key for this event, or was changed")]
    Invalid,
    /// A newer Daybook wrote it.
    #[error(
        "the key store has format {found}, this version of Daybook knows up to {known}: use the newer version"
    )]
    NewerVersion {
        /// The format found.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// The file is something else.
    #[error("{} is no Daybook key store: name another file", .0.display())]
    NotAKeyStore(PathBuf),
    /// The file cannot be used.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// SQLite cannot use the file at the moment.
    #[error("the key store cannot be used: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The system has no randomness.
    #[error("no random bytes for a new key: {0}")]
    Random(#[from] getrandom::Error),
    /// The work was given up, as at the end of the process.
    #[error("the key store is shutting down")]
    Interrupted,
}

/// The key store in a SQLite file. Cheap to clone.
#[derive(Clone)]
pub struct SqliteKeyStore(Arc<Shared>);

struct Shared {
    fingerprint: String,
    hash_secret: [u8; 32],
    /// Apart, so that who reads does not wait for a sync.
    reader: Mutex<Connection>,
    writer: Mutex<Connection>,
    held: Mutex<HashMap<String, (PersonKey, Instant)>>,
}

/// The key of a person who ever had one.
#[derive(Clone, Copy)]
enum PersonKey {
    Present(Key),
    Destroyed,
}

impl std::fmt::Debug for SqliteKeyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SqliteKeyStore").field(&self.0.fingerprint).finish()
    }
}

impl SqliteKeyStore {
    pub(super) async fn open(path: PathBuf) -> Result<Self, KeysError> {
        blocking(move || {
            let (writer, hash_secret) = open(&path)?;
            let reader = connect(&path)?;
            let digest = Sha256::new()
                .chain_update(b"daybook key store fingerprint\0")
                .chain_update(hash_secret)
                .finalize();
            let fingerprint = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(Self(Arc::new(Shared {
                fingerprint,
                hash_secret,
                reader: Mutex::new(reader),
                writer: Mutex::new(writer),
                held: Mutex::default(),
            })))
        })
        .await
    }

    pub(super) fn fingerprint(&self) -> &str {
        &self.0.fingerprint
    }

    pub(super) fn keyed_hash(&self, purpose: &str, data: &[u8]) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0.hash_secret).expect("any length");
        mac.update(&(purpose.len() as u64).to_be_bytes());
        mac.update(purpose.as_bytes());
        mac.update(data);
        mac.finalize().into_bytes().into()
    }

    pub(super) async fn seal(
        &self,
        person: &str,
        associated: &[u8],
        plain: &[u8],
    ) -> Result<String, KeysError> {
        let key = match self.find(person)? {
            Some(key) => key,
            None => self.make(person.to_owned()).await?,
        };
        match key {
            PersonKey::Present(key) => seal_with(&key, associated, plain),
            PersonKey::Destroyed => Err(KeysError::Destroyed),
        }
    }

    pub(super) async fn unseal(
        &self,
        person: &str,
        associated: &[u8],
        sealed: &str,
    ) -> Result<Option<Vec<u8>>, KeysError> {
        match self.find(person)? {
            Some(PersonKey::Present(key)) => open_sealed(&key, associated, sealed).map(Some),
            Some(PersonKey::Destroyed) | None => Ok(None),
        }
    }

    pub(super) async fn destroy(&self, person: &str) -> Result<(), KeysError> {
        let (store, person) = (self.clone(), person.to_owned());
        blocking(move || {
            let writer = lock(&store.0.writer);
            let destroyed = writer
                .prepare_cached(
                    "INSERT INTO persons (person, key) VALUES (?1, NULL)
                 ON CONFLICT DO UPDATE SET key = NULL WHERE key IS NOT NULL",
                )?
                .execute([&person])
                .map_err(synced)?;
            store.hold(person, PersonKey::Destroyed);
            if destroyed > 0 {
                // The key still stands in the WAL and, until that is moved, in the file. With
                // another process reading just now, the next checkpoint does it.
                writer
                    .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                    .map_err(synced)?;
            }
            Ok(())
        })
        .await
    }

    fn find(&self, person: &str) -> Result<Option<PersonKey>, KeysError> {
        if let Some((key, since)) = lock(&self.0.held).get(person)
            && since.elapsed() < HELD
        {
            return Ok(Some(*key));
        }
        let found = read(&lock(&self.0.reader), person)?;
        if let Some(key) = found {
            self.hold(person.to_owned(), key);
        }
        Ok(found)
    }

    /// Makes the person's key, unless another process was faster.
    async fn make(&self, person: String) -> Result<PersonKey, KeysError> {
        let store = self.clone();
        blocking(move || {
            let mut key = [0; 32];
            getrandom::fill(&mut key)?;
            let mut writer = lock(&store.0.writer);
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction
                .prepare_cached(
                    "INSERT INTO persons (person, key) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                )?
                .execute((&person, key))?;
            let key = read(&transaction, &person)?.ok_or(KeysError::Destroyed)?;
            transaction.commit().map_err(synced)?;
            store.hold(person, key);
            Ok(key)
        })
        .await
    }

    fn hold(&self, person: String, key: PersonKey) {
        let mut held = lock(&self.0.held);
        // What was read before it was destroyed must not take the place of that knowledge.
        let destroyed = matches!(held.get(&person), Some((PersonKey::Destroyed, _)));
        if held.len() >= MAX_HELD {
            held.clear();
        }
        if !destroyed || matches!(key, PersonKey::Destroyed) {
            held.insert(person, (key, Instant::now()));
        }
    }
}

/// Opens the file or makes it. One process at a time does this.
fn open(path: &Path) -> Result<(Connection, [u8; 32]), KeysError> {
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
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.execute("INSERT INTO secret (hash_secret) VALUES (?1)", [secret])?;
        transaction.commit().map_err(synced)?;
    }
    let secret = connection.query_row("SELECT hash_secret FROM secret", [], |row| row.get(0))?;
    Ok((connection, secret))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "cache_size", -512)?;
    Ok(connection)
}

/// Opens a file that is ours, and says whether it is still empty. Leaves any other file alone.
fn look(path: &Path) -> Result<(Connection, bool), KeysError> {
    let look = || {
        let connection = connect(path)?;
        let found = connection.query_row(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
             FROM pragma_application_id, pragma_user_version",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        Ok((connection, found))
    };
    match look() {
        Ok((_, (APPLICATION_ID, found, _))) if found > FORMAT => {
            Err(KeysError::NewerVersion { found, known: FORMAT })
        }
        Ok((connection, (APPLICATION_ID, ..))) => Ok((connection, false)),
        Ok((connection, (0, 0, 0))) => Ok((connection, true)),
        Ok(_) => Err(KeysError::NotAKeyStore(path.to_owned())),
        Err(error)
            if rusqlite::Error::sqlite_error_code(&error) == Some(ErrorCode::NotADatabase) =>
        {
            Err(KeysError::NotAKeyStore(path.to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

fn read(connection: &Connection, person: &str) -> rusqlite::Result<Option<PersonKey>> {
    let key: Option<Option<Key>> = connection
        .prepare_cached("SELECT key FROM persons WHERE person = ?1")?
        .query_row([person], |row| row.get(0))
        .optional()?;
    Ok(key.map(|key| key.map_or(PersonKey::Destroyed, PersonKey::Present)))
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
fn synced(error: rusqlite::Error) -> rusqlite::Error {
    let extended = error.sqlite_error().map_or(0, |error| error.extended_code);
    if matches!(extended, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) {
        eprintln!("daybook: the key store's disk failed: {error}. Check it, then start again.");
        std::process::exit(1);
    }
    error
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeysError> + Send + 'static,
) -> Result<T, KeysError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(KeysError::Interrupted),
    }
}
