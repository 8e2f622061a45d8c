//! Each engine is chosen by a URL, one at a time.

use std::path::{Path, PathBuf};

use infra::{
    bus::InvalidBusUrl,
    event_store::{EventStoreDbUrl, InvalidUrl},
    mysql::MysqlUrl,
    search::{ElasticsearchUrl, InvalidElasticsearchUrl},
};
use thiserror::Error;

/// Where the events lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EventStoreUrl {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// EventStoreDB or KurrentDB.
    EventStoreDb(EventStoreDbUrl),
}

/// How events reach the projectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BusUrl {
    /// In process, straight from the event store.
    Memory,
    /// NATS JetStream.
    Nats(infra::bus::BusUrl),
}

/// Where the read models lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReadModelsUrl {
    /// A directory of SQLite files.
    Sqlite(PathBuf),
    /// A database of MySQL or MariaDB.
    Mysql(MysqlUrl),
}

/// Where the search index lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SearchUrl {
    /// A tantivy directory.
    Tantivy(PathBuf),
    /// An Elasticsearch.
    Elasticsearch(ElasticsearchUrl),
}

/// Where the keys lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeysUrl {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A database of MySQL or MariaDB, of its own.
    Mysql(MysqlUrl),
}

/// Why an engine's URL is refused. The URL is shown with its secrets masked.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum InvalidEngine {
    #[error("{url} is none of the engines; use {instead}")]
    Unknown { url: String, instead: &'static str },
    #[error("{url}: {reason}")]
    Wrong { url: String, reason: String },
    #[error("{url}: behind sqlite: stands a path, such as {instead}")]
    NoPath { url: String, instead: &'static str },
}

impl EventStoreUrl {
    pub(crate) fn parse(url: &str) -> Result<Self, InvalidEngine> {
        const INSTEAD: &str = "sqlite:FILE, esdb://HOST:PORT or kurrentdb://HOST:PORT";
        let known = scheme(url).map(|scheme| scheme.strip_suffix("+discover").unwrap_or(scheme));
        if let Some("esdb" | "kurrentdb" | "kurrent" | "kdb") = known {
            let parsed = url.parse().map(Self::EventStoreDb);
            let wrong = |error: InvalidUrl| error.to_string();
            return parsed
                .map_err(wrong)
                .map_err(|reason| InvalidEngine::Wrong { url: masked(url), reason });
        }
        sqlite(url, INSTEAD).map(Self::Sqlite)
    }
}

impl BusUrl {
    pub(crate) fn parse(url: &str) -> Result<Self, InvalidEngine> {
        const INSTEAD: &str = "memory: or nats://HOST/NAME";
        match (url, scheme(url)) {
            ("memory:", _) => Ok(Self::Memory),
            (_, Some("nats" | "tls")) => {
                url.parse().map(Self::Nats).map_err(|error: InvalidBusUrl| InvalidEngine::Wrong {
                    url: masked(url),
                    reason: error.to_string(),
                })
            }
            _ => Err(InvalidEngine::Unknown { url: masked(url), instead: INSTEAD }),
        }
    }
}

impl ReadModelsUrl {
    pub(crate) fn parse(url: &str) -> Result<Self, InvalidEngine> {
        const INSTEAD: &str = "sqlite:DIR or mysql://USER:PASSWORD@HOST/DATABASE";
        match scheme(url) {
            Some("mysql" | "mariadb") => mysql(url).map(Self::Mysql),
            _ => sqlite(url, INSTEAD).map(Self::Sqlite),
        }
    }
}

impl SearchUrl {
    pub(crate) fn parse(url: &str) -> Result<Self, InvalidEngine> {
        const INSTEAD: &str = "a directory or http://HOST:PORT/NAME";
        match scheme(url) {
            Some("http" | "https") => {
                let parsed = url.parse().map(Self::Elasticsearch);
                parsed.map_err(|error: InvalidElasticsearchUrl| InvalidEngine::Wrong {
                    url: masked(url),
                    reason: error.to_string(),
                })
            }
            Some(_) if url.contains("://") => {
                Err(InvalidEngine::Unknown { url: masked(url), instead: INSTEAD })
            }
            _ if url.is_empty() => {
                Err(InvalidEngine::Unknown { url: masked(url), instead: INSTEAD })
            }
            _ => Ok(Self::Tantivy(url.into())),
        }
    }
}

impl KeysUrl {
    pub(crate) fn parse(url: &str) -> Result<Self, InvalidEngine> {
        const INSTEAD: &str = "sqlite:FILE or mysql://USER:PASSWORD@HOST/DATABASE";
        match scheme(url) {
            Some("mysql" | "mariadb") => mysql(url).map(Self::Mysql),
            _ => sqlite(url, INSTEAD).map(Self::Sqlite),
        }
    }
}

/// A copy of the read models' database, if there is one.
pub(crate) fn parse_replica(url: &str) -> Result<Option<MysqlUrl>, InvalidEngine> {
    (!url.is_empty()).then(|| mysql(url)).transpose()
}

fn mysql(url: &str) -> Result<MysqlUrl, InvalidEngine> {
    let parsed = url.parse::<MysqlUrl>();
    parsed.map_err(|error| InvalidEngine::Wrong { url: masked(url), reason: error.to_string() })
}

/// The URL of a SQLite file or directory at this path.
pub(crate) fn sqlite_url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// What stands before the first colon.
fn scheme(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once(':')?;
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    (!scheme.is_empty() && scheme.bytes().all(legal)).then_some(scheme)
}

fn sqlite(url: &str, instead: &'static str) -> Result<PathBuf, InvalidEngine> {
    let Some(path) = url.strip_prefix("sqlite:") else {
        return Err(InvalidEngine::Unknown { url: masked(url), instead });
    };
    // sqlite:///srv/x is a usual way to write an absolute path; sqlite://x would be a host.
    let path = if path.starts_with("///") { &path[2..] } else { path };
    if path.is_empty() || path.starts_with("//") {
        return Err(InvalidEngine::NoPath { url: masked(url), instead });
    }
    Ok(path.into())
}

/// A setting's value as it may be shown: passwords and tokens within a URL are masked.
pub(crate) fn masked(value: &str) -> String {
    const MASK: &str = "***";
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // A password may itself hold a slash or an at sign that somebody forgot to escape: the last
    // at sign before the query ends it.
    let (path, query) = tail.split_once('?').map_or((tail, None), |(p, q)| (p, Some(q)));
    let before_query = format!("{authority}{path}");
    let mut shown = match before_query.rsplit_once('@') {
        Some((user, rest)) => match user.split_once(':') {
            Some((user, _)) => format!("{scheme}://{user}:{MASK}@{rest}"),
            None => format!("{scheme}://{MASK}@{rest}"),
        },
        None => format!("{scheme}://{before_query}"),
    };
    for (n, parameter) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        shown.push(if n == 0 { '?' } else { '&' });
        match parameter.split_once('=') {
            Some((name, _)) if is_secret(name) => {
                shown.push_str(name);
                shown.push('=');
                shown.push_str(MASK);
            }
            _ => shown.push_str(parameter),
        }
    }
    shown
}

