#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeSet, time::Duration};

use domain::{
    Decider,
    stock::{self, StockItem},
    user::{self, User},
};
use event_schemas::{Event, PersonalData, StockEvent};
use futures::future::join_all;
use infra::event_store::SqliteOptions;
use serde_json::Value;
use tempfile::TempDir;

use super::*;

/// Engines on a real embedded store.
async fn engines(folder: &TempDir) -> Arc<Engines> {
    let path = folder.path().join("events.sqlite");
    let store = EventStore::open_sqlite(SqliteOptions::new(path)).await.unwrap();
    let keys = KeyStore::open_sqlite(folder.path().join("keys.sqlite")).await.unwrap();
    let snapshots = Snapshots::open(folder.path().join("snapshots"), store.id()).unwrap();
    Arc::new(Engines { store, keys, snapshots: Some(snapshots) })
}

fn context() -> Context {
    Context::reaction("test", uuid::Uuid::new_v4(), "test")
}

async fn introduce(stock: &Executor<StockItem>) {
    let (sku, product_id) = ("mug".to_owned(), "mug".to_owned());
    let claim = uuid::Uuid::from_u128(1);
    let command = stock::Command::Introduce { sku, product_id, claim };
    stock.execute("mug", command, context()).await.ok().unwrap();
}

/// Receives one mug as often as asked, all at once.
async fn receive(stock: &Executor<StockItem>, times: usize) -> Vec<Executed<StockItem>> {
    let received = join_all((0..times).map(|_| {
        let command = stock::Command::Receive { quantity: 1, batch: None };
        stock.execute("mug", command, context())
    }));
    received.await.into_iter().map(|answer| answer.ok().unwrap()).collect()
}

async fn on_hand(stock: &Executor<StockItem>) -> i64 {
    receive(stock, 1).await[0].view.on_hand - 1
}

#[tokio::test]
async fn a_thousand_commands_at_once_are_few_appends() {
    let folder = tempfile::tempdir().unwrap();
    let stock = Executor::<StockItem>::new(engines(&folder).await, 320);
    introduce(&stock).await;
    let received = receive(&stock, 1_000).await;
    let revisions: BTreeSet<_> = received.iter().map(|one| one.revision).collect();
    assert_eq!(revisions.len(), 1_000, "each has an event of its own");
    let appends: BTreeSet<_> = received.iter().map(|one| one.position).collect();
    assert!(appends.len() <= 8, "{} appends", appends.len());
    assert_eq!(received.iter().map(|one| one.view.on_hand).max(), Some(1_000));
}

#[tokio::test]
async fn what_another_writer_was_faster_with_is_decided_again() {
    let folder = tempfile::tempdir().unwrap();
    let engines = engines(&folder).await;
    let (one, other) = (Executor::new(engines.clone(), 320), Executor::new(engines.clone(), 320));
    introduce(&one).await;
    futures::join!(receive(&one, 200), receive(&other, 200));
    for _ in 0..5 {
        futures::join!(receive(&one, 1), receive(&other, 1));
    }
    assert_eq!(on_hand(&Executor::new(engines, 320)).await, 410);
}

#[tokio::test]
async fn memory_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let stock = Executor::<StockItem>::new(engines(&folder).await, 320);
    for round in 0..40 {
        let asked = join_all((0..50).map(|n| {
            let command = stock::Command::Release { order_id: "o".to_owned() };
            let (stock, sku) = (&stock, format!("sku-{round}-{n}"));
            async move { stock.execute(&sku, command, context()).await }
        }));
        assert_eq!(asked.await.len(), 50);
        assert!(stock.resident() <= 320 + 50, "{}", stock.resident());
    }
    stock.age();
    stock.age();
    assert!(stock.resident() <= 1, "{}", stock.resident());
}

#[tokio::test]
async fn a_mailbox_in_use_is_not_dropped_for_a_second_one() {
    let folder = tempfile::tempdir().unwrap();
    let stock = Executor::<StockItem>::new(engines(&folder).await, 320);
    let held = stock.mailbox("mug");
    for _ in 0..3 {
        stock.age();
    }
    assert!(Arc::ptr_eq(&held, &stock.mailbox("mug")));
    drop(held);
    stock.age();
    stock.age();
    assert_eq!(stock.resident(), 0);
}

