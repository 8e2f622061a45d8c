//! What every MySQL and MariaDB connection of ours is told.

mod migrate;
mod url;

use std::{io, time::Duration};

use sha2::{Digest as _, Sha256};
use sqlx::{
    Connection as _, Executor as _, MySqlConnection, MySqlPool,
    mysql::{MySqlDatabaseError, MySqlPoolOptions},
};

pub(crate) use migrate::{Migrated, Step, migrate};
pub use url::{InvalidMysqlUrl, MysqlUrl};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a statement may take before the connection is given up: a server that went away
/// without a word never answers.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a named lock is waited for.
const LOCK_SECONDS: u64 = 20;
/// Connections of a pool.
const CONNECTIONS: u32 = 16;
/// Strict, so that nothing is cut to fit; one state in each transaction that reads; no statement
/// waits for a lock longer than it may take. The time zone, UTC, is set by the driver.
const SESSION: &str = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
                       lock_wait_timeout = 10, innodb_lock_wait_timeout = 10; \
                       SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";

/// A connection of one's own.
pub(crate) async fn connect(url: &MysqlUrl) -> sqlx::Result<MySqlConnection> {
    within(CONNECT, async {
        let mut connection = MySqlConnection::connect_with(url.options()).await?;
        prepare(&mut connection, url.options().get_port()).await?;
        Ok(connection)
    })
    .await
}

/// Connections that are shared; none is made before it is needed. Whatever transaction is open on
/// one that is given back ends without effect. A connection is waited for as long as `patience`.
pub(crate) fn pool(url: &MysqlUrl, patience: Duration) -> MySqlPool {
    let port = url.options().get_port();
    MySqlPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(patience)
        .after_connect(move |connection, _| Box::pin(prepare(connection, port)))
        .after_release(|connection, _| {
            Box::pin(async {
                answered(connection.execute("ROLLBACK")).await?;
                Ok(true)
            })
        })
        .connect_lazy_with(url.options().clone())
}

async fn prepare(connection: &mut MySqlConnection, port: u16) -> sqlx::Result<()> {
    // The driver leaves Nagle's algorithm on: the end of a long statement would wait for the
    // server's delayed acknowledgement of its beginning.
    nodelay::set(&[port]);
    connection.execute(SESSION).await.map(drop)
}

/// The answer, if it comes in time. After an error of this kind the connection is of no more use.
pub(crate) async fn answered<T>(asking: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    within(ANSWER, asking).await
}

/// The answer, if it comes within this time.
pub(crate) async fn within<T>(
    time: Duration,
    asking: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    tokio::time::timeout(time, asking).await.unwrap_or_else(|_| {
        let reason = format!("no answer within {} s", time.as_secs());
        Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, reason)))
    })
}

/// The server's number of an error that it gave.
pub(crate) fn number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?;
    Some(error.number())
}

/// Whether the transaction was the victim of a deadlock or waited too long for a lock: the same
/// transaction may well succeed a moment later.
pub(crate) fn is_lock_conflict(error: &sqlx::Error) -> bool {
    matches!(number(error), Some(1205 | 1213))
}

/// Whether the server cannot be reached now, or takes nobody in now: who asks again later may well
/// be answered. What it refuses for good (a password, a database that is not there) is not.
pub(crate) fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        // Too many connections; it is shutting down.
        error => matches!(number(error), Some(1040 | 1053)),
    }
}

/// Asks a server for a sign of life, as whoever uses its pool would.
pub(crate) async fn ping(pool: &MySqlPool) -> sqlx::Result<()> {
    let mut connection = pool.acquire().await?;
    answered(connection.ping()).await
}

/// Whether a table or a database is not there.
pub(crate) fn is_missing(error: &sqlx::Error) -> bool {
    number(error) == Some(1146)
}

/// Takes the named lock of this database, waiting for whoever holds it; it is the connection's
/// until it is given back or the connection ends.
pub(crate) async fn lock(connection: &mut MySqlConnection, name: &str) -> sqlx::Result<()> {
    if take_lock(connection, name, LOCK_SECONDS).await? {
        return Ok(());
    }
    let reason = "another process holds the lock under which tables are made";
    Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, reason)))
}

/// Takes the named lock if nobody else has it.
pub(crate) async fn try_lock(connection: &mut MySqlConnection, name: &str) -> sqlx::Result<bool> {
    take_lock(connection, name, 0).await
}

async fn take_lock(
    connection: &mut MySqlConnection,
    name: &str,
    seconds: u64,
) -> sqlx::Result<bool> {
    let name = lock_name(connection, name).await?;
    let taking = sqlx::query_scalar("SELECT GET_LOCK(?, ?)").bind(name).bind(seconds);
    let taken: Option<i64> = answered(taking.fetch_one(connection)).await?;
    Ok(taken == Some(1))
}

/// Gives the named lock back.
pub(crate) async fn unlock(connection: &mut MySqlConnection, name: &str) -> sqlx::Result<()> {
    let name = lock_name(connection, name).await?;
    let giving = sqlx::query("DO RELEASE_LOCK(?)").bind(name);
    answered(giving.execute(connection)).await.map(drop)
}

/// Whether somebody has the named lock.
pub(crate) async fn is_locked(connection: &mut MySqlConnection, name: &str) -> sqlx::Result<bool> {
    let name = lock_name(connection, name).await?;
    // The two kinds of server give the holder in different types.
    let asking = "SELECT CAST(IS_USED_LOCK(?) IS NOT NULL AS SIGNED)";
    let asking = sqlx::query_scalar::<_, i64>(asking).bind(name);
    Ok(answered(asking.fetch_one(connection)).await? == 1)
}

/// Locks are the server's, not the database's, and their names are short.
async fn lock_name(connection: &mut MySqlConnection, name: &str) -> sqlx::Result<String> {
    let asking = sqlx::query_scalar("SELECT DATABASE()");
    let database: Option<String> = answered(asking.fetch_one(connection)).await?;
    let digest = Sha256::new()
        .chain_update(database.unwrap_or_default())
        .chain_update(b"\0")
        .chain_update(name)
        .finalize();
    let digest: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("daybook-{digest}"))
}

/// The collation under which texts compare by their bytes, spaces at the end included.
pub(crate) async fn collation(connection: &mut MySqlConnection) -> sqlx::Result<&'static str> {
    let asking = sqlx::query_scalar("SELECT VERSION()");
    let version: String = answered(asking.fetch_one(connection)).await?;
    Ok(if version.contains("MariaDB") { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" })
}