fn is_secret(parameter: &str) -> bool {
    let parameter = parameter.to_ascii_lowercase();
    ["pass", "secret", "token", "key", "credential"].iter().any(|word| parameter.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_engines_are_paths() {
        let file = |path: &str| Ok(EventStoreUrl::Sqlite(path.into()));
        assert_eq!(EventStoreUrl::parse("sqlite:a/b.sqlite"), file("a/b.sqlite"));
        assert_eq!(EventStoreUrl::parse("sqlite:/srv/b"), file("/srv/b"));
        assert_eq!(EventStoreUrl::parse("sqlite:///srv/b"), file("/srv/b"));
        for url in
            ["esdb://a:b@h:2113?tls=false", "esdb+discover://h", "kurrentdb://h,i:1", "kdb://h"]
        {
            assert!(
                matches!(EventStoreUrl::parse(url), Ok(EventStoreUrl::EventStoreDb(_))),
                "{url}"
            );
        }
        assert_eq!(BusUrl::parse("memory:"), Ok(BusUrl::Memory));
        for url in ["nats://h/shop", "nats://me:secret@h:4222,i/shop", "tls://h"] {
            assert!(matches!(BusUrl::parse(url), Ok(BusUrl::Nats(_))), "{url}");
        }
        for url in ["mysql://u:p@h/db", "mariadb://u@h:1/db?ssl-mode=REQUIRED"] {
            assert!(matches!(ReadModelsUrl::parse(url), Ok(ReadModelsUrl::Mysql(_))), "{url}");
            assert!(matches!(KeysUrl::parse(url), Ok(KeysUrl::Mysql(_))), "{url}");
        }
        assert_eq!(parse_replica(""), Ok(None));
        assert_eq!(SearchUrl::parse("x/search"), Ok(SearchUrl::Tantivy("x/search".into())));
    }

    #[test]
    fn an_elasticsearch_is_named_with_what_its_indexes_begin_with() {
        let named = SearchUrl::parse("https://ada:hunter2@h:9243/shop").unwrap();
        assert_eq!(format!("{named:?}"), "Elasticsearch(https://h:9243/shop)");
        let said = SearchUrl::parse("http://ada:hunter2@h/My Shop").unwrap_err().to_string();
        assert!(said.starts_with("http://ada:***@h/My Shop: the name behind the host"), "{said}");
    }

    #[test]
    fn what_is_no_engine_is_said_without_secrets() {
        let said = |result: Result<(), InvalidEngine>| result.unwrap_err().to_string();
        let said_of_wrong =
            said(EventStoreUrl::parse("esdb://a:hunter2@h:2113?tls=maybe").map(drop));
        assert!(said_of_wrong.contains("esdb://a:***@h:2113?tls=maybe: "), "{said_of_wrong}");
        assert!(!said_of_wrong.contains("hunter2"), "{said_of_wrong}");
        let said_of_wrong = said(BusUrl::parse("nats://a:hunter2@h/x.y").map(drop));
        assert!(said_of_wrong.contains("nats://a:***@h/x.y: "), "{said_of_wrong}");
        for said in [
            said(EventStoreUrl::parse("events.sqlite").map(drop)),
            said(EventStoreUrl::parse("postgres://h").map(drop)),
            said(BusUrl::parse("kafka://h").map(drop)),
            said(ReadModelsUrl::parse("").map(drop)),
            said(SearchUrl::parse("ftp://h").map(drop)),
            said(SearchUrl::parse("").map(drop)),
        ] {
            assert!(said.contains("none of the engines"), "{said}");
        }
        for said in [
            said(ReadModelsUrl::parse("mysql://u:hunter2@h").map(drop)),
            said(KeysUrl::parse("mysql://u:hunter2@h/").map(drop)),
            said(parse_replica("mariadb://u:hunter2@h").map(drop)),
        ] {
            assert!(said.contains("names no database") && !said.contains("hunter2"), "{said}");
        }
        for url in ["sqlite:", "sqlite://host/x"] {
            assert!(said(KeysUrl::parse(url).map(drop)).contains("stands a path"));
        }
    }

    #[test]
    fn secrets_are_masked() {
        for (url, shown) in [
            ("mysql://me:hunter2@db:3306/shop", "mysql://me:***@db:3306/shop"),
            ("mysql://me:hun/ter@2@db/shop", "mysql://me:***@db/shop"),
            ("nats://t0ken@h/shop", "nats://***@h/shop"),
            ("esdb://h?tls=false&userCertFile=x", "esdb://h?tls=false&userCertFile=x"),
            ("http://h/x?api_key=abc&a=1", "http://h/x?api_key=***&a=1"),
            ("sqlite:a/b", "sqlite:a/b"),
            ("http://h:80", "http://h:80"),
        ] {
            assert_eq!(masked(url), shown);
        }
    }
}
