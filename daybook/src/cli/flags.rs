//! Options that several commands have.

use clap::Args;

/// Where everything lies. Every option can also be set as `DAYBOOK_<NAME>`, `DAYBOOK_<NAME>_FILE`
/// or in the file of settings.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Engines")]
pub(crate) struct EngineFlags {
    /// The data directory; made if there is none [default: ./daybook-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// The event store: sqlite:FILE, esdb://HOST or kurrentdb://HOST [default: events.sqlite in the
    /// data directory]
    #[arg(long, value_name = "URL")]
    pub(crate) event_store: Option<String>,
    /// The event feed: memory: or nats://HOST/NAME [default: memory:]
    #[arg(long, value_name = "URL")]
    pub(crate) bus: Option<String>,
    /// Where the relay begins on a bus without messages: head or start [default: head]
    #[arg(long, value_name = "PLACE")]
    pub(crate) relay_from: Option<String>,
    /// The read models: sqlite:DIR or mysql://USER:PASSWORD@HOST/DATABASE [default: read-models in
    /// the data directory]
    #[arg(long, value_name = "URL")]
    pub(crate) read_models: Option<String>,
    /// A read-only copy of the read models' database, for queries: mysql://USER:PASSWORD@HOST/DATABASE
    #[arg(long, value_name = "URL")]
    pub(crate) read_models_replica: Option<String>,
    /// The search index: DIR, or http(s)://HOST:PORT/NAME for Elasticsearch [default: search in the
    /// data directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) search: Option<String>,
    /// Events that read models pass over instead of stopping: of types, or of versions of them, that
    /// this version of Daybook does not know, such as OrderGifted,OrderPlaced@2, or all [default:
    /// none]
    #[arg(long, value_name = "TYPE[@VERSION],..")]
    pub(crate) skip_unknown: Option<String>,
    /// The key store: sqlite:FILE or mysql://USER:PASSWORD@HOST/DATABASE, a database of its own
    /// [default: keys.sqlite in the data directory]
    #[arg(long, value_name = "URL")]
    pub(crate) keys: Option<String>,
    /// The file of the master key that the key store is wrapped by: 32 bytes in base64 or hex
    /// (`openssl rand -base64 32`); DAYBOOK_MASTER_KEY is the key itself
    #[arg(long, value_name = "FILE")]
    pub(crate) master_key: Option<String>,
}

/// How the log is signed.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Audit")]
pub(crate) struct AuditFlags {
    /// The file of the key that heads of the log are signed with (`openssl genpkey -algorithm
    /// ed25519`) [default: a key in the key store]
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_key: Option<String>,
    /// Where signed heads are handed out to: a file that lines are added to, or an http(s) URL
    /// [default: nowhere]
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) audit_publish: Option<String>,
    /// How often they are [default: 10m]
    #[arg(long, value_name = "TIME")]
    pub(crate) audit_every: Option<String>,
}

/// What holds for the shop, whoever works in it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Shop")]
pub(crate) struct ShopFlags {
    /// The shop's one currency, an ISO 4217 code [default: USD]
    #[arg(long, value_name = "CODE")]
    pub(crate) currency: Option<String>,
    /// How long an order without an outcome may hold stock, such as 60s [default: 60s]
    #[arg(long, value_name = "TIME")]
    pub(crate) reservation_timeout: Option<String>,
}

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Serving")]
pub(crate) struct HttpFlags {
    /// The address to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// A further host name that requests may be addressed to
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Listen elsewhere than on loopback although nobody has to say who they are
    #[arg(long)]
    pub(crate) allow_anonymous: bool,
    /// What this process does: command, relay, projector, query [default: all of them]
    #[arg(long, value_name = "ROLE,..")]
    pub(crate) roles: Option<String>,
    /// Speak EventStoreDB's protocol here too, such as 127.0.0.1:2113 [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) eventstore_listen: Option<String>,
    /// What EventStoreDB's clients may do: read, append or all (delete too) [default: read]
    #[arg(long, value_name = "ACCESS")]
    pub(crate) eventstore_access: Option<String>,
}
