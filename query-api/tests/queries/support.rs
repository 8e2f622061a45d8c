//! A small shop over a real store, read models and search index in a directory of its own.

use std::sync::Arc;

use axum::body::Body;
use event_schemas::{
    Actor, Currency, Event, ExpectedRevision, Metadata, NewEvent, OrderBody, OrderCancelled,
    OrderEvent, OrderLine, OrderPlaced, Personal, PersonalData, Position, ProductCreated,
    ProductEvent, StockEvent, StockIntroduced, StockReceived, StreamName, Timestamp, UserEvent,
    UserRegistered, Variant, resource::ProductStatus,
};
use history::Past;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt as _;
use infra::{
    event_store::{EventStore, SqliteOptions},
    http::{Frame, frame},
    keys::{KeyStore, associated_data},
    read_models::ReadModels,
    search::SearchIndex,
    snapshots::Snapshots,
};
use projections::{Projectors, search::SearchSink};
use query_api::{Check, Health, HealthStatus, QueryParts, QueryState};
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use crate::elasticsearch::Place;

pub(crate) struct Shop {
    pub(crate) store: EventStore,
    pub(crate) keys: KeyStore,
    app: Frame,
    search: SearchIndex,
    dir: TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The ids (or skus) of a list.
    pub(crate) fn ids(&self) -> Vec<String> {
        let json = self.json();
        let items = json["items"].as_array().unwrap_or_else(|| panic!("{json}"));
        let id =
            |item: &Value| item.get("id").or(item.get("sku")).unwrap().as_str().unwrap().to_owned();
        items.iter().map(id).collect()
    }

    /// The name of the problem and the places of its faults.
    pub(crate) fn problem(&self) -> (u16, String, Vec<String>) {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let json = self.json();
        let name = json["type"].as_str().unwrap().strip_prefix("/problems/").unwrap().to_owned();
        let place = |fault: &Value| {
            let place = fault.get("parameter").or(fault.get("header")).or(fault.get("pointer"));
            place.unwrap().as_str().unwrap().to_owned()
        };
        let faults = json["errors"].as_array().into_iter().flatten().map(place).collect();
        (self.status, name, faults)
    }
}

