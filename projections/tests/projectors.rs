//! The loop over a real store: it follows, waits, stops at poison, and knows its own log.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "../../infra/tests/servers/mod.rs"]
mod servers;

use std::{path::Path, time::Duration};

use common::{
    Shop, Told, all_posted, append, append_fast, busy_shop, dump, open_store, rebuild, status,
};
use event_schemas::{NewEvent, Position, StreamName};
use infra::{
    event_store::EventStore,
    read_models::{ReadModelError, ReadModels},
};
use projections::{NotPosted, ProjectionState, Projectors, Rebuild, SCHEMAS, read_status};
use servers::{Place, over_every_engine};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(180);

fn start(store: &EventStore, dir: &Path) -> (Projectors, ReadModels) {
    let models = ReadModels::sqlite(dir.join("read-models"));
    let mut projectors = Projectors::new(store.clone());
    projectors.start_sql(&models).unwrap();
    (projectors, models)
}

/// The rows of every read model.
async fn dumps(models: &ReadModels) -> Vec<String> {
    let mut rows = Vec::new();
    for schema in SCHEMAS {
        rows.push(dump(models, schema).await);
    }
    rows
}

fn poison(stream: &str, id: u128) -> Told {
    let event =
        NewEvent::raw(Uuid::from_u128(id), "NoSuchType".to_owned(), "{}".into(), METADATA.into());
    Told { stream: StreamName::parse(stream).unwrap(), event }
}

const METADATA: &str = r#"{"schema_version":1,"occurred_at":"2026-11-21T09:15:00.000000Z",
    "recorded_at":"2026-11-21T09:15:00.000000Z",
    "actor":{"id":"x","kind":"user","proof":"none"},
    "command_id":"00000000-0000-0000-0000-000000000001","$correlationId":"x",
    "$causationId":"00000000-0000-0000-0000-000000000001"}"#;

#[tokio::test]
async fn live_and_rebuilt_rows_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    let (projectors, models) = start(&store, dir.path());
    let shop = busy_shop(700);
    for part in shop.log.chunks(90) {
        append(&store, part).await;
        all_posted(&projectors, &store).await;
    }
    let orders = status(&projectors, "orders").await;
    assert_eq!((orders.position, orders.state), (orders.head, ProjectionState::Live));
    assert_eq!((orders.lag.events, orders.lag.seconds), (Some(0), Some(0.0)));
    projectors.stop().await;

    let live = dumps(&models).await;
    rebuild(&store, &models, &SCHEMAS.map(|schema| schema.name)).await;
    for (schema, live) in SCHEMAS.into_iter().zip(live) {
        assert_eq!(dump(&models, schema).await, live, "{}", schema.name);
    }
    // And it goes on behind a rebuild.
    let (projectors, _) = start(&store, dir.path());
    all_posted(&projectors, &store).await;
    projectors.stop().await;
    for status in read_status(&store, &models).await.unwrap() {
        assert_eq!((status.position, status.error), (status.head, None));
    }
}

#[tokio::test]
async fn a_rebuild_in_which_a_read_model_rests_and_is_needed_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    let (projectors, models) = start(&store, dir.path());
    let mut shop = busy_shop(300);
    // Pages and pages that hold nothing but stock: all but its own read model rest meanwhile.
    let skus: Vec<_> = (0..40).map(|number| format!("steady-{number}")).collect();
    shop.product("steady", &skus);
    for sku in skus.iter().cycle().take(20_000) {
        shop.receive(sku, 1);
    }
    for at in 0..300 {
        shop.step(common::Step { kind: (at % 24) as u8, a: at * 3, b: at * 11 });
    }
    append_fast(&store, &shop.log).await;
    all_posted(&projectors, &store).await;
    projectors.stop().await;

    let live = dumps(&models).await;
    rebuild(&store, &models, &SCHEMAS.map(|schema| schema.name)).await;
    for (schema, live) in SCHEMAS.into_iter().zip(live) {
        assert_eq!(dump(&models, schema).await, live, "{}", schema.name);
        let snapshot = models.reader(schema).snapshot().await.unwrap();
        let (position, id) = snapshot.checkpoint().last.unwrap();
        assert_eq!(position, store.head().await.unwrap(), "{}", schema.name);
        assert_eq!(store.event_at(position).await.unwrap().unwrap().id, id);
    }
}

