use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, ffi};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{
    open::{connect, open, synced},
    seal::{Key, open_sealed, seal_with},
};

/// How long a key is held in memory: so long can another process still use a destroyed one.
const HELD: Duration = Duration::from_secs(5);
/// The most keys held in memory.
const MAX_HELD: usize = 10_000;

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
    /// The disk is full; it works again as soon as there is room.
    #[error("the key store's disk is full, make room on it: {0}")]
    Full(rusqlite::Error),
    /// SQLite cannot use the file at the moment.
    #[error("the key store cannot be used: {0}")]
    Sqlite(rusqlite::Error),
    /// The system has no randomness.
    #[error("no random bytes for a new key: {0}")]
    Random(#[from] getrandom::Error),
    /// The work was given up, as at the end of the process.
    #[error("the key store is shutting down")]
    Interrupted,
}

impl From<rusqlite::Error> for KeysError {
    fn from(error: rusqlite::Error) -> Self {
        let extended = error.sqlite_error().map(|error| error.extended_code);
        // A WAL's index without room is a full disk, too.
        let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull)
            || extended == Some(ffi::SQLITE_IOERR_SHMSIZE);
        if full { Self::Full(error) } else { Self::Sqlite(error) }
    }
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

fn read(connection: &Connection, person: &str) -> rusqlite::Result<Option<PersonKey>> {
    let key: Option<Option<Key>> = connection
        .prepare_cached("SELECT key FROM persons WHERE person = ?1")?
        .query_row([person], |row| row.get(0))
        .optional()?;
    Ok(key.map(|key| key.map_or(PersonKey::Destroyed, PersonKey::Present)))
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
