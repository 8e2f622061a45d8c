//! Looking at the log and at what was.

use clap::{Args, Subcommand, ValueEnum};

use super::{EngineFlags, Format};

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
