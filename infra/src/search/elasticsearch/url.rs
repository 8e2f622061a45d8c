//! Where an Elasticsearch is, and which of its indexes are ours.

use std::{fmt, str::FromStr};

use elasticsearch::http::Url;
use thiserror::Error;

const DEFAULT_PORT: u16 = 9200;
const DEFAULT_NAME: &str = "daybook";
/// An index's name has at most 255 bytes, and more is put behind this one.
const LONGEST_NAME: usize = 200;

/// `http(s)://[USER:PASSWORD@]HOST[:PORT][/NAME]`: without a port 9200, without a name `daybook`.
/// Shows itself without the credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct ElasticsearchUrl {
    pub(super) address: Url,
    pub(super) credentials: Option<(String, String)>,
    pub(super) name: String,
}

/// A URL that cannot be used. Never holds the credentials.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct InvalidElasticsearchUrl(&'static str);

const SHAPE: InvalidElasticsearchUrl = InvalidElasticsearchUrl(
    "it is written http://HOST:9200/NAME, or https://USER:PASSWORD@HOST/NAME",
);
const CREDENTIALS: InvalidElasticsearchUrl = InvalidElasticsearchUrl(
    "before the @ stand user and password with a colon between, other signs than letters and \
     digits percent-encoded",
);
const NAME: InvalidElasticsearchUrl = InvalidElasticsearchUrl(
    "the name behind the host begins the names of indexes: at most 200 of a-z, 0-9, - _ and ., \
     the first a letter or a digit",
);

impl FromStr for ElasticsearchUrl {
    type Err = InvalidElasticsearchUrl;

    fn from_str(text: &str) -> Result<Self, InvalidElasticsearchUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(SHAPE)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(parse_credentials(user)?), host),
            None => (None, authority),
        };
        let with_port = host.rfind(':') > host.rfind(']');
        if host.is_empty() || host.starts_with(':') || host.contains(['?', '#', '%', '\\', ' ']) {
            return Err(SHAPE);
        }
        let port = if with_port { String::new() } else { format!(":{DEFAULT_PORT}") };
        let address: Url = format!("{scheme}://{host}{port}/").parse().map_err(|_| SHAPE)?;
        if !matches!(address.scheme(), "http" | "https") || host.ends_with(':') {
            return Err(SHAPE);
        }
        let name = path.strip_suffix('/').unwrap_or(path);
        let name = if name.is_empty() { DEFAULT_NAME } else { name };
        Ok(Self { address, credentials, name: parse_name(name)? })
    }
}

fn parse_credentials(text: &str) -> Result<(String, String), InvalidElasticsearchUrl> {
    let (user, password) = text.split_once(':').ok_or(CREDENTIALS)?;
    if user.is_empty() {
        return Err(CREDENTIALS);
    }
    Ok((decoded(user)?, decoded(password)?))
}

/// What percent-encoding stands for.
fn decoded(text: &str) -> Result<String, InvalidElasticsearchUrl> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((plain, encoded)) = rest.split_once('%') {
        let digits = encoded.get(..2).filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.extend(plain.as_bytes());
        bytes.push(byte.ok_or(CREDENTIALS)?);
        rest = &encoded[2..];
    }
    bytes.extend(rest.as_bytes());
    String::from_utf8(bytes).map_err(|_| CREDENTIALS)
}

fn parse_name(name: &str) -> Result<String, InvalidElasticsearchUrl> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let legal = name.bytes().all(|b| plain(b) || matches!(b, b'-' | b'_' | b'.'));
    if !legal || name.len() > LONGEST_NAME || !name.bytes().next().is_some_and(plain) {
        return Err(NAME);
    }
    Ok(name.to_owned())
}

impl fmt::Debug for ElasticsearchUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ElasticsearchUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.address, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ElasticsearchUrl, InvalidElasticsearchUrl> {
        text.parse()
    }

    #[test]
    fn a_port_and_a_name_may_be_left_out() {
        for (text, shown) in [
            ("http://h", "http://h:9200/daybook"),
            ("http://h/", "http://h:9200/daybook"),
            ("https://h:443/shop", "https://h/shop"),
            ("http://[::1]/shop.2/", "http://[::1]:9200/shop.2"),
            ("http://[::1]:19200", "http://[::1]:19200/daybook"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let url = parse("https://ada:p%40ss:w@h/shop").unwrap();
        assert_eq!(url.credentials, Some(("ada".to_owned(), "p@ss:w".to_owned())));
        assert_eq!(format!("{url} {url:?}"), "https://h:9200/shop https://h:9200/shop");
    }

    #[test]
    fn what_is_no_place_of_an_index_is_refused() {
        for text in [
            "http://",
            "http://:9200/x",
            "ftp://h/x",
            "h/x",
            "http://h:/x",
            "http://h:x/y",
            "http://h?x=1",
        ] {
            assert_eq!(parse(text).err(), Some(SHAPE), "{text}");
        }
        for text in ["http://ada@h", "http://:p@h", "http://a:%zz@h", "http://a:%ff@h"] {
            assert_eq!(parse(text).err(), Some(CREDENTIALS), "{text}");
        }
        for name in ["Shop", "_shop", "-shop", ".shop", "a/b", "a*", "a,b", "a?b", "a%20b", "ö"] {
            assert_eq!(parse(&format!("http://h/{name}")).err(), Some(NAME), "{name}");
        }
        assert_eq!(parse(&format!("http://h/{}", "x".repeat(201))).err(), Some(NAME));
    }
}
