//! A gateway over a store of its own.

use std::net::SocketAddr;

use eventstore::Client;
use gateway::{Access, Options};
use infra::event_store::{EventStore, SqliteOptions};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

pub(crate) struct Served {
    pub(crate) store: EventStore,
    pub(crate) address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    served: JoinHandle<std::io::Result<()>>,
    _folder: TempDir,
}

/// Opens a store and serves it.
pub(crate) async fn serve(access: Access) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::new(folder.path().join("events.sqlite"));
    let store = EventStore::open_sqlite(options).await.unwrap();
    let listener = infra::http::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel();
    let options = Options { access, ..Options::default() };
    let served = tokio::spawn(gateway::serve(store.clone(), listener, options, async {
        let _ = ended.await;
    }));
    Served { store, address, end: Some(end), served, _folder: folder }
}

impl Served {
    pub(crate) fn client(&self) -> Client {
        let url = format!("esdb://{}?tls=false", self.address);
        Client::new(url.parse().unwrap()).unwrap()
    }

    /// Asks the gateway to end and waits until it has.
    pub(crate) async fn end(mut self) {
        let _ = self.end.take().unwrap().send(());
        self.served.await.unwrap().unwrap();
        self.store.close().await.unwrap();
    }
}
