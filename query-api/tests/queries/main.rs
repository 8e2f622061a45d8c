//! Queries over a real store, read models and search index, through the outermost service.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod catalogue;
#[path = "../../../infra/tests/support/elasticsearch.rs"]
mod elasticsearch;
mod events;
mod orders;
mod process;
mod read_your_writes;
mod reports;
mod support;
mod users;
