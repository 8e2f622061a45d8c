//! Histories to post: a small shop whose aggregates behave, written down as events.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::{collections::BTreeMap, time::Duration};

use event_schemas::{
    Actor, ClaimAbandoned, Currency, Event, ExpectedRevision, Logged, Metadata, NewEvent,
    OrderAbandoned, OrderBody, OrderCancelled, OrderDelivered, OrderDispatched, OrderLine,
    OrderPlaced, OrderRefused, Personal, Position, ProductCreated, ProductDescribed,
    ProductPutOnShelf, ProductTakenOffShelf, Recorded, Revision, ShortLine, SkuReleased,
    StockAdjusted, StockDispatched, StockIntroduced, StockReceived, StockReleased, StockReserved,
    StreamName, Timestamp, UserRegistered, Variant, VariantAdded, VariantPriced,
    resource::ProductStatus,
};
use event_schemas::{OrderEvent, ProductEvent, StockEvent, UserEvent};
use infra::{
    event_store::{EventStore, SqliteOptions},
    read_models::{Checkpoint, ReadModels},
};
use projections::{
    Batch, Entry, Projection, ProjectionStatus, Projectors, Rebuild, SCHEMAS, Sink, SqlSink,
};
use proptest::prelude::*;
use uuid::Uuid;

/// One thing that may happen; numbers are taken modulo what there is.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub kind: u8,
    pub a: u16,
    pub b: u16,
}

pub fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (0..24_u8, any::<u16>(), any::<u16>()).prop_map(|(kind, a, b)| Step { kind, a, b });
    prop::collection::vec(step, 1..most)
}

/// An event on its way into the log.
#[derive(Clone, Debug)]
pub struct Told {
    pub stream: StreamName,
    pub event: NewEvent,
}

#[derive(Clone)]
struct PlacedOrder {
    id: String,
    body: OrderBody,
    status: u8,
}

#[derive(Default)]
pub struct Shop {
    pub log: Vec<Told>,
    products: BTreeMap<String, Vec<String>>,
    stock: BTreeMap<String, (i64, i64, bool)>,
    users: Vec<String>,
    orders: Vec<PlacedOrder>,
    clock: i64,
}

impl Shop {
    pub fn tell(&mut self, stream: StreamName, event: impl Into<Event>) {
        self.clock += 7_000_001;
        let at = Timestamp::saturating(1_700_000_000_000_000 + self.clock);
        let number = self.log.len() as u128;
        let metadata = Metadata {
            schema_version: 1,
            occurred_at: at,
            recorded_at: at,
            actor: Actor::system("test"),
            command_id: Uuid::from_u128(number | 1 << 100),
            request_hash: None,
            correlation_id: "test".to_owned(),
            causation_id: Uuid::from_u128(number | 1 << 100),
            traceparent: None,
        };
        let event = NewEvent::new(Uuid::from_u128(number + 1), event.into(), metadata).unwrap();
        self.log.push(Told { stream, event });
    }

    pub fn product(&mut self, id: &str, skus: &[String]) {
        let variants = skus.iter().map(|sku| variant(sku, 100)).collect();
        for sku in skus {
            self.stock(
                sku,
                StockIntroduced {
                    sku: sku.clone(),
                    product_id: id.to_owned(),
                    claim: Uuid::from_u128(9),
                },
            );
            self.stock.insert(sku.clone(), (0, 0, true));
        }
        self.tell(
            StreamName::new("product", id),
            ProductEvent::from(ProductCreated {
                product_id: id.to_owned(),
                title: format!("The \"{id}\""),
                brand: format!("brand {}", id.len() % 2),
                department: format!("department {}", id.len() % 3),
                category: String::new(),
                attributes: BTreeMap::from([("size".to_owned(), "22 LB".to_owned())]),
                status: ProductStatus::OnShelf,
                variants,
            }),
        );
        self.products.insert(id.to_owned(), skus.to_vec());
    }

    pub fn receive(&mut self, sku: &str, quantity: i64) {
        let (on_hand, reserved, _) = *self.stock.get(sku).unwrap();
        self.stock.get_mut(sku).unwrap().0 += quantity;
        let on_hand = on_hand + quantity;
        self.stock(sku, StockReceived { quantity, batch: None, on_hand, reserved });
    }