/// The snapshot of the mugs, as soon as it is written.
async fn snapshot(engines: &Engines) -> (infra::snapshots::SnapshotAt, Value) {
    let snapshots = engines.snapshots.as_ref().unwrap();
    let written = async {
        loop {
            if let Some(found) = snapshots.load("stock-mug", StockItem::STATE_VERSION) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(180), written).await.unwrap()
}

#[tokio::test]
async fn a_snapshot_is_taken_after_a_thousand_events_and_used_if_it_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let engines = engines(&folder).await;
    let stock = Executor::new(engines.clone(), 320);
    introduce(&stock).await;
    receive(&stock, 998).await;
    let snapshots = engines.snapshots.as_ref().unwrap();
    let early = snapshots.load::<Value>("stock-mug", StockItem::STATE_VERSION);
    assert!(early.is_none(), "999 events are not enough");
    receive(&stock, 1).await;
    let (at, mut kept) = snapshot(&engines).await;
    assert_eq!(at.at, Revision(999));

    // Only who believes the snapshot can say 5,000.
    kept["state"]["on_hand"] = Value::from(5_000);
    let write = |at| {
        let bytes = snapshots.encode("stock-mug", StockItem::STATE_VERSION, at, &kept).unwrap();
        snapshots.write("stock-mug", &bytes);
    };
    write(infra::snapshots::SnapshotAt { event: uuid::Uuid::new_v4(), ..at });
    assert_eq!(on_hand(&Executor::new(engines.clone(), 320)).await, 999, "the events have it");

    // The foreign one was thrown away and a right one taken instead.
    let (at, _) = snapshot(&engines).await;
    assert_eq!(at.at, Revision(1_000));
    write(at);
    assert_eq!(on_hand(&Executor::new(engines.clone(), 320)).await, 5_000);
}

#[tokio::test]
async fn an_event_that_cannot_be_sealed_fails_its_own_command_only() {
    let folder = tempfile::tempdir().unwrap();
    let engines = engines(&folder).await;
    let sealed = engines.keys.seal("u1", b"", b"x").await.unwrap();
    engines.keys.destroy("u1").await.unwrap();
    assert!(!sealed.is_empty());
    let users = Executor::<User>::new(engines, 320);
    let personal = PersonalData { name: Some("Ada".to_owned()), email: None };
    let register = |personal: Option<PersonalData>| user::Command::Register {
        command_id: uuid::Uuid::new_v4(),
        user_id: "u1".to_owned(),
        personal: personal.map(event_schemas::Personal::Open),
        claim: None,
    };
    let (sealed, bare) = futures::join!(
        users.execute("u1", register(Some(personal)), context()),
        users.execute("u1", register(None), context()),
    );
    assert!(matches!(sealed, Err(ExecuteError::Failed(Failure::Unavailable(_)))));
    assert_eq!(bare.ok().unwrap().revision, Some(Revision(0)));
}

/// An aggregate with a bug.
enum Broken {}

impl Decider for Broken {
    const CATEGORY: &'static str = "broken";
    type State = ();
    type Command = bool;
    type Event = StockEvent;
    type Rejection = String;

    fn decide((): &(), panics: bool) -> Result<Vec<StockEvent>, String> {
        assert!(!panics, "a bug in a decider");
        Ok(Vec::new())
    }

    fn evolve((): (), _: &StockEvent) {}
}

impl Aggregate for Broken {
    const STATE_VERSION: u32 = 1;
    type View = ();

    fn event(_: &Event) -> Option<&StockEvent> {
        None
    }

    fn remembers(_: &StockEvent) -> bool {
        false
    }
}

#[tokio::test]
async fn a_panic_answers_who_waits_and_the_next_command_starts_anew() {
    let folder = tempfile::tempdir().unwrap();
    let broken = Executor::<Broken>::new(engines(&folder).await, 320);
    let (before, bug, behind) = futures::join!(
        broken.execute("a", false, context()),
        broken.execute("a", true, context()),
        broken.execute("a", false, context()),
    );
    for answer in [before, bug, behind] {
        assert!(matches!(answer, Err(ExecuteError::Failed(Failure::Unknown(_)))));
    }
    assert!(broken.execute("a", false, context()).await.is_ok());
}
