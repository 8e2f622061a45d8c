//! The key that heads are signed with, and the heads: documents in the order in which they were
//! signed, numbered from 1. The next number is free or it is not: who adds a head compares and sets.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sqlx::mysql::MySqlRow;

use super::{KeyStore, KeysError, master::SIGNING_SEED, seal::Key};
use crate::mysql::{answered, number};

/// MySQL's number of the error that a key is there already.
const DUPLICATE: u16 = 1062;
const COLUMNS: &str = "n, size, head";

/// A signed head as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadRow {
    /// Its number among all heads, from 1.
    pub n: u64,
    /// How much it covers: what it is found by.
    pub size: u64,
    /// The document.
    pub head: String,
}

impl KeyStore {
    /// The seed of the signing key, made, durably, if there is none.
    ///
    /// # Errors
    /// [`KeysError`]
    pub async fn signing_seed(&self) -> Result<[u8; 32], KeysError> {
        const READ: &str = "SELECT seed FROM signing WHERE only_one = 1";
        let mut seed: Key = [0; 32];
        getrandom::fill(&mut seed)?;
        match self {
            Self::Sqlite(keys) => {
                let read = |connection: &Connection| {
                    connection.query_row(READ, [], |row| row.get::<_, Vec<u8>>(0)).optional()
                };
                let kept = match keys.read(read)? {
                    Some(known) => Some(known),
                    None => {
                        const MAKE: &str = "INSERT INTO signing (only_one, seed)
                             SELECT 1, ?1 WHERE (SELECT hash_secret FROM secret) = ?2
                             ON CONFLICT DO NOTHING";
                        let kept = keys.wrapping().wrap(SIGNING_SEED, &seed)?;
                        let secret = keys.kept_secret().to_vec();
                        keys.write(move |connection| {
                            connection.execute(MAKE, (kept, secret))?;
                            read(connection)
                        })
                        .await?
                    }
                };
                keys.wrapping().unwrap(SIGNING_SEED, &kept.ok_or(KeysError::Rotated)?)
            }
            Self::Mysql(keys) => {
                const MAKE: &str = "INSERT INTO signing (only_one, seed) \
                     SELECT 1, ? FROM secret WHERE hash_secret = ? \
                     ON DUPLICATE KEY UPDATE signing.only_one = signing.only_one";
                let kept = keys.wrapping().wrap(SIGNING_SEED, &seed)?;
                let making = sqlx::query(MAKE).bind(&kept[..]).bind(keys.kept_secret());
                answered(making.execute(keys.pool())).await.map_err(|error| keys.failed(&error))?;
                let reading = sqlx::query_scalar(READ).fetch_optional(keys.pool());
                let kept: Option<Vec<u8>> =
                    answered(reading).await.map_err(|error| keys.failed(&error))?;
                keys.wrapping().unwrap(SIGNING_SEED, &kept.ok_or(KeysError::Rotated)?)
            }
        }
    }

    /// The head added last, by this signer or by any.
    ///
    /// # Errors
    /// [`KeysError`]
    pub async fn newest_head(&self, signer: Option<&str>) -> Result<Option<HeadRow>, KeysError> {
        let any = signer.is_none();
        let rest = "WHERE (? OR signer = ?) ORDER BY n DESC LIMIT 1";
        Ok(self.find_heads(rest, any, signer.unwrap_or_default(), &[]).await?.pop())
    }

    /// This signer's newest head of exactly this size.
    ///
    /// # Errors
    /// [`KeysError`]
    pub async fn head_of_size(
        &self,
        signer: &str,
        size: u64,
    ) -> Result<Option<HeadRow>, KeysError> {
        let rest = "WHERE (? OR signer = ?) AND size = ? ORDER BY n DESC LIMIT 1";
        Ok(self.find_heads(rest, false, signer, &[size]).await?.pop())
    }

    /// This signer's heads of this size and larger ones, in the order of their sizes.
    ///
    /// # Errors
    /// [`KeysError`]
    pub async fn heads_from(
        &self,
        signer: &str,
        size: u64,
        limit: u64,
    ) -> Result<Vec<HeadRow>, KeysError> {
        let rest = "WHERE (? OR signer = ?) AND size >= ? ORDER BY size, n LIMIT ?";
        self.find_heads(rest, false, signer, &[size, limit]).await
    }

    /// Adds a head as number `n`; false if there is one of that number already, or none before it.
    ///
    /// # Errors
    /// [`KeysError`]
    pub async fn add_head(
        &self,
        n: u64,
        signer: &str,
        size: u64,
        head: &str,
    ) -> Result<bool, KeysError> {
        let (number_of, size) = (signed(n), signed(size));
        let (signer, head) = (signer.to_owned(), head.to_owned());
        match self {
            Self::Sqlite(keys) => {
                const ADD: &str =
                    "INSERT INTO heads (n, signer, size, head) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT DO NOTHING";
                keys.write(move |connection| {
                    let values = params![number_of, signer, size, head];
                    Ok(connection.prepare_cached(ADD)?.execute(values)? == 1)
                })
                .await
            }
            Self::Mysql(keys) => {
                const ADD: &str = "INSERT INTO heads (n, signer, size, head) VALUES (?, ?, ?, ?)";
                let adding = sqlx::query(ADD).bind(number_of).bind(signer).bind(size).bind(head);
                match answered(adding.execute(keys.pool())).await {
                    Ok(_) => Ok(true),
                    Err(error) if number(&error) == Some(DUPLICATE) => Ok(false),
                    Err(error) => Err(keys.failed(&error)),
                }
            }
        }
    }

    async fn find_heads(
        &self,
        rest: &str,
        any: bool,
        signer: &str,
        numbers: &[u64],
    ) -> Result<Vec<HeadRow>, KeysError> {
        let sql = format!("SELECT {COLUMNS} FROM heads {rest}");
        match self {
            Self::Sqlite(keys) => keys.read(|connection| {
                let mut select = connection.prepare_cached(&sql)?;
                select.raw_bind_parameter(1, any)?;
                select.raw_bind_parameter(2, signer)?;
                for (at, number) in numbers.iter().enumerate() {
                    select.raw_bind_parameter(at + 3, signed(*number))?;
                }
                let (mut rows, mut found) = (select.raw_query(), Vec::new());
                while let Some(row) = rows.next()? {
                    found.push(of_sqlite(row)?);
                }
                Ok(found)
            }),
            Self::Mysql(keys) => {
                let mut select =
                    sqlx::query(sqlx::AssertSqlSafe(sql)).bind(any).bind(signer.to_owned());
                for number in numbers {
                    select = select.bind(signed(*number));
                }
                let rows = answered(select.fetch_all(keys.pool())).await;
                let rows = rows.map_err(|error| keys.failed(&error))?;
                let found: sqlx::Result<Vec<HeadRow>> = rows.iter().map(of_mysql).collect();
                found.map_err(|error| keys.failed(&error))
            }
        }
    }
}

fn of_sqlite(row: &Row<'_>) -> rusqlite::Result<HeadRow> {
    let unsigned = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
    Ok(HeadRow { n: unsigned(0)?, size: unsigned(1)?, head: row.get(2)? })
}

fn of_mysql(row: &MySqlRow) -> sqlx::Result<HeadRow> {
    use sqlx::Row as _;
    let unsigned = |at: usize| row.try_get::<i64, _>(at).map(i64::cast_unsigned);
    Ok(HeadRow { n: unsigned(0)?, size: unsigned(1)?, head: row.try_get(2)? })
}

/// Engines' integers are signed; no log grows that far.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