    pub fn reserve(&mut self, sku: &str, order_id: &str, quantity: i64) {
        let item = self.stock.get_mut(sku).unwrap();
        item.1 += quantity;
        let (on_hand, reserved, _) = *item;
        self.stock(
            sku,
            StockReserved {
                order_id: order_id.to_owned(),
                quantity,
                hold: 1,
                request_hash: None,
                on_hand,
                reserved,
            },
        );
    }

    pub fn register(&mut self, id: &str) {
        self.tell(
            StreamName::new("user", id),
            UserEvent::from(UserRegistered {
                user_id: id.to_owned(),
                personal: id
                    .len()
                    .is_multiple_of(2)
                    .then(|| Personal::Sealed("c2VhbGVk".to_owned())),
                claim: None,
            }),
        );
        self.users.push(id.to_owned());
    }

    pub fn place(&mut self, id: &str, customer: &str, skus: &[String], placed_at: i64) {
        let body = body(customer, skus, placed_at);
        let holds = vec![1; body.lines.len()];
        self.order(id, OrderPlaced { order: body.clone(), holds });
        self.orders.push(PlacedOrder { id: id.to_owned(), body, status: 0 });
    }

    fn stock(&mut self, sku: &str, event: impl Into<StockEvent>) {
        let event: StockEvent = event.into();
        self.tell(StreamName::new("stock", sku), event);
    }

    fn order(&mut self, id: &str, event: impl Into<OrderEvent>) {
        let event: OrderEvent = event.into();
        self.tell(StreamName::new("order", id), event);
    }

    fn on_product(&mut self, id: &str, event: impl Into<ProductEvent>) {
        let event: ProductEvent = event.into();
        self.tell(StreamName::new("product", id), event);
    }

    /// What the step means in this state; a step that means nothing leaves no event.
    pub fn step(&mut self, Step { kind, a, b }: Step) {
        let (a, b) = (usize::from(a), usize::from(b));
        let products: Vec<String> = self.products.keys().cloned().collect();
        let skus: Vec<String> = self.stock.keys().cloned().collect();
        let fresh = self.log.len();
        match kind {
            0 | 1 => {
                let skus: Vec<_> = (0..=b % 3).map(|at| format!("s{fresh}-{at}")).collect();
                return self.product(&format!("p{fresh}"), &skus);
            }
            2 => return self.register(&format!("u{fresh}")),
            3 => {
                // Registered before or after its orders.
                let id = format!("late{}", a % 3);
                if !self.users.contains(&id) {
                    self.register(&id);
                }
                return;
            }
            4 => {
                let id = format!("never{fresh}");
                let event = ClaimAbandoned { command_id: Uuid::from_u128(5) };
                if b.is_multiple_of(2) {
                    self.on_product(&id, event);
                } else {
                    self.tell(StreamName::new("user", &id), UserEvent::from(event));
                }
                return;
            }
            5 => {
                let stream = StreamName::parse("somebody-else").unwrap();
                let event = NewEvent::raw(
                    Uuid::from_u128(fresh as u128 + 1),
                    "Whatever".to_owned(),
                    "not JSON".into(),
                    "".into(),
                );
                self.log.push(Told { stream, event });
                return;
            }
            6 => {
                let id = format!("gone{fresh}");
                return self.order(&id, OrderAbandoned {});
            }
            _ => {}
        }
        if skus.is_empty() {
            return;
        }
        let (product, sku) = (&products[a % products.len()], &skus[b % skus.len()]);
        match kind {
            7 => self.on_product(
                product,
                ProductDescribed {
                    title: format!("title {b}"),
                    brand: String::new(),
                    department: "other".to_owned(),
                    category: "cups".to_owned(),
                    attributes: BTreeMap::new(),
                },
            ),
            8 => {
                let sku = format!("more{fresh}");
                self.on_product(product, VariantAdded { variant: variant(&sku, 5) });
            }
            9 => {
                let sku = self.products[product][0].clone();
                let price = Currency::USD.money(b as i64);
                self.on_product(product, VariantPriced { sku, price });
            }
            10 if b.is_multiple_of(2) => self.on_product(product, ProductPutOnShelf {}),
            10 => self.on_product(product, ProductTakenOffShelf {}),
            11 | 12 => self.receive(sku, 1 + a as i64),
            13 => self.reserve(sku, "o1", 1),
            14..=16 => {
                let item = self.stock.get_mut(sku).unwrap();
                item.0 = item.0.max(1);
                item.1 = (item.1 - 1).max(0);
                let (on_hand, reserved, _) = *item;
                let order_id = "o1".to_owned();
                match kind {
                    14 => self.stock(
                        sku,
                        StockReleased { order_id, quantity: 1, hold: 1, on_hand, reserved },
                    ),
                    15 => self.stock(
                        sku,
                        StockDispatched { order_id, quantity: 1, hold: 1, on_hand, reserved },
                    ),
                    _ => {
                        let reason = "breakage".to_owned();
                        self.stock(sku, StockAdjusted { delta: -1, reason, on_hand, reserved });
                    }
                }
            }
            17 => {
                let item = self.stock.get_mut(sku).unwrap();
                item.2 = !item.2;
                let (shown, claim) = (item.2, Uuid::from_u128(9));
                if shown {
                    let product_id = product.clone();
                    self.stock(sku, StockIntroduced { sku: sku.clone(), product_id, claim });
                } else {
                    self.stock(sku, SkuReleased { claim });
                }
            }
            18..=20 => {
                let customer = match a % 4 {
                    at @ 0..3 => format!("late{at}"),
                    _ => self.users.last().cloned().unwrap_or("late0".to_owned()),
                };
                let lines = 1 + b % skus.len().min(4);
                let placed_at = 1_700_000_000_000_000 + (a as i64 % 50) * 450_000_000;
                self.place(&format!("o{fresh}"), &customer, &skus[..lines], placed_at);
            }
            21 => {
                let id = format!("short{fresh}");
                let order = body("late1", &skus[..1], 1_700_000_000_000_000);
                let short = vec![ShortLine { sku: sku.clone(), requested: 9, available: 2 }];
                self.order(&id, OrderRefused { order, short });
            }
            _ => self.go_on(a, kind == 22),
        }
    }

