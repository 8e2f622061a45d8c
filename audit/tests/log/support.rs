//! Logs to look at.

use std::path::Path;

use audit::{HeadSigner, SignedHead, StoredTree, tree_of_log};
use event_schemas::{ExpectedRevision, NewEvent, Position, Recorded, StreamName, Timestamp};
use gateway::{Access, Options};
use infra::event_store::{Direction, EventStore, Filter, SqliteOptions};
use tempfile::TempDir;
use tokio::sync::oneshot;
use uuid::Uuid;

/// The `n`th event of a log that is always the same: JSON, and now and then something else.
pub(crate) fn event(n: u64) -> NewEvent {
    let data = match n % 7 {
        0 => vec![0xff, 0xfe, (n % 251) as u8, 0],
        3 => Vec::new(),
        // Longer than a page of the file.
        5 => format!("{{\"n\":{n},\"fill\":\"{}\"}}", "x".repeat(5_000)).into_bytes(),
        _ => format!("{{\"n\":{n},\"name\":\"Ünïcode \\u0000\"}}").into_bytes(),
    };
    let at = Timestamp::from_micros(1_780_000_000_000_000 + n as i64).unwrap();
    let metadata = format!("{{\"schema_version\":1,\"recorded_at\":\"{at}\"}}").into_bytes();
    let event_type = if n.is_multiple_of(2) { "Happened" } else { "Occurred" };
    NewEvent::raw(
        Uuid::from_u128(u128::from(n) + 1),
        event_type.into(),
        data.into(),
        metadata.into(),
    )
}

/// The stream that it stands in.
pub(crate) fn stream(n: u64) -> StreamName {
    StreamName::new("things", &format!("{}", n % 11))
}

pub(crate) async fn open(dir: &Path) -> EventStore {
    EventStore::open_sqlite(SqliteOptions::new(dir.join("events.sqlite"))).await.unwrap()
}

pub(crate) async fn append(store: &EventStore, numbers: impl Iterator<Item = u64>) {
    for n in numbers {
        store.append(stream(n), ExpectedRevision::Any, vec![event(n)]).await.unwrap();
    }
}

pub(crate) fn signer() -> HeadSigner {
    HeadSigner::from_seed(&[7; 32])
}

/// The tree of the log as it is now, and its signed head.
pub(crate) async fn signed(store: &EventStore, dir: &Path) -> (StoredTree, SignedHead) {
    let tree = tree_of_log(store, dir).await.unwrap();
    let root = tree.root(tree.size()).unwrap();
    let head = signer().sign(tree.size(), root, Timestamp::from_micros(0).unwrap());
    (tree, head)
}

/// Every event of the shop's, in order.
pub(crate) async fn log(store: &EventStore) -> Vec<std::sync::Arc<Recorded>> {
    let (mut from, mut events) = (Position::START, Vec::new());
    loop {
        let page = store.read_log(from, Direction::Forwards, &Filter::all(), 1_000).await.unwrap();
        let shops = page.events.into_iter().filter(|event| !EventStore::is_bookkeeping(event));
        events.extend(shops.map(|event| event.recorded));
        if page.at_end {
            return events;
        }
        from = page.scanned_to;
    }
}

/// An embedded store behind a gateway.
pub(crate) struct Served {
    pub(crate) behind: EventStore,
    pub(crate) url: String,
    _end: oneshot::Sender<()>,
    _folder: TempDir,
}

pub(crate) async fn served() -> Served {
    let folder = tempfile::tempdir().unwrap();
    let behind = open(folder.path()).await;
    let listener = infra::http::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("esdb://{}?tls=false", listener.local_addr().unwrap());
    let (end, ended) = oneshot::channel::<()>();
    let options = Options { access: Access::All, ..Options::default() };
    let store = behind.clone();
    tokio::spawn(async move {
        let ended = async {
            let _ = ended.await;
        };
        gateway::serve(store, listener, options, ended).await.unwrap();
    });
    Served { behind, url, _end: end, _folder: folder }
}

impl Served {
    pub(crate) async fn client(&self) -> EventStore {
        EventStore::open_eventstoredb(self.url.parse().unwrap()).await.unwrap()
    }
}
