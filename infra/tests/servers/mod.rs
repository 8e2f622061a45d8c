//! Places for read models and keys, for tests that run over every engine: a directory, or a database
//! of one's own on a real server. A server's URL is read from the environment; without one its tests
//! say that they were skipped, and with `REQUIRE_ENGINES=1` they fail.
#![allow(
    dead_code,
    unreachable_pub,
    unused_macros,
    unused_imports,
    reason = "each test file uses a part of it"
)]

use std::{env, str::FromStr as _};

use infra::{
    keys::{KeyStore, KeysError, MasterKey},
    mysql::MysqlUrl,
    read_models::ReadModels,
};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection};
use tempfile::TempDir;
use uuid::Uuid;

/// The URLs' variables.
pub const MYSQL: &str = "TEST_MYSQL_URL";
pub const MARIADB: &str = "TEST_MARIADB_URL";

/// Where read models lie; removed at the end.
pub enum Place {
    Directory(TempDir),
    Database(Database),
}

/// A database with a random name; removed at the end. Connections of the test that still read it are
/// given back by the runtime meanwhile, which therefore has more than one thread.
pub struct Database {
    server: String,
    name: String,
}

impl Place {
    pub fn directory() -> Self {
        Self::Directory(tempfile::tempdir().unwrap())
    }

    /// On the server that the variable names.
    pub async fn database(variable: &str) -> Option<Self> {
        Database::new(variable).await.map(Self::Database)
    }

    pub async fn models(&self) -> ReadModels {
        match self {
            Self::Directory(dir) => ReadModels::sqlite(dir.path().join("models")),
            Self::Database(database) => {
                ReadModels::open_mysql(database.url(), None).await.expect("the server is there")
            }
        }
    }

    pub async fn keys(&self) -> Result<KeyStore, KeysError> {
        self.keys_with(None).await
    }

    /// The key store, wrapped by a master key.
    pub async fn keys_with(&self, master: Option<MasterKey>) -> Result<KeyStore, KeysError> {
        match self {
            Self::Directory(dir) => {
                KeyStore::open_sqlite_with(dir.path().join("keys.sqlite"), master).await
            }
            Self::Database(database) => KeyStore::open_mysql_with(&database.url(), master).await,
        }
    }
}

impl Database {
    pub async fn new(variable: &str) -> Option<Self> {
        let server = server(variable)?;
        let name = format!("daybook_test_{}", Uuid::new_v4().simple());
        let made = Self { server, name };
        made.on_server(format!("CREATE DATABASE {}", made.name)).await;
        Some(made)
    }

    pub fn url(&self) -> MysqlUrl {
        self.text().parse().unwrap()
    }

    /// With the password.
    pub fn text(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    /// Whether it is on the server that the variable names.
    pub fn is(&self, variable: &str) -> bool {
        env::var(variable).is_ok_and(|url| url.trim_end_matches('/') == self.server)
    }

    /// Removes it now.
    pub async fn remove(&self) {
        self.on_server(format!("DROP DATABASE IF EXISTS {}", self.name)).await;
    }

    /// The server's host and port.
    pub fn address(&self) -> String {
        self.server.rsplit_once('@').unwrap().1.to_owned()
    }

    /// The URL by way of another port here. Without TLS, so that what passes can be read: the server
    /// knows the password from a connection before.
    pub fn through(&self, port: u16) -> MysqlUrl {
        let way = self.text().replace(&self.address(), &format!("127.0.0.1:{port}"));
        format!("{way}?ssl-mode=DISABLED").parse().unwrap()
    }

    /// A connection to the database.
    pub async fn connect(&self) -> MySqlConnection {
        MySqlConnection::connect(&self.text()).await.expect("the server is there")
    }

    async fn on_server(&self, statement: String) {
        let mut connection = MySqlConnection::connect(&self.server).await.expect("a server");
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
}

/// The URL of a server, if there is one.
pub fn server(variable: &str) -> Option<String> {
    let url = env::var(variable).ok().filter(|url| !url.is_empty());
    if url.is_none() {
        assert!(env::var("REQUIRE_ENGINES").is_err(), "{variable} names no server");
        eprintln!("skipped: {variable} names no server");
    }
    url.map(|url| url.trim_end_matches('/').to_owned())
        .inspect(|url| drop(sqlx::mysql::MySqlConnectOptions::from_str(url).expect("a URL")))
}

impl Drop for Database {
    fn drop(&mut self) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let statement = format!("DROP DATABASE IF EXISTS {}", self.name);
                runtime.unwrap().block_on(self.on_server(statement));
            });
        });
    }
}

/// Runs each of these functions, which take a [`Place`], over every engine.
macro_rules! over_every_engine {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(super::servers::Place::directory()).await;
            })*
        }
        mod mysql {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let place = super::servers::Place::database(super::servers::MYSQL).await;
                if let Some(place) = place {
                    super::$test(place).await;
                }
            })*
        }
        mod mariadb {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let place = super::servers::Place::database(super::servers::MARIADB).await;
                if let Some(place) = place {
                    super::$test(place).await;
                }
            })*
        }
    };
}
pub(crate) use over_every_engine;
