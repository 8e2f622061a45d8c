//! Projectors fed by a real NATS server: whatever becomes of the messages, the rows are those of
//! the log.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;

use std::{
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use async_nats::jetstream::{self, consumer::pull::OrderedConfig, stream};
use common::{Shop, Told, append, busy_shop, dump, open_store};
use event_schemas::Position;
use futures::{StreamExt as _, TryStreamExt as _};
use infra::{
    bus::{Bus, Relay, RelayFrom, RelayState},
    event_store::EventStore,
    read_models::ReadModels,
};
use projections::{ProjectionState, Projectors, Rebuild, SCHEMAS, Source};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(180);

/// A log, projectors fed by a stream of their own, and the server's own interface.
struct Scene {
    server: String,
    name: String,
    store: EventStore,
    models: ReadModels,
    dir: tempfile::TempDir,
    jetstream: jetstream::Context,
    /// Steps of the shop's life so far.
    steps: AtomicU16,
}

fn server() -> Option<String> {
    if let Ok(url) = std::env::var("TEST_NATS_URL") {
        return Some(url.trim_start_matches("nats://").trim_end_matches('/').to_owned());
    }
    let required = std::env::var("REQUIRE_ENGINES").is_ok_and(|value| value == "1");
    assert!(!required, "REQUIRE_ENGINES=1, and TEST_NATS_URL is not set");
    println!("skipped: TEST_NATS_URL is not set");
    None
}

impl Scene {
    async fn new() -> Option<Self> {
        let server = server()?;
        let dir = tempfile::tempdir().unwrap();
        let store = open_store(dir.path()).await;
        let models = ReadModels::sqlite(dir.path().join("read-models"));
        let jetstream = jetstream::new(async_nats::connect(&server).await.unwrap());
        let name = format!("test-{}", Uuid::new_v4().simple());
        let steps = AtomicU16::new(1_000);
        Some(Self { server, name, store, models, dir, jetstream, steps })
    }

    async fn bus(&self, name: &str) -> Bus {
        Bus::connect(&format!("nats://{}/{name}", self.server).parse().unwrap()).await.unwrap()
    }

    /// Brings the whole log onto the stream, now and from now on.
    async fn relay(&self) -> Publishing {
        let relay = Relay::new(self.store.clone(), self.bus(&self.name).await, RelayFrom::Start);
        let mut status = relay.status();
        let task = tokio::spawn(relay.run());
        let works = status.wait_for(|status| status.state == RelayState::Working);
        tokio::time::timeout(PATIENCE, works).await.unwrap().unwrap();
        Publishing { status, task }
    }

    async fn projectors(&self) -> Projectors {
        let bus = self.bus(&self.name).await;
        let mut projectors = Projectors::new(self.store.clone()).on(bus, "here".to_owned());
        projectors.start_sql(&self.models).unwrap();
        projectors
    }

    /// Waits until every projection has posted the log's end.
    async fn all_posted(&self, projectors: &Projectors) {
        let head = self.store.head().await.unwrap();
        for schema in SCHEMAS {
            projectors.wait_for(schema.name, head, PATIENCE).await.unwrap();
        }
    }

    /// Waits until the projector of orders is fed by that, appending an event now and then.
    async fn fed_by(&self, projectors: &Projectors, source: Source, shop: &mut Shop) {
        let begun = Instant::now();
        loop {
            let status = projectors.status().await.unwrap();
            if status.iter().all(|status| status.source == Some(source)) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "never fed by {source:?}: {status:?}");
            self.append_more(shop, 24).await;
            self.all_posted(projectors).await;
        }
    }

    /// Appends so many steps of the shop's life.
    async fn append_more(&self, shop: &mut Shop, steps: u16) {
        let told = shop.log.len();
        let from = self.steps.fetch_add(steps, Ordering::Relaxed);
        for at in from..from + steps {
            let (a, b) = (at.wrapping_mul(7), at.wrapping_mul(13));
            shop.step(common::Step { kind: (at % 24) as u8, a, b });
        }
        append(&self.store, &shop.log[told..]).await;
    }

    /// That the rows are those of a rebuild, byte for byte.
    async fn rows_are_right(&self) {
        let fresh = ReadModels::sqlite(self.dir.path().join(Uuid::new_v4().to_string()));
        let mut rebuild = Rebuild::new(self.store.clone());
        for schema in SCHEMAS {
            assert!(rebuild.add_sql(&fresh, schema.name).unwrap());
        }
        for rebuilt in rebuild.run(|_| {}).await.unwrap() {
            rebuilt.outcome.unwrap();
        }
        for schema in SCHEMAS {
            let (posted, right) = (dump(&self.models, schema).await, dump(&fresh, schema).await);
            assert_eq!(posted, right, "{}", schema.name);
        }
    }

    async fn stream(&self) -> stream::Stream {
        self.jetstream.get_stream(&self.name).await.unwrap()
    }

    /// Whoever would make the stream again ends first.
    async fn end(self, projectors: Projectors, relay: Option<Publishing>) {
        if let Some(relay) = relay {
            relay.end().await;
        }
        projectors.stop().await;
        let _ = self.jetstream.delete_stream(&self.name).await;
        self.store.close().await.unwrap();
    }
}

