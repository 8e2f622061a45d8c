//! Orders placed by several clients whatever happens, and what must have become of them.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::common::{Answer, PATIENCE, Server, eventually};

/// What there is to buy.
pub const SKUS: [&str; 3] = ["mug", "bowl", "spoon"];

/// A customer, the products, and so many units of each.
pub fn stock_up(node: &Server, units: u64) -> Answer {
    let personal = json!({ "name": "Ada", "email": "ada@example.com" });
    let mut last = node.post("/v1/users", &json!({ "id": "u1", "personal": personal })).expect(201);
    let price = json!({ "amount": 100, "currency": "USD" });
    for sku in SKUS {
        let variants = json!([{ "sku": sku, "title": "Red", "price": price }]);
        let product = json!({ "id": sku, "title": sku, "department": "D", "variants": variants });
        node.post("/v1/products", &product).expect(201);
        let receipt = json!({ "quantity": units });
        last = node.post(&format!("/v1/stock/{sku}/receipts"), &receipt).expect(201);
    }
    last
}

/// An order that was acknowledged.
#[derive(Clone, Debug)]
pub struct Placed {
    pub id: String,
    pub sku: &'static str,
    pub quantity: u64,
    /// Of its answer.
    pub position: String,
}

/// What came of the orders: those placed by their keys; how often each problem was answered.
#[derive(Default)]
pub struct Orders {
    placed: Mutex<BTreeMap<String, Placed>>,
    newest: Mutex<String>,
    refused: Mutex<BTreeMap<String, usize>>,
    stop: AtomicBool,
    rest: Duration,
}

impl Orders {
    /// Each client rests for so long between two orders.
    pub fn resting(rest: Duration) -> Self {
        Self { rest, ..Self::default() }
    }

    pub fn count(&self) -> usize {
        self.placed.lock().unwrap().len()
    }

    /// The position of an answer that came last.
    pub fn newest(&self) -> String {
        self.newest.lock().unwrap().clone()
    }

    /// How often each problem was answered.
    pub fn refused(&self) -> BTreeMap<String, usize> {
        self.refused.lock().unwrap().clone()
    }

    /// Waits until so many more are placed.
    pub fn more(&self, more: usize) {
        let wanted = self.count() + more;
        let came = || (self.count() >= wanted || self.stopped()).then_some(());
        eventually(came);
        assert!(self.count() >= wanted, "the clients have ended");
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Places orders from so many clients while `work` is done, by turns at the nodes; each is sent
    /// again with the same key until it is placed. Any answer but 201 and 503 with Retry-After is a
    /// failure.
    pub fn placing<T>(&self, nodes: &[&Server], clients: usize, work: impl FnOnce() -> T) -> T {
        static ROUNDS: AtomicUsize = AtomicUsize::new(0);
        self.stop.store(false, Ordering::Relaxed);
        let round = ROUNDS.fetch_add(1, Ordering::Relaxed);
        thread::scope(|scope| {
            for client in 0..clients {
                scope.spawn(move || {
                    // A client that fails ends the wait for more.
                    let ended = Ending(&self.stop);
                    for n in 0.. {
                        if self.stopped() {
                            break;
                        }
                        let node = nodes[client % nodes.len()];
                        self.place(node, &format!("order-{round}-{client}-{n}"), client + n);
                        if client == 0 && n % 8 == 0 {
                            change(node, n);
                        }
                        thread::sleep(self.rest);
                    }
                    std::mem::forget(ended);
                });
            }
            let ended = Ending(&self.stop);
            let done = work();
            drop(ended);
            done
        })
    }

    fn place(&self, node: &Server, key: &str, n: usize) {
        let (sku, quantity) = (SKUS[n % SKUS.len()], 1 + n as u64 % 2);
        let lines = json!([{ "sku": sku, "quantity": quantity }]);
        let body = json!({ "customer_id": "u1", "channel": "web", "lines": lines });
        let begun = Instant::now();
        loop {
            let answer = node.post_with("/v1/orders", key, &body).expect("an answer");
            match answer.status {
                201 => {
                    let (id, position) = (answer.json()["id"].clone(), answer.position());
                    let id = id.as_str().unwrap().to_owned();
                    *self.newest.lock().unwrap() = position.clone();
                    let placed = Placed { id, sku, quantity, position };
                    self.placed.lock().unwrap().insert(key.to_owned(), placed);
                    return;
                }
                503 => {
                    assert!(answer.header("retry-after").is_some(), "{answer:?}");
                    *self.refused.lock().unwrap().entry(answer.problem()).or_default() += 1;
                    thread::sleep(Duration::from_millis(100));
                }
                _ => panic!("{key}: {answer:?}"),
            }
            assert!(begun.elapsed() < PATIENCE, "{key} is never placed: {answer:?}");
        }
    }

    /// So many units.
    pub fn sold(&self, sku: &str) -> u64 {
        let placed = self.placed.lock().unwrap();
        placed.values().filter(|placed| placed.sku == sku).map(|placed| placed.quantity).sum()
    }

    /// Every order stands in the log once and nothing else does, and what is reserved is what was
    /// sold, as `query` says once it has posted all.
    pub fn agree(&self, store: &Server, query: &Server) {
        let placed = self.placed.lock().unwrap().clone();
        let said: BTreeSet<String> = placed.values().map(|placed| placed.id.clone()).collect();
        assert_eq!(said.len(), placed.len(), "each key has an order of its own");
        let stands = ids(store, "OrderPlaced");
        assert_eq!(stands.iter().collect::<BTreeSet<_>>().len(), stands.len(), "none stands twice");
        let stands: BTreeSet<String> = stands.into_iter().collect();
        assert_eq!(stands, said, "what is acknowledged stands, and nothing else");
        for sku in SKUS {
            let sold = self.sold(sku);
            // Holds of orders that were not placed are released in their time.
            eventually(|| {
                let stock = query.get(&format!("/v1/stock/{sku}"));
                let stock = (stock.status == 200).then(|| stock.json())?;
                let number = |name: &str| stock[name].as_u64().unwrap();
                let adds_up = number("on_hand") == number("reserved") + number("available");
                assert!(adds_up, "{stock}");
                (number("reserved") == sold).then_some(())
            });
        }
    }
}

/// Gives a product another title, so that documents change too; whether it succeeds does not matter.
fn change(node: &Server, n: usize) {
    let (sku, title) = (SKUS[n / 8 % SKUS.len()], json!({ "title": format!("Title {n}") }));
    let path = format!("/v1/products/{sku}");
    let answer = node.send("PATCH", &path, None, title.to_string().as_bytes()).expect("an answer");
    let refused = answer.status == 503 && answer.header("retry-after").is_some();
    assert!(answer.status == 200 || refused, "{answer:?}");
}

/// Ends the clients when it is dropped, by a panic too.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The ids of the orders with an event of that type, as the log has them.
pub fn ids(store: &Server, kind: &str) -> Vec<String> {
    let streams = log(store, &format!("type={kind}"));
    let id = |event: &Value| event["stream"].as_str().unwrap()["order-".len()..].to_owned();
    streams.iter().map(id).collect()
}

/// The events of the log that are asked for.
pub fn log(store: &Server, asked: &str) -> Vec<Value> {
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let page = store.get(&format!("/v1/events?{asked}&limit=1000{next}")).expect(200).json();
        found.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return found,
        }
    }
}
