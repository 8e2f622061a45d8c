//! What another version of the code has posted is posted anew beside it, by itself, and read
//! meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "../../infra/tests/support/elasticsearch.rs"]
mod elasticsearch;
#[path = "../../infra/tests/servers/mod.rs"]
mod servers;

use std::{path::PathBuf, time::Duration};

use common::{Told, all_posted, append, append_fast, busy_shop, dump, open_store, status};
use event_schemas::{NewEvent, Position, StreamName};
use infra::{
    event_store::EventStore,
    read_models::ReadModels,
    search::{Query, Schema, SearchError, SearchIndex},
};
use projections::{
    NotPosted, ProjectionState, Projectors, SCHEMAS,
    search::{SearchSink, schema},
};
use servers::{Place, over_every_engine};
use sqlx::Executor as _;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(180);

over_every_engine!(
    what_older_code_posted_is_read_until_it_is_posted_anew,
    what_newer_code_posted_is_left_alone,
    what_cannot_be_posted_anew_is_still_read,
);

/// Read models posted up to the head of a log, and the orders as another version has left them.
async fn posted(place: &Place, store: &EventStore, version: u32) -> ReadModels {
    append_fast(store, &busy_shop(900).log).await;
    let models = place.models().await;
    let projectors = start(store, &models);
    all_posted(&projectors, store).await;
    projectors.stop().await;
    let own = format!("version {}", SCHEMAS[0].version);
    let left = SCHEMAS[0].fingerprint().replacen(&own, &format!("version {version}"), 1);
    assert_ne!(left, SCHEMAS[0].fingerprint());
    match place {
        Place::Directory(dir) => {
            let file = dir.path().join("models/orders-1.sqlite");
            let file = rusqlite::Connection::open(file).unwrap();
            file.execute("UPDATE checkpoint SET schema = ?", [left]).unwrap();
            file.execute("UPDATE orders SET status = 'as it was'", []).unwrap();
        }
        Place::Database(database) => {
            let mut connection = database.connect().await;
            let naming = "UPDATE checkpoints SET fingerprint = ? WHERE name = 'orders'";
            sqlx::query(naming).bind(left).execute(&mut connection).await.unwrap();
            let marking = "UPDATE orders_1_orders SET status = 'as it was'";
            connection.execute(marking).await.unwrap();
        }
    }
    place.models().await
}

fn start(store: &EventStore, models: &ReadModels) -> Projectors {
    let mut projectors = Projectors::new(store.clone());
    projectors.start_sql(models).unwrap();
    projectors
}

/// How many rows of the orders are those of the other version, and in which generation.
async fn as_it_was(models: &ReadModels) -> (i64, u64) {
    let mut snapshot = models.reader(SCHEMAS[0]).snapshot().await.unwrap();
    let counting = "SELECT count(*) FROM orders WHERE status = 'as it was'";
    let mut rows = snapshot.query(counting, &[]).await.unwrap();
    (rows[0].integer(0).unwrap(), snapshot.generation())
}

