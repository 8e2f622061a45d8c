//! Measures the embedded event store: `cargo run --release -p infra --example event_store_speed
//! FOLDER`. The folder is made, and has to be on the disk that is to be measured.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use event_schemas::{ExpectedRevision, NewEvent, Position, Revision, StreamName};
use futures::{StreamExt, stream::FuturesUnordered};
use infra::event_store::{Direction, EventStore, Filter, SqliteOptions};
use uuid::Uuid;

const HOLDS: u64 = 300_000;
const SKUS: u64 = 1_000;

fn event(event_type: &str) -> NewEvent {
    let (data, metadata) = ("d".repeat(350), "m".repeat(350));
    NewEvent::raw(Uuid::new_v4(), event_type.into(), data.into(), metadata.into())
}

/// Spreads numbers over a range.
fn scatter(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let folder = std::env::args().nth(1).expect("name a folder");
    std::fs::create_dir_all(&folder).unwrap();
    let path = std::path::Path::new(&folder).join("speed.sqlite");
    let store = EventStore::open_sqlite(SqliteOptions::new(path)).await.unwrap();

    let mut latencies = Vec::new();
    for n in 0..2_000 {
        let (begun, stream) = (Instant::now(), StreamName::new("sequential", &n.to_string()));
        store.append(stream, ExpectedRevision::NoStream, vec![event("Placed")]).await.unwrap();
        latencies.push(begun.elapsed());
    }
    println!("one append after another: {}", percentiles(latencies));

    // Three holds and a new stream an order, 1,000 appends under way.
    let follower = {
        let mut subscription = store.subscribe(store.head().await.unwrap(), Filter::all());
        tokio::spawn(async move {
            let mut seen = 0;
            while seen < HOLDS / 3 * 4 {
                seen += subscription.next().await.unwrap().events.len() as u64;
            }
        })
    };
    let (begun, mut under_way, mut latencies) =
        (Instant::now(), FuturesUnordered::new(), Vec::new());
    let timed = |stream, kind: &'static str| {
        let store = store.clone();
        async move {
            let begun = Instant::now();
            store.append(stream, ExpectedRevision::Any, vec![event(kind)]).await.unwrap();
            begun.elapsed()
        }
    };
    for n in 0..HOLDS {
        let sku = StreamName::new("stock", &format!("sku-{}", scatter(n) % SKUS));
        under_way.push(timed(sku, "Reserved"));
        if n % 3 == 2 {
            let order = StreamName::new("order", &Uuid::new_v4().to_string());
            under_way.push(timed(order, "Placed"));
        }
        while under_way.len() >= 1_000 {
            latencies.extend(under_way.next().await);
        }
    }
    while let Some(latency) = under_way.next().await {
        latencies.push(latency);
    }
    let took = begun.elapsed();
    println!("1,000 at a time: {}, {}", rate(latencies.len(), took), percentiles(latencies));
    follower.await.unwrap();
    println!("followed after another {:?}", begun.elapsed().saturating_sub(took));

    let mut latencies = Vec::new();
    for n in 0..20_000 {
        let stream = StreamName::new("order", &n.to_string());
        let begun = Instant::now();
        store.stream_head(&stream).await.unwrap();
        latencies.push(begun.elapsed());
    }
    println!("head of no stream: {}", percentiles(latencies));
    let mut latencies = Vec::new();
    for n in 0..20_000 {
        let stream = StreamName::new("sequential", &(n % 2_000).to_string());
        let begun = Instant::now();
        store.read_stream(&stream, Revision(0), Direction::Forwards, 10).await.unwrap();
        latencies.push(begun.elapsed());
    }
    println!("stream of one event: {}", percentiles(latencies));
    let rare = Filter { types: vec!["Reserved".into()], ..Filter::all() };
    for (name, filter) in [("log", Filter::all()), ("log of one kind of three", rare)] {
        let (begun, mut after, mut count) = (Instant::now(), Position::START, 0);
        loop {
            let page = store.read_log(after, Direction::Forwards, &filter, 1_000).await.unwrap();
            (after, count) = (page.scanned_to, count + page.events.len());
            if page.at_end {
                break;
            }
        }
        println!("{name}: {}", rate(count, begun.elapsed()));
    }
    let begun = Instant::now();
    store.close().await.unwrap();
    println!("closed in {:?}", begun.elapsed());
}

fn percentiles(mut latencies: Vec<Duration>) -> String {
    latencies.sort_unstable();
    let at = |share: usize| latencies[(latencies.len() - 1) * share / 1_000];
    format!("p50 {:?}, p99 {:?}, p99.9 {:?}", at(500), at(990), at(999))
}

fn rate(count: usize, took: Duration) -> String {
    format!("{:.0} events/s", count as f64 / took.as_secs_f64())
}