/// What a shop is queried from.
struct Parts {
    store: EventStore,
    keys: KeyStore,
    models: ReadModels,
    search: SearchIndex,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_with(HealthStatus::Healthy).await
    }

    pub(crate) async fn open_with(status: HealthStatus) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let schema = projections::search::schema();
        let search = SearchIndex::open_tantivy(dir.path().join("search"), schema).await.unwrap();
        Self::over(dir, search, true, status).await
    }

    /// With its search in an Elasticsearch, posted by this process or by another.
    pub(crate) async fn over_elasticsearch(place: &Place, posts: bool) -> Self {
        let (dir, schema) = (tempfile::tempdir().unwrap(), projections::search::schema());
        let url = place.url().parse().unwrap();
        let search = SearchIndex::open_elasticsearch(&url, "products", schema).unwrap();
        Self::over(dir, search, posts, HealthStatus::Healthy).await
    }

    /// The projector that a process beside this one has.
    pub(crate) fn post_elsewhere(&self) -> Projectors {
        let mut projectors = Projectors::new(self.store.clone());
        projectors.start(SearchSink::live(self.search.clone(), self.store.id())).unwrap();
        projectors
    }

    async fn over(dir: TempDir, search: SearchIndex, posts: bool, status: HealthStatus) -> Self {
        let store =
            EventStore::open_sqlite(SqliteOptions::new(dir.path().join("events.sqlite"))).await;
        let store = store.unwrap();
        let models = ReadModels::sqlite(dir.path().join("read-models"));
        let keys = KeyStore::open_sqlite(dir.path().join("keys.sqlite")).await.unwrap();
        Self::with(dir, Parts { store, keys, models, search }, posts, status).await
    }

    /// The same shop, queried from other read models.
    pub(crate) async fn beside(&self, models: ReadModels) -> Self {
        let (dir, schema) = (tempfile::tempdir().unwrap(), projections::search::schema());
        let search = SearchIndex::open_tantivy(dir.path().join("search"), schema).await.unwrap();
        let (store, keys) = (self.store.clone(), self.keys.clone());
        let parts = Parts { store, keys, models, search };
        Self::with(dir, parts, true, HealthStatus::Healthy).await
    }

    /// The same shop, queried by a process that can read the event store and not write it.
    pub(crate) async fn read_only(&self) -> Self {
        let (dir, schema) = (tempfile::tempdir().unwrap(), projections::search::schema());
        let search = SearchIndex::open_tantivy(dir.path().join("search"), schema).await.unwrap();
        let store = EventStore::read_sqlite(self.dir.path().join("events.sqlite")).await.unwrap();
        let models = ReadModels::sqlite(dir.path().join("read-models"));
        let parts = Parts { store, keys: self.keys.clone(), models, search };
        Self::with(dir, parts, true, HealthStatus::Healthy).await
    }

    /// Every opening of what is personal of a user: data, and who did it.
    pub(crate) async fn openings(&self, id: &str) -> Vec<(Value, String)> {
        let stream = StreamName::new("access", id);
        let from = event_schemas::Revision(0);
        let direction = infra::event_store::Direction::Forwards;
        let page = self.store.read_stream(&stream, from, direction, 1_000).await.unwrap();
        let told = |event: &Arc<event_schemas::Recorded>| {
            let metadata = &event.decode().unwrap().metadata;
            (serde_json::from_slice(&event.data).unwrap(), metadata.actor.id.clone())
        };
        page.events.iter().map(told).collect()
    }

    async fn with(dir: TempDir, parts: Parts, posts: bool, status: HealthStatus) -> Self {
        let Parts { store, keys, models, search } = parts;
        let mut projectors = Projectors::new(store.clone());
        projectors.start_sql(&models).unwrap();
        if posts {
            projectors.start(SearchSink::live(search.clone(), store.id())).unwrap();
        }
        let check = Check {
            name: "event-store".to_owned(),
            status,
            since: Timestamp::saturating(0),
            detail: None,
        };
        let health = Health { status, checks: vec![check] };
        let snapshots = Snapshots::open(dir.path().join("snapshots"), store.id()).unwrap();
        let past = Past::new(store.clone(), Some(snapshots), Arc::default());
        let state = QueryState::new(QueryParts {
            audit: None,
            store: store.clone(),
            past,
            models,
            search: search.clone(),
            keys: keys.clone(),
            projectors: Arc::new(projectors),
            currency: Currency::USD,
            metrics: Box::new(|| "up 1\n".to_owned()),
            health: Box::new(move || {
                let health = health.clone();
                Box::pin(async move { health })
            }),
            problems: [infra::http::GENERAL_KINDS, query_api::KINDS].concat(),
            openapi: query_api::openapi(),
        });
        let routes = query_api::router(state.clone()).merge(query_api::process_router(state));
        Self { store, keys, app: frame(routes, None), search, dir }
    }

    /// The answer, its body still to come.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        self.app.answer(request).await
    }

    /// Sends a request as it is.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.answer(request.body(Body::empty()).unwrap()).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// GET of what includes everything that was appended.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let position = self.position(self.store.head().await.unwrap());
        self.send(Method::GET, path, &[("daybook-position", &position), ("prefer", "wait=30")])
            .await
    }

    /// Every page of a list, one after the other.
    pub(crate) async fn pages(&self, path: &str) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut cursor = String::new();
        loop {
            let answer = self.get(&format!("{path}{cursor}")).await;
            pages.push(answer.ids());
            match answer.json()["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return pages,
            }
        }
    }

    pub(crate) fn position(&self, position: Position) -> String {
        format!("{}:{position}", self.store.id())
    }

    pub(crate) async fn append(&self, category: &str, id: &str, event: impl Into<Event>) {
        let event = NewEvent::new(Uuid::new_v4(), event.into(), metadata()).unwrap();
        self.append_raw(category, id, event).await;
    }

    /// Appends an event recorded and occurred at times of its own.
    pub(crate) async fn append_at(
        &self,
        (category, id): (&str, &str),
        event: impl Into<Event>,
        at: [&str; 2],
    ) {
        let [recorded_at, occurred_at] = at.map(|at| at.parse().unwrap());
        let metadata = Metadata { recorded_at, occurred_at, ..metadata() };
        let event = NewEvent::new(Uuid::new_v4(), event.into(), metadata).unwrap();
        self.append_raw(category, id, event).await;
    }

    pub(crate) async fn append_raw(&self, category: &str, id: &str, event: NewEvent) {
        let stream = StreamName::new(category, id);
        self.store.append(stream, ExpectedRevision::Any, vec![event]).await.unwrap();
    }

    pub(crate) async fn append_all(&self, category: &str, id: &str, events: Vec<NewEvent>) {
        let stream = StreamName::new(category, id);
        self.store.append(stream, ExpectedRevision::Any, events).await.unwrap();
    }

    /// The files of past states that were kept.
    pub(crate) fn kept(&self) -> Vec<std::path::PathBuf> {
        let files = std::fs::read_dir(self.dir.path().join("snapshots")).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }

    pub(crate) async fn place(&self, order: &Placed) {
        let event = OrderEvent::Placed(OrderPlaced { order: order.body(), holds: Vec::new() });
        self.append("order", &order.id, event).await;
    }

    pub(crate) async fn cancel(&self, order: &Placed) {
        let event = OrderCancelled { reason: "changed my mind".to_owned(), order: order.body() };
        self.append("order", &order.id, OrderEvent::Cancelled(event)).await;
    }

    pub(crate) async fn register(&self, id: &str, email: Option<&str>) {
        let (event_id, stream) = (Uuid::new_v4(), StreamName::new("user", id));
        let personal = match email {
            None => None,
            Some(email) => {
                let data =
                    PersonalData { name: Some("Ada".to_owned()), email: Some(email.to_owned()) };
                let plain = serde_json::to_vec(&data).unwrap();
                let associated = associated_data(&stream, event_id);
                Some(Personal::Sealed(self.keys.seal(id, &associated, &plain).await.unwrap()))
            }
        };
        let event = UserRegistered { user_id: id.to_owned(), personal, claim: None };
        let event = Event::User(UserEvent::Registered(event));
        self.append_raw("user", id, NewEvent::new(event_id, event, metadata()).unwrap()).await;
    }

    pub(crate) async fn create(
        &self,
        id: &str,
        title: &str,
        brand: &str,
        department: &str,
        price: i64,
    ) {
        let price = Currency::USD.money(price);
        let event = ProductCreated {
            product_id: id.to_owned(),
            title: title.to_owned(),
            brand: brand.to_owned(),
            department: department.to_owned(),
            category: String::new(),
            attributes: [("size".to_owned(), "22 LB".to_owned())].into(),
            status: ProductStatus::OnShelf,
            variants: vec![Variant { sku: format!("{id}-1"), title: String::new(), price }],
        };
        self.append("product", id, ProductEvent::Created(event)).await;
    }

    pub(crate) async fn stock(&self, product_id: &str, sku: &str, quantity: i64) {
        let (sku, product_id) = (sku.to_owned(), product_id.to_owned());
        let event = StockIntroduced { sku: sku.clone(), product_id, claim: Uuid::new_v4() };
        self.append("stock", &sku, StockEvent::Introduced(event)).await;
        if quantity > 0 {
            let event = StockReceived { quantity, batch: None, on_hand: quantity, reserved: 0 };
            self.append("stock", &sku, StockEvent::Received(event)).await;
        }
    }
}