async fn what_older_code_posted_is_read_until_it_is_posted_anew(place: Place) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    let models = posted(&place, &store, 0).await;
    let (old, generation) = as_it_was(&models).await;
    assert!(old > 0 && generation == 1);

    let projectors = start(&store, &models);
    // As it goes on, whatever is asked is answered: by the old one or by the new one, whole.
    let asking = async {
        loop {
            let (left, generation) = as_it_was(&models).await;
            match generation {
                1 => assert_eq!(left, old),
                _ => break assert_eq!((left, generation), (0, 2)),
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("it is posted anew");
    append(&store, &busy_shop(930).log.split_off(920)).await;
    all_posted(&projectors, &store).await;
    let shown = status(&projectors, "orders").await;
    assert_eq!((shown.generation, shown.error), (Some(2), None));
    assert_eq!(shown.rebuilt.unwrap().error, None);
    // What this code posted before goes on.
    assert_eq!(status(&projectors, "stock").await.generation, Some(1));
    projectors.stop().await;
    let rows = dump(&models, SCHEMAS[0]).await;
    common::rebuild(&store, &models, &["orders"]).await;
    assert_eq!(dump(&models, SCHEMAS[0]).await, rows);
}

async fn what_newer_code_posted_is_left_alone(place: Place) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    let models = posted(&place, &store, 1_000).await;
    let projectors = start(&store, &models);
    let never = Position(u64::MAX);
    let stopped = projectors.wait_for("orders", never, PATIENCE).await;
    let Err(NotPosted::Stopped { error }) = stopped else { panic!("{stopped:?}") };
    assert!(error.contains("newer version"), "{error}");
    let (old, generation) = as_it_was(&models).await;
    assert!(old > 0 && generation == 1);
    // Who wants to go back says so.
    projectors.rebuild("orders").unwrap();
    let posted = async {
        while as_it_was(&models).await != (0, 2) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, posted).await.expect("it goes back");
    projectors.stop().await;
}

async fn what_cannot_be_posted_anew_is_still_read(place: Place) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    let models = posted(&place, &store, 0).await;
    let stream = StreamName::parse("order-bad").unwrap();
    let id = Uuid::from_u128(9);
    let event = NewEvent::raw(id, "NoSuchType".to_owned(), "{}".into(), "{}".into());
    append(&store, &[Told { stream, event }]).await;
    let projectors = start(&store, &models);
    let never = Position(u64::MAX);
    let stopped = projectors.wait_for("orders", never, PATIENCE).await;
    let Err(NotPosted::Stopped { error }) = stopped else { panic!("{stopped:?}") };
    assert!(error.contains("NoSuchType"), "{error}");
    let (old, generation) = as_it_was(&models).await;
    assert!(old > 0 && generation == 1);
    let shown = status(&projectors, "orders").await;
    assert_eq!((shown.state, shown.generation), (ProjectionState::Stopped, Some(1)));
    assert!(shown.position > Position::START && shown.position < shown.head);
    projectors.stop().await;
}

/// Where a search index lies.
enum Index {
    Directory(PathBuf),
    Server(elasticsearch::Place),
}

impl Index {
    async fn open(&self, schema: Schema) -> SearchIndex {
        match self {
            Self::Directory(dir) => SearchIndex::open_tantivy(dir.clone(), schema).await.unwrap(),
            Self::Server(place) => {
                let url = place.url().parse().unwrap();
                SearchIndex::open_elasticsearch(&url, "products", schema).unwrap()
            }
        }
    }
}

async fn post(store: &EventStore, index: &SearchIndex) -> Projectors {
    let mut projectors = Projectors::new(store.clone());
    projectors.start(SearchSink::live(index.clone(), store.id())).unwrap();
    let head = store.head().await.unwrap();
    projectors.wait_for("search", head, PATIENCE).await.unwrap();
    projectors
}

async fn an_index_of_older_code(at: Index) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    append_fast(&store, &busy_shop(400).log).await;
    let older = Schema { version: 0, ..schema() };
    let index = at.open(older.clone()).await;
    post(&store, &index).await.stop().await;
    let before = index.query(Query::default()).await.unwrap();
    assert!(before.total > 0);
    index.close().await.unwrap();
    drop(index);

    // It is searched, and who posts is told.
    let index = at.open(schema()).await;
    let told = index.checkpoint().await;
    assert!(matches!(&told, Err(SearchError::OtherVersion { found: Some(_) })), "{told:?}");
    assert_eq!(index.query(Query::default()).await.unwrap().total, before.total);
    append(&store, &busy_shop(430).log.split_off(410)).await;
    let projectors = post(&store, &index).await;
    assert_eq!(status(&projectors, "search").await.rebuilt.unwrap().error, None);
    assert!(index.query(Query::default()).await.unwrap().checkpoint.unwrap().position.0 > 400);
    assert_eq!(index.drop_old().await.unwrap(), 1);
    projectors.stop().await;
    index.close().await.unwrap();
    drop(index);

    // Older code leaves it alone.
    let index = at.open(older).await;
    let told = index.checkpoint().await;
    assert!(matches!(told, Err(SearchError::NewerVersion)), "{told:?}");
    let mut projectors = Projectors::new(store.clone());
    projectors.start(SearchSink::live(index.clone(), store.id())).unwrap();
    let stopped = projectors.wait_for("search", Position(u64::MAX), PATIENCE).await;
    let Err(NotPosted::Stopped { error }) = stopped else { panic!("{stopped:?}") };
    assert!(error.contains("newer version"), "{error}");
    projectors.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_of_older_code_is_searched_until_it_is_posted_anew() {
    let dir = tempfile::tempdir().unwrap();
    an_index_of_older_code(Index::Directory(dir.path().join("search"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_elasticsearch_of_older_code_is_searched_until_it_is_posted_anew() {
    let Some(place) = elasticsearch::Place::new() else { return };
    an_index_of_older_code(Index::Server(place)).await;
}
