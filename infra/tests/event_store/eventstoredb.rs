//! EventStoreDB's own: what stands behind the contract suite's runs over it. The server is the one
//! that `TEST_EVENTSTORE_URL` names, or else a gateway that each test starts for itself.

use std::{env, net::SocketAddr, sync::Arc};

use gateway::{Access, Options};
use infra::event_store::{EventStore, EventStoreDbUrl, SqliteOptions};
use tempfile::TempDir;
use tokio::{
    sync::{Mutex, OwnedMutexGuard, oneshot},
    task::JoinHandle,
};

/// What a store stands on for as long as a test lasts.
pub(crate) enum Place {
    /// A server that all tests use, one at a time: they look at what follows the head.
    Shared(#[expect(dead_code, reason = "held, not read")] OwnedMutexGuard<()>),
    /// One of its own.
    Own(#[expect(dead_code, reason = "held, not read")] Gateway),
}

/// A gateway over an embedded store of its own.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    /// The store that it serves.
    pub(crate) behind: EventStore,
    end: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
    folder: TempDir,
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), tempfile::tempdir().unwrap()).await
    }

    /// Starts over what stands in the folder.
    pub(crate) async fn start_at(address: SocketAddr, folder: TempDir) -> Self {
        let options = SqliteOptions::new(folder.path().join("events.sqlite"));
        let behind = EventStore::open_sqlite(options).await.unwrap();
        let listener = infra::http::listen(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let options = Options { access: Access::All, ..Options::default() };
        let store = behind.clone();
        let served = tokio::spawn(async move {
            let ended = async {
                let _ = ended.await;
            };
            gateway::serve(store, listener, options, ended).await.unwrap();
        });
        Self { address, behind, end: Some(end), served, folder }
    }

    pub(crate) fn url(&self) -> EventStoreDbUrl {
        format!("esdb://{}?tls=false", self.address).parse().unwrap()
    }

    pub(crate) async fn open(&self) -> EventStore {
        EventStore::open_eventstoredb(self.url()).await.unwrap()
    }

    /// Ends it; what it kept stays.
    pub(crate) async fn end(mut self) -> (SocketAddr, TempDir) {
        let _ = self.end.take().unwrap().send(());
        self.served.await.unwrap();
        self.behind.close().await.unwrap();
        (self.address, self.folder)
    }
}

pub(crate) async fn make() -> (EventStore, Place) {
    static TURN: std::sync::LazyLock<Arc<Mutex<()>>> = std::sync::LazyLock::new(Arc::default);
    let Ok(url) = env::var("TEST_EVENTSTORE_URL") else {
        let gateway = Gateway::start().await;
        return (gateway.open().await, Place::Own(gateway));
    };
    let turn = TURN.clone().lock_owned().await;
    let url = url.parse().expect("TEST_EVENTSTORE_URL is a connection string");
    (EventStore::open_eventstoredb(url).await.unwrap(), Place::Shared(turn))
}
