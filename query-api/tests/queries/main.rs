//! Queries over a real store, read models and search index, through the outermost service.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod catalogue;
#[path = "../../../infra/tests/support/elasticsearch.rs"]
mod elasticsearch;
mod engines;
mod events;
#[path = "../../../projections/tests/common/mod.rs"]
mod history;
mod live;
mod orders;
mod past;
mod process;
mod read_your_writes;
mod reports;
#[path = "../../../infra/tests/servers/mod.rs"]
mod servers;
mod support;
mod users;
