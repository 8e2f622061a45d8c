//! The connection string, as EventStoreDB's clients write it, cut into what the official client is
//! given: one node at a time.

use std::{fmt, str::FromStr, time::Duration};

use eventstore::{ClientSettings, Credentials, Endpoint};
use thiserror::Error;

const DEFAULT_PORT: u32 = 2113;
/// How long a call may take, its retries included, unless `defaultDeadline` says otherwise.
const DEADLINE: Duration = Duration::from_secs(10);
/// Stands for the -1 that asks for none: a call without any end would never find out.
const NO_DEADLINE: Duration = Duration::from_secs(3_600);
/// How long one attempt to reach a node may take, unless `gossipTimeout` says otherwise.
const CONNECT: Duration = Duration::from_secs(3);

/// Where an EventStoreDB or KurrentDB is, and how to talk to it: `esdb://`, `kurrentdb://`,
/// `kurrent://` or `kdb://`, each also with `+discover`; credentials, one host or several, and the
/// parameters that the official client knows. Shows itself without the credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct EventStoreDbUrl {
    scheme: String,
    query: String,
    hosts: Vec<Endpoint>,
    credentials: Option<(String, String)>,
    deadline: Duration,
    connect: Duration,
}

/// A connection string that cannot be used. Never holds the credentials.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct InvalidUrl(String);

impl FromStr for EventStoreDbUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| invalid("it is written esdb://HOST:PORT?tls=false"))?;
        let scheme = scheme.to_ascii_lowercase();
        let scheme = scheme.strip_suffix("+discover").unwrap_or(&scheme).to_owned();
        if !["esdb", "kurrentdb", "kurrent", "kdb"].contains(&scheme.as_str()) {
            return Err(invalid("the scheme is esdb or kurrentdb"));
        }
        let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (Some(parse_credentials(user)?), hosts),
            None => (None, authority),
        };
        let hosts = hosts.strip_suffix('/').unwrap_or(hosts).split(',');
        let hosts = hosts.map(parse_host).collect::<Result<Vec<_>, _>>()?;
        let url = Self {
            scheme,
            query: query.to_owned(),
            hosts,
            credentials,
            deadline: millis(query, "defaultdeadline")?.unwrap_or(DEADLINE),
            connect: millis(query, "gossiptimeout")?.unwrap_or(CONNECT),
        };
        // What is wrong with a parameter is wrong with it for every host.
        url.hosts.iter().try_for_each(|host| url.settings(host).map(drop))?;
        Ok(url)
    }
}

impl EventStoreDbUrl {
    /// The nodes named, one at least.
    pub(super) fn hosts(&self) -> &[Endpoint] {
        &self.hosts
    }

    /// How long a call may take, its retries included.
    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// How long one attempt to reach a node may take.
    pub(super) fn connect(&self) -> Duration {
        self.connect
    }

    /// User and password, not encoded any more.
    pub(super) fn credentials(&self) -> Option<Credentials> {
        let (user, password) = self.credentials.clone()?;
        Some(Credentials::new(user, password))
    }

    /// What the official client is given to talk to this one node.
    pub(super) fn settings(&self, host: &Endpoint) -> Result<ClientSettings, InvalidUrl> {
        let Self { scheme, query, .. } = self;
        let separator = if query.is_empty() { "" } else { "&" };
        // The last of a doubled parameter counts. With these the client goes to the node at once
        // and, where that fails, says so: whom to ask next is decided here.
        let url = format!(
            "{scheme}://{}?{query}{separator}maxDiscoverAttempts=2&discoveryInterval=0",
            name(host)
        );
        url.parse::<ClientSettings>().map_err(|error| {
            let reason = error.error().map(ToString::to_string);
            InvalidUrl(reason.unwrap_or_else(|| error.message().to_owned()))
        })
    }
}

/// A node as it is written in a connection string.
pub(super) fn name(host: &Endpoint) -> String {
    let Endpoint { host, port } = host;
    // A server may name its leader by a bare IPv6 address.
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

fn invalid(reason: &str) -> InvalidUrl {
    InvalidUrl(reason.to_owned())
}

fn parse_host(text: &str) -> Result<Endpoint, InvalidUrl> {
    let wrong = || invalid("a host is written HOST or HOST:PORT, several with commas between");
    let port_at = text.rfind(':').filter(|&at| text.rfind(']').is_none_or(|end| end < at));
    let (host, port) = match port_at {
        Some(at) => (&text[..at], u32::from(text[at + 1..].parse::<u16>().map_err(|_| wrong())?)),
        None => (text, DEFAULT_PORT),
    };
    if host.is_empty() || host.contains(['/', '#', ' ']) {
        return Err(wrong());
    }
    Ok(Endpoint { host: host.to_owned(), port })
}

fn parse_credentials(text: &str) -> Result<(String, String), InvalidUrl> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    Ok((decoded(user)?, decoded(password)?))
}

