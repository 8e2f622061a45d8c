//! The gateway: EventStoreDB's gRPC protocol over the embedded event store, so that any client of
//! EventStoreDB can append to, read and follow a Daybook log. One file a call.
//!
//! What the real server does was read in its source (KurrentDB, `src/KurrentDB.Core`), not guessed.

mod access;
mod append;
mod batch_append;
mod batch_status;
mod budget;
mod codec;
mod deadline;
mod decide;
mod delete;
mod event;
mod failure;
mod features;
mod filter;
mod gossip;
mod messages;
mod metadata;
mod names;
mod pages;
mod pattern;
mod read;
mod read_all;
mod read_stream;
mod route;
mod server;
mod store;
mod subscribe_all;
mod subscribe_stream;
#[cfg(test)]
mod tests;

pub use access::Access;
pub use server::{Options, serve};

use std::sync::Arc;

use infra::event_store::{PageSize, SqliteEventStore};
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use crate::{budget::Budget, metadata::Remembered, server::Stage};

/// A page for a client. A client that takes nothing holds one.
pub(crate) const PAGE: PageSize = PageSize { events: 1_000, bytes: 128 << 10 };

/// What every call works with.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) store: SqliteEventStore,
    pub(crate) access: Access,
    /// This run of the gateway.
    pub(crate) instance: Uuid,
    /// What is known of streams' metadata.
    pub(crate) remembered: Remembered,
    /// Large pages that may be read at once.
    pub(crate) turns: Arc<Semaphore>,
    /// Calls that may be under way.
    pub(crate) calls: Arc<Semaphore>,
    /// Bytes of requests that may be held.
    pub(crate) budget: Budget,
    pub(crate) stage: watch::Receiver<Stage>,
}

impl Gateway {
    /// Ready once the end has begun.
    pub(crate) async fn ending(&self) {
        let mut stage = self.stage.clone();
        // A sender that is gone says the same.
        let _ = stage.wait_for(|stage| *stage != Stage::Open).await;
    }
}
