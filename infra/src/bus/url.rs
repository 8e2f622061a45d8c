use std::{fmt, str::FromStr};

/// `nats://[USER:PASSWORD@|TOKEN@]HOST[:PORT][,HOST..]/NAME`, or `tls://`.
#[derive(Clone, PartialEq, Eq)]
pub struct BusUrl {
    scheme: &'static str,
    user: Option<(String, Option<String>)>,
    hosts: Vec<String>,
    name: String,
}

/// What is wrong with the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBusUrl {
    /// Another scheme.
    #[error("it begins with neither nats:// nor tls://")]
    Scheme,
    /// A host is missing or malformed.
    #[error("{0:?} is no host and port; several are parted by commas")]
    Host(String),
    /// The name is none that a stream can have.
    #[error("{0:?} is no stream's name: 1 to 64 of A-Z a-z 0-9 _ -, as in nats://HOST/daybook")]
    Name(String),
    /// A part of it is not percent-encoded as it should be.
    #[error("the user, password or token is not percent-encoded text")]
    Secret,
}

impl BusUrl {
    /// The stream's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// User and password; a token stands alone.
    pub(super) fn user(&self) -> Option<(&str, Option<&str>)> {
        self.user.as_ref().map(|(user, password)| (user.as_str(), password.as_deref()))
    }

    /// The servers, each as a URL without secrets.
    pub(super) fn servers(&self) -> impl Iterator<Item = String> {
        self.hosts.iter().map(|host| format!("{}://{host}", self.scheme))
    }
}

impl FromStr for BusUrl {
    type Err = InvalidBusUrl;

    fn from_str(text: &str) -> Result<Self, InvalidBusUrl> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("nats", rest)) => ("nats", rest),
            Some(("tls", rest)) => ("tls", rest),
            _ => return Err(InvalidBusUrl::Scheme),
        };
        let (authority, name) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (Some(user), hosts),
            None => (None, authority),
        };
        let user = user.map(|user| match user.split_once(':') {
            Some((user, password)) => Ok((decoded(user)?, Some(decoded(password)?))),
            None => Ok((decoded(user)?, None)),
        });
        let hosts: Result<Vec<_>, _> = hosts.split(',').map(host).collect();
        let name = if name.is_empty() { "daybook" } else { name };
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if name.len() > 64 || !name.bytes().all(legal) {
            return Err(InvalidBusUrl::Name(name.to_owned()));
        }
        Ok(Self { scheme, user: user.transpose()?, hosts: hosts?, name: name.to_owned() })
    }
}

fn host(text: &str) -> Result<String, InvalidBusUrl> {
    let authority: Result<http::uri::Authority, _> = text.parse();
    let valid = authority.is_ok_and(|authority| !authority.host().is_empty());
    valid.then(|| text.to_owned()).ok_or_else(|| InvalidBusUrl::Host(text.to_owned()))
}

fn decoded(text: &str) -> Result<String, InvalidBusUrl> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| InvalidBusUrl::Secret)
}

/// Without secrets.
impl fmt::Display for BusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/{}", self.scheme, self.hosts.join(","), self.name)
    }
}

impl fmt::Debug for BusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BusUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_parts_are_told_apart() {
        let url: BusUrl = "nats://me:p%40ss@one:4222,two/shop".parse().unwrap();
        assert_eq!(url.user(), Some(("me", Some("p@ss"))));
        assert_eq!(url.servers().collect::<Vec<_>>(), ["nats://one:4222", "nats://two"]);
        assert_eq!(url.name(), "shop");
        assert_eq!(
            format!("{url} {url:?}"),
            "nats://one:4222,two/shop BusUrl(nats://one:4222,two/shop)"
        );
        let url: BusUrl = "tls://t0ken@[::1]:4222".parse().unwrap();
        assert_eq!((url.user(), url.name()), (Some(("t0ken", None)), "daybook"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, error) in [
            ("http://h/shop", InvalidBusUrl::Scheme),
            ("nats:h", InvalidBusUrl::Scheme),
            ("nats:///shop", InvalidBusUrl::Host(String::new())),
            ("nats://h,/shop", InvalidBusUrl::Host(String::new())),
            ("nats://h:x y/shop", InvalidBusUrl::Host("h:x y".to_owned())),
            ("nats://h/a.b", InvalidBusUrl::Name("a.b".to_owned())),
            ("nats://h/a/b", InvalidBusUrl::Name("a/b".to_owned())),
            ("nats://%ff@h/a", InvalidBusUrl::Secret),
        ] {
            assert_eq!(text.parse::<BusUrl>(), Err(error), "{text}");
        }
    }
}
