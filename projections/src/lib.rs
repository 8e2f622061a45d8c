//! From the log to what is read: the projector loop, and one folder a read model with its tables
//! and its fold.
//!
//! A projection is a pure fold `(rows touched by an event, event) -> rows`; live posting and
//! rebuilding run the very same code, and the rows do not depend on where batches are cut.

mod counts;
mod differences;
mod dump;
mod feed;
mod lease;
pub mod orders;
pub mod products;
mod projection;
mod projector;
mod projectors;
mod rebuild;
mod rebuilds;
mod rows;
pub mod sales;
pub mod search;
mod sink;
mod skip;
mod sql;
mod status;
pub mod stock;
pub mod users;

pub use differences::{Difference, differences};
pub use dump::dump;
pub use feed::Source;
pub use projection::{FoldError, Projection};
pub use projector::divergence;
pub use projectors::{NotPosted, Projectors};
pub use rebuild::{Progress, Rebuild, Rebuilt};
pub use rebuilds::NotBegun;
pub use rows::{Record, Rows, Working};
pub use sink::{Batch, Entry, Poison, Sink, SinkError};
pub use skip::{InvalidSkip, Skip};
pub use sql::SqlSink;
pub use status::{Ended, Lag, ProjectionState, ProjectionStatus, Rebuilding, read_status};

use infra::read_models::Schema;

/// The projections whose rows lie in [`infra::read_models::ReadModels`], in the order of a list.
pub const SCHEMAS: [&Schema; 5] =
    [&orders::SCHEMA, &stock::SCHEMA, &products::SCHEMA, &users::SCHEMA, &sales::SCHEMA];
