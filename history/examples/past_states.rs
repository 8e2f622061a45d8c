//! How long it takes to tell what a product and a sku with 100,000 events each were at a moment:
//! `cargo run --release -p history --example past_states FOLDER`. The folder has to be empty.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a program for the command line"
)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use event_schemas::{
    Actor, Currency, Event, ExpectedRevision, Metadata, NewEvent, Position, ProductCreated,
    ProductDescribed, ProductEvent, Revision, StockEvent, StockIntroduced, StockReceived,
    StreamName, Timestamp, Variant, resource::ProductStatus,
};
use history::{At, Chronology, Clock, Kind, Past};
use infra::{
    event_store::{EventStore, SqliteOptions},
    snapshots::Snapshots,
};
use uuid::Uuid;

const EVENTS: u64 = 100_000;
const ASKED: u64 = 300;
/// The first event's time, microseconds since 1970; each later one is a second later.
const BEGIN: i64 = 1_700_000_000_000_000;

#[tokio::main]
async fn main() {
    let folder = std::path::PathBuf::from(std::env::args().nth(1).expect("name an empty folder"));
    let store = EventStore::open_sqlite(SqliteOptions::new(folder.join("events.sqlite"))).await;
    let store = store.unwrap();
    for batch in 0..EVENTS / 500 {
        let numbers = batch * 500..(batch + 1) * 500;
        for category in ["product", "stock"] {
            let events = numbers.clone().map(|n| event(category, n)).collect();
            let stream = StreamName::new(category, "mug");
            store.append(stream, ExpectedRevision::Any, events).await.unwrap();
        }
    }
    let snapshots = Snapshots::open(folder.join("snapshots"), store.id()).unwrap();
    let chronology = Arc::new(Chronology::default());
    let cold = Past::new(store.clone(), None, Arc::default());
    measure("nothing kept, one product", &cold, Kind::Product, 3).await;
    let past = Past::new(store.clone(), Some(snapshots), Arc::clone(&chronology));
    let begun = Instant::now();
    tokio::spawn(past.clone().follow());
    while chronology.position() < Position(2 * EVENTS) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("followed {} events in {:?}", 2 * EVENTS, begun.elapsed());
    measure("product", &past, Kind::Product, ASKED).await;
    measure("sku", &past, Kind::Stock, ASKED).await;
    store.close().await.unwrap();
}

fn event(category: &str, n: u64) -> NewEvent {
    let count = i64::try_from(n).unwrap();
    let at = Timestamp::from_micros(BEGIN + count * 1_000_000).unwrap();
    let metadata = Metadata {
        schema_version: 1,
        occurred_at: at,
        recorded_at: at,
        actor: Actor::system("example"),
        command_id: Uuid::new_v4(),
        request_hash: None,
        correlation_id: "example".to_owned(),
        causation_id: Uuid::new_v4(),
        traceparent: None,
    };
    let event: Event = match (category, n) {
        ("stock", 0) => StockEvent::from(StockIntroduced {
            sku: "mug".to_owned(),
            product_id: "mug".to_owned(),
            claim: Uuid::new_v4(),
        })
        .into(),
        ("stock", _) => StockEvent::from(StockReceived {
            quantity: 1,
            batch: None,
            on_hand: count,
            reserved: 0,
        })
        .into(),
        (_, 0) => ProductEvent::from(ProductCreated {
            product_id: "mug".to_owned(),
            title: "0".to_owned(),
            brand: "Acme".to_owned(),
            department: "HOME".to_owned(),
            category: "CUPS".to_owned(),
            attributes: [("size".to_owned(), "300 ml".to_owned())].into(),
            status: ProductStatus::OnShelf,
            variants: vec![Variant {
                sku: "mug".to_owned(),
                title: "Red".to_owned(),
                price: Currency::USD.money(1_099),
            }],
        })
        .into(),
        _ => ProductEvent::from(ProductDescribed {
            title: n.to_string(),
            brand: "Acme".to_owned(),
            department: "HOME".to_owned(),
            category: "CUPS".to_owned(),
            attributes: [("size".to_owned(), "300 ml".to_owned())].into(),
        })
        .into(),
    };
    NewEvent::new(Uuid::new_v4(), event, metadata).unwrap()
}

/// Moments spread over all of the log, by revision, position and time in turn.
async fn measure(what: &str, past: &Past, kind: Kind, asked: u64) {
    let now = Timestamp::from_micros(BEGIN + 1_000_000_000_000).unwrap();
    let mut times = Vec::new();
    for n in 0..asked {
        let revision = (n * 7_919 + 99_991) % EVENTS;
        let at = match n % 3 {
            0 => At::Revision(Revision(revision)),
            1 => At::Position(Position((2 * revision + 1_001).min(2 * EVENTS))),
            _ => {
                let second = i64::try_from(revision).unwrap();
                let time = Timestamp::from_micros(BEGIN + second * 1_000_000).unwrap();
                At::Time(time, Clock::Recorded)
            }
        };
        let begun = Instant::now();
        past.as_of(kind, "mug", at, now).await.unwrap();
        times.push(begun.elapsed());
    }
    times.sort();
    let part = |part: usize| times[(times.len() - 1) * part / 100];
    println!(
        "{what}: {asked} moments, p50 {:?}, p99 {:?}, longest {:?}",
        part(50),
        part(99),
        part(100)
    );
}
