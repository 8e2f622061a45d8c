//! The command line, word for word as users type it.

mod audit;
mod backup;
mod bench;
mod flags;
mod past;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use audit::*;
pub(crate) use backup::*;
pub(crate) use bench::*;
pub(crate) use flags::*;
pub(crate) use past::*;

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
    /// Write the log to one file that is held against the newest signed head; works beside a running
    /// server
    #[command(
        after_help = "Examples:\n  daybook backup shop-2026-11-21.daybook\n  daybook backup shop.daybook --keys-to /elsewhere/shop.keys"
    )]
    Backup(BackupArgs),
    /// Make the event store from a backup, which is checked first
    #[command(
        after_help = "Examples:\n  daybook restore shop.daybook --check --public-key head.json\n  daybook restore shop.daybook --keys-from shop.keys --data ./restored"
    )]
    Restore(RestoreArgs),
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

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    Table,
    /// One JSON document
    Json,
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
