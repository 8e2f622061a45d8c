//! Measurements, not run with the tests:
//! `cargo test --release -p projections --test rate -- --ignored --nocapture --test-threads 1`
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::cast_precision_loss, reason = "a rate is a float")]

mod common;

// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::{Duration, Instant},
};

use common::{Shop, Told, append_fast, open_store};
use event_schemas::{ExpectedRevision, NewEvent, Position, StreamName, Timestamp};
use infra::{event_store::EventStore, read_models::ReadModels};
use projections::{Projectors, Rebuild, SCHEMAS};
use uuid::Uuid;

/// A log like that of a grocery's four weeks: many products and skus, orders of ten lines.
fn grocery(products: usize, orders: usize, lines: usize) -> Shop {
    let mut shop = Shop::default();
    let skus: Vec<String> = (0..products).map(|at| format!("{:07}", 1_000_000 + at)).collect();
    for sku in &skus {
        shop.product(sku, std::slice::from_ref(sku));
    }
    for sku in &skus {
        shop.receive(sku, 1_000_000);
    }
    let mut random = 1_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize % below
    };
    for user in 0..1_857 {
        shop.register(&format!("{user}"));
    }
    for order in 0..orders {
        let id = format!("{:011}", 30_000_000_000 + order);
        let from = next(products - lines * 50);
        let wanted: Vec<_> = (0..lines).map(|at| skus[from + at * 50].clone()).collect();
        for sku in &wanted {
            shop.reserve(sku, &id, 1);
        }
        let placed_at = 1_480_000_000_000_000 + order as i64 * 270_000_000;
        shop.place(&id, &format!("{}", next(1_857)), &wanted, placed_at);
    }
    shop
}

fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    let shop = grocery(68_189, 8_762, 10);
    append_fast(&store, &shop.log).await;
    let events = shop.log.len();
    drop(shop);
    store.close().await.unwrap();
    let store = open_store(dir.path()).await;
    let models = ReadModels::sqlite(dir.path().join("read-models"));
    let only = std::env::var("ONLY").ok();
    for _ in 0..3 {
        let (begun, before) = (Instant::now(), cpu());
        let mut rebuild = Rebuild::new(store.clone());
        for schema in SCHEMAS {
            if only.as_ref().is_none_or(|only| only == schema.name) {
                rebuild.add_sql(&models, schema.name).unwrap();
            }
        }
        for rebuilt in rebuild.run(|_| {}).await.unwrap() {
            rebuilt.outcome.unwrap();
        }
        let took = begun.elapsed();
        println!(
            "{events} events in {took:?}: {:.0}/s, processor {:?}",
            events as f64 / took.as_secs_f64(),
            cpu() - before
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn live() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    let shop = grocery(1_000, 20_000, 3);
    let (start, orders) = shop.log.split_at(shop.log.len() - 80_000);
    append_fast(&store, start).await;
    let models = ReadModels::sqlite(dir.path().join("read-models"));
    for (rate, posting) in [(1_000, false), (1_000, true), (4_000, false), (4_000, true)] {
        let mut projectors = Projectors::new(store.clone());
        if posting {
            projectors.start_sql(&models).unwrap();
            wait(&projectors, store.head().await.unwrap()).await;
        }
        let (begun, before) = (Instant::now(), cpu());
        let mut delays = Vec::new();
        let part = &orders[..rate * 4 * 4];
        for (at, ten) in part.chunks(40).enumerate() {
            let due = begun + Duration::from_secs_f64(at as f64 * 10.0 / rate as f64);
            tokio::time::sleep_until(due.into()).await;
            append_anew(&store, ten).await;
            if posting && at % 20 == 0 {
                let (head, acknowledged) = (store.head().await.unwrap(), Instant::now());
                wait(&projectors, head).await;
                delays.push(acknowledged.elapsed());
            }
        }
        let (took, cost, events) = (begun.elapsed(), cpu() - before, part.len());
        delays.sort_unstable();
        println!(
            "{rate} orders/s, posting {posting}: {events} events in {took:?}, processor {cost:?} \
             ({:.1} us an event), lag p50 {:?} p99 {:?}",
            cost.as_secs_f64() * 1e6 / events as f64,
            delays.get(delays.len() / 2),
            delays.get(delays.len() * 99 / 100),
        );
        projectors.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn point_reads() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path()).await;
    append_fast(&store, &grocery(1_000, 5_000, 3).log).await;
    let models = ReadModels::sqlite(dir.path().join("read-models"));
    let mut projectors = Projectors::new(store.clone());
    projectors.start_sql(&models).unwrap();
    wait(&projectors, store.head().await.unwrap()).await;
    let reader = models.reader(SCHEMAS[0]);
    let (begun, before) = (Instant::now(), cpu());
    let reads = 100_000_i64;
    for at in 0..reads {
        let mut snapshot = reader.snapshot().await.unwrap();
        let id = format!("{:011}", 30_000_000_000 + at * 7 % 5_000).into();
        let sql = "SELECT document FROM orders WHERE id = ?";
        let rows = snapshot.query(sql, &[id]).await.unwrap();
        assert_eq!(rows.len(), 1);
    }
    let took = begun.elapsed();
    println!(
        "{:.0} point reads/s, {:.1} us of the processor each",
        reads as f64 / took.as_secs_f64(),
        (cpu() - before).as_secs_f64() * 1e6 / reads as f64
    );
    projectors.stop().await;
}

/// Appends the events once more, each by itself and under ids of its own.
async fn append_anew(store: &EventStore, told: &[Told]) {
    for Told { stream, event } in told {
        let decoded = event.decoded().unwrap();
        let mut metadata = decoded.metadata.clone();
        metadata.recorded_at = Timestamp::from(jiff::Timestamp::now());
        let id = Uuid::from_u128(random());
        let stream = match stream.category() {
            "order" => StreamName::new("order", &id.to_string()),
            _ => stream.clone(),
        };
        let event = NewEvent::new(id, decoded.event.clone(), metadata).unwrap();
        let store = store.clone();
        tokio::spawn(async move {
            store.append(stream, ExpectedRevision::Any, vec![event]).await.unwrap();
        });
    }
    tokio::task::yield_now().await;
}

fn random() -> u128 {
    let half = || u128::from(RandomState::new().build_hasher().finish());
    half() << 64 | half()
}

async fn wait(projectors: &Projectors, position: Position) {
    for schema in SCHEMAS {
        projectors.wait_for(schema.name, position, Duration::from_secs(60)).await.unwrap();
    }
}