#[tokio::test]
async fn poison_stops_its_own_projections_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    let mut log = busy_shop(60).log;
    log.push(poison("order-bad", 1 << 90));
    let bad = Position(log.len() as u64);
    append(&store, &log).await;
    let (projectors, models) = start(&store, dir.path());
    append(&store, &busy_shop(20).log.split_off(10)).await;
    let head = store.head().await.unwrap();
    for name in ["stock", "products"] {
        projectors.wait_for(name, head, PATIENCE).await.unwrap();
    }
    for name in ["orders", "users", "sales"] {
        let stopped = projectors.wait_for(name, bad, PATIENCE).await;
        let Err(NotPosted::Stopped { error }) = stopped else { panic!("{stopped:?}") };
        assert!(error.contains(&format!("NoSuchType at position {bad}")), "{error}");
        assert!(error.contains(&Uuid::from_u128(1 << 90).to_string()), "{error}");
        // All that stands before it is posted.
        let before = Position(bad.0 - 1);
        projectors.wait_for(name, before, PATIENCE).await.unwrap();
        let status = status(&projectors, name).await;
        assert_eq!((status.position, status.state), (before, ProjectionState::Stopped));
        assert_eq!(status.lag.events, Some(head.0 - before.0));
        assert!(status.lag.seconds.unwrap() > 0.0);
    }
    projectors.stop().await;
    // A rebuild meets it, too, and leaves in place what is there.
    let before = dump(&models, SCHEMAS[0]).await;
    let mut rebuild = Rebuild::new(store.clone());
    rebuild.add_sql(&models, "orders").unwrap();
    let rebuilt = rebuild.run(|_| {}).await.unwrap();
    let told = rebuilt[0].outcome.as_ref().unwrap_err().to_string();
    assert!(told.contains("NoSuchType"), "{told}");
    assert_eq!(dump(&models, SCHEMAS[0]).await, before);
}

#[tokio::test]
async fn a_fold_that_fails_leaves_all_before_it_posted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    let mut shop = Shop::default();
    shop.register("u1");
    let stream = StreamName::new("order", "o1");
    shop.tell(stream, event_schemas::OrderEvent::from(event_schemas::OrderDelivered {}));
    append(&store, &shop.log).await;
    let (projectors, _) = start(&store, dir.path());
    let stopped = projectors.wait_for("orders", Position(2), PATIENCE).await;
    assert!(matches!(stopped, Err(NotPosted::Stopped { .. })), "{stopped:?}");
    let status = status(&projectors, "orders").await;
    assert_eq!((status.position, status.state), (Position(1), ProjectionState::Stopped));
    projectors.stop().await;
}

#[tokio::test]
async fn another_log_is_noticed_and_a_rebuild_heals() {
    let dir = tempfile::tempdir().unwrap();
    let log = busy_shop(80).log;
    let first = open_store(dir.path()).await;
    append(&first, &log).await;
    let (projectors, models) = start(&first, dir.path());
    all_posted(&projectors, &first).await;
    projectors.stop().await;

    let elsewhere = tempfile::tempdir().unwrap();
    let second = open_store(elsewhere.path()).await;
    append(&second, &log).await;
    let (projectors, _) = start(&second, dir.path());
    let diverged = projectors.wait_for("orders", Position(1), PATIENCE).await;
    assert!(matches!(diverged, Err(NotPosted::Diverged { .. })), "{diverged:?}");
    let told = status(&projectors, "orders").await;
    assert_eq!(told.state, ProjectionState::Diverged);
    assert!(told.error.unwrap().contains(&first.id().to_string()));
    projectors.stop().await;

    rebuild(&second, &models, &SCHEMAS.map(|schema| schema.name)).await;
    let (projectors, _) = start(&second, dir.path());
    all_posted(&projectors, &second).await;
    projectors.stop().await;
}

#[tokio::test]
async fn a_shorter_or_other_past_is_noticed() {
    use infra::read_models::Checkpoint;
    use projections::{Batch, Sink, SqlSink, orders::Orders};

    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    append(&store, &busy_shop(10).log).await;
    let head = store.head().await.unwrap();
    let cases = [
        (Position(head.0 + 1), None, "the log ends at"),
        (head, Some((head, Uuid::from_u128(77 << 80))), "is no longer at position"),
    ];
    for (at, (position, last, told)) in cases.into_iter().enumerate() {
        let models = ReadModels::sqlite(dir.path().join(at.to_string()));
        let mut sink = SqlSink::<Orders>::live(models.clone(), store.id());
        let from = sink.checkpoint().await.unwrap();
        let to = Checkpoint { position, last, ..from.clone() };
        sink.apply(&Batch { from, to, events: Vec::new() }).await.unwrap();
        let mut projectors = Projectors::new(store.clone());
        projectors.start(sink).unwrap();
        let diverged = projectors.wait_for("orders", Position(u64::MAX), PATIENCE).await;
        let Err(NotPosted::Diverged { error }) = diverged else { panic!("{diverged:?}") };
        assert!(error.contains(told), "{error}");
        projectors.stop().await;
    }
}

