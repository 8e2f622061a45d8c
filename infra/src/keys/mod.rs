//! The key store: the keys of persons, the hash secret, the signing key and what was signed with it.

mod copy;
mod error;
mod heads;
mod held;
mod master;
mod mysql;
mod open;
mod rotate;
mod seal;
mod secret;
mod sqlite;

use std::path::Path;

use event_schemas::StreamName;
use uuid::Uuid;

use crate::mysql::MysqlUrl;
use master::Wrapping;
use secret::HashSecret;

pub use copy::{CopiedKeys, KeysFile};
pub use error::KeysError;
pub use heads::HeadRow;
pub use master::{InvalidMasterKey, MasterKey};
pub use mysql::MysqlKeyStore;
pub use sqlite::SqliteKeyStore;

/// A key store, by the engine that keeps it. Cheap to clone.
///
/// Personal values are sealed with AES-256-GCM under a key of the person. To forget a person is
/// to destroy that key: what was sealed under it can then be read by nobody.
#[derive(Clone, Debug)]
pub enum KeyStore {
    /// A SQLite file of its own.
    Sqlite(SqliteKeyStore),
    /// A database of a MySQL or MariaDB server, of its own.
    Mysql(MysqlKeyStore),
}

/// What a sealed value is bound to: moved to another stream or event, it does not open.
pub fn associated_data(stream: &StreamName, event_id: Uuid) -> Vec<u8> {
    // The id has a fixed length and stands first: no two pairs make the same bytes.
    [event_id.as_bytes(), stream.as_str().as_bytes()].concat()
}

impl KeyStore {
    /// Opens the file, or makes it with a fresh hash secret. Several processes may open it.
    ///
    /// # Errors
    /// [`KeysError`]
    pub async fn open_sqlite(path: impl AsRef<Path>) -> Result<Self, KeysError> {
        Self::open_sqlite_with(path, None).await
    }

    /// The same, wrapped by a master key. A fresh one is wrapped from its beginning.
    ///
    /// # Errors
    /// [`KeysError`], with [`KeysError::MasterKeyNeeded`], [`KeysError::OtherMasterKey`] and
    /// [`KeysError::NotWrapped`] where the master key is not the one that it is wrapped by.
    pub async fn open_sqlite_with(
        path: impl AsRef<Path>,
        master: Option<MasterKey>,
    ) -> Result<Self, KeysError> {
        SqliteKeyStore::open(path.as_ref().to_owned(), Wrapping(master)).await.map(Self::Sqlite)
    }

    /// Opens the database, or makes its tables with a fresh hash secret where it is empty. Several
    /// processes may open it.
    ///
    /// # Errors
    /// [`KeysError`]
    pub async fn open_mysql(url: &MysqlUrl) -> Result<Self, KeysError> {
        Self::open_mysql_with(url, None).await
    }

    /// The same, wrapped by a master key.
    ///
    /// # Errors
    /// As [`KeyStore::open_sqlite_with`].
    pub async fn open_mysql_with(
        url: &MysqlUrl,
        master: Option<MasterKey>,
    ) -> Result<Self, KeysError> {
        MysqlKeyStore::open(url, Wrapping(master)).await.map(Self::Mysql)
    }

    /// Whether keys can be read and made now. Of a file each use finds out for itself.
    ///
    /// # Errors
    /// [`KeysError`]
    pub async fn ping(&self) -> Result<(), KeysError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Mysql(keys) => keys.ping().await,
        }
    }

    fn secret(&self) -> &HashSecret {
        match self {
            Self::Sqlite(keys) => keys.secret(),
            Self::Mysql(keys) => keys.secret(),
        }
    }

    /// Tells this key store from any other, without telling a secret.
    pub fn fingerprint(&self) -> &str {
        self.secret().fingerprint()
    }

    /// HMAC-SHA-256 of `data` under the hash secret; `purpose` keeps hashes of different kinds
    /// apart.
    pub fn keyed_hash(&self, purpose: &str, data: &[u8]) -> [u8; 32] {
        self.secret().keyed_hash(purpose, data)
    }

    /// Seals `plain` under the person's key, which is made, durably, if there is none: base64 of
    /// nonce and ciphertext.
    ///
    /// # Errors
    /// [`KeysError`], with [`KeysError::Destroyed`] for a person who was forgotten.
    pub async fn seal(
        &self,
        person: &str,
        associated: &[u8],
        plain: &[u8],
    ) -> Result<String, KeysError> {
        match self {
            Self::Sqlite(keys) => keys.seal(person, associated, plain).await,
            Self::Mysql(keys) => keys.seal(person, associated, plain).await,
        }
    }

    /// Opens what was sealed; `None` if the person's key is gone.
    ///
    /// # Errors
    /// [`KeysError`], with [`KeysError::Invalid`] for what was not sealed under this key and
    /// associated data.
    pub async fn unseal(
        &self,
        person: &str,
        associated: &[u8],
        sealed: &str,
    ) -> Result<Option<Vec<u8>>, KeysError> {
        match self {
            Self::Sqlite(keys) => keys.unseal(person, associated, sealed).await,
            Self::Mysql(keys) => keys.unseal(person, associated, sealed).await,
        }
    }

    /// Destroys the person's key for ever; a person without one never gets one. Another process
    /// may use a key for at most five seconds more.
    ///
    /// # Errors
    /// [`KeysError`]
    pub async fn destroy(&self, person: &str) -> Result<(), KeysError> {
        self.destroy_all(vec![person.to_owned()]).await
    }

    /// The same for several persons, all or none of them; at most a page of the log's.
    ///
    /// # Errors
    /// [`KeysError`]
    pub async fn destroy_all(&self, persons: Vec<String>) -> Result<(), KeysError> {
        match self {
            _ if persons.is_empty() => Ok(()),
            Self::Sqlite(keys) => keys.destroy_all(persons).await,
            Self::Mysql(keys) => keys.destroy_all(persons).await,
        }
    }

    /// Lets go of the keys in memory whose time is over. To be called every second, so that none
    /// stays in a process in which nothing happens.
    pub fn let_go(&self) {
        match self {
            Self::Sqlite(keys) => keys.held().let_go(),
            Self::Mysql(keys) => keys.held().let_go(),
        }
    }
}
