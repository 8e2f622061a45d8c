//! The event store's server is killed, frozen, and reached over a bad line while orders are placed:
//! each order is placed once or answered 503, nothing acknowledged is lost, and all goes on by
//! itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::{Server, eventually, signal};
use serde_json::{Value, json};

/// Clients, each with one order at a time.
const CLIENTS: usize = 6;
/// How long an order may take, its retries included.
const PATIENCE: Duration = Duration::from_secs(90);

fn event_store(dir: &Path, listen: &str) -> Server {
    let folder = dir.join("store");
    std::fs::create_dir_all(&folder).unwrap();
    let args = ["--eventstore-listen", listen, "--eventstore-access", "append", "--roles", "query"];
    Server::start(&folder, &args)
}

fn shop(dir: &Path, esdb: &str) -> Server {
    let folder = dir.join("shop");
    std::fs::create_dir_all(&folder).unwrap();
    let shop = Server::start(&folder, &["--event-store", esdb]);
    let price = json!({ "amount": 100, "currency": "USD" });
    let variants = json!([{ "sku": "mug", "title": "Red", "price": price }]);
    let product = json!({ "id": "mug", "title": "Mug", "department": "D", "variants": variants });
    shop.post("/v1/products", &product).expect(201);
    shop.post("/v1/stock/mug/receipts", &json!({ "quantity": 1_000_000 })).expect(201);
    let personal = json!({ "name": "Ada", "email": "ada@example.com" });
    shop.post("/v1/users", &json!({ "id": "u1", "personal": personal })).expect(201);
    shop
}

/// What came of the orders: by key, the order's id; how often each problem was answered.
#[derive(Default)]
struct Orders {
    placed: Mutex<BTreeMap<String, String>>,
    refused: Mutex<BTreeMap<String, usize>>,
}

impl Orders {
    fn count(&self) -> usize {
        self.placed.lock().unwrap().len()
    }

    /// Waits until so many more are placed.
    fn more(&self, more: usize) {
        let wanted = self.count() + more;
        eventually(PATIENCE, || (self.count() >= wanted).then_some(()));
    }
}

/// Places orders from several clients until told to stop; each is sent again with the same key
/// until it is placed.
fn place(shop: &Server, orders: &Orders, stop: &AtomicBool) {
    let lines = json!([{ "sku": "mug", "quantity": 1 }]);
    let body = &json!({ "customer_id": "u1", "channel": "web", "lines": lines });
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let key = format!("order-{client}-{n}");
                    let id = place_one(shop, orders, &key, body);
                    orders.placed.lock().unwrap().insert(key, id);
                }
            });
        }
    });
}

/// Any answer but 201 and 503 with Retry-After is a failure.
fn place_one(shop: &Server, orders: &Orders, key: &str, body: &Value) -> String {
    let begun = Instant::now();
    loop {
        let answer = shop.post_with("/v1/orders", key, body).expect("an answer");
        match answer.status {
            201 => return answer.json()["id"].as_str().unwrap().to_owned(),
            503 => {
                assert!(answer.header("retry-after").is_some(), "{answer:?}");
                *orders.refused.lock().unwrap().entry(answer.problem()).or_default() += 1;
                thread::sleep(Duration::from_millis(100));
            }
            _ => panic!("{key}: {answer:?}"),
        }
        assert!(begun.elapsed() < PATIENCE, "{key} is never placed: {answer:?}");
    }
}

/// Every order stands once, and what is reserved is what was sold.
fn agrees(store: &Server, shop: &Server, orders: &Orders) {
    let placed = orders.placed.lock().unwrap();
    let said: BTreeSet<String> = placed.values().cloned().collect();
    assert_eq!(said.len(), placed.len(), "each key has an order of its own");
    let stands = placed_in(store);
    assert_eq!(stands.iter().collect::<BTreeSet<_>>().len(), stands.len(), "none stands twice");
    let stands: BTreeSet<String> = stands.into_iter().collect();
    assert_eq!(stands, said, "what is acknowledged stands, and nothing else");
    eventually(Duration::from_secs(60), || {
        let stock = shop.get("/v1/stock/mug");
        (stock.status == 200 && stock.json()["reserved"] == placed.len()).then_some(())
    });
    println!("{} orders placed; 503: {:?}", placed.len(), orders.refused.lock().unwrap());
}

/// The ids of all orders that stand in the log as placed.
fn placed_in(store: &Server) -> Vec<String> {
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let page = store.get(&format!("/v1/events?type=OrderPlaced&limit=1000{next}"));
        let page = page.expect(200).json();
        let stream = |event: &Value| event["stream"].as_str().unwrap()["order-".len()..].to_owned();
        found.extend(page["items"].as_array().unwrap().iter().map(stream));
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return found,
        }
    }
}

