//! Measures how fast a relay brings a log onto the bus: `cargo run --release -p infra --example
//! relay_speed nats://127.0.0.1:4222 [EVENTS]`. The stream it makes is deleted again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::time::Instant;

use event_schemas::{ExpectedRevision, NewEvent, StreamName};
use infra::{
    bus::{Bus, BusUrl, Relay, RelayFrom},
    event_store::{EventStore, SqliteOptions},
};
use uuid::Uuid;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let server = std::env::args().nth(1).expect("name a server, such as nats://127.0.0.1:4222");
    let events: u64 = std::env::args().nth(2).map_or(200_000, |count| count.parse().unwrap());
    let folder = std::env::temp_dir().join(format!("relay-speed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let options = SqliteOptions::new(folder.join("events.sqlite"));
    let store = EventStore::open_sqlite(options).await.unwrap();
    for _ in 0..events.div_ceil(500) {
        let stream = StreamName::new("order", &Uuid::new_v4().to_string());
        let events = (0..500).map(|_| event()).collect();
        store.append(stream, ExpectedRevision::NoStream, events).await.unwrap();
    }
    let head = store.head().await.unwrap();
    let name = format!("relay-speed-{}", Uuid::new_v4().simple());
    let url: BusUrl = format!("{}/{name}", server.trim_end_matches('/')).parse().unwrap();
    let bus = Bus::connect(&url).await.unwrap();
    let relay = Relay::new(store.clone(), bus, RelayFrom::Start);
    let mut status = relay.status();
    let begun = Instant::now();
    let task = tokio::spawn(relay.run());
    status.wait_for(|status| status.position >= head).await.unwrap();
    let took = begun.elapsed();
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown")]
    let rate = head.0 as f64 / took.as_secs_f64();
    println!("{head} messages in {took:?}: {rate:.0}/s");
    task.abort();
    let jetstream = async_nats::jetstream::new(async_nats::connect(&server).await.unwrap());
    jetstream.delete_stream(&name).await.unwrap();
    store.close().await.unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

/// As large as an order's usual events are.
fn event() -> NewEvent {
    let data = format!("{{\"fill\":\"{}\"}}", "d".repeat(350));
    let metadata = r#"{"schema_version":1,"occurred_at":"2026-11-20T09:15:00.000000Z",
        "recorded_at":"2026-11-21T09:15:00.000000Z",
        "actor":{"id":"grocery","kind":"import","proof":"none"},
        "command_id":"00000000-0000-0000-0000-000000000001","$correlationId":"4711",
        "$causationId":"00000000-0000-0000-0000-000000000002"}"#;
    NewEvent::raw(Uuid::new_v4(), "OrderPlaced".into(), data.into(), metadata.into())
}
