use std::time::Duration;

use axum::body::Body;
use commands::{Commands, Processes, Settings};
use event_schemas::{Logged, Position};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use infra::{
    event_store::{Direction, EventStore, Filter, SqliteOptions},
    http::{Frame, frame},
    keys::KeyStore,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A shop with nothing but its command side.
pub(crate) struct Shop {
    pub(crate) commands: Commands,
    pub(crate) store: EventStore,
    frame: Frame,
    processes: Option<Processes>,
    folder: TempDir,
    timeout: Duration,
}

/// An answer with its body read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The name of the problem.
    pub(crate) fn problem(&self) -> &str {
        let name = self.body["type"].as_str().and_then(|path| path.strip_prefix("/problems/"));
        name.unwrap_or_else(|| panic!("no problem: {self:?}"))
    }

    /// The places of all faults.
    pub(crate) fn places(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        let place = |error: &'_ Value| {
            ["pointer", "parameter", "header"].into_iter().find_map(|kind| error.get(kind).cloned())
        };
        errors
            .iter()
            .map(|error| {
                assert!(place(error).is_some(), "{error}");
                error.get("pointer").or(error.get("header")).and_then(Value::as_str).unwrap()
            })
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn replayed(&self) -> bool {
        self.header("idempotency-replayed") == Some("true")
    }
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_with(Duration::from_secs(60)).await
    }

    /// A shop whose watch abandons orders after `timeout`.
    pub(crate) async fn open_with(timeout: Duration) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), timeout).await
    }

    async fn in_folder(folder: TempDir, timeout: Duration) -> Self {
        let path = folder.path().join("events.sqlite");
        let store = EventStore::open_sqlite(SqliteOptions::new(path)).await.unwrap();
        let keys = KeyStore::open_sqlite(folder.path().join("keys.sqlite")).await.unwrap();
        Self::over(store, keys, folder, timeout).await
    }

    /// A shop on an event store and a key store that it may share with others.
    pub(crate) async fn over(
        store: EventStore,
        keys: KeyStore,
        folder: TempDir,
        timeout: Duration,
    ) -> Self {
        let (commands, processes) = start(&store, &keys, &folder, timeout);
        commands.ready(Duration::from_secs(180)).await.unwrap();
        let frame = frame(commands::router(commands.clone()), None);
        Self { commands, store, frame, processes: Some(processes), folder, timeout }
    }

    /// Ends everything and opens it anew.
    pub(crate) async fn restart(self) -> Self {
        let timeout = self.timeout;
        self.restart_with(timeout).await
    }

    /// The same, with another patience of the watch.
    pub(crate) async fn restart_with(mut self, timeout: Duration) -> Self {
        if let Some(processes) = self.processes.take() {
            processes.stop().await;
        }
        self.store.close().await.unwrap();
        Self::in_folder(self.folder, timeout).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.frame.answer(request.body(body.into()).unwrap()).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn post(&self, path: &str, key: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &[("idempotency-key", key)], body.to_string()).await
    }

    /// A product `id` with one variant of the same sku for 10.99, and its opening stock.
    pub(crate) async fn product(&self, id: &str, units: i64) {
        let variant = json!({ "sku": id, "title": "Red", "price": usd(1099) });
        let product = json!({
            "id": id, "title": "Mug", "department": "HOME", "variants": [variant]
        });
        let made = self.post("/v1/products", &format!("make-{id}"), product).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        if units > 0 {
            let path = format!("/v1/stock/{id}/receipts");
            let received =
                self.post(&path, &format!("get-{id}"), json!({ "quantity": units })).await;
            assert_eq!(received.status, StatusCode::CREATED, "{received:?}");
        }
    }

    pub(crate) async fn user(&self, id: &str) {
        let email = format!("{id}@example.com");
        let user = json!({ "id": id, "personal": { "name": "Ada", "email": email } });
        let made = self.post("/v1/users", &format!("make-{id}"), user).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    }

    pub(crate) async fn order(&self, key: &str, lines: &[(&str, i64)]) -> Answer {
        self.post("/v1/orders", key, order(lines)).await
    }

    /// On hand and reserved, by the newest event.
    pub(crate) async fn stock(&self, sku: &str) -> (i64, i64) {
        let events = self.log().await;
        let of_sku = events.iter().filter(|event| event.stream.as_str() == format!("stock-{sku}"));
        let numbers = of_sku.rev().find_map(|event| {
            let data: Value = serde_json::from_slice(&event.data).unwrap();
            Some((data.get("on_hand")?.as_i64()?, data.get("reserved")?.as_i64()?))
        });
        numbers.unwrap_or_default()
    }

    pub(crate) async fn log(&self) -> Vec<Logged> {
        let mut events = Vec::new();
        let mut from = Position::START;
        loop {
            let filter = Filter::default();
            let page =
                self.store.read_log(from, Direction::Forwards, &filter, 1_000).await.unwrap();
            events.extend(page.events);
            from = page.scanned_to;
            if page.at_end {
                return events;
            }
        }
    }

    pub(crate) async fn types(&self) -> Vec<String> {
        self.log().await.iter().map(|event| event.event_type.to_string()).collect()
    }

    /// Waits until the log's newest events satisfy a condition; fails after three minutes.
    pub(crate) async fn until(&self, what: &str, satisfied: impl AsyncFn() -> bool) {
        let mut live = self.store.subscribe(Position::START, Filter::default());
        let waiting = async {
            while !satisfied().await {
                live.next().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(180), waiting).await;
        assert!(waited.is_ok(), "{what}: {:?}", self.types().await);
    }
}

fn start(
    store: &EventStore,
    keys: &KeyStore,
    folder: &TempDir,
    timeout: Duration,
) -> (Commands, Processes) {
    let settings = Settings {
        reservation_timeout: timeout,
        snapshots: Some(folder.path().join("snapshots")),
        ..Settings::default()
    };
    Commands::start(store.clone(), keys.clone(), settings).unwrap()
}

pub(crate) fn usd(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "USD" })
}

pub(crate) fn order(lines: &[(&str, i64)]) -> Value {
    let line = |(sku, quantity): &(&str, i64)| json!({ "sku": sku, "quantity": quantity });
    let lines: Vec<Value> = lines.iter().map(line).collect();
    json!({ "customer_id": "u1", "channel": "web", "lines": lines })
}
