//! The search projection over the histories of a small shop.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "../../infra/tests/support/elasticsearch.rs"]
mod elasticsearch;

use std::collections::BTreeMap;

use common::{Shop, Step, Told, logged, shop, steps};
use elasticsearch::Place;
use event_schemas::{
    Event, Logged, ProductEvent, ProductTakenOffShelf, StockEvent, StoreId, StreamName,
    resource::{ProductResource, ProductStatus},
};
use infra::{
    read_models::Checkpoint,
    search::{Query, SearchError, SearchIndex},
};
use projections::{
    Batch, Entry, Sink, SinkError,
    search::{IN_STOCK, ON_SHELF, SearchSink, schema},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

const STORE: StoreId = StoreId(Uuid::from_u128(5));

async fn index(dir: &tempfile::TempDir, name: &str) -> SearchIndex {
    SearchIndex::open_tantivy(dir.path().join(name), schema()).await.unwrap()
}

fn index_of(place: &Place) -> SearchIndex {
    let url = place.url().parse().unwrap();
    SearchIndex::open_elasticsearch(&url, "products", schema()).unwrap()
}

/// Posts a log in batches of a size.
async fn post(sink: &mut SearchSink, log: &[Logged], size: usize) -> Result<(), SinkError> {
    let mut from = sink.checkpoint().await?;
    for part in log.chunks(size) {
        let last = part.last().unwrap();
        let to = Checkpoint {
            store: STORE,
            position: last.position,
            last: Some((last.position, last.id)),
            skipped: Vec::new(),
        };
        let ours =
            part.iter().filter(|logged| sink.categories().contains(&logged.stream.category()));
        let events = ours.map(|logged| Entry { logged, decoded: logged.decode().unwrap() });
        sink.apply(&Batch { from, to: to.clone(), events: events.collect() }).await?;
        from = to;
    }
    sink.install().await
}

/// Posted at once, in parts, and again from the start, the documents are those that the events say.
async fn check(log: &[Told], size: usize, whole: SearchIndex, parts: SearchIndex) {
    let expected = expected(log);
    let log = logged(log);
    post(&mut SearchSink::live(whole.clone(), STORE), &log, log.len()).await.unwrap();
    let found = documents(&whole).await;
    assert_eq!(found, expected);
    post(&mut SearchSink::live(parts.clone(), STORE), &log, size).await.unwrap();
    assert_eq!(documents(&parts).await, found);
    let checkpoint = parts.checkpoint().await.unwrap();
    assert_eq!(checkpoint, whole.checkpoint().await.unwrap());
    // Posted again from the start.
    post(&mut SearchSink::anew(parts.clone(), STORE), &log, size + 1).await.unwrap();
    assert_eq!(documents(&parts).await, found);
    assert_eq!(parts.checkpoint().await.unwrap(), checkpoint);
}

/// Every document by id, with whether it is on the shelf.
async fn documents(index: &SearchIndex) -> BTreeMap<String, (Value, bool)> {
    let query = Query { limit: 1_000, ..Query::default() };
    let bodies = index.query(query.clone()).await.unwrap().items;
    let shown = index.query(Query { flags: vec![ON_SHELF], ..query }).await.unwrap().items;
    let document = |body: &String| {
        let value: Value = serde_json::from_str(body).unwrap();
        (value["id"].as_str().unwrap().to_owned(), (value, shown.contains(body)))
    };
    bodies.iter().map(document).collect()
}

/// The same, thought out from the events by another way.
fn expected(log: &[Told]) -> BTreeMap<String, (Value, bool)> {
    let mut products: BTreeMap<String, ProductResource> = BTreeMap::new();
    let mut available: BTreeMap<String, bool> = BTreeMap::new();
    for Told { stream, event } in log {
        let Some(decoded) = event.decoded() else { continue };
        match &decoded.event {
            Event::Product(event) => {
                let before = products.remove(stream.id());
                let after = ProductResource::evolve(before, event);
                products.extend(after.map(|product| (stream.id().to_owned(), product)));
            }
            Event::Stock(event) => {
                let numbers = match event {
                    StockEvent::Introduced(_) | StockEvent::SkuReleased(_) => continue,
                    StockEvent::Received(event) => (event.on_hand, event.reserved),
                    StockEvent::Reserved(event) => (event.on_hand, event.reserved),
                    StockEvent::Released(event) => (event.on_hand, event.reserved),
                    StockEvent::Dispatched(event) => (event.on_hand, event.reserved),
                    StockEvent::Adjusted(event) => (event.on_hand, event.reserved),
                };
                available.insert(stream.id().to_owned(), numbers.0 > numbers.1);
            }
            _ => {}
        }
    }
    let document = |(id, product): (String, ProductResource)| {
        let in_stock = |sku: &str| available.get(sku).copied().unwrap_or(false);
        let price = product.variants.iter().map(|variant| variant.price).min_by_key(|p| p.amount);
        let variants: Vec<Value> = product
            .variants
            .iter()
            .map(|variant| {
                json!({"sku": variant.sku, "title": variant.title, "price": variant.price,
                       "in_stock": in_stock(&variant.sku)})
            })
            .collect();
        let item = json!({
            "id": product.id, "title": product.title, "brand": product.brand,
            "department": product.department, "category": product.category, "price": price,
            "in_stock": product.variants.iter().any(|variant| in_stock(&variant.sku)),
            "variants": variants,
        });
        (id, (item, product.status == ProductStatus::OnShelf))
    };
    products.into_iter().map(document).collect()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Whether a sku is available is told from quantities, which these steps make up; and few units
/// make many flips.
fn fitting(mut steps: Vec<Step>) -> Vec<Told> {
    steps.retain(|step| !(14..=16).contains(&step.kind));
    steps.iter_mut().filter(|step| step.kind == 11).for_each(|step| step.a = 0);
    shop(&steps).log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn documents_do_not_depend_on_where_batches_are_cut(
        steps in steps(80),
        size in 1..30_usize,
    ) {
        let log = fitting(steps);
        prop_assume!(!log.is_empty());
        run(async {
            let dir = tempfile::tempdir().unwrap();
            check(&log, size, index(&dir, "whole").await, index(&dir, "parts").await).await;
        });
    }
}

proptest! {
    // Each makes three indexes on a server.
    #![proptest_config(ProptestConfig::with_cases(3))]

    #[test]
    fn the_same_on_elasticsearch(steps in steps(80), size in 3..30_usize) {
        let log = fitting(steps);
        prop_assume!(!log.is_empty());
        if let (Some(whole), Some(parts)) = (Place::new(), Place::new()) {
            run(check(&log, size, index_of(&whole), index_of(&parts)));
        }
    }
}

#[tokio::test]
async fn stock_that_stays_above_none_moves_only_the_checkpoint() {
    let mut shop = Shop::default();
    shop.product("mug", &["mug-red".to_owned()]);
    shop.receive("mug-red", 10);
    let before = shop.log.len();
    shop.reserve("mug-red", "o1", 3);
    shop.receive("mug-red", 5);
    let dir = tempfile::tempdir().unwrap();
    let index = index(&dir, "index").await;
    let mut sink = SearchSink::live(index.clone(), STORE);
    let log = logged(&shop.log);
    post(&mut sink, &log[..before], 100).await.unwrap();
    let beside = || SearchIndex::read_tantivy(dir.path().join("index"), schema());
    let stored = beside().await.unwrap().checkpoint().await.unwrap().unwrap();
    post(&mut sink, &log[before..], 1).await.unwrap();
    let posted = index.checkpoint().await.unwrap().unwrap();
    assert_eq!(posted.position, log.last().unwrap().position);
    // No commit was needed for it.
    assert_eq!(beside().await.unwrap().checkpoint().await.unwrap().unwrap(), stored);
    let query = Query { flags: vec![ON_SHELF, IN_STOCK], limit: 9, ..Query::default() };
    assert_eq!(index.query(query).await.unwrap().checkpoint, Some(posted));
    // It is stored all the same, a moment later.
    for _ in 0..600 {
        if beside().await.unwrap().checkpoint().await.unwrap() == index.checkpoint().await.unwrap()
        {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the checkpoint was not stored");
}

#[tokio::test]
async fn an_event_of_a_product_that_never_was_is_poison() {
    let mut shop = Shop::default();
    let event = ProductEvent::from(ProductTakenOffShelf {});
    shop.tell(StreamName::new("product", "ghost"), event);
    let dir = tempfile::tempdir().unwrap();
    let index = index(&dir, "index").await;
    let mut sink = SearchSink::live(index.clone(), STORE);
    let posted = post(&mut sink, &logged(&shop.log), 10).await;
    assert!(matches!(posted, Err(SinkError::Poison(poison)) if poison.stream == "product-ghost"));
    assert_eq!(index.checkpoint().await.unwrap(), None);
}

#[tokio::test]
async fn a_checkpoint_that_somebody_else_moved_is_told() {
    let mut shop = Shop::default();
    shop.product("mug", &["mug-red".to_owned()]);
    let dir = tempfile::tempdir().unwrap();
    let index = index(&dir, "index").await;
    let log = logged(&shop.log);
    post(&mut SearchSink::live(index.clone(), STORE), &log, 10).await.unwrap();
    let last = log.last().unwrap();
    let to = Checkpoint { position: last.position, ..Checkpoint::start(STORE) };
    let batch = Batch { from: Checkpoint::start(STORE), to, events: Vec::new() };
    let applied = SearchSink::live(index.clone(), STORE).apply(&batch).await;
    assert!(matches!(applied, Err(SinkError::Moved)));
    index.close().await.unwrap();
    assert!(matches!(index.anew().await, Err(SearchError::Closed)));
}

/// A commit that failed halfway leaves documents that are further than the checkpoint. Whatever is
/// posted again, in whatever parts, they come to what the events say.
#[tokio::test]
async fn documents_that_are_ahead_of_the_checkpoint_are_not_folded_twice() {
    let Some(place) = Place::new() else { return };
    let mut shop = Shop::default();
    shop.product("mug", &["mug-red".to_owned(), "mug-blue".to_owned()]);
    shop.product("cup", &["cup-red".to_owned()]);
    shop.receive("mug-red", 10);
    shop.reserve("mug-red", "o1", 10);
    shop.receive("cup-red", 5);
    let log = logged(&shop.log);
    let index = index_of(&place);
    let mut ahead = SearchSink::live(index.clone(), STORE);
    post(&mut ahead, &log, log.len()).await.unwrap();
    // As if the checkpoint had never been written.
    let checkpoint = format!("{}-products/_doc/.checkpoint", place.name);
    for size in 1..=log.len() {
        assert_eq!(place.call("DELETE", &checkpoint, "").0, 200);
        assert_eq!(index.checkpoint().await.unwrap(), None);
        let mut again = SearchSink::live(index.clone(), STORE);
        post(&mut again, &log, size).await.unwrap();
        assert_eq!(documents(&index).await, expected(&shop.log), "in parts of {size}");
    }
}
