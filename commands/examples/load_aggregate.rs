//! Measures how long a command for an aggregate with 100,000 events takes on a node that has it not
//! in memory, with and without a snapshot: `cargo run --release -p commands --example
//! load_aggregate 'esdb://127.0.0.1:2113?tls=false'`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use axum::body::Body;
use commands::{Commands, Processes, Settings};
use event_schemas::{
    Actor, Event, ExpectedRevision, Metadata, NewEvent, Revision, StockEvent, StockReleased,
    StockReserved, StreamName, Timestamp,
};
use http::{Request, StatusCode};
use infra::{event_store::EventStore, http::frame, keys::KeyStore};
use serde_json::{Value, json};
use uuid::Uuid;

const HOLDS: u64 = 50_000;

struct Node {
    commands: Commands,
    processes: Processes,
}

impl Node {
    async fn start(store: &EventStore, keys: &KeyStore, snapshots: Option<PathBuf>) -> Self {
        let settings = Settings { snapshots, ..Settings::default() };
        let (commands, processes) = Commands::start(store.clone(), keys.clone(), settings).unwrap();
        commands.ready(Duration::from_secs(600)).await.unwrap();
        Self { commands, processes }
    }

    async fn post(&self, path: &str, body: Value) -> Duration {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .header("idempotency-key", Uuid::new_v4().to_string())
            .body(Body::from(body.to_string()))
            .unwrap();
        let frame = frame(commands::router(self.commands.clone()), None);
        let begun = Instant::now();
        let answer = frame.answer(request).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{path}");
        begun.elapsed()
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let url = std::env::args().nth(1).expect("name a server");
    let store = EventStore::open_eventstoredb(url.parse().unwrap()).await.unwrap();
    let folder = std::env::temp_dir().join(format!("load-aggregate-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let keys = KeyStore::open_sqlite(folder.join("keys.sqlite")).await.unwrap();
    let sku = format!("long-{}", Uuid::new_v4().simple());
    let change = format!("/v1/stock/{sku}/adjustments");

    let node = Node::start(&store, &keys, None).await;
    let price = json!({ "amount": 1099, "currency": "USD" });
    let variant = json!({ "sku": sku, "title": "Red", "price": price });
    let product = json!({ "id": sku, "title": "Mug", "department": "HOME", "variants": [variant] });
    node.post("/v1/products", product).await;
    node.post(&format!("/v1/stock/{sku}/receipts"), json!({ "quantity": 10 })).await;
    node.processes.stop().await;
    fill(&store, &sku).await;

    let delta = || json!({ "delta": 1, "reason": "measured" });
    let node = Node::start(&store, &keys, None).await;
    println!("without a snapshot: {:?}", node.post(&change, delta()).await);
    println!("in memory: {:?}", node.post(&change, delta()).await);
    node.processes.stop().await;

    let snapshots = folder.join("snapshots");
    let node = Node::start(&store, &keys, Some(snapshots.clone())).await;
    node.post(&change, delta()).await;
    while !has_file(&snapshots) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    node.processes.stop().await;
    let node = Node::start(&store, &keys, Some(snapshots)).await;
    println!("from a snapshot: {:?}", node.post(&change, delta()).await);
    node.processes.stop().await;
    store.close().await.unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

fn has_file(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut files| files.next().is_some())
}

/// Holds and releases, two events each, as orders leave them that are cancelled.
async fn fill(store: &EventStore, sku: &str) {
    let stream = StreamName::new("stock", sku);
    let begun = Instant::now();
    let mut expected = store.stream_head(&stream).await.unwrap().unwrap();
    let mut events = Vec::new();
    for hold in 1..=HOLDS {
        let order_id = Uuid::new_v4().to_string();
        let (quantity, on_hand) = (1, 10);
        let held = StockReserved {
            order_id: order_id.clone(),
            quantity,
            hold,
            request_hash: None,
            on_hand,
            reserved: 1,
        };
        let released = StockReleased { order_id, quantity, hold, on_hand, reserved: 0 };
        events.push(event(StockEvent::Reserved(held)));
        events.push(event(StockEvent::Released(released)));
        if events.len() == 500 {
            let batch = std::mem::take(&mut events);
            let exact = ExpectedRevision::Exact(expected);
            expected = store.append(stream.clone(), exact, batch).await.unwrap().last_revision;
        }
    }
    println!("{} events in {stream}, appended in {:?}", Revision(expected.0 + 1), begun.elapsed());
}

fn event(event: StockEvent) -> NewEvent {
    let now = Timestamp::from_micros(1_790_000_000_000_000).unwrap();
    let id = Uuid::new_v4();
    let metadata = Metadata {
        schema_version: 1,
        occurred_at: now,
        recorded_at: now,
        actor: Actor::system("measurement"),
        command_id: id,
        request_hash: None,
        correlation_id: id.to_string(),
        causation_id: id,
        traceparent: None,
    };
    NewEvent::new(Uuid::new_v4(), Event::Stock(event), metadata).unwrap()
}