/// An order as a test says it: lines are (sku, department, brand, quantity, price).
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) id: String,
    pub(crate) customer: String,
    pub(crate) channel: String,
    pub(crate) at: Timestamp,
    pub(crate) lines: Vec<(String, String, String, i64, i64)>,
}

impl Placed {
    pub(crate) fn new(id: &str, at: &str) -> Self {
        let line = |sku: &str, department: &str, quantity, price| {
            (sku.to_owned(), department.to_owned(), "Acme".to_owned(), quantity, price)
        };
        Self {
            id: id.to_owned(),
            customer: "u1".to_owned(),
            channel: "web".to_owned(),
            at: at.parse().unwrap(),
            lines: vec![line("a", "HOME", 2, 150), line("b", "HOME", 1, 300)],
        }
    }

    pub(crate) fn of(mut self, customer: &str, channel: &str) -> Self {
        (self.customer, self.channel) = (customer.to_owned(), channel.to_owned());
        self
    }

    pub(crate) fn only(mut self, quantity: i64, price: i64) -> Self {
        self.lines.truncate(1);
        (self.lines[0].3, self.lines[0].4) = (quantity, price);
        self
    }

    pub(crate) fn total(&self) -> i64 {
        self.lines.iter().map(|line| line.3 * line.4).sum()
    }

    pub(crate) fn body(&self) -> OrderBody {
        let line =
            |(sku, department, brand, quantity, price): &(String, String, String, i64, i64)| {
                OrderLine {
                    sku: sku.clone(),
                    product_id: sku.clone(),
                    title: format!("The {sku}"),
                    variant: String::new(),
                    brand: brand.clone(),
                    department: department.clone(),
                    category: String::new(),
                    quantity: *quantity,
                    unit_price: *price,
                    discount: 0,
                    total: quantity * price,
                }
            };
        OrderBody {
            customer_id: self.customer.clone(),
            placed_at: self.at,
            channel: self.channel.clone(),
            currency: Currency::USD,
            lines: self.lines.iter().map(line).collect(),
            total: self.total(),
        }
    }
}

pub(crate) fn metadata() -> Metadata {
    let now = "2026-11-21T09:15:00Z".parse().unwrap();
    let command_id = Uuid::new_v4();
    Metadata {
        schema_version: 1,
        occurred_at: now,
        recorded_at: now,
        actor: Actor::system("test"),
        command_id,
        request_hash: None,
        correlation_id: "c1".to_owned(),
        causation_id: command_id,
        traceparent: None,
    }
}
