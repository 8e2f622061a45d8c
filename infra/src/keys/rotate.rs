//! Another master key: all that is wrapped is wrapped anew, in one transaction.

use rusqlite::Connection;
use sqlx::{MySqlConnection, Row as _};

use super::{
    KeyStore, KeysError, MasterKey, MysqlKeyStore,
    master::{HASH_SECRET, SIGNING_SEED, Wrapping, row_of},
    open::WRAPPED,
};
use crate::mysql::answered;

/// Keys that are read at once.
const PAGE: i64 = 1_000;

impl KeyStore {
    /// Wraps every key and secret by `new`, also where none was wrapped before, and says how many
    /// persons' keys those are. This and every other process has to open the key store anew: with the
    /// master key before, no key can be read or made any more.
    ///
    /// # Errors
    /// [`KeysError`]; then nothing has changed.
    pub async fn rotate(&self, new: MasterKey) -> Result<usize, KeysError> {
        let new = Wrapping(Some(new));
        match self {
            Self::Sqlite(keys) => {
                let (old, secret) = (keys.wrapping().clone(), keys.kept_secret().to_vec());
                keys.transaction(move |connection| sqlite(connection, &old, &new, &secret)).await
            }
            Self::Mysql(keys) => keys.rotate(&new).await,
        }
    }
}

fn sqlite(
    connection: &Connection,
    old: &Wrapping,
    new: &Wrapping,
    secret: &[u8],
) -> Result<usize, KeysError> {
    let rewrapped = old.rewrap(new, HASH_SECRET, secret)?;
    let change = "UPDATE secret SET hash_secret = ?1 WHERE hash_secret = ?2";
    if connection.execute(change, (rewrapped, secret))? != 1 {
        return Err(KeysError::Rotated);
    }
    let mut seeds = connection.prepare("SELECT seed FROM signing")?;
    let seeds: Vec<Vec<u8>> = seeds.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for seed in seeds {
        let rewrapped = old.rewrap(new, SIGNING_SEED, &seed)?;
        connection.execute("UPDATE signing SET seed = ?1", [rewrapped])?;
    }
    let mut page = connection.prepare(
        "SELECT person, key FROM persons WHERE person > ?1 AND key IS NOT NULL
         ORDER BY person LIMIT ?2",
    )?;
    let mut change = connection.prepare("UPDATE persons SET key = ?2 WHERE person = ?1")?;
    let (mut after, mut count) = (String::new(), 0);
    loop {
        let rows = page.query_map((&after, PAGE), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let rows: Vec<(String, Vec<u8>)> = rows.collect::<Result<_, _>>()?;
        let Some((last, _)) = rows.last() else { break };
        after.clone_from(last);
        for (person, key) in &rows {
            change.execute((person, old.rewrap(new, &row_of(person), key)?))?;
        }
        count += rows.len();
    }
    connection.pragma_update(None, "user_version", WRAPPED)?;
    Ok(count)
}

impl MysqlKeyStore {
    async fn rotate(&self, new: &Wrapping) -> Result<usize, KeysError> {
        let fail = |error: sqlx::Error| self.failed(&error);
        let mut transaction = answered(self.pool().begin()).await.map_err(fail)?;
        // Nobody makes a key before this has come to its end: who does looks at this row.
        let rewrapped = self.wrapping().rewrap(new, HASH_SECRET, self.kept_secret())?;
        let change = "UPDATE secret SET hash_secret = ? WHERE hash_secret = ?";
        let changing = sqlx::query(change).bind(rewrapped).bind(self.kept_secret());
        let changed = answered(changing.execute(&mut *transaction)).await.map_err(fail)?;
        if changed.rows_affected() != 1 {
            return Err(KeysError::Rotated);
        }
        let reading = sqlx::query_scalar("SELECT seed FROM signing").fetch_all(&mut *transaction);
        let seeds: Vec<Vec<u8>> = answered(reading).await.map_err(fail)?;
        for seed in seeds {
            let rewrapped = self.wrapping().rewrap(new, SIGNING_SEED, &seed)?;
            let changing = sqlx::query("UPDATE signing SET seed = ?").bind(rewrapped);
            answered(changing.execute(&mut *transaction)).await.map_err(fail)?;
        }
        let (mut after, mut count) = (String::new(), 0);
        while let Some((last, rows)) = self.rotate_page(new, &mut transaction, &after).await? {
            (after, count) = (last, count + rows);
        }
        answered(transaction.commit()).await.map_err(fail)?;
        Ok(count)
    }

    /// Wraps the keys of a page of persons; says who was the last, and how many they were.
    async fn rotate_page(
        &self,
        new: &Wrapping,
        connection: &mut MySqlConnection,
        after: &str,
    ) -> Result<Option<(String, usize)>, KeysError> {
        let fail = |error: sqlx::Error| self.failed(&error);
        // Locked: who is forgotten meanwhile is forgotten afterwards.
        let page = format!(
            "SELECT person, person_key FROM persons WHERE person > ? AND person_key IS NOT NULL \
             ORDER BY person LIMIT {PAGE} FOR UPDATE"
        );
        let page = sqlx::query(sqlx::AssertSqlSafe(page)).bind(after);
        let rows = answered(page.fetch_all(&mut *connection)).await.map_err(fail)?;
        let mut last = None;
        for row in &rows {
            let person: String = row.try_get(0).map_err(fail)?;
            let key: Vec<u8> = row.try_get(1).map_err(fail)?;
            let rewrapped = self.wrapping().rewrap(new, &row_of(&person), &key)?;
            let change = "UPDATE persons SET person_key = ? WHERE person = ?";
            let changing = sqlx::query(change).bind(rewrapped).bind(&person);
            answered(changing.execute(&mut *connection)).await.map_err(fail)?;
            last = Some((person, rows.len()));
        }
        Ok(last)
    }
}
