//! The command line, word for word as users type it.

use std::{num::NonZeroU64, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A commerce backend built as a day book: every fact is written once, in order, and every
/// ledger is posted from it.
#[derive(Debug, Parser)]
#[command(
    name = "daybook",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    after_help = "Example:\n  daybook serve --demo"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: CommonFlags,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct CommonFlags {
    /// Say less: errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// How log lines look: text or json [default: text]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    /// The file of settings [default: ./daybook.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Open the shop: commands in, read models posted, queries answered
    #[command(
        after_help = "Examples:\n  daybook serve --demo\n  daybook serve --data /srv/shop --listen 127.0.0.1:9000"
    )]
    Serve(ServeArgs),
    /// Take in past facts from a CSV or CSV.GZ file, or a whole log
    #[command(
        after_help = "Examples:\n  daybook import products products.csv.gz\n  zcat orders.csv.gz | daybook import orders -\n  daybook import events EXPORT --data ./restored"
    )]
    Import(ImportArgs),
    /// Measure a running server with real HTTP
    #[command(
        subcommand,
        arg_required_else_help = true,
        after_help = "Example:\n  daybook bench orders --url http://127.0.0.1:8080 --clients 64 --seconds 10 --lines 3"
    )]
    Bench(BenchCommand),
    /// Print events: the whole log or one stream; works beside a running server
    #[command(
        after_help = "Examples:\n  daybook replay --stream order-31198570044\n  daybook replay --category stock --since 2026-03-01 --until 2026-04-01 --format ndjson\n  daybook replay --type OrderPlaced --follow"
    )]
    Replay(ReplayArgs),
    /// Show an order, the stock of a sku, a user or a product as it was; works beside a running
    /// server
    #[command(
        after_help = "Examples:\n  daybook show order 31198570044\n  daybook show stock mug-red --at 2026-03-31T18:00:00Z\n  daybook show product mug --at @0 --diff 2026-11-01"
    )]
    Show(ShowArgs),
    /// Post read models anew from the log; the server may run, and queries go on
    #[command(
        after_help = "Examples:\n  daybook rebuild orders sales\n  daybook rebuild --all\n  daybook rebuild --all --check\n  daybook rebuild --all --drop-old"
    )]
    Rebuild(RebuildArgs),
    /// Sign, verify and prove the log; works beside a running server
    #[command(
        subcommand,
        arg_required_else_help = true,
        after_help = "Examples:\n  daybook audit head > head.json\n  daybook audit verify\n  daybook audit prove order-31198570044@0 > proof.json\n  daybook audit check proof.json --public-key head.json"
    )]
    Audit(AuditCommand),
    /// See to the key store
    #[command(
        subcommand,
        arg_required_else_help = true,
        after_help = "Example:\n  openssl rand -base64 32 > new.key\n  daybook keys rotate --new-master-key new.key"
    )]
    Keys(KeysCommand),
    /// Say what is there: the store, the projections, the counts; works beside a running server
    #[command(after_help = "Example:\n  daybook status --format json")]
    Status(StatusArgs),
    /// The shapes of all events, and whether older ones can still be read
    #[command(
        subcommand,
        after_help = "Examples:\n  daybook schemas list\n  daybook schemas show OrderPlaced.v1\n  daybook schemas show > released.json\n  daybook schemas check --against released.json"
    )]
    Schemas(SchemasCommand),
    /// Print the OpenAPI document of the HTTP interface
    #[command(after_help = "Example:\n  daybook openapi > openapi.json")]
    Openapi,
    /// Print every setting and where its value came from; secrets are masked
    #[command(after_help = "Example:\n  daybook config --listen 127.0.0.1:9000")]
    Config(ConfigArgs),
    /// Print a shell's completion script
    #[command(
        after_help = "Example:\n  daybook completion bash > ~/.local/share/bash-completion/completions/daybook"
    )]
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

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

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Fill an empty data directory with a small shop, or open one filled so before
    #[arg(long)]
    pub(crate) demo: bool,
    #[command(flatten)]
    pub(crate) http: HttpFlags,
    #[command(flatten)]
    pub(crate) shop: ShopFlags,
    #[command(flatten)]
    pub(crate) audit: AuditFlags,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}