/// What percent-encoding stands for; the official client takes it for the password itself.
fn decoded(text: &str) -> Result<String, InvalidUrl> {
    let wrong = || invalid("the credentials are not percent-encoded UTF-8");
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((plain, encoded)) = rest.split_once('%') {
        let digits = encoded.get(..2).filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.extend(plain.as_bytes());
        bytes.push(byte.ok_or_else(wrong)?);
        rest = &encoded[2..];
    }
    bytes.extend(rest.as_bytes());
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// A parameter that is a time in milliseconds, -1 for none.
fn millis(query: &str, name: &str) -> Result<Option<Duration>, InvalidUrl> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, value)) = pairs.rfind(|(key, _)| key.eq_ignore_ascii_case(name)) else {
        return Ok(None);
    };
    match value.parse::<i64>() {
        Ok(-1) => Ok(Some(NO_DEADLINE)),
        Ok(millis @ 1..) => Ok(Some(Duration::from_millis(millis.unsigned_abs()))),
        _ => Err(InvalidUrl(format!("{name} is a number of milliseconds, or -1"))),
    }
}

impl fmt::Debug for EventStoreDbUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for EventStoreDbUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.hosts.iter().map(name).collect();
        write!(f, "{}://{}", self.scheme, hosts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<EventStoreDbUrl, InvalidUrl> {
        text.parse()
    }

    fn hosts(text: &str) -> Vec<String> {
        parse(text).unwrap().hosts().iter().map(name).collect()
    }

    #[test]
    fn what_the_clients_documentation_writes_is_read() {
        assert_eq!(hosts("esdb://localhost"), ["localhost:2113"]);
        assert_eq!(hosts("esdb://127.0.0.1:1113?tls=false"), ["127.0.0.1:1113"]);
        assert_eq!(
            hosts("kurrentdb://admin:changeit@a:1,b,c:3/?tls=true"),
            ["a:1", "b:2113", "c:3"]
        );
        assert_eq!(hosts("esdb+discover://cluster.dns:2113"), ["cluster.dns:2113"]);
        assert_eq!(hosts("KDB://[::1]:2113?tls=false"), ["[::1]:2113"]);
        assert_eq!(hosts("kurrent+discover://[fe80::1]"), ["[fe80::1]:2113"]);
    }

    #[test]
    fn the_client_is_given_one_node_and_the_same_parameters() {
        let url = parse(
            "esdb://u:p@a:1,b:2?tls=false&tlsVerifyCert=false&connectionName=shop&keepAliveInterval=20000",
        )
        .unwrap();
        for host in url.hosts() {
            let settings = url.settings(host).unwrap();
            assert_eq!(settings.hosts(), &vec![host.clone()]);
            assert!(!settings.is_secure_mode_enabled());
            assert!(!settings.is_tls_certificate_verification_enabled());
            assert!(!settings.is_dns_discovery_enabled());
        }
        assert!(
            parse("esdb://a").unwrap().settings(&url.hosts[0]).unwrap().is_secure_mode_enabled()
        );
        let leader = Endpoint { host: "::1".into(), port: 9 };
        assert_eq!(url.settings(&leader).unwrap().hosts()[0].host, "[::1]");
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let url = parse("esdb://ad%40min:p%C3%A4ss%2Fw%40rd@a").unwrap();
        assert_eq!(url.credentials, Some(("ad@min".to_owned(), "päss/w@rd".to_owned())));
        assert_eq!(format!("{url} {url:?}"), "esdb://a:2113 esdb://a:2113");
        assert_eq!(parse("esdb://a").unwrap().credentials, None);
        for wrong in [
            "esdb://u:secret%@a",
            "esdb://u:secret%g0@a",
            "esdb://u:%ffsecret@a",
            "esdb://u:secret@a:b",
        ] {
            let said = parse(wrong).unwrap_err().to_string();
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn deadlines_are_milliseconds() {
        let url = parse("esdb://a?defaultDeadline=2500&GOSSIPTIMEOUT=700").unwrap();
        assert_eq!(url.deadline(), Duration::from_millis(2_500));
        assert_eq!(url.connect(), Duration::from_millis(700));
        assert_eq!(parse("esdb://a?defaultDeadline=-1").unwrap().deadline(), NO_DEADLINE);
        assert_eq!(parse("esdb://a").unwrap().deadline(), DEADLINE);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for wrong in [
            "esdb:a",
            "http://a",
            "esdb://",
            "esdb://a,,b",
            "esdb://a:99999",
            "esdb://a/b",
            "esdb://a?tls=maybe",
            "esdb://a?nodePreference=boss",
            "esdb://a?defaultDeadline=0",
            "esdb://a?defaultDeadline=soon",
            "esdb://a?userCertFile=only-one",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
