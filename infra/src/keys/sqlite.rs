use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::{
    KeysError,
    held::{Held, PersonKey},
    master::{HASH_SECRET, Wrapping, row_of},
    open::{connect, open, synced},
    secret::HashSecret,
};

/// The key store in a SQLite file. Cheap to clone.
#[derive(Clone)]
pub struct SqliteKeyStore(Arc<Shared>);

struct Shared {
    secret: HashSecret,
    wrapping: Wrapping,
    /// The secret as it was kept when this process opened the file: it changes with the master key.
    kept_secret: Vec<u8>,
    /// Apart, so that who reads does not wait for a sync.
    reader: Mutex<Connection>,
    writer: Mutex<Connection>,
    held: Held,
}

impl std::fmt::Debug for SqliteKeyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SqliteKeyStore").field(&self.0.secret.fingerprint()).finish()
    }
}

impl SqliteKeyStore {
    pub(super) async fn open(path: PathBuf, wrapping: Wrapping) -> Result<Self, KeysError> {
        blocking(move || {
            let (writer, kept_secret) = open(&path, &wrapping)?;
            let reader = connect(&path)?;
            Ok(Self(Arc::new(Shared {
                secret: HashSecret::new(wrapping.unwrap(HASH_SECRET, &kept_secret)?),
                wrapping,
                kept_secret,
                reader: Mutex::new(reader),
                writer: Mutex::new(writer),
                held: Held::default(),
            })))
        })
        .await
    }

    pub(super) fn secret(&self) -> &HashSecret {
        &self.0.secret
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
        key.seal(associated, plain)
    }

    pub(super) async fn unseal(
        &self,
        person: &str,
        associated: &[u8],
        sealed: &str,
    ) -> Result<Option<Vec<u8>>, KeysError> {
        self.find(person)?.map_or(Ok(None), |key| key.unseal(associated, sealed))
    }

    pub(super) async fn destroy_all(&self, persons: Vec<String>) -> Result<(), KeysError> {
        const DESTROY: &str = "INSERT INTO persons (person, key) VALUES (?1, NULL)
             ON CONFLICT DO UPDATE SET key = NULL WHERE key IS NOT NULL";
        let store = self.clone();
        blocking(move || {
            let mut writer = lock(&store.0.writer);
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut destroyed = 0;
            for person in &persons {
                destroyed += transaction.prepare_cached(DESTROY)?.execute([person])?;
            }
            transaction.commit().map_err(synced)?;
            for person in &persons {
                store.0.held.hold(person, PersonKey::Destroyed);
            }
            if destroyed > 0 {
                // The keys still stand in the WAL and, until that is moved, in the file. With
                // another process reading just now, the next checkpoint does it.
                writer
                    .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                    .map_err(synced)?;
            }
            Ok(())
        })
        .await
    }

    pub(super) fn held(&self) -> &Held {
        &self.0.held
    }

    pub(super) fn wrapping(&self) -> &Wrapping {
        &self.0.wrapping
    }

    pub(super) fn kept_secret(&self) -> &[u8] {
        &self.0.kept_secret
    }

    /// Several statements that write, all or none of them, durable when this returns.
    pub(super) async fn transaction<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> Result<T, KeysError> + Send + 'static,
    ) -> Result<T, KeysError> {
        let store = self.clone();
        blocking(move || {
            let mut writer = lock(&store.0.writer);
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let written = write(&transaction)?;
            transaction.commit().map_err(synced)?;
            // What stood there before is to be nowhere.
            writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(synced)?;
            Ok(written)
        })
        .await
    }

    /// A read of a few rows.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, KeysError> {
        Ok(read(&lock(&self.0.reader))?)
    }

    /// One statement that writes, durable when this returns.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, KeysError> {
        let store = self.clone();
        blocking(move || Ok(write(&lock(&store.0.writer)).map_err(synced)?)).await
    }

    fn find(&self, person: &str) -> Result<Option<PersonKey>, KeysError> {
        if let Some(key) = self.0.held.find(person) {
            return Ok(Some(key));
        }
        let found = read(&lock(&self.0.reader), &self.0.wrapping, person)?;
        if let Some(key) = found {
            self.0.held.hold(person, key);
        }
        Ok(found)
    }

    /// Makes the person's key, unless another process was faster.
    async fn make(&self, person: String) -> Result<PersonKey, KeysError> {
        let store = self.clone();
        blocking(move || {
            const MAKE: &str = "INSERT INTO persons (person, key)
                 SELECT ?1, ?2 WHERE (SELECT hash_secret FROM secret) = ?3 ON CONFLICT DO NOTHING";
            let mut key = [0; 32];
            getrandom::fill(&mut key)?;
            let kept = store.0.wrapping.wrap(&row_of(&person), &key)?;
            let mut writer = lock(&store.0.writer);
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.prepare_cached(MAKE)?.execute((&person, kept, &store.0.kept_secret))?;
            let key = read(&transaction, &store.0.wrapping, &person)?.ok_or(KeysError::Rotated)?;
            transaction.commit().map_err(synced)?;
            store.0.held.hold(&person, key);
            Ok(key)
        })
        .await
    }
}

fn read(
    connection: &Connection,
    wrapping: &Wrapping,
    person: &str,
) -> Result<Option<PersonKey>, KeysError> {
    let kept: Option<Option<Vec<u8>>> = connection
        .prepare_cached("SELECT key FROM persons WHERE person = ?1")?
        .query_row([person], |row| row.get(0))
        .optional()?;
    let unwrap = |kept: Vec<u8>| wrapping.unwrap(&row_of(person), &kept);
    kept.map(|kept| kept.map(unwrap).transpose().map(PersonKey::from)).transpose()
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