/// What an import takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportKind {
    /// Products with one variant each
    Products,
    /// Stock that came in
    Stock,
    /// Orders of the past, with their own prices and times
    Orders,
    /// A whole log, as `audit export` wrote it, into an empty event store
    Events,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// What the file holds
    pub(crate) kind: ImportKind,
    /// The file, CSV or CSV.GZ; - is standard input; for events the export's directory
    #[arg(value_name = "FILE|-|DIR")]
    pub(crate) file: PathBuf,
    /// The name of this delivery of stock; a batch is received once [default: opening]
    #[arg(long, value_name = "NAME")]
    pub(crate) batch: Option<String>,
    /// Where refused rows go [default: refused-KIND.csv in the data directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) refused: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) shop: ShopFlags,
    #[command(flatten)]
    pub(crate) audit: AuditFlags,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}

/// How events are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventFormat {
    /// Columns for people
    Table,
    /// One JSON object a line
    Ndjson,
    /// One CloudEvent (1.0, JSON) a line
    Cloudevents,
}

/// Which of an event's two times is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClockArg {
    /// When it was written: what Daybook knew
    Recorded,
    /// When it happened: what was so, as known now
    Occurred,
}

impl From<ClockArg> for history::Clock {
    fn from(clock: ClockArg) -> Self {
        match clock {
            ClockArg::Recorded => Self::Recorded,
            ClockArg::Occurred => Self::Occurred,
        }
    }
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    Table,
    /// One JSON document
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// One stream only, such as order-17
    #[arg(long, value_name = "NAME")]
    pub(crate) stream: Option<String>,
    /// Only streams of this category, such as stock; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) category: Vec<String>,
    /// Only events of this type, such as OrderPlaced; may be repeated
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) types: Vec<String>,
    /// From this position of the log on, inclusive
    #[arg(long, value_name = "POSITION")]
    pub(crate) from: Option<u64>,
    /// Up to this position of the log, inclusive
    #[arg(long, value_name = "POSITION")]
    pub(crate) to: Option<u64>,
    /// Recorded then or later: 2026-03-31T18:00:00Z, or a date
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Recorded before then
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// The time that --since and --until are of
    #[arg(long, value_enum, value_name = "CLOCK", default_value = "recorded")]
    pub(crate) clock: ClockArg,
    /// Only what came of one request
    #[arg(long, value_name = "ID")]
    pub(crate) correlation: Option<String>,
    /// Only what this actor did
    #[arg(long, value_name = "ID")]
    pub(crate) actor: Option<String>,
    /// The newest first
    #[arg(long, conflicts_with = "follow")]
    pub(crate) backwards: bool,
    /// At most so many events
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Go on with what comes, until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
    /// How to print them
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: EventFormat,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SchemasCommand {
    /// Every event type, its version, and the versions that can be read
    #[command(after_help = "Example:\n  daybook schemas list")]
    List {
        /// How to print it
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// The JSON Schema of an event type, or all of them
    #[command(after_help = "Example:\n  daybook schemas show OrderPlaced.v1")]
    Show {
        /// The type, and a version if not the newest
        #[arg(value_name = "TYPE[.vN]")]
        name: Option<String>,
    },
    /// Whether events written under older schemas can still be read; exit code 4 if not
    #[command(after_help = "Example:\n  daybook schemas check --against released.json")]
    Check {
        /// A folder of TYPE.vN.json, or a file that `schemas show` wrote
        #[arg(long, value_name = "DIR|FILE")]
        against: std::path::PathBuf,
        /// How to print what is found
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
}

/// What can be shown as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShownKind {
    /// An order
    Order,
    /// The stock of a sku
    Stock,
    /// A user; what is personal stays sealed
    User,
    /// A product
    Product,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// What it is
    #[arg(value_enum)]
    pub(crate) kind: ShownKind,
    /// Its id, or the sku
    pub(crate) id: String,
    /// When: a time or a date, a position of the log, or @ and a revision of its stream, all
    /// inclusive [default: now]
    #[arg(long, value_name = "TIME|POSITION|@REVISION")]
    pub(crate) at: Option<String>,
    /// What changed between then and --at, by which event, and who did it
    #[arg(long, value_name = "TIME|POSITION|@REVISION")]
    pub(crate) diff: Option<String>,
    /// The time that a time is of
    #[arg(long, value_enum, value_name = "CLOCK", default_value = "recorded")]
    pub(crate) clock: ClockArg,
    /// How to print it
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(false).args(["names", "all"]))]
pub(crate) struct RebuildArgs {
    /// The read models: orders, stock, products, users, sales or search
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// All of them
    #[arg(long)]
    pub(crate) all: bool,
    /// Build, compare with the rows that are read, print the differences and switch nothing (exit
    /// code 4 if there are any)
    #[arg(long)]
    pub(crate) check: bool,
    /// Build nothing: remove what earlier rebuilds replaced
    #[arg(long, conflicts_with = "check")]
    pub(crate) drop_old: bool,
    /// Where the server is that has the data directory, if there is one [default: http:// and
    /// `listen` of the settings]
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// How to print it
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// How to print it
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) http: HttpFlags,
    #[command(flatten)]
    pub(crate) shop: ShopFlags,
    #[command(flatten)]
    pub(crate) audit: AuditFlags,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Print the newest signed tree head
    #[command(after_help = "Example:\n  daybook audit head > head.json")]
    Head(AuditHeadArgs),
    /// Read the whole log again and hold it against the newest head, or one given
    #[command(
        after_help = "Examples:\n  daybook audit verify\n  daybook audit verify head.json\n  daybook audit verify --heads published.ndjson"
    )]
    Verify(AuditVerifyArgs),
    /// Print a proof that an event is in the signed log
    #[command(
        after_help = "Examples:\n  daybook audit prove order-31198570044@0 > proof.json\n  daybook audit prove 4b6a3c1e-5a43-5d6c-9d8e-0f1f7ce1a2b3 --size 1000"
    )]
    Prove(AuditProveArgs),
    /// Print a proof that the log goes on from what was signed before
    #[command(
        after_help = "Example:\n  daybook audit consistent old-head.json head.json > proof.json"
    )]
    Consistent(AuditConsistentArgs),
    /// Check a proof or an export, with nothing at hand but the public key
    #[command(
        after_help = "Examples:\n  daybook audit check proof.json --public-key head.json\n  daybook audit check EXPORT --public-key 3q2+7wPY...="
    )]
    Check(AuditCheckArgs),
    /// Write the signed log, or a part of it, as files that can be checked and restored
    #[command(
        after_help = "Examples:\n  daybook audit export ./export\n  daybook audit export ./march --since 2026-03-01T00:00:00Z --until 2026-04-01T00:00:00Z"
    )]
    Export(AuditExportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AuditProveArgs {
    /// The event: its id, or its stream and revision
    #[arg(value_name = "EVENT|STREAM@REVISION")]
    pub(crate) event: String,
    /// In the log of the head over so many events [default: the newest head]
    #[arg(long, value_name = "EVENTS")]
    pub(crate) size: Option<u64>,
    #[command(flatten)]
    pub(crate) audit: AuditFlags,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}

#[derive(Debug, Args)]
pub(crate) struct AuditConsistentArgs {
    /// What was signed before: a head's file, or how many events it covers
    #[arg(value_name = "OLD")]
    pub(crate) old: String,
    /// What was signed later
    #[arg(value_name = "NEW")]
    pub(crate) new: String,
    #[command(flatten)]
    pub(crate) audit: AuditFlags,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}

#[derive(Debug, Args)]
pub(crate) struct AuditCheckArgs {
    /// A proof's file, or an export's directory
    #[arg(value_name = "FILE|DIR")]
    pub(crate) path: PathBuf,
    /// The key that has to have signed it: base64, or a file with it (PEM, or a head)
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) public_key: String,
}