#[tokio::test]
async fn waiting_ends_in_time_and_wakes_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    let (projectors, _) = start(&store, dir.path());
    let never = Position(1_000);
    let late = projectors.wait_for("stock", never, Duration::from_millis(5)).await;
    assert_eq!(late, Err(NotPosted::InTime { posted: Position::START }));
    let unknown = projectors.wait_for("no-such", never, PATIENCE).await;
    assert_eq!(unknown, Err(NotPosted::Unknown));
    let waited = projectors.wait_for("stock", Position(1), PATIENCE);
    let log = busy_shop(5).log;
    let (waited, ()) = tokio::join!(waited, append(&store, &log));
    waited.unwrap();
    projectors.stop().await;
}

#[tokio::test]
async fn a_read_model_of_other_code_is_posted_anew_and_a_damaged_one_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    append(&store, &busy_shop(90).log).await;
    let (projectors, models) = start(&store, dir.path());
    all_posted(&projectors, &store).await;
    projectors.stop().await;
    let expected = dump(&models, SCHEMAS[1]).await;

    let files = || std::fs::read_dir(dir.path().join("read-models")).unwrap();
    let file = |name: &str| {
        let paths = files().map(|entry| entry.unwrap().path());
        let named = |path: &std::path::PathBuf| {
            let text = path.file_name().unwrap().to_str().unwrap();
            text.starts_with(name) && text.ends_with(".sqlite")
        };
        let mut found: Vec<_> = paths.filter(named).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    };
    std::fs::write(file("orders"), "this is no database, and was never one").unwrap();
    let connection = rusqlite::Connection::open(file("stock")).unwrap();
    connection.execute("UPDATE checkpoint SET schema = 'other'", []).unwrap();
    drop(connection);
    let refused = models.reader(SCHEMAS[1]).snapshot().await;
    assert!(matches!(refused, Err(ReadModelError::OtherVersion("stock"))), "{refused:?}");

    let (projectors, models) = start(&store, dir.path());
    all_posted(&projectors, &store).await;
    projectors.stop().await;
    assert_eq!(dump(&models, SCHEMAS[1]).await, expected);
    assert!(file("orders").to_str().unwrap().ends_with("orders-2.sqlite"));
}

over_every_engine!(
    the_loop_posts_and_a_rebuild_gives_the_same_rows,
    who_stands_by_posts_nothing_and_says_so
);

async fn the_loop_posts_and_a_rebuild_gives_the_same_rows(place: Place) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    let log = busy_shop(500).log;
    append(&store, &log[..100]).await;
    let models = place.models().await;
    let mut projectors = Projectors::new(store.clone());
    projectors.start_sql(&models).unwrap();
    append(&store, &log[100..]).await;
    all_posted(&projectors, &store).await;
    let mut posted = Vec::new();
    for schema in SCHEMAS {
        posted.push(dump(&models, schema).await);
    }
    for status in read_status(&store, &models).await.unwrap() {
        assert_eq!((status.state, status.error), (ProjectionState::Live, None), "{}", status.name);
    }
    projectors.stop().await;
    rebuild(&store, &models, &SCHEMAS.map(|schema| schema.name)).await;
    for (schema, posted) in SCHEMAS.into_iter().zip(posted) {
        assert_eq!(dump(&models, schema).await, posted, "{}", schema.name);
    }
}

async fn who_stands_by_posts_nothing_and_says_so(place: Place) {
    // In a directory the event store's lock keeps other processes out.
    let Place::Database(_) = place else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    append(&store, &busy_shop(60).log).await;
    let (here, there) = (place.models().await, place.models().await);
    let mut holder = Projectors::new(store.clone()).shared(here.clone());
    holder.start_sql(&here).unwrap();
    all_posted(&holder, &store).await;
    let mut beside = Projectors::new(store.clone()).shared(there.clone());
    beside.start_sql(&there).unwrap();
    // From the very start, and then for as long as it stands by.
    let mut stands_by = false;
    while !stands_by {
        let told = beside.status().await.unwrap();
        assert!(told.iter().all(|projection| projection.source.is_none()), "{told:?}");
        stands_by = told.iter().all(|projection| projection.state == ProjectionState::Live);
    }
    holder.stop().await;
    let goes_over = async {
        while beside.status().await.unwrap().iter().any(|told| told.source.is_none()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, goes_over).await.expect("it posts now");
    beside.stop().await;
}
