//! `daybook bench`: loads a running server and says how it did.

mod check;
pub(crate) mod client;
mod constant;
mod eventstore;
mod lag;
mod live;
mod load;
mod orders;
mod queries;
mod report;
mod shop;

use crate::{cli::BenchCommand, failure::Failure};

/// Runs one bench on the thread that calls: the load shares the machine with the server.
pub(crate) async fn run(command: BenchCommand) -> Result<(), Failure> {
    match command {
        BenchCommand::Orders(args) => orders::run(args).await,
        BenchCommand::Queries(args) => queries::run(args).await,
        BenchCommand::Live(args) => live::run(args).await,
        BenchCommand::Eventstore(args) => eventstore::run(args).await,
        BenchCommand::Constant { bytes } => constant::serve(bytes).await,
    }
}
