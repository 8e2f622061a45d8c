use std::{fmt, str::FromStr, sync::Arc};

use sqlx::{ConnectOptions as _, mysql::MySqlConnectOptions};
use thiserror::Error;
use url::{Host, Url};

/// The parameters of a URL that the driver knows and that do no harm here.
const PARAMETERS: [&str; 9] = [
    "ssl-mode", "sslmode", "ssl-ca", "sslca", "ssl-cert", "sslcert", "ssl-key", "sslkey", "socket",
];

/// A database of a MySQL or MariaDB server: `mysql://USER:PASSWORD@HOST:PORT/DATABASE`, with TLS
/// asked for by `?ssl-mode=`. Shows itself without the password; cheap to clone.
#[derive(Clone)]
pub struct MysqlUrl {
    url: Arc<Url>,
    options: Arc<MySqlConnectOptions>,
}

/// A URL that names no database. Never holds the password.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct InvalidMysqlUrl(String);

impl FromStr for MysqlUrl {
    type Err = InvalidMysqlUrl;

    fn from_str(text: &str) -> Result<Self, InvalidMysqlUrl> {
        let url = Url::parse(text).map_err(|error| {
            invalid(format!(
                "{error}; it is written mysql://USER:PASSWORD@HOST:PORT/DATABASE, and what is no \
                 letter or digit in the password percent-encoded"
            ))
        })?;
        if !matches!(url.scheme(), "mysql" | "mariadb") {
            return Err(invalid("the scheme is mysql"));
        }
        if url.host().is_none() {
            return Err(invalid("it names no host: mysql://USER:PASSWORD@HOST:PORT/DATABASE"));
        }
        if url.username().is_empty() {
            return Err(invalid("it names no user: mysql://USER:PASSWORD@HOST:PORT/DATABASE"));
        }
        if url.path().trim_start_matches('/').is_empty() {
            return Err(invalid("it names no database; end it with /DATABASE"));
        }
        let unknown = url.query_pairs().find(|(name, _)| !PARAMETERS.contains(&&**name));
        if let Some((name, _)) = unknown {
            return Err(invalid(format!("{name:?} is none of its parameters; ssl-mode is one")));
        }
        let options =
            MySqlConnectOptions::from_url(&url).map_err(|error| invalid(error.to_string()))?;
        let options = match url.host() {
            Some(Host::Ipv6(address)) => options.host(&address.to_string()),
            _ => options,
        };
        Ok(Self { url: Arc::new(url), options: Arc::new(options.disable_statement_logging()) })
    }
}

impl MysqlUrl {
    pub(crate) fn options(&self) -> &MySqlConnectOptions {
        &self.options
    }

    /// Whether both name the same database, as far as the words tell.
    pub fn is_same_database(&self, other: &Self) -> bool {
        let of = |url: &Self| {
            let options = &url.options;
            let (host, database) = (options.get_host(), options.get_database());
            (host.to_owned(), options.get_port(), database.map(ToOwned::to_owned))
        };
        of(self) == of(other)
    }
}

impl fmt::Display for MysqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        let database = options.get_database().unwrap_or_default();
        let (user, host, port) = (options.get_username(), options.get_host(), options.get_port());
        write!(f, "mysql://{user}@{host}:{port}/{database}")
    }
}

impl fmt::Debug for MysqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MysqlUrl({self})")
    }
}

impl PartialEq for MysqlUrl {
    fn eq(&self, other: &Self) -> bool {
        self.url == other.url
    }
}

impl Eq for MysqlUrl {}

fn invalid(reason: impl Into<String>) -> InvalidMysqlUrl {
    InvalidMysqlUrl(reason.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_itself_without_its_password() {
        let url: MysqlUrl = "mysql://me:hun%2Fter2@db/shop?ssl-mode=REQUIRED".parse().unwrap();
        assert_eq!(url.to_string(), "mysql://me@db:3306/shop");
        assert_eq!(format!("{url:?}"), "MysqlUrl(mysql://me@db:3306/shop)");
        assert_eq!("mysql://me@[::1]/shop".parse::<MysqlUrl>().unwrap().options.get_host(), "::1");
    }

    #[test]
    fn a_url_that_cannot_be_used_is_told_without_its_password() {
        for (url, expected) in [
            ("mysql://me:hunter2@db", "no database"),
            ("mysql://me:hunter2@db/", "no database"),
            ("mysql:///shop", "no host"),
            ("mysql://db/shop", "no user"),
            ("mysql://me:hunter2/x@db/shop", "percent-encoded"),
            ("mysql://me:hunter2@db:99999/shop", "percent-encoded"),
            ("postgres://me:hunter2@db/shop", "the scheme is mysql"),
            ("mysql://me:hunter2@db/shop?ssl-mode=perhaps", "perhaps"),
            ("mysql://me:hunter2@db/shop?tls=yes", "none of its parameters"),
        ] {
            let said = url.parse::<MysqlUrl>().unwrap_err().to_string();
            assert!(said.contains(expected), "{url}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn the_same_database_is_recognised_whoever_asks() {
        let url = |text: &str| text.parse::<MysqlUrl>().unwrap();
        assert!(url("mysql://a@h/x").is_same_database(&url("mariadb://b:c@h:3306/x")));
        assert!(!url("mysql://a@h/x").is_same_database(&url("mysql://a@h/y")));
    }
}
