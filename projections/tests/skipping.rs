//! Events that this Daybook does not know are passed over where that is asked for, and nowhere else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "../../infra/tests/servers/mod.rs"]
mod servers;

use std::time::Duration;

use common::{Shop, Told, all_posted, append, busy_shop, dump, open_store};
use event_schemas::{NewEvent, Position, StreamName};
use infra::{
    event_store::EventStore,
    read_models::{Checkpoint, ReadModels, Skipped},
    search::SearchIndex,
};
use projections::{
    Batch, NotPosted, ProjectionState, ProjectionStatus, Projectors, Rebuild, SCHEMAS, Sink, Skip,
    SqlSink, orders::Orders, read_status, search, search::SearchSink,
};
use servers::{Place, over_every_engine};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(180);

/// An event that another Daybook wrote.
fn other(stream: &str, id: u128, event_type: &str, version: u32) -> Told {
    let metadata = format!(
        r#"{{"schema_version":{version},"occurred_at":"2026-11-21T09:15:00.000000Z",
        "recorded_at":"2026-11-21T09:15:00.000000Z",
        "actor":{{"id":"x","kind":"user","proof":"none"}},
        "command_id":"00000000-0000-0000-0000-000000000001","$correlationId":"x",
        "$causationId":"00000000-0000-0000-0000-000000000001"}}"#
    );
    let (id, name) = (Uuid::from_u128(id << 90), event_type.to_owned());
    let event = NewEvent::raw(id, name, "{}".into(), metadata.into());
    Told { stream: StreamName::parse(stream).unwrap(), event }
}

/// A shop's log with what nobody knows at its beginning, in the middle and at its end.
fn log() -> Vec<Told> {
    let mut log = busy_shop(300).log;
    log.insert(0, other("order-g1", 1, "OrderGifted", 3));
    log.insert(150, other("order-g2", 2, "OrderGifted", 3));
    log.insert(151, other("product-p9", 3, "ProductCreated", 9));
    log.push(other("order-g2", 4, "OrderGifted", 3));
    log
}

fn gifted() -> Skipped {
    let (category, event_type) = ("order".to_owned(), "OrderGifted".to_owned());
    Skipped { category, event_type, schema_version: Some(3), events: 3, first: Position(1) }
}

fn newer_product() -> Skipped {
    let (category, event_type) = ("product".to_owned(), "ProductCreated".to_owned());
    Skipped { category, event_type, schema_version: Some(9), events: 1, first: Position(152) }
}

async fn start(store: &EventStore, models: &ReadModels, skip: &str) -> Projectors {
    let mut projectors = Projectors::new(store.clone()).skipping(skip.parse().unwrap());
    projectors.start_sql(models).unwrap();
    projectors
}

fn of(all: Vec<ProjectionStatus>, name: &str) -> ProjectionStatus {
    all.into_iter().find(|status| status.name == name).unwrap()
}

async fn rows(models: &ReadModels) -> Vec<String> {
    let mut rows = Vec::new();
    for schema in SCHEMAS {
        rows.push(dump(models, schema).await);
    }
    rows
}

fn rebuild(store: &EventStore, models: &ReadModels, skip: &str) -> Rebuild {
    let skip: Skip = skip.parse().unwrap();
    let mut rebuild = Rebuild::new(store.clone()).skipping(skip);
    for schema in SCHEMAS {
        assert!(rebuild.add_sql(models, schema.name).unwrap());
    }
    rebuild
}

over_every_engine!(what_is_named_is_passed_over_and_told, what_became_known_is_posted_anew);

async fn what_is_named_is_passed_over_and_told(place: Place) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    let log = log();
    append(&store, &log[..120]).await;
    let models = place.models().await;
    let skip = "OrderGifted,ProductCreated@9";
    // The batches are cut anywhere.
    let projectors = start(&store, &models, skip).await;
    all_posted(&projectors, &store).await;
    append(&store, &log[120..]).await;
    all_posted(&projectors, &store).await;
    let told = projectors.status().await.unwrap();
    for (name, skipped) in [
        ("orders", vec![gifted()]),
        ("sales", vec![gifted()]),
        ("stock", vec![]),
        ("products", vec![newer_product()]),
    ] {
        let status = of(told.clone(), name);
        assert_eq!((status.state, status.error), (ProjectionState::Live, None), "{name}");
        assert_eq!(status.skipped, skipped, "{name}");
    }
    projectors.stop().await;
    // From outside, and after a restart, the same is told, though nothing is to be passed over now.
    let outside = read_status(&store, &models).await.unwrap();
    assert_eq!(of(outside, "orders").skipped, [gifted()]);
    let projectors = start(&store, &models, "").await;
    all_posted(&projectors, &store).await;
    assert_eq!(of(projectors.status().await.unwrap(), "orders").skipped, [gifted()]);
    projectors.stop().await;

    // Rebuilt in one go: the same rows, and the same is told.
    let posted = rows(&models).await;
    for rebuilt in rebuild(&store, &models, skip).run(|_| {}).await.unwrap() {
        let expected = of(told.clone(), rebuilt.name).skipped;
        assert_eq!(rebuilt.outcome.unwrap().skipped, expected, "{}", rebuilt.name);
    }
    assert_eq!(rows(&models).await, posted);
    // Without being told to, a rebuild stops there and leaves what is read.
    for rebuilt in rebuild(&store, &models, "OrderGifted@2").run(|_| {}).await.unwrap() {
        match rebuilt.name {
            "stock" => assert!(rebuilt.outcome.is_ok()),
            name => {
                let told = rebuilt.outcome.unwrap_err().to_string();
                assert!(told.contains("--skip-unknown"), "{name}: {told}");
            }
        }
    }
    assert_eq!(rows(&models).await, posted);
}