struct Publishing {
    status: tokio::sync::watch::Receiver<infra::bus::RelayStatus>,
    task: tokio::task::JoinHandle<std::convert::Infallible>,
}

impl Publishing {
    async fn reaches(&mut self, position: Position) {
        let there = self.status.wait_for(|status| status.position >= position);
        tokio::time::timeout(PATIENCE, there).await.unwrap().unwrap();
    }

    /// Returns when it does nothing any more.
    async fn end(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A shop whose projectors are fed by the bus.
struct Fed {
    scene: Scene,
    shop: Shop,
    relay: Publishing,
    projectors: Projectors,
}

impl Fed {
    async fn new() -> Option<Self> {
        let scene = Scene::new().await?;
        let mut shop = busy_shop(100);
        append(&scene.store, &shop.log).await;
        let relay = scene.relay().await;
        let projectors = scene.projectors().await;
        scene.fed_by(&projectors, Source::Bus, &mut shop).await;
        Some(Self { scene, shop, relay, projectors })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fed_by_the_bus_the_rows_are_those_of_the_log() {
    let Some(scene) = Scene::new().await else { return };
    let mut shop = busy_shop(300);
    append(&scene.store, &shop.log).await;
    let relay = scene.relay().await;
    let projectors = scene.projectors().await;
    scene.all_posted(&projectors).await;
    scene.fed_by(&projectors, Source::Bus, &mut shop).await;
    scene.append_more(&mut shop, 400).await;
    scene.all_posted(&projectors).await;
    let status = projectors.status().await.unwrap();
    assert!(status.iter().all(|status| status.state == ProjectionState::Live), "{status:?}");
    scene.rows_are_right().await;
    scene.end(projectors, Some(relay)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_doubled_shuffled_and_lost_do_no_harm() {
    let Some(scene) = Scene::new().await else { return };
    let Some(mut bad) = Scene::new().await else { return };
    let shop = busy_shop(500);
    append(&scene.store, &shop.log).await;
    scene.relay().await.reaches(scene.store.head().await.unwrap()).await;
    let count = usize::try_from(scene.stream().await.get_info().await.unwrap().state.messages);
    let consumer = scene.stream().await.create_consumer(OrderedConfig::default()).await.unwrap();
    let messages = consumer.messages().await.unwrap().take(count.unwrap());
    let messages: Vec<jetstream::Message> = messages.try_collect().await.unwrap();

    // The same log, and a stream on which a mischievous publisher repeats what it heard.
    let config = stream::Config {
        name: bad.name.clone(),
        subjects: vec![format!("{}.>", bad.name)],
        ..stream::Config::default()
    };
    bad.jetstream.create_stream(config).await.unwrap();
    bad.store.close().await.unwrap();
    bad.store = scene.store.clone();
    let projectors = bad.projectors().await;
    // A fixed disorder: it swaps, doubles and leaves out, and one number decides.
    let mut number = 1_u64;
    let mut disorder: Vec<&jetstream::Message> = messages.iter().collect();
    for at in 0..disorder.len() {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let other = usize::try_from(number >> 33).unwrap() % disorder.len();
        match number >> 62 {
            0 => disorder.swap(at, other),
            1 => disorder.push(disorder[other]),
            2 => disorder[at] = disorder[other],
            _ => {}
        }
    }
    for message in disorder {
        let subject = message.subject.replacen(&scene.name, &bad.name, 1);
        let mut headers = async_nats::HeaderMap::new();
        for (name, values) in message.headers.as_ref().unwrap().iter() {
            // But for the fence.
            if !name.to_string().starts_with("Nats-") {
                headers.insert(name.clone(), values[0].clone());
            }
        }
        let body = message.payload.clone();
        bad.jetstream.publish_with_headers(subject, headers, body).await.unwrap().await.unwrap();
    }
    bad.all_posted(&projectors).await;
    bad.rows_are_right().await;
    let _ = scene.jetstream.delete_stream(&scene.name).await;
    bad.end(projectors, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_message_before_a_quiet_night_is_lost_and_the_row_is_there() {
    // A machine that is at work with other things may hold it up once, and not each time.
    let mut took = Vec::new();
    while took.len() < 3 {
        let Some(one) = a_quiet_night().await else { return };
        took.push(one);
        if one < Duration::from_secs(2) {
            return;
        }
    }
    panic!("{took:?}");
}

/// How long the rows took without a message.
async fn a_quiet_night() -> Option<Duration> {
    let Fed { scene, mut shop, mut relay, projectors } = Fed::new().await?;
    relay.reaches(scene.store.head().await.unwrap()).await;
    // Nobody publishes any more.
    drop(relay);
    scene.append_more(&mut shop, 24).await;
    let begun = Instant::now();
    scene.all_posted(&projectors).await;
    let took = begun.elapsed();
    println!("without a message the rows were there after {took:?}");
    scene.rows_are_right().await;
    scene.end(projectors, None).await;
    Some(took)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_removed_from_the_middle_is_read_from_the_store() {
    let Some(Fed { scene, mut shop, mut relay, projectors }) = Fed::new().await else { return };
    projectors.stop().await;
    // They wait on the stream while nobody posts.
    scene.append_more(&mut shop, 60).await;
    let head = scene.store.head().await.unwrap();
    relay.reaches(head).await;
    for back in [3, 10, 11, 12] {
        let last = scene.stream().await.get_info().await.unwrap().state.last_sequence;
        scene.stream().await.delete_message(last - back).await.unwrap();
    }
    let projectors = scene.projectors().await;
    scene.all_posted(&projectors).await;
    scene.rows_are_right().await;
    scene.end(projectors, Some(relay)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_goes_comes_back_with_its_consumers() {
    let Some(Fed { scene, mut shop, relay, projectors }) = Fed::new().await else { return };
    scene.jetstream.delete_stream(&scene.name).await.unwrap();
    scene.append_more(&mut shop, 50).await;
    scene.all_posted(&projectors).await;
    scene.fed_by(&projectors, Source::Bus, &mut shop).await;
    scene.stream().await.purge().await.unwrap();
    scene.append_more(&mut shop, 50).await;
    scene.all_posted(&projectors).await;
    scene.fed_by(&projectors, Source::Bus, &mut shop).await;
    scene.rows_are_right().await;
    scene.end(projectors, Some(relay)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_bus_away_the_event_store_is_followed() {
    let Some(mut scene) = Scene::new().await else { return };
    let server = std::mem::replace(&mut scene.server, "127.0.0.1:9".to_owned());
    let projectors = scene.projectors().await;
    scene.server = server;
    let mut shop = busy_shop(100);
    append(&scene.store, &shop.log).await;
    scene.all_posted(&projectors).await;
    scene.append_more(&mut shop, 50).await;
    scene.all_posted(&projectors).await;
    let status = projectors.status().await.unwrap();
    assert!(status.iter().all(|status| status.source == Some(Source::Store)), "{status:?}");
    scene.rows_are_right().await;
    scene.end(projectors, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_daybooks_or_of_another_log_is_passed_over() {
    let Some(Fed { scene, mut shop, relay, projectors }) = Fed::new().await else { return };
    let Some(other) = Scene::new().await else { return };
    drop(relay);
    let rubbish = format!("{}.rubbish", scene.name);
    scene.jetstream.publish(rubbish, "{}".into()).await.unwrap().await.unwrap();
    // Another log's relay on the same stream.
    let elsewhere: Vec<Told> = busy_shop(40).log;
    append(&other.store, &elsewhere).await;
    let bus = other.bus(&scene.name).await;
    let foreign = Relay::new(other.store.clone(), bus, RelayFrom::Start);
    let mut status = foreign.status();
    let foreign = tokio::spawn(foreign.run());
    status.wait_for(|status| status.state == RelayState::Working).await.unwrap();
    append(&other.store, &busy_shop(45).log[elsewhere.len()..]).await;
    status.wait_for(|status| status.position > Position(elsewhere.len() as u64)).await.unwrap();
    foreign.abort();
    let relay = scene.relay().await;
    scene.append_more(&mut shop, 50).await;
    scene.all_posted(&projectors).await;
    scene.rows_are_right().await;
    other.store.close().await.unwrap();
    scene.end(projectors, Some(relay)).await;
}