    /// An order is cancelled, dispatched or delivered.
    fn go_on(&mut self, at: usize, cancel: bool) {
        if self.orders.is_empty() {
            return;
        }
        let at = at % self.orders.len();
        let order = self.orders[at].clone();
        match order.status {
            0 if cancel => {
                let reason = "changed \"mind\"".to_owned();
                self.order(&order.id, OrderCancelled { reason, order: order.body });
                self.orders[at].status = 3;
            }
            0 => {
                let carrier = Some("carrier".to_owned());
                self.order(&order.id, OrderDispatched { carrier, tracking: None, holds: vec![] });
                self.orders[at].status = 1;
            }
            1 => {
                self.order(&order.id, OrderDelivered {});
                self.orders[at].status = 2;
            }
            _ => {}
        }
    }
}

pub fn shop(steps: &[Step]) -> Shop {
    let mut shop = Shop::default();
    steps.iter().for_each(|&step| shop.step(step));
    shop
}

fn variant(sku: &str, price: i64) -> Variant {
    Variant { sku: sku.to_owned(), title: String::new(), price: Currency::USD.money(price) }
}

pub fn body(customer: &str, skus: &[String], placed_at: i64) -> OrderBody {
    let line = |(at, sku): (usize, &String)| {
        let quantity = 1 + at as i64;
        OrderLine {
            sku: sku.clone(),
            product_id: "p".to_owned(),
            title: "Title".to_owned(),
            variant: String::new(),
            brand: format!("brand {}", at % 2),
            department: format!("department {}", at % 3),
            category: String::new(),
            quantity,
            unit_price: 250,
            discount: 1,
            total: quantity * 250 - 1,
        }
    };
    let lines: Vec<_> = skus.iter().enumerate().map(line).collect();
    OrderBody {
        customer_id: customer.to_owned(),
        placed_at: Timestamp::saturating(placed_at),
        channel: format!("channel {}", customer.len() % 2),
        currency: Currency::USD,
        total: lines.iter().map(|line| line.total).sum(),
        lines,
    }
}

