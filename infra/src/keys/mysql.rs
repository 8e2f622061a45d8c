use std::{sync::Arc, time::Duration};

use sqlx::MySqlPool;

use super::{
    KeysError,
    held::{Held, PersonKey},
    master::{HASH_SECRET, Wrapping, row_of},
    seal::Key,
    secret::HashSecret,
};
use crate::mysql::{self, Migrated, MysqlUrl, Step, answered};

/// How long a connection is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Other numbers than those of the read models, so that neither is taken for the other.
const STEPS: [Step; 7] = [
    Step {
        version: 1001,
        description: "the hash secret",
        sql: "CREATE TABLE IF NOT EXISTS secret (\
              only_one TINYINT NOT NULL PRIMARY KEY, hash_secret VARBINARY(32) NOT NULL) \
              ENGINE=InnoDB",
    },
    // A person whose key is NULL was forgotten: the row stays, so that no new key is ever made.
    Step {
        version: 1002,
        description: "the keys of persons",
        sql: "CREATE TABLE IF NOT EXISTS persons (\
              person VARCHAR(250) NOT NULL PRIMARY KEY, person_key VARBINARY(32)) \
              ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE {collation}",
    },
    Step {
        version: 1003,
        description: "the signing key",
        sql: "CREATE TABLE IF NOT EXISTS signing (\
              only_one TINYINT NOT NULL PRIMARY KEY, seed VARBINARY(32) NOT NULL) ENGINE=InnoDB",
    },
    // Numbered from 1; to them is only ever added.
    Step {
        version: 1004,
        description: "the signed heads",
        sql: "CREATE TABLE IF NOT EXISTS heads (\
              n BIGINT NOT NULL PRIMARY KEY, signer VARCHAR(64) NOT NULL, size BIGINT NOT NULL, \
              head TEXT NOT NULL, KEY heads_size (signer, size)) \
              ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE {collation}",
    },
    // What is wrapped by a master key is longer.
    Step {
        version: 1005,
        description: "room for a wrapped secret",
        sql: "ALTER TABLE secret MODIFY hash_secret VARBINARY(128) NOT NULL",
    },
    Step {
        version: 1006,
        description: "room for wrapped keys",
        sql: "ALTER TABLE persons MODIFY person_key VARBINARY(128)",
    },
    Step {
        version: 1007,
        description: "room for a wrapped signing key",
        sql: "ALTER TABLE signing MODIFY seed VARBINARY(128) NOT NULL",
    },
];
/// The first one to begin leaves its secret, and everybody reads it.
const MAKE_SECRET: &str = "INSERT INTO secret (only_one, hash_secret) VALUES (1, ?) \
     ON DUPLICATE KEY UPDATE only_one = only_one";
const READ_SECRET: &str = "SELECT hash_secret FROM secret WHERE only_one = 1";
const MAKE_KEY: &str = "INSERT INTO persons (person, person_key) \
     SELECT ?, ? FROM secret WHERE hash_secret = ? \
     ON DUPLICATE KEY UPDATE persons.person = persons.person";
const READ_KEY: &str = "SELECT person_key FROM persons WHERE person = ?";

/// The key store in a database of a MySQL or MariaDB server. Cheap to clone.
#[derive(Clone)]
pub struct MysqlKeyStore(Arc<Shared>);

struct Shared {
    url: MysqlUrl,
    pool: MySqlPool,
    secret: HashSecret,
    wrapping: Wrapping,
    /// The secret as it was kept when this process opened the database: it changes with the master
    /// key.
    kept_secret: Vec<u8>,
    held: Held,
}

impl std::fmt::Debug for MysqlKeyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("MysqlKeyStore").field(&self.0.secret.fingerprint()).finish()
    }
}

