//! A stream of its own for each test, and an event store beside it.

use std::{collections::BTreeMap, time::Duration};

use async_nats::jetstream::{self, stream::Stream};
use event_schemas::{ExpectedRevision, NewEvent, Position, StreamName};
use futures::TryStreamExt as _;
use infra::{
    bus::{Bus, BusUrl, Relay, RelayFrom, RelayState, RelayStatus},
    event_store::{Direction, EventStore, Filter, SqliteOptions},
};
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use uuid::Uuid;

pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// The server's address and port; `None` where there is none to test with.
pub(crate) fn server() -> Option<String> {
    if let Ok(url) = std::env::var("TEST_NATS_URL") {
        return Some(url.trim_start_matches("nats://").trim_end_matches('/').to_owned());
    }
    let required = std::env::var("REQUIRE_ENGINES").is_ok_and(|value| value == "1");
    assert!(!required, "REQUIRE_ENGINES=1, and TEST_NATS_URL is not set");
    println!("skipped: TEST_NATS_URL is not set");
    None
}

/// A stream's name on the server, and an event store; the stream goes when it is dropped.
pub(crate) struct Scene {
    server: String,
    pub(crate) name: String,
    pub(crate) store: EventStore,
    dir: tempfile::TempDir,
}

impl Scene {
    pub(crate) async fn new() -> Option<Self> {
        let server = server()?;
        let dir = tempfile::tempdir().unwrap();
        let store = open_store(dir.path()).await;
        Some(Self { server, name: format!("test-{}", Uuid::new_v4().simple()), store, dir })
    }

    pub(crate) fn url(&self) -> BusUrl {
        format!("nats://{}/{}", self.server, self.name).parse().unwrap()
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.server.parse().unwrap()
    }

    pub(crate) async fn bus(&self) -> Bus {
        Bus::connect(&self.url()).await.unwrap()
    }

    pub(crate) async fn relay(&self, from: RelayFrom) -> Running {
        Running::start(Relay::new(self.store.clone(), self.bus().await, from))
    }

    /// The server's own interface, as others use it.
    pub(crate) async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(async_nats::connect(&self.server).await.unwrap())
    }

    pub(crate) async fn stream(&self) -> Stream {
        self.jetstream().await.get_stream(&self.name).await.unwrap()
    }

    /// Appends so many events, a stream each ten.
    pub(crate) async fn append(&self, count: usize) {
        for chunk in (0..count).collect::<Vec<_>>().chunks(10) {
            let stream = StreamName::new("order", &Uuid::new_v4().to_string());
            let events = chunk.iter().map(|_| event(40)).collect();
            self.store.append(stream, ExpectedRevision::NoStream, events).await.unwrap();
        }
    }

    /// All messages on the stream, by sequence number: subject, headers and body.
    pub(crate) async fn messages(&self) -> Vec<jetstream::Message> {
        let stream = self.stream().await;
        let count = stream.get_info().await.unwrap().state.messages;
        let config = jetstream::consumer::pull::OrderedConfig::default();
        let consumer = stream.create_consumer(config).await.unwrap();
        let messages = consumer.messages().await.unwrap();
        let count = usize::try_from(count).unwrap();
        futures::StreamExt::take(messages, count).try_collect().await.unwrap()
    }

    /// That the stream holds each of the log's events behind `from` once, in order, and each
    /// message the position of the one before it.
    pub(crate) async fn agrees(&self, from: Position) {
        let mut logged = Vec::new();
        let mut position = from;
        loop {
            let all = Filter::default();
            let page = self.store.read_log(position, Direction::Forwards, &all, 1_000).await;
            let page = page.unwrap();
            position = page.scanned_to;
            logged.extend(page.events);
            if page.at_end {
                break;
            }
        }
        let said: Vec<_> = self.messages().await.iter().map(place).collect();
        let mut before = from;
        let wanted: Vec<_> = logged
            .iter()
            .map(|event| {
                let place = (event.position.0, before.0, event.id.to_string());
                before = event.position;
                place
            })
            .collect();
        assert_eq!(said.len(), wanted.len());
        assert_eq!(said, wanted);
    }

    /// The bytes of the closed store.
    pub(crate) fn copy(&self) -> Vec<u8> {
        std::fs::read(self.dir.path().join("events.sqlite")).unwrap()
    }

    pub(crate) fn restore(&self, copy: &[u8]) {
        std::fs::write(self.dir.path().join("events.sqlite"), copy).unwrap();
    }

    /// Opens the store again, which was closed meanwhile.
    pub(crate) async fn reopen(&mut self) {
        self.store = open_store(self.dir.path()).await;
    }

    pub(crate) async fn end(self) {
        self.store.close().await.unwrap();
        let _ = self.jetstream().await.delete_stream(&self.name).await;
    }
}

async fn open_store(dir: &std::path::Path) -> EventStore {
    EventStore::open_sqlite(SqliteOptions::new(dir.join("events.sqlite"))).await.unwrap()
}

/// An event with so much data.
pub(crate) fn event(bytes: usize) -> NewEvent {
    let data = format!("{{\"fill\":\"{}\"}}", "x".repeat(bytes));
    let metadata = &b"{\"schema_version\":1}"[..];
    NewEvent::raw(Uuid::new_v4(), "Happened".into(), data.into(), metadata.into())
}

pub(crate) fn headers(message: &jetstream::Message) -> BTreeMap<String, String> {
    let headers = message.headers.as_ref().unwrap();
    headers.iter().map(|(name, values)| (name.to_string(), values[0].to_string())).collect()
}

fn place(message: &jetstream::Message) -> (u64, u64, String) {
    let headers = headers(message);
    let number = |name: &str| headers[name].parse().unwrap();
    (number("Daybook-Position"), number("Daybook-Before"), headers["ce-id"].clone())
}

/// A relay at work.
pub(crate) struct Running {
    status: watch::Receiver<RelayStatus>,
    task: JoinHandle<std::convert::Infallible>,
}

impl Running {
    pub(crate) fn start(relay: Relay) -> Self {
        Self { status: relay.status(), task: tokio::spawn(relay.run()) }
    }

    /// Waits until it is in that state.
    pub(crate) async fn is(&mut self, state: RelayState) -> RelayStatus {
        let told = timeout(PATIENCE, self.status.wait_for(|status| status.state == state)).await;
        told.unwrap_or_else(|_| panic!("it is not {state:?}")).unwrap().clone()
    }

    /// Waits until it knows that this is on the bus.
    pub(crate) async fn reaches(&mut self, position: Position) {
        let there = self.status.wait_for(|status| status.position >= position);
        timeout(PATIENCE, there).await.expect("it goes on").unwrap();
    }

    /// As a crash would.
    pub(crate) fn kill(&self) {
        self.task.abort();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