/// The log as a reader meets it.
pub fn logged(log: &[Told]) -> Vec<Logged> {
    let mut next: BTreeMap<StreamName, u64> = BTreeMap::new();
    let mut position = 0;
    log.iter()
        .map(|Told { stream, event }| {
            let revision = next.entry(stream.clone()).or_default();
            let recorded = Recorded::new(
                event.id,
                stream.clone(),
                Revision(*revision),
                event.event_type.clone(),
                event.data.clone(),
                event.metadata.clone(),
            );
            *revision += 1;
            position += 1;
            Logged { position: Position(position), recorded: recorded.into() }
        })
        .collect()
}

/// Appends the log to a store, one stream's neighbours together.
pub async fn append(store: &EventStore, log: &[Told]) {
    for part in log.chunk_by(|one, other| one.stream == other.stream) {
        let events = part.iter().map(|told| told.event.clone()).collect();
        store.append(part[0].stream.clone(), ExpectedRevision::Any, events).await.unwrap();
    }
}

/// Appends a long log: the streams within each part of it side by side.
pub async fn append_fast(store: &EventStore, log: &[Told]) {
    for part in log.chunks(4_000) {
        let mut streams: BTreeMap<StreamName, Vec<NewEvent>> = BTreeMap::new();
        for told in part {
            streams.entry(told.stream.clone()).or_default().push(told.event.clone());
        }
        let mut appends = tokio::task::JoinSet::new();
        for (stream, events) in streams {
            let store = store.clone();
            appends.spawn(async move {
                store.append(stream, ExpectedRevision::Any, events).await.unwrap();
            });
        }
        appends.join_all().await;
    }
}

pub async fn open_store(dir: &std::path::Path) -> EventStore {
    EventStore::open_sqlite(SqliteOptions::new(dir.join("events.sqlite"))).await.unwrap()
}

/// Posts events in one batch.
pub async fn apply<P: Projection>(
    sink: &mut SqlSink<P>,
    from: Checkpoint,
    events: &[Logged],
) -> Result<Checkpoint, projections::SinkError> {
    let mut to = from.clone();
    let mut entries = Vec::new();
    for logged in events {
        to.position = logged.position;
        if logged.is_ours() {
            to.last = Some((logged.position, logged.id));
        }
        if P::CATEGORIES.contains(&logged.stream.category()) {
            entries.push(Entry { logged, decoded: logged.decode().unwrap() });
        }
    }
    sink.apply(&Batch { from, to: to.clone(), events: entries }).await?;
    Ok(to)
}

/// Everything that a read model holds.
pub async fn dump(models: &ReadModels, schema: &'static infra::read_models::Schema) -> String {
    format!("{:#?}", projections::dump(models, schema).await.unwrap())
}

/// Posts read models anew and puts them in place.
pub async fn rebuild(store: &EventStore, models: &ReadModels, names: &[&str]) {
    let mut rebuild = Rebuild::new(store.clone());
    for name in names {
        assert!(rebuild.add_sql(models, name).unwrap());
    }
    for rebuilt in rebuild.run(|_| {}).await.unwrap() {
        rebuilt.outcome.unwrap();
    }
}

/// A log in which everything happens.
pub fn busy_shop(steps: u16) -> Shop {
    let step = |at: u16| Step { kind: (at % 24) as u8, a: at * 7, b: at * 13 };
    shop(&(0..steps).map(step).collect::<Vec<_>>())
}

/// Waits until every read model is posted to the log's end.
pub async fn all_posted(projectors: &Projectors, store: &EventStore) {
    let head = store.head().await.unwrap();
    for schema in SCHEMAS {
        projectors.wait_for(schema.name, head, Duration::from_secs(180)).await.unwrap();
    }
}

/// How one projection is doing, seen from within the process that posts it.
pub async fn status(projectors: &Projectors, name: &str) -> ProjectionStatus {
    let all = projectors.status().await.unwrap();
    all.into_iter().find(|status| status.name == name).unwrap()
}