impl MysqlKeyStore {
    pub(super) async fn open(url: &MysqlUrl, wrapping: Wrapping) -> Result<Self, KeysError> {
        let fail = |error: sqlx::Error| failed(url, &error);
        let mut connection = mysql::connect(url).await.map_err(fail)?;
        match mysql::migrate(&mut connection, &STEPS).await.map_err(fail)? {
            Migrated::Done => {}
            Migrated::Foreign => return Err(KeysError::NotAKeyDatabase(url.to_string())),
        }
        let flushing =
            sqlx::query_scalar("SELECT CAST(@@innodb_flush_log_at_trx_commit AS SIGNED)");
        let flushing: i64 = answered(flushing.fetch_one(&mut connection)).await.map_err(fail)?;
        if flushing != 1 {
            tracing::warn!(
                %url,
                "a key may be lost if the server's machine fails: set \
                 innodb_flush_log_at_trx_commit = 1"
            );
        }
        let mut secret: Key = [0; 32];
        getrandom::fill(&mut secret)?;
        let kept = wrapping.wrap(HASH_SECRET, &secret)?;
        let making = sqlx::query(MAKE_SECRET).bind(&kept[..]).execute(&mut connection);
        answered(making).await.map_err(fail)?;
        let reading = sqlx::query_scalar(READ_SECRET).fetch_one(&mut connection);
        let kept_secret: Vec<u8> = answered(reading).await.map_err(fail)?;
        let secret = HashSecret::new(wrapping.unwrap(HASH_SECRET, &kept_secret)?);
        let (url, pool) = (url.clone(), mysql::pool(url, PATIENCE));
        let held = Held::default();
        Ok(Self(Arc::new(Shared { url, pool, secret, wrapping, kept_secret, held })))
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
        let key = match self.find(person).await? {
            Some(key) => key,
            None => self.make(person).await?,
        };
        key.seal(associated, plain)
    }

    pub(super) async fn unseal(
        &self,
        person: &str,
        associated: &[u8],
        sealed: &str,
    ) -> Result<Option<Vec<u8>>, KeysError> {
        self.find(person).await?.map_or(Ok(None), |key| key.unseal(associated, sealed))
    }

    pub(super) async fn destroy_all(&self, persons: Vec<String>) -> Result<(), KeysError> {
        let rows = vec!["(?, NULL)"; persons.len()].join(", ");
        let destroy = format!(
            "INSERT INTO persons (person, person_key) VALUES {rows} \
             ON DUPLICATE KEY UPDATE person_key = NULL"
        );
        let mut destroying = sqlx::query(sqlx::AssertSqlSafe(destroy));
        for person in &persons {
            destroying = destroying.bind(person);
        }
        let destroyed = answered(destroying.execute(&self.0.pool)).await;
        destroyed.map_err(|error| failed(&self.0.url, &error))?;
        for person in &persons {
            self.0.held.hold(person, PersonKey::Destroyed);
        }
        Ok(())
    }

    pub(super) fn held(&self) -> &Held {
        &self.0.held
    }

    pub(super) async fn ping(&self) -> Result<(), KeysError> {
        mysql::ping(&self.0.pool).await.map_err(|error| failed(&self.0.url, &error))
    }

    pub(super) fn pool(&self) -> &MySqlPool {
        &self.0.pool
    }

    pub(super) fn failed(&self, error: &sqlx::Error) -> KeysError {
        failed(&self.0.url, error)
    }

    pub(super) fn wrapping(&self) -> &Wrapping {
        &self.0.wrapping
    }

    pub(super) fn kept_secret(&self) -> &[u8] {
        &self.0.kept_secret
    }

    async fn find(&self, person: &str) -> Result<Option<PersonKey>, KeysError> {
        match self.0.held.find(person) {
            Some(key) => Ok(Some(key)),
            None => self.read(person).await,
        }
    }

    async fn read(&self, person: &str) -> Result<Option<PersonKey>, KeysError> {
        let reading = sqlx::query_scalar(READ_KEY).bind(person).fetch_optional(&self.0.pool);
        let found = answered(reading).await.map_err(|error| failed(&self.0.url, &error))?;
        let Some(stored): Option<Option<Vec<u8>>> = found else { return Ok(None) };
        let unwrap = |kept: Vec<u8>| self.0.wrapping.unwrap(&row_of(person), &kept);
        let key = stored.map(unwrap).transpose()?.into();
        self.0.held.hold(person, key);
        Ok(Some(key))
    }

    /// Makes the person's key, unless another process was faster. Committed when this returns.
    async fn make(&self, person: &str) -> Result<PersonKey, KeysError> {
        let mut key: Key = [0; 32];
        getrandom::fill(&mut key)?;
        let kept = self.0.wrapping.wrap(&row_of(person), &key)?;
        let making = sqlx::query(MAKE_KEY).bind(person).bind(&kept[..]).bind(self.kept_secret());
        answered(making.execute(&self.0.pool))
            .await
            .map_err(|error| failed(&self.0.url, &error))?;
        self.read(person).await?.ok_or(KeysError::Rotated)
    }
}

fn failed(url: &MysqlUrl, error: &sqlx::Error) -> KeysError {
    let (url, reason) = (url.to_string(), error.to_string());
    match mysql::is_away(error) {
        true => KeysError::Away { url, reason },
        false => KeysError::Mysql { url, reason },
    }
}