fn port(esdb: &str) -> &str {
    esdb.trim_start_matches("esdb://").split('?').next().unwrap()
}

#[test]
fn a_server_killed_under_load_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = event_store(dir.path(), "127.0.0.1:0");
    let esdb = store.esdb();
    let shop = shop(dir.path(), &esdb);
    let (orders, stop) = (Orders::default(), AtomicBool::new(false));
    let store = thread::scope(|scope| {
        scope.spawn(|| place(&shop, &orders, &stop));
        for _ in 0..3 {
            orders.more(20);
            store.kill();
            store = event_store(dir.path(), port(&esdb));
        }
        orders.more(20);
        stop.store(true, Ordering::Relaxed);
        store
    });
    agrees(&store, &shop, &orders);
}

#[test]
fn a_server_frozen_for_ten_seconds_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = event_store(dir.path(), "127.0.0.1:0");
    let shop = shop(dir.path(), &store.esdb());
    let (orders, stop) = (Orders::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| place(&shop, &orders, &stop));
        orders.more(20);
        signal(store.process.id(), "STOP");
        // Who asks for its health is not kept waiting for long.
        let begun = Instant::now();
        assert_eq!(shop.get("/health/ready").status, 503);
        thread::sleep(Duration::from_secs(10).saturating_sub(begun.elapsed()));
        signal(store.process.id(), "CONT");
        orders.more(20);
        eventually(PATIENCE, || (shop.get("/health/ready").status == 200).then_some(()));
        stop.store(true, Ordering::Relaxed);
    });
    agrees(&store, &shop, &orders);
}

#[test]
fn over_a_bad_line_nothing_is_lost_or_doubled() {
    let Some(toxiproxy) = Toxiproxy::of_the_environment() else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = event_store(dir.path(), "127.0.0.1:0");
    let line = toxiproxy.line_to(port(&store.esdb()));
    let shop = shop(dir.path(), &format!("esdb://{}?tls=false", line.listen));
    let (orders, stop) = (Orders::default(), AtomicBool::new(false));
    let toxic = |kind: &str, stream: &str, attributes: Value| json!({ "name": kind, "type": kind, "stream": stream, "attributes": attributes });
    thread::scope(|scope| {
        scope.spawn(|| place(&shop, &orders, &stop));
        for round in 0..3 {
            orders.more(10);
            line.add(&toxic("latency", "downstream", json!({ "latency": 80, "jitter": 60 })));
            orders.more(5);
            line.remove("latency");
            // Every connection is reset in the middle of what it does.
            line.add(&toxic("reset_peer", "downstream", json!({ "timeout": 20 * round })));
            thread::sleep(Duration::from_millis(700));
            line.remove("reset_peer");
            orders.more(5);
            // What is sent arrives, and the answers are lost.
            line.add(&toxic("timeout", "downstream", json!({ "timeout": 300 })));
            thread::sleep(Duration::from_secs(1));
            line.remove("timeout");
            orders.more(5);
        }
        stop.store(true, Ordering::Relaxed);
    });
    agrees(&store, &shop, &orders);
}

/// The proxy's own HTTP interface.
struct Toxiproxy(String);

struct Line<'a> {
    toxiproxy: &'a Toxiproxy,
    path: String,
    listen: String,
}

impl Toxiproxy {
    fn of_the_environment() -> Option<Self> {
        if let Ok(url) = std::env::var("TEST_TOXIPROXY_URL") {
            return Some(Self(url.trim_start_matches("http://").to_owned()));
        }
        let required = std::env::var("REQUIRE_ENGINES").is_ok_and(|value| value == "1");
        assert!(!required, "REQUIRE_ENGINES=1, and TEST_TOXIPROXY_URL is not set");
        println!("skipped: TEST_TOXIPROXY_URL is not set");
        None
    }

    fn line_to(&self, upstream: &str) -> Line<'_> {
        let name = format!("daybook-{}", std::process::id());
        let proxy = json!({ "name": name, "listen": "127.0.0.1:0", "upstream": upstream });
        let made = self.send("POST", "/proxies", &proxy);
        let listen = made["listen"].as_str().expect("where it listens").to_owned();
        Line { toxiproxy: self, path: format!("/proxies/{name}"), listen }
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(&self.0).unwrap();
        let (host, body) = (&self.0, body.to_string());
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close");
        write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 20"), "{method} {path}: {answer}");
        serde_json::from_str(body).unwrap_or_default()
    }
}

impl Line<'_> {
    fn add(&self, toxic: &Value) {
        self.toxiproxy.send("POST", &format!("{}/toxics", self.path), toxic);
    }

    fn remove(&self, name: &str) {
        self.toxiproxy.send("DELETE", &format!("{}/toxics/{name}", self.path), &Value::Null);
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.toxiproxy.send("DELETE", &self.path, &Value::Null);
    }
}
