//! A rebuild while the shop goes on: posting and queries never stop, and nobody is shown less than
//! before.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "../../infra/tests/servers/mod.rs"]
mod servers;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{all_posted, append, append_fast, busy_shop, dump, open_store, status};
use event_schemas::{NewEvent, Position, StreamName};
use infra::{
    event_store::EventStore,
    read_models::{ReadModels, Schema},
    search::{Query, SearchIndex},
};
use projections::{
    NotBegun, NotPosted, ProjectionStatus, Projectors, Rebuild, SCHEMAS, Sink, SqlSink,
    orders::Orders, search::SearchSink,
};
use servers::{Place, over_every_engine};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(180);

/// Waits until the rebuild is over.
async fn rebuilt(projectors: &Projectors, name: &str) -> ProjectionStatus {
    let ended = async {
        loop {
            let status = status(projectors, name).await;
            if status.rebuilding.is_none() && status.rebuilt.is_some() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("a rebuild that ends")
}

/// Waits until orders that had stopped are posted to the log's end: they learn a moment later that
/// they were rebuilt.
async fn goes_on(projectors: &Projectors, store: &EventStore) {
    let head = store.head().await.unwrap();
    let posted = async {
        while projectors.wait_for("orders", head, PATIENCE).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, posted).await.expect("it goes on");
}

fn everything() -> Query {
    Query { limit: 1_000, ..Query::default() }
}

/// Asks again and again, and fails when it is shown less than before. Returns how often it asked.
async fn query(models: ReadModels, schema: &'static Schema, over: Arc<AtomicBool>) -> usize {
    let reader = models.reader(schema);
    let (mut seen, mut asked) = (Position::START, 0);
    while !over.load(Ordering::Acquire) {
        let snapshot = reader.snapshot().await.unwrap();
        let position = snapshot.checkpoint().position;
        assert!(position >= seen, "{}: {seen}, then {position}", schema.name);
        (seen, asked) = (position, asked + 1);
        drop(snapshot);
        tokio::task::yield_now().await;
    }
    asked
}

over_every_engine!(
    queries_and_posting_go_on_while_everything_is_rebuilt,
    another_process_may_rebuild_beside_the_projectors,
    what_another_process_rebuilds_is_seen_and_gone_on_with,
    a_rebuild_that_was_cut_short_goes_on,
);

async fn queries_and_posting_go_on_while_everything_is_rebuilt(place: Place) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    let log = busy_shop(1_600).log;
    let (before, meanwhile) = log.split_at(log.len() / 2);
    append_fast(&store, before).await;
    let models = place.models().await;
    let mut projectors = Projectors::new(store.clone());
    projectors.start_sql(&models).unwrap();
    all_posted(&projectors, &store).await;
    let over = Arc::new(AtomicBool::new(false));
    let queries: Vec<_> = SCHEMAS
        .iter()
        .map(|schema| tokio::spawn(query(models.clone(), schema, Arc::clone(&over))))
        .collect();

    // Read your own writes, across every switch.
    let selling = async {
        for part in meanwhile.chunks(10) {
            append(&store, part).await;
            let head = store.head().await.unwrap();
            for schema in SCHEMAS {
                projectors.wait_for(schema.name, head, PATIENCE).await.unwrap();
                let snapshot = models.reader(schema).snapshot().await.unwrap();
                assert!(snapshot.checkpoint().position >= head, "{}", schema.name);
            }
        }
    };
    let rebuilding = async {
        for schema in SCHEMAS {
            let generation = status(&projectors, schema.name).await.generation;
            projectors.rebuild(schema.name).unwrap();
            let again = projectors.rebuild(schema.name);
            let ended = status(&projectors, schema.name).await.rebuilt.is_some();
            assert!(matches!(again, Err(NotBegun::Already)) || ended, "{again:?}");
            let ended = rebuilt(&projectors, schema.name).await;
            let told = ended.rebuilt.unwrap();
            assert_eq!(told.error, None, "{}", schema.name);
            assert!(told.generation > generation, "{told:?}, before {generation:?}");
        }
    };
    tokio::join!(selling, rebuilding);
    all_posted(&projectors, &store).await;
    over.store(true, Ordering::Release);
    for query in queries {
        assert!(query.await.unwrap() > 0);
    }
    for schema in SCHEMAS {
        let status = status(&projectors, schema.name).await;
        assert_eq!((status.position, status.error), (status.head, None), "{}", schema.name);
        let snapshot = models.reader(schema).snapshot().await.unwrap();
        assert_eq!(Some(snapshot.generation()), status.generation, "{}", schema.name);
        assert!(snapshot.generation() > 1, "{}", schema.name);
    }
    projectors.stop().await;
    // Rebuilt live or posted once from the start: the same rows.
    let other = ReadModels::sqlite(dir.path().join("other"));
    let mut once = Projectors::new(store.clone());
    once.start_sql(&other).unwrap();
    all_posted(&once, &store).await;
    once.stop().await;
    for schema in SCHEMAS {
        assert_eq!(dump(&models, schema).await, dump(&other, schema).await, "{}", schema.name);
    }
}

async fn what_another_process_rebuilds_is_seen_and_gone_on_with(place: Place) {
    let Place::Database(_) = place else { return };
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let (former, store) = (open_store(elsewhere.path()).await, open_store(dir.path()).await);
    for store in [&former, &store] {
        append(store, &busy_shop(60).log).await;
    }
    let (here, there) = (place.models().await, place.models().await);
    let mut projectors = Projectors::new(former.clone()).shared(here.clone());
    projectors.start_sql(&here).unwrap();
    all_posted(&projectors, &former).await;
    projectors.stop().await;
    let mut projectors = Projectors::new(store.clone()).shared(here.clone());
    projectors.start_sql(&here).unwrap();
    let diverged = projectors.wait_for("orders", Position(1), PATIENCE).await;
    assert!(matches!(diverged, Err(NotPosted::Diverged { .. })), "{diverged:?}");

    // One is begun there: seen from here, and by who only reads.
    let mut building = SqlSink::<Orders>::anew(there.clone(), store.id());
    building.checkpoint().await.unwrap();
    let seen = status(&projectors, "orders").await.rebuilding.unwrap();
    assert_eq!((seen.generation, seen.position, seen.rate), (Some(2), Position::START, None));
    let read = projections::read_status(&store, &here).await.unwrap();
    assert_eq!(read[0].rebuilding, Some(seen));
    assert_eq!(status(&projectors, "stock").await.rebuilding, None);
    drop(building);

    let mut rebuild = Rebuild::new(store.clone());
    assert!(rebuild.add_sql(&there, "orders").unwrap());
    for rebuilt in rebuild.run(|_| {}).await.unwrap() {
        rebuilt.outcome.unwrap();
    }
    append(&store, &busy_shop(70).log.split_off(65)).await;
    goes_on(&projectors, &store).await;
    projectors.stop().await;
}

async fn another_process_may_rebuild_beside_the_projectors(place: Place) {
    // In a directory the event store's lock keeps other processes out.
    let Place::Database(_) = place else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    append_fast(&store, &busy_shop(600).log).await;
    let (here, elsewhere) = (place.models().await, place.models().await);
    let mut projectors = Projectors::new(store.clone()).shared(here.clone());
    projectors.start_sql(&here).unwrap();
    all_posted(&projectors, &store).await;
    let mut rebuild = Rebuild::new(store.clone());
    for schema in SCHEMAS {
        assert!(rebuild.add_sql(&elsewhere, schema.name).unwrap());
    }
    let selling = async {
        for part in busy_shop(150).log.split_off(20).chunks(5) {
            append(&store, part).await;
            all_posted(&projectors, &store).await;
        }
    };
    let ((), rebuilt) = tokio::join!(selling, rebuild.run(|_| {}));
    for rebuilt in rebuilt.unwrap() {
        rebuilt.outcome.unwrap();
    }
    append(&store, &busy_shop(30).log.split_off(25)).await;
    all_posted(&projectors, &store).await;
    for schema in SCHEMAS {
        let snapshot = here.reader(schema).snapshot().await.unwrap();
        assert_eq!(snapshot.generation(), 2, "{}", schema.name);
    }
    projectors.stop().await;
}

async fn a_rebuild_that_was_cut_short_goes_on(place: Place) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    let log = busy_shop(900).log;
    append_fast(&store, &log).await;
    let models = place.models().await;
    let mut projectors = Projectors::new(store.clone());
    projectors.start_sql(&models).unwrap();
    all_posted(&projectors, &store).await;
    projectors.stop().await;
    let expected = dump(&models, SCHEMAS[0]).await;

    // As far as it got: a part of the log is posted into the next generation, and left.
    let mut left = SqlSink::<Orders>::anew(models.clone(), store.id());
    let from = left.checkpoint().await.unwrap();
    let page = store
        .read_log(
            Position::START,
            infra::event_store::Direction::Forwards,
            &infra::event_store::Filter::default(),
            300,
        )
        .await
        .unwrap();
    let ours =
        page.events.iter().filter(|logged| left.categories().contains(&logged.stream.category()));
    let events = ours
        .map(|logged| projections::Entry { logged, decoded: logged.decode().unwrap() })
        .collect();
    let last = page.events.last().unwrap();
    let to = infra::read_models::Checkpoint {
        store: store.id(),
        position: page.scanned_to,
        last: Some((last.position, last.id)),
        skipped: Vec::new(),
    };
    left.apply(&projections::Batch { from, to, events }).await.unwrap();
    drop(left);

    let mut rebuild = Rebuild::new(store.clone());
    rebuild.add_sql(&models, "orders").unwrap();
    let mut begun = None;
    let rebuilt = rebuild.run(|at| begun = begun.or(Some(at.begin))).await.unwrap();
    for rebuilt in rebuilt {
        rebuilt.outcome.unwrap();
    }
    assert_eq!(dump(&models, SCHEMAS[0]).await, expected);
    // A server may learn later that a connection is gone, and its claim with it.
    if let Place::Directory(_) = place {
        assert_eq!(begun, Some(page.scanned_to));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_search_index_is_rebuilt_while_it_is_searched() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    let log = busy_shop(1_200).log;
    let (before, meanwhile) = log.split_at(log.len() / 2);
    append_fast(&store, before).await;
    let open = SearchIndex::open_tantivy(dir.path().join("search"), projections::search::schema());
    let index = open.await.unwrap();
    let mut projectors = Projectors::new(store.clone());
    projectors.start(SearchSink::live(index.clone(), store.id())).unwrap();
    let head = store.head().await.unwrap();
    projectors.wait_for("search", head, PATIENCE).await.unwrap();
    projectors.rebuild("search").unwrap();
    let selling = async {
        let mut seen = Position::START;
        for part in meanwhile.chunks(10) {
            append(&store, part).await;
            let head = store.head().await.unwrap();
            projectors.wait_for("search", head, PATIENCE).await.unwrap();
            let page = index.query(everything()).await.unwrap();
            let position = page.checkpoint.unwrap().position;
            assert!(position >= head && position >= seen, "{seen}, {head}, {position}");
            seen = position;
        }
    };
    let (ended, ()) = tokio::join!(rebuilt(&projectors, "search"), selling);
    assert_eq!(ended.rebuilt.unwrap().error, None);
    assert_eq!(status(&projectors, "search").await.generation, Some(2));
    let live = index.query(everything()).await.unwrap();
    projectors.stop().await;
    index.close().await.unwrap();
    drop(index);
    // And so it is opened again.
    let open = SearchIndex::open_tantivy(dir.path().join("search"), projections::search::schema());
    let index = open.await.unwrap();
    assert_eq!(index.generation(), Some(2));
    let again = index.query(everything()).await.unwrap();
    assert_eq!((again.items, again.total), (live.items, live.total));
    assert_eq!(index.drop_old().await.unwrap(), 1);
    assert_eq!(index.query(everything()).await.unwrap().total, live.total);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_diverged_goes_on_once_it_is_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let (first, second) = (open_store(dir.path()).await, open_store(elsewhere.path()).await);
    let models = ReadModels::sqlite(dir.path().join("read-models"));
    for store in [&first, &second] {
        append(store, &busy_shop(60).log).await;
    }
    let mut projectors = Projectors::new(first.clone());
    projectors.start_sql(&models).unwrap();
    all_posted(&projectors, &first).await;
    projectors.stop().await;
    let mut projectors = Projectors::new(second.clone());
    projectors.start_sql(&models).unwrap();
    let diverged = projectors.wait_for("orders", Position(1), PATIENCE).await;
    assert!(matches!(diverged, Err(NotPosted::Diverged { .. })), "{diverged:?}");
    projectors.rebuild("orders").unwrap();
    assert_eq!(rebuilt(&projectors, "orders").await.rebuilt.unwrap().error, None);
    append(&second, &busy_shop(70).log.split_off(65)).await;
    goes_on(&projectors, &second).await;
    projectors.stop().await;
}

#[tokio::test]
async fn poison_and_names_that_are_not_posted_leave_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    append(&store, &busy_shop(60).log).await;
    let models = ReadModels::sqlite(dir.path().join("read-models"));
    let mut projectors = Projectors::new(store.clone());
    assert!(matches!(projectors.rebuild("orders"), Err(NotBegun::Unknown)));
    projectors.start_sql(&models).unwrap();
    all_posted(&projectors, &store).await;
    let stream = StreamName::parse("order-bad").unwrap();
    let event =
        NewEvent::raw(Uuid::from_u128(9), "NoSuchType".to_owned(), "{}".into(), "{}".into());
    append(&store, &[common::Told { stream, event }]).await;
    let rows = dump(&models, SCHEMAS[0]).await;
    projectors.rebuild("orders").unwrap();
    let ended = rebuilt(&projectors, "orders").await.rebuilt.unwrap();
    assert!(ended.error.unwrap().contains("NoSuchType"));
    assert_eq!(dump(&models, SCHEMAS[0]).await, rows);
    assert_eq!(models.reader(SCHEMAS[0]).snapshot().await.unwrap().generation(), 1);
    projectors.stop().await;
    assert!(matches!(projectors.rebuild("orders"), Err(NotBegun::Ending)));
}
