//! The settings: found in [`sources`], checked here, passed on as values.

mod audit;
mod engines;
mod keys;
mod sources;

use std::{
    collections::BTreeMap,
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    time::Duration,
};

use ::audit::Publish;
use event_schemas::Currency;
use gateway::Access;
use infra::{bus::RelayFrom, keys::MasterKey, mysql::MysqlUrl};
use projections::Skip;

pub(crate) use engines::{BusUrl, EventStoreUrl, KeysUrl, ReadModelsUrl, SearchUrl};
pub(crate) use keys::read_master_key;
pub(crate) use sources::{NAMES, Origin, Sources};

use crate::{
    cli::{AuditFlags, EngineFlags, HttpFlags, ShopFlags},
    failure::Failure,
};

/// The currencies in use, by ISO 4217 (list one of 2024-06-25, without funds, metals and testing).
const CURRENCIES: &str = "\
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP \
    BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP \
    GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR \
    KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK \
    MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR \
    SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS \
    UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG ZWL";

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Roles {
    /// Takes commands.
    pub(crate) command: bool,
    /// Brings events onto the bus; nothing to do while the bus is `memory:`.
    pub(crate) relay: bool,
    /// Posts read models.
    pub(crate) projector: bool,
    /// Answers queries.
    pub(crate) query: bool,
}

/// Every setting, checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The address to listen on.
    pub(crate) listen: SocketAddr,
    /// A further host name that requests may be addressed to.
    pub(crate) host: Option<String>,
    /// Whether listening elsewhere than on loopback is allowed.
    pub(crate) allow_anonymous: bool,
    /// What this process does.
    pub(crate) roles: Roles,
    /// Where EventStoreDB's protocol is spoken, if anywhere.
    pub(crate) eventstore_listen: Option<SocketAddr>,
    /// What its clients may do.
    pub(crate) eventstore_access: Access,
    /// The data directory.
    pub(crate) data: PathBuf,
    pub(crate) event_store: EventStoreUrl,
    pub(crate) bus: BusUrl,
    /// Where the relay begins on a bus without messages.
    pub(crate) relay_from: RelayFrom,
    pub(crate) read_models: ReadModelsUrl,
    /// A copy of the read models that queries are sent to.
    pub(crate) read_models_replica: Option<MysqlUrl>,
    pub(crate) search: SearchUrl,
    /// The events that read models pass over.
    pub(crate) skip_unknown: Skip,
    pub(crate) keys: KeysUrl,
    /// What the key store is wrapped by, if anything.
    pub(crate) master_key: Option<MasterKey>,
    /// The shop's one currency.
    pub(crate) currency: Currency,
    /// How long holds may stand without an outcome.
    pub(crate) reservation_timeout: Duration,
    /// The file of the key that heads are signed with, where it does not lie in the key store.
    pub(crate) audit_key: Option<PathBuf>,
    /// Where signed heads are handed out to.
    pub(crate) audit_publish: Option<Publish>,
}