#[derive(Debug, Args)]
pub(crate) struct AuditExportArgs {
    /// A new or empty directory
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// From the first event recorded then or later
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Up to the last event recorded before
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    #[command(flatten)]
    pub(crate) audit: AuditFlags,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}

#[derive(Debug, Args)]
pub(crate) struct AuditHeadArgs {
    #[command(flatten)]
    pub(crate) audit: AuditFlags,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}

#[derive(Debug, Args)]
pub(crate) struct AuditVerifyArgs {
    /// A head as `audit head` printed it [default: the newest one in the key store]
    #[arg(value_name = "HEAD")]
    pub(crate) head: Option<PathBuf>,
    /// A file of heads, one a line, as --audit-publish writes it: all of them are checked
    #[arg(long, value_name = "FILE", conflicts_with = "head")]
    pub(crate) heads: Option<PathBuf>,
    /// Whose signature heads have to bear: base64 or a file [default: the key in use]
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) public_key: Option<String>,
    /// How to print the outcome
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) audit: AuditFlags,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Place orders as fast as the clients can, or at a rate
    #[command(
        after_help = "Examples:\n  daybook bench orders --clients 64 --seconds 10 --lines 3\n  daybook bench orders --clients 256 --seconds 10 --hot drop\n  daybook bench orders --hot drop --stock 100 --buyers 10000 --clients 1000"
    )]
    Orders(BenchOrdersArgs),
    /// Ask queries as fast as the clients can, or at a rate
    #[command(
        after_help = "Examples:\n  daybook bench queries --clients 64 --seconds 10 --compare\n  daybook bench queries --what search --rate 300 --seconds 10"
    )]
    Queries(BenchQueriesArgs),
    /// Append to, read and follow an EventStoreDB; leaves streams `bench-...` in it
    #[command(
        after_help = "Example:\n  daybook bench eventstore --url 'esdb://127.0.0.1:2113?tls=false'"
    )]
    Eventstore(BenchEventstoreArgs),
    /// The route that answers a constant, for --compare
    #[command(hide = true)]
    Constant {
        /// The size of the answer's body in bytes
        #[arg(long)]
        bytes: usize,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct LoadFlags {
    /// The server
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// Connections, each with one request at a time
    #[arg(long, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) clients: u32,
    /// How long, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) seconds: u32,
    /// Requests a second, on a fixed schedule; without it each client goes on as soon as it is
    /// answered
    #[arg(long, value_name = "R")]
    pub(crate) rate: Option<NonZeroU64>,
    /// How to print the figures
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct BenchOrdersArgs {
    #[command(flatten)]
    pub(crate) load: LoadFlags,
    /// Lines an order
    #[arg(long, value_name = "L", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) lines: u32,
    /// How many skus the lines are drawn from
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) skus: u32,
    /// Every order is one unit of this sku, which is made if there is none
    #[arg(long, value_name = "SKU", conflicts_with = "skus")]
    pub(crate) hot: Option<String>,
    /// Units that each sku receives before the load [default: more than can be sold]
    #[arg(long, value_name = "UNITS", value_parser = clap::value_parser!(u32).range(1..=2_147_483_647))]
    pub(crate) stock: Option<u32>,
    /// So many buyers, all at once, each with one order, instead of a time and a rate
    #[arg(long, value_name = "N", conflicts_with_all = ["seconds", "rate"])]
    pub(crate) buyers: Option<NonZeroU64>,
    /// Also measure how long it takes until an acknowledged order can be queried
    #[arg(long)]
    pub(crate) lag: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct BenchEventstoreArgs {
    /// The server, as --event-store names it
    #[arg(long)]
    pub(crate) url: String,
    /// How long each part takes, in seconds
    #[arg(long, value_name = "S", default_value = "5", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(crate) seconds: u32,
    /// Writers that append side by side, one event at a time
    #[arg(long, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) writers: u32,
    /// Bytes of data in an event
    #[arg(long, value_name = "BYTES", default_value = "300", value_parser = clap::value_parser!(u32).range(16..=500_000))]
    pub(crate) size: u32,
    /// Events that the log holds at least before it is read, and of the long stream
    #[arg(long, value_name = "N", default_value = "100000", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) events: u32,
    /// Appends a second while a follower is watched
    #[arg(long, value_name = "R", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,
    /// How to print the figures
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
}

/// What `bench queries` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum QueryKind {
    /// One order by its id
    Order,
    /// A product search with facets
    Search,
    /// One sku's stock
    Stock,
    /// A page of a customer's orders
    Orders,
    /// A report: sales by day and department
    Sales,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct BenchQueriesArgs {
    #[command(flatten)]
    pub(crate) load: LoadFlags,
    /// The query
    #[arg(long, value_enum, default_value = "order")]
    pub(crate) what: QueryKind,
    /// Measure a route that answers a constant of the same size beside it, and say the ratio
    #[arg(long)]
    pub(crate) compare: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Wrap everything in the key store by another master key, or by a first one; the servers must
    /// be stopped
    #[command(
        after_help = "Examples:\n  daybook keys rotate --new-master-key first.key\n  daybook keys rotate --master-key first.key --new-master-key second.key"
    )]
    Rotate(KeysRotateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct KeysRotateArgs {
    /// The file of the new master key: 32 bytes in base64 or hex
    #[arg(long, value_name = "FILE")]
    pub(crate) new_master_key: PathBuf,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}