#[tokio::test]
async fn a_rebuild_beside_the_projectors_passes_over_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    append(&store, &log()).await;
    let models = ReadModels::sqlite(dir.path().join("read-models"));
    let projectors = start(&store, &models, "all").await;
    all_posted(&projectors, &store).await;
    let posted = rows(&models).await;
    projectors.rebuild("orders").unwrap();
    let rebuilt = loop {
        let status = of(projectors.status().await.unwrap(), "orders");
        if let Some(rebuilt) = status.rebuilt.filter(|_| status.rebuilding.is_none()) {
            break rebuilt;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(rebuilt.error, None);
    assert_eq!(rows(&models).await, posted);
    projectors.stop().await;
    assert_eq!(of(read_status(&store, &models).await.unwrap(), "orders").skipped, [gifted()]);
}

#[tokio::test]
async fn what_is_known_and_broken_stops_though_all_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    let mut log = log();
    let before = log.len() as u64;
    log.push(other("order-o9", 5, "OrderPlaced", 1));
    log.push(other("order-g3", 6, "OrderGifted", 3));
    append(&store, &log).await;
    let models = ReadModels::sqlite(dir.path().join("read-models"));
    let projectors = start(&store, &models, "all").await;
    let head = store.head().await.unwrap();
    let stopped = projectors.wait_for("orders", head, PATIENCE).await;
    let Err(NotPosted::Stopped { error }) = stopped else { panic!("{stopped:?}") };
    assert!(error.contains("OrderPlaced at position"), "{error}");
    let status = of(projectors.status().await.unwrap(), "orders");
    assert_eq!((status.position, status.skipped), (Position(before), vec![gifted()]));
    projectors.stop().await;
}

#[tokio::test]
async fn a_fold_that_fails_counts_only_what_was_passed_over_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    let mut shop = Shop::default();
    shop.register("u1");
    let stream = StreamName::new("order", "o1");
    let mut log = vec![other("order-g1", 1, "OrderGifted", 3)];
    // Delivered, and never placed.
    shop.tell(stream, event_schemas::OrderEvent::from(event_schemas::OrderDelivered {}));
    log.extend(shop.log);
    log.push(other("order-g2", 2, "OrderGifted", 3));
    append(&store, &log).await;
    let models = ReadModels::sqlite(dir.path().join("read-models"));
    let projectors = start(&store, &models, "all").await;
    let stopped = projectors.wait_for("orders", Position(3), PATIENCE).await;
    assert!(matches!(stopped, Err(NotPosted::Stopped { .. })), "{stopped:?}");
    let status = of(projectors.status().await.unwrap(), "orders");
    let first = Skipped { events: 1, ..gifted() };
    assert_eq!((status.position, status.skipped), (Position(2), vec![first]));
    projectors.stop().await;
}

async fn what_became_known_is_posted_anew(place: Place) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    append(&store, &busy_shop(120).log).await;
    let head = store.head().await.unwrap();
    let models = place.models().await;
    // As a Daybook left it that did not know what an order is that was placed.
    let mut sink = SqlSink::<Orders>::live(models.clone(), store.id());
    let from = sink.checkpoint().await.unwrap();
    let lacking =
        Skipped { event_type: "OrderPlaced".to_owned(), schema_version: Some(1), ..gifted() };
    let last = store.event_at(head).await.unwrap().map(|event| (head, event.id));
    let to = Checkpoint { position: head, last, skipped: vec![lacking], ..from.clone() };
    sink.apply(&Batch { from, to, events: Vec::new() }).await.unwrap();
    drop(sink);

    let outside = of(read_status(&store, &models).await.unwrap(), "orders");
    assert_eq!(outside.skipped[0].to_string().split(' ').nth(2), Some("OrderPlaced@1"));
    let projectors = start(&store, &models, "").await;
    // At its head already, as it says; but it is posted anew, by itself.
    append(&store, &busy_shop(130).log.split_off(121)).await;
    all_posted(&projectors, &store).await;
    let status = of(projectors.status().await.unwrap(), "orders");
    assert_eq!((status.generation, status.skipped), (Some(2), vec![]));
    let rebuilt = of(projectors.status().await.unwrap(), "stock").generation;
    assert_eq!(rebuilt, Some(1));
    projectors.stop().await;
}

#[tokio::test]
async fn the_search_passes_over_and_remembers_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    append(&store, &log()).await;
    let head = store.head().await.unwrap();
    let open = || SearchIndex::open_tantivy(dir.path().join("search"), search::schema());
    for skip in ["ProductCreated@9", ""] {
        let index = open().await.unwrap();
        let mut projectors = Projectors::new(store.clone()).skipping(skip.parse().unwrap());
        projectors.start(SearchSink::live(index.clone(), store.id())).unwrap();
        projectors.wait_for("search", head, PATIENCE).await.unwrap();
        assert_eq!(projectors.status().await.unwrap()[0].skipped, [newer_product()]);
        projectors.stop().await;
        index.close().await.unwrap();
    }
    let index = open().await.unwrap();
    let status = search::read_status(&store, Ok(&index)).await.unwrap();
    assert_eq!(status.skipped, [newer_product()]);
    let mut rebuild = Rebuild::new(store.clone());
    rebuild.add(SearchSink::anew(index.clone(), store.id())).unwrap();
    let rebuilt = rebuild.run(|_| {}).await.unwrap();
    let told = rebuilt[0].outcome.as_ref().unwrap_err().to_string();
    assert!(told.contains("ProductCreated has schema version 9"), "{told}");
    index.close().await.unwrap();
}
