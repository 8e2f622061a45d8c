//! Measuring.

use std::num::NonZeroU64;

use clap::{Args, Subcommand, ValueEnum};

use super::Format;

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
    /// Listen to the log as it goes on, many times at once, and append at a rate
    #[command(
        after_help = "Example:\n  daybook bench live --listeners 1000 --rate 20 --seconds 10 --pid 4711"
    )]
    Live(BenchLiveArgs),
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
pub(crate) struct BenchLiveArgs {
    /// The server
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// Listeners, each on a connection of its own
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) listeners: u32,
    /// Events appended a second, on a fixed schedule
    #[arg(long, value_name = "R", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) rate: u32,
    /// How long, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) seconds: u32,
    /// The server's process on this machine: its memory is told too
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,
    /// How to print the figures
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
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
