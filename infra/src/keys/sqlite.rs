use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::{
    KeysError,
    held::{Held, PersonKey},
    open::{connect, open, synced},
    seal::Key,
    secret::HashSecret,
};

/// The key store in a SQLite file. Cheap to clone.
#[derive(Clone)]
pub struct SqliteKeyStore(Arc<Shared>);

struct Shared {
    secret: HashSecret,
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
    pub(super) async fn open(path: PathBuf) -> Result<Self, KeysError> {
        blocking(move || {
            let (writer, hash_secret) = open(&path)?;
            let reader = connect(&path)?;
            Ok(Self(Arc::new(Shared {
                secret: HashSecret::new(hash_secret),
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
        let found = read(&lock(&self.0.reader), person)?;
        if let Some(key) = found {
            self.0.held.hold(person, key);
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
            store.0.held.hold(&person, key);
            Ok(key)
        })
        .await
    }
}

fn read(connection: &Connection, person: &str) -> rusqlite::Result<Option<PersonKey>> {
    let key: Option<Option<Key>> = connection
        .prepare_cached("SELECT key FROM persons WHERE person = ?1")?
        .query_row([person], |row| row.get(0))
        .optional()?;
    Ok(key.map(PersonKey::from))
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