/// One setting as `daybook config` shows it.
pub(crate) struct Shown {
    pub(crate) name: &'static str,
    /// Its value, secrets masked.
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

/// The flags that were given, by the names of their settings.
#[derive(Default)]
pub(crate) struct Flags(BTreeMap<&'static str, String>);

impl Flags {
    pub(crate) fn log_format(self, value: Option<&String>) -> Self {
        self.with([("log-format", value)])
    }

    pub(crate) fn engines(self, flags: &EngineFlags) -> Self {
        self.with([
            ("data", flags.data.as_ref()),
            ("event-store", flags.event_store.as_ref()),
            ("bus", flags.bus.as_ref()),
            ("relay-from", flags.relay_from.as_ref()),
            ("read-models", flags.read_models.as_ref()),
            ("read-models-replica", flags.read_models_replica.as_ref()),
            ("search", flags.search.as_ref()),
            ("skip-unknown", flags.skip_unknown.as_ref()),
            ("keys", flags.keys.as_ref()),
            ("master-key", flags.master_key.as_ref()),
        ])
    }

    pub(crate) fn shop(self, flags: &ShopFlags) -> Self {
        self.with([
            ("currency", flags.currency.as_ref()),
            ("reservation-timeout", flags.reservation_timeout.as_ref()),
        ])
    }

    pub(crate) fn audit(self, flags: &AuditFlags) -> Self {
        self.with([
            ("audit-key", flags.audit_key.as_ref()),
            ("audit-publish", flags.audit_publish.as_ref()),
            ("audit-every", flags.audit_every.as_ref()),
        ])
    }

    pub(crate) fn http(self, flags: &HttpFlags) -> Self {
        let allow = flags.allow_anonymous.then(|| "true".to_owned());
        self.with([
            ("listen", flags.listen.as_ref()),
            ("host", flags.host.as_ref()),
            ("allow-anonymous", allow.as_ref()),
            ("roles", flags.roles.as_ref()),
            ("eventstore-listen", flags.eventstore_listen.as_ref()),
            ("eventstore-access", flags.eventstore_access.as_ref()),
        ])
    }

    fn with<const N: usize>(mut self, values: [(&'static str, Option<&String>); N]) -> Self {
        self.0.extend(values.into_iter().filter_map(|(name, value)| Some((name, value?.clone()))));
        self
    }

    /// Everything that can set something, for this process.
    pub(crate) fn sources(self, config: Option<&Path>) -> Result<Sources, Failure> {
        Sources::new(self.0, std::env::vars_os(), config)
    }
}

/// The value of a setting that nobody set; empty where it is simply not there.
fn default(name: &str, data: &Path) -> String {
    match name {
        "listen" => "127.0.0.1:8080".to_owned(),
        "allow-anonymous" => "false".to_owned(),
        "roles" => "command,relay,projector,query".to_owned(),
        "eventstore-access" => "read".to_owned(),
        "data" => "./daybook-data".to_owned(),
        "event-store" => engines::sqlite_url(&data.join("events.sqlite")),
        "bus" => "memory:".to_owned(),
        "relay-from" => "head".to_owned(),
        "read-models" => engines::sqlite_url(&data.join("read-models")),
        "search" => data.join("search").display().to_string(),
        "keys" => engines::sqlite_url(&data.join("keys.sqlite")),
        "currency" => "USD".to_owned(),
        "reservation-timeout" => "60s".to_owned(),
        "audit-every" => "10m".to_owned(),
        "log-format" => "text".to_owned(),
        _ => String::new(),
    }
}

fn value(sources: &Sources, data: &Path, name: &'static str) -> Result<(String, Origin), Failure> {
    Ok(sources.find(name)?.unwrap_or_else(|| (default(name, data), Origin::Default)))
}

fn data_directory(sources: &Sources) -> Result<PathBuf, Failure> {
    let (data, origin) = value(sources, Path::new(""), "data")?;
    if data.is_empty() {
        return Err(wrong("data", &origin, "a directory has to be named"));
    }
    Ok(data.into())
}

fn checked<T, E: std::fmt::Display>(
    sources: &Sources,
    data: &Path,
    name: &'static str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, Failure> {
    let (value, origin) = value(sources, data, name)?;
    parse(&value).map_err(|problem| wrong(name, &origin, &problem.to_string()))
}

fn wrong(name: &str, origin: &Origin, problem: &str) -> Failure {
    Failure::usage(format!("the setting {name} (from {origin}): {problem}"))
}

/// How log lines look; found apart from the rest, since the log is wanted first.
pub(crate) fn log_format(sources: &Sources) -> Result<LogFormat, Failure> {
    checked(sources, Path::new(""), "log-format", |value| match value {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("{value:?} is neither text nor json")),
    })
}

impl Settings {
    /// Checks every setting; the first that is wrong is a [`Failure::Usage`] that names it and
    /// where it came from.
    pub(crate) fn load(sources: &Sources) -> Result<Self, Failure> {
        let data = data_directory(sources)?;
        let host = checked(sources, &data, "host", parse_host)?;
        let settings = Self {
            listen: checked(sources, &data, "listen", parse_listen)?,
            host,
            allow_anonymous: checked(sources, &data, "allow-anonymous", parse_bool)?,
            roles: checked(sources, &data, "roles", Roles::parse)?,
            eventstore_listen: checked(sources, &data, "eventstore-listen", |text| {
                (!text.is_empty()).then(|| parse_listen(text)).transpose()
            })?,
            eventstore_access: checked(sources, &data, "eventstore-access", str::parse)?,
            event_store: checked(sources, &data, "event-store", EventStoreUrl::parse)?,
            bus: checked(sources, &data, "bus", BusUrl::parse)?,
            relay_from: checked(sources, &data, "relay-from", parse_relay_from)?,
            read_models: checked(sources, &data, "read-models", ReadModelsUrl::parse)?,
            read_models_replica: checked(
                sources,
                &data,
                "read-models-replica",
                engines::parse_replica,
            )?,
            search: checked(sources, &data, "search", SearchUrl::parse)?,
            skip_unknown: checked(sources, &data, "skip-unknown", str::parse)?,
            keys: checked(sources, &data, "keys", KeysUrl::parse)?,
            master_key: keys::master_key(sources, &data)?,
            currency: checked(sources, &data, "currency", parse_currency)?,
            reservation_timeout: checked(sources, &data, "reservation-timeout", parse_timeout)?,
            audit_key: checked(sources, &data, "audit-key", audit::parse_key)?,
            audit_publish: {
                let every = checked(sources, &data, "audit-every", audit::parse_every)?;
                let to = checked(sources, &data, "audit-publish", audit::parse_publish)?;
                to.map(|to| Publish { to, every })
            },
            data,
        };
        settings.check_databases()?;
        Ok(settings)
    }

    /// What can be thrown away and what never may lie in databases of their own.
    fn check_databases(&self) -> Result<(), Failure> {
        if let (ReadModelsUrl::Mysql(models), KeysUrl::Mysql(keys)) =
            (&self.read_models, &self.keys)
            && models.is_same_database(keys)
        {
            return Err(Failure::usage(format!(
                "the settings read-models and keys both name {models}: give the keys a database of \
                 their own, and a backup"
            )));
        }
        if self.read_models_replica.is_some()
            && !matches!(self.read_models, ReadModelsUrl::Mysql(_))
        {
            return Err(Failure::usage(
                "the setting read-models-replica names a copy, but read-models is no mysql: URL",
            ));
        }
        Ok(())
    }

    /// Where the audit tree lies: in the node's own data directory, and made again from the log.
    pub(crate) fn audit_tree(&self) -> PathBuf {
        self.data.join("audit")
    }

    /// Where snapshots lie: in the node's own data directory, and disposable.
    pub(crate) fn snapshots(&self) -> PathBuf {
        self.data.join("snapshots")
    }

    /// Refuses what only the embedded event store can do.
    pub(crate) fn check_embedded(&self, demo: bool) -> Result<(), Failure> {
        let EventStoreUrl::EventStoreDb(url) = &self.event_store else { return Ok(()) };
        let wrong = if demo {
            "--demo fills an embedded event store"
        } else if self.eventstore_listen.is_some() {
            "--eventstore-listen serves an embedded event store"
        } else {
            return Ok(());
        };
        Err(Failure::usage(format!(
            "{wrong}, and --event-store names {url}; leave one of them out"
        )))
    }

    /// Refuses to listen where anybody could reach a shop that asks nobody who they are.
    pub(crate) fn check_anonymous(&self) -> Result<(), Failure> {
        let mut addresses = std::iter::once(self.listen).chain(self.eventstore_listen);
        match addresses.find(|address| !address.ip().is_loopback()) {
            Some(reachable) if !self.allow_anonymous => Err(Failure::usage(format!(
                "whoever reaches {reachable} could do everything, since nobody has to say who they \
                 are; listen on 127.0.0.1, or add --allow-anonymous"
            ))),
            _ => Ok(()),
        }
    }
}

/// Every setting with its value and where it came from.
pub(crate) fn shown(sources: &Sources) -> Result<Vec<Shown>, Failure> {
    let data = data_directory(sources)?;
    NAMES
        .into_iter()
        .map(|name| {
            let (value, origin) = value(sources, &data, name)?;
            let value = match (name, &origin) {
                // As a flag it is a file's name.
                (keys::MASTER_KEY, origin)
                    if !value.is_empty() && !matches!(origin, Origin::Flag(_)) =>
                {
                    "***".to_owned()
                }
                _ => engines::masked(&value),
            };
            Ok(Shown { name, value, origin })
        })
        .collect()
}

impl Roles {
    /// All in one process.
    pub(crate) const ALL: Self = Self { command: true, relay: true, projector: true, query: true };

    fn parse(text: &str) -> Result<Self, String> {
        let mut roles = Self { command: false, relay: false, projector: false, query: false };
        for name in text.split(',').map(str::trim) {
            match name {
                "command" => roles.command = true,
                "relay" => roles.relay = true,
                "projector" => roles.projector = true,
                "query" => roles.query = true,
                _ => {
                    return Err(format!(
                        "{name:?} is none of the roles command, relay, projector, query"
                    ));
                }
            }
        }
        Ok(roles)
    }
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let mut addresses = text.to_socket_addrs().map_err(|error| {
        format!("{text:?} is no address and port, such as 127.0.0.1:8080: {error}")
    })?;
    addresses.next().ok_or_else(|| format!("{text:?} is the address of nothing"))
}

fn parse_host(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<http::uri::Authority>() {
        Ok(authority) if authority.port().is_none() && !text.contains('@') => {
            Ok(Some(text.to_ascii_lowercase()))
        }
        _ => Err(format!("{text:?} is no host name; it stands alone, without scheme and port")),
    }
}

fn parse_relay_from(text: &str) -> Result<RelayFrom, String> {
    match text {
        "head" => Ok(RelayFrom::Head),
        "start" => Ok(RelayFrom::Start),
        _ => Err(format!("{text:?} is neither head nor start")),
    }
}

fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// The three-letter shape is not enough here: a shop's currency is one that is in use.
fn parse_currency(code: &str) -> Result<Currency, String> {
    let known = CURRENCIES.split_ascii_whitespace().any(|known| known == code);
    let currency = code.parse().ok().filter(|_| known);
    currency.ok_or_else(|| format!("{code:?} is no currency code of ISO 4217, such as USD"))
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let problem = || format!("{text:?} is no time from 100ms to 24h, such as 60s");
    let time = text.parse::<jiff::SignedDuration>().map_err(|_| problem())?;
    let time = Duration::try_from(time).map_err(|_| problem())?;
    if (Duration::from_millis(100)..=Duration::from_secs(24 * 60 * 60)).contains(&time) {
        Ok(time)
    } else {
        Err(problem())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(flags: &[(&'static str, &str)]) -> Sources {
        let flags = flags.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        Sources::new(flags, [], None).unwrap()
    }

    fn refused(name: &'static str, value: &str) -> String {
        let failure = Settings::load(&sources(&[(name, value)])).unwrap_err();
        assert!(matches!(failure, Failure::Usage(_)));
        assert!(failure.to_string().contains(&format!("{name} (from --{name})")), "{failure}");
        failure.to_string()
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let settings = Settings::load(&sources(&[])).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.data, Path::new("./daybook-data"));
        assert_eq!(
            settings.event_store,
            EventStoreUrl::Sqlite("./daybook-data/events.sqlite".into())
        );
        assert_eq!(settings.currency.as_str(), "USD");
        assert_eq!(settings.reservation_timeout, Duration::from_secs(60));
        let Roles { command, relay, projector, query } = settings.roles;
        assert!(command && relay && projector && query);
        assert_eq!(settings.eventstore_listen, None);
        assert_eq!(settings.eventstore_access, Access::Read);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_origin() {
        refused("listen", "8080");
        refused("listen", "127.0.0.1:65536");
        refused("roles", "command,cook");
        refused("roles", "");
        refused("eventstore-listen", "2113");
        refused("eventstore-access", "write");
        refused("currency", "usd");
        refused("currency", "XXZ");
        refused("reservation-timeout", "60");
        refused("reservation-timeout", "99ms");
        refused("reservation-timeout", "25h");
        refused("reservation-timeout", "-1s");
        refused("allow-anonymous", "yes");
        refused("host", "http://shop");
        refused("host", "shop:80");
        refused("data", "");
        assert!(refused("keys", "mysql://a:hunter2@h").contains("names no database"));
        assert!(refused("bus", "nats://a:hunter2@h/x.y").contains("stream's name"));
        refused("relay-from", "middle");
        refused("search", "http://h/My Shop");
        assert!(refused("skip-unknown", "OrderGifted,").contains("no event type"));
        assert!(refused("skip-unknown", "OrderPlaced").contains("never passed over"));
    }

    #[test]
    fn a_replica_is_one_of_a_database() {
        let flags = [("read-models-replica", "mysql://a:hunter2@h/x")];
        let refused = Settings::load(&sources(&flags)).unwrap_err();
        assert!(matches!(refused, Failure::Usage(_)));
        assert!(refused.to_string().contains("no mysql: URL"), "{refused}");
    }

    #[test]
    fn keys_and_read_models_never_share_a_database() {
        let load = |keys: &str| {
            let flags = [("read-models", "mysql://a:hunter2@h/x"), ("keys", keys)];
            Settings::load(&sources(&flags)).map(drop).map_err(|failure| failure.to_string())
        };
        let refused = load("mysql://b:hunter2@h:3306/x").unwrap_err();
        assert!(refused.contains("of their own") && !refused.contains("hunter2"), "{refused}");
        assert_eq!(load("mysql://b:hunter2@h:3306/y"), Ok(()));
    }

    #[test]
    fn the_bounds_of_the_reservation_timeout_are_allowed() {
        for (text, millis) in [("100ms", 100), ("24h", 86_400_000), ("1m 30s", 90_000)] {
            let settings = Settings::load(&sources(&[("reservation-timeout", text)])).unwrap();
            assert_eq!(settings.reservation_timeout, Duration::from_millis(millis));
        }
    }

    #[test]
    fn listening_elsewhere_than_on_loopback_has_to_be_allowed() {
        let load = |flags: &[_]| Settings::load(&sources(flags)).unwrap().check_anonymous();
        assert!(load(&[("listen", "127.0.0.1:0")]).is_ok());
        assert!(load(&[("listen", "[::1]:0")]).is_ok());
        assert!(load(&[("listen", "0.0.0.0:0")]).is_err());
        assert!(load(&[("listen", "0.0.0.0:0"), ("allow-anonymous", "true")]).is_ok());
        assert!(load(&[("listen", "[::]:0")]).is_err());
        assert!(load(&[("eventstore-listen", "127.0.0.1:0")]).is_ok());
        assert!(load(&[("eventstore-listen", "0.0.0.0:0")]).is_err());
        let allowed = [("eventstore-listen", "0.0.0.0:0"), ("allow-anonymous", "true")];
        assert!(load(&allowed).is_ok());
    }

    #[test]
    fn everything_is_shown_with_its_origin_and_without_secrets() {
        let shown = shown(&sources(&[("keys", "mysql://a:hunter2@h/x"), ("data", "d")])).unwrap();
        let find = |name: &str| shown.iter().find(|shown| shown.name == name).unwrap();
        assert_eq!(shown.len(), NAMES.len());
        assert_eq!(find("keys").value, "mysql://a:***@h/x");
        assert_eq!(find("keys").origin.to_string(), "--keys");
        assert_eq!(find("event-store").value, "sqlite:d/events.sqlite");
        assert_eq!(find("event-store").origin.to_string(), "default");
    }
}
