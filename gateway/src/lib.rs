//! The gateway: EventStoreDB's gRPC protocol over the embedded event store, so that any client of
//! EventStoreDB can append to, read and follow a Daybook log. One file a call.

mod access;
mod append;
mod event;
mod failure;
mod features;
mod gossip;
mod messages;
mod names;
mod pages;
mod read;
mod route;
mod server;
mod subscribe;

pub use access::Access;
pub use server::{Options, serve};

use std::net::SocketAddr;

use infra::event_store::EventStore;
use tokio::sync::watch;
use uuid::Uuid;

/// What every call works with.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) store: EventStore,
    pub(crate) access: Access,
    /// Where it listens: what gossip tells.
    pub(crate) address: SocketAddr,
    /// This run of the gateway.
    pub(crate) instance: Uuid,
    /// Whether the end has begun: subscriptions end then.
    pub(crate) ending: watch::Receiver<bool>,
}

impl Gateway {
    /// Ready once the end has begun.
    pub(crate) async fn ended(&self) {
        let mut ending = self.ending.clone();
        // A sender that is gone says the same.
        let _ = ending.wait_for(|ending| *ending).await;
    }
}
