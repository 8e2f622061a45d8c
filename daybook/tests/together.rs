//! The roles as separate processes over every real engine at once: a gateway as the EventStoreDB, a
//! relay, two projectors, two command nodes and two query nodes over NATS, MySQL and Elasticsearch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;
#[path = "../../infra/tests/support/elasticsearch.rs"]
mod elasticsearch;
#[path = "../../infra/tests/servers/mod.rs"]
mod servers;

use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use common::{Answer, Server, eventually, run, text};
use infra::read_models::ReadModels;
use projections::{SCHEMAS, dump};
use serde_json::{Value, json};
use servers::{Database, MYSQL};
use uuid::Uuid;

const SKUS: [&str; 3] = ["mug", "bowl", "spoon"];
/// Units of each sku.
const UNITS: u64 = 60;
const CLIENTS: u64 = 6;
const PATIENCE: Duration = Duration::from_secs(60);

/// The engines, with names of this test's own.
struct Engines {
    models: Database,
    keys: Database,
    search: elasticsearch::Place,
    bus: String,
}

impl Engines {
    async fn new() -> Option<Self> {
        let (models, keys) = (Database::new(MYSQL).await?, Database::new(MYSQL).await?);
        let search = elasticsearch::Place::new()?;
        let Ok(nats) = std::env::var("TEST_NATS_URL") else {
            let required = std::env::var("REQUIRE_ENGINES").is_ok_and(|value| value == "1");
            assert!(!required, "REQUIRE_ENGINES=1, and TEST_NATS_URL is not set");
            println!("skipped: TEST_NATS_URL is not set");
            return None;
        };
        let bus = format!("{}/test-{}", nats.trim_end_matches('/'), Uuid::new_v4().simple());
        Some(Self { models, keys, search, bus })
    }

    fn args(&self, event_store: &str) -> Vec<String> {
        let (models, keys) = (self.models.text(), self.keys.text());
        [
            ("--event-store", event_store),
            ("--bus", &self.bus),
            ("--read-models", &models),
            ("--keys", &keys),
            ("--search", &self.search.url()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value.to_owned()])
        .collect()
    }

    /// Removes the stream; the rest goes by itself.
    async fn end(self) {
        let (server, name) = self.bus.rsplit_once('/').unwrap();
        let client = async_nats::connect(server).await.unwrap();
        async_nats::jetstream::new(client).delete_stream(name).await.unwrap();
    }

    /// Every row of every read model.
    async fn rows(&self) -> String {
        let models = ReadModels::read_mysql(self.models.url()).await.unwrap();
        let mut all = Vec::new();
        for schema in SCHEMAS {
            all.push(dump(&models, schema).await.unwrap());
        }
        format!("{all:#?}")
    }

    /// Every document of the search index.
    fn documents(&self) -> Vec<String> {
        let path = format!("{}-products/_search?size=100", self.search.name);
        let (status, found) = self.search.call("GET", &path, "");
        assert_eq!(status, 200, "{found}");
        let documents = found["hits"]["hits"].as_array().unwrap().iter();
        let mut documents: Vec<_> = documents
            .filter(|hit| hit["_id"] != ".checkpoint")
            .map(|hit| format!("{} {}", hit["_id"], hit["_source"]))
            .collect();
        documents.sort();
        documents
    }
}

fn node(dir: &Path, name: &str, roles: &str, engines: &[String]) -> Server {
    let folder = dir.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let mut args = vec!["--roles", roles];
    args.extend(engines.iter().map(String::as_str));
    Server::start(&folder, &args)
}

fn stock_up(node: &Server) -> Answer {
    let personal = json!({ "name": "Ada", "email": "ada@example.com" });
    node.post("/v1/users", &json!({ "id": "u1", "personal": personal })).expect(201);
    let price = json!({ "amount": 100, "currency": "USD" });
    let mut last = None;
    for sku in SKUS {
        let variants = json!([{ "sku": sku, "title": "Red", "price": price }]);
        let product = json!({ "id": sku, "title": sku, "department": "D", "variants": variants });
        node.post("/v1/products", &product).expect(201);
        let receipt = json!({ "quantity": UNITS });
        last = Some(node.post(&format!("/v1/stock/{sku}/receipts"), &receipt).expect(201));
    }
    last.unwrap()
}

/// What the clients were told.
#[derive(Default)]
struct Told {
    /// Order ids with the position of their answers.
    placed: Mutex<Vec<(String, String)>>,
    sold: [AtomicU64; SKUS.len()],
}

/// Clients at both nodes want the same skus, until each of them has met an empty shelf in all.
fn sell_out(nodes: [&Server; 2], told: &Told) {
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                let mut empty = [false; SKUS.len()];
                for n in client.. {
                    let at = usize::try_from(n).unwrap() % SKUS.len();
                    if empty.iter().all(|empty| *empty) {
                        return;
                    }
                    let quantity = 1 + n % 2;
                    let lines = json!([{ "sku": SKUS[at], "quantity": quantity }]);
                    let body = json!({ "customer_id": "u1", "channel": "web", "lines": lines });
                    let node = nodes[usize::try_from(n / 3 + client).unwrap() % 2];
                    let answer = node.post_with("/v1/orders", &format!("{client}-{n}"), &body);
                    let answer = answer.expect("an answer");
                    match answer.status {
                        201 => {
                            let id = answer.json()["id"].as_str().unwrap().to_owned();
                            told.placed.lock().unwrap().push((id, answer.position()));
                            told.sold[at].fetch_add(quantity, Ordering::Relaxed);
                        }
                        409 => {
                            assert_eq!(answer.problem(), "insufficient-stock");
                            // One unit less may still be there.
                            empty[at] |= quantity == 1;
                        }
                        status => panic!("{status}: {}", text(&answer.body)),
                    }
                }
            });
        }
    });
}

fn sources(node: &Server) -> Vec<String> {
    let items = node.get("/v1/projections").expect(200).json();
    let source = |item: &Value| item["source"].as_str().unwrap_or("").to_owned();
    items["items"].as_array().unwrap().iter().map(source).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_role_a_process_and_every_engine_a_server() {
    let Some(engines) = Engines::new().await else { return };
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("store");
    std::fs::create_dir_all(&folder).unwrap();
    let gateway =
        ["--eventstore-listen", "127.0.0.1:0", "--eventstore-access", "append", "--roles", "relay"];
    let store = Server::start(&folder, &gateway);
    let args = engines.args(&store.esdb());
    let node = |name: &str, roles: &str| node(dir.path(), name, roles, &args);
    let commands = [node("c1", "command"), node("c2", "command")];
    let _relays = [node("r1", "relay"), node("r2", "relay")];
    let projectors = [node("p1", "projector,query"), node("p2", "projector,query")];
    let queries = [node("q1", "query"), node("q2", "query")];

    let position = stock_up(&commands[0]).position();
    let told = Told::default();
    sell_out([&commands[0], &commands[1]], &told);

    // Nothing is oversold, and nobody is refused while there is something.
    let placed = told.placed.lock().unwrap().clone();
    for (sku, sold) in SKUS.iter().zip(&told.sold) {
        assert_eq!(sold.load(Ordering::Relaxed), UNITS, "{sku}");
    }
    // Everybody reads what they wrote, from a process that posts nothing.
    for ((id, position), n) in placed.iter().zip(0..) {
        let order = queries[n % 2].get_at(&format!("/v1/orders/{id}"), position).expect(200);
        assert_eq!(order.json()["status"], "placed");
    }
    let (_, newest) = placed.last().unwrap();
    for sku in SKUS {
        let stock = queries[0].get_at(&format!("/v1/stock/{sku}"), newest).expect(200).json();
        assert_eq!(
            (&stock["reserved"], &stock["available"]),
            (&json!(UNITS), &json!(0)),
            "{stock}"
        );
    }
    let found = queries[1].get_at("/v1/products/search?q=mug", &position).expect(200).json();
    assert_eq!(found["items"][0]["id"], "mug", "{found}");

    // A command may be waited for though others post.
    let head = "POST /v1/stock/mug/receipts HTTP/1.1\r\nContent-Type: application/json\r\n\
        Idempotency-Key: waited\r\nPrefer: wait=20";
    let waited = commands[1].raw(head, json!({ "quantity": 5 }).to_string().as_bytes()).expect(201);
    let stock = queries[0].get("/v1/stock/mug").expect(200).json();
    assert_eq!(stock["available"], 5, "{stock}");
    assert!(!waited.position().is_empty());

    // Each projection has one holder, fed by the bus; the other process stands by, and takes over.
    let holders = |node: &Server| sources(node).iter().filter(|source| !source.is_empty()).count();
    assert_eq!(holders(&projectors[0]) + holders(&projectors[1]), SCHEMAS.len() + 1);
    assert_eq!(sources(&queries[0]), vec![String::new(); SCHEMAS.len() + 1]);
    let [first, second] = projectors;
    first.kill();
    let receipt = json!({ "quantity": 1 });
    let position = commands[0].post("/v1/stock/mug/receipts", &receipt).expect(201).position();
    let stock = queries[1].get_at("/v1/stock/mug", &position).expect(200).json();
    assert_eq!(stock["available"], 6, "{stock}");
    eventually(PATIENCE, || {
        commands[0].post("/v1/stock/bowl/receipts", &receipt).expect(201);
        sources(&second).iter().all(|source| source == "bus").then_some(())
    });
    let position = commands[0].post("/v1/stock/spoon/receipts", &receipt).expect(201).position();
    for path in ["/v1/orders", "/v1/stock", "/v1/products", "/v1/users", "/v1/users/u1/summary"] {
        queries[0].get_at(path, &position).expect(200);
    }
    queries[0].get_at("/v1/products/search", &position).expect(200);

    // Every read model equals a rebuild.
    assert!(second.signal("TERM").success());
    let (rows, documents) = (engines.rows().await, engines.documents());
    assert_eq!(documents.len(), SKUS.len());
    let mut rebuild = vec!["rebuild", "--all", "--data", "p2/data"];
    rebuild.extend(args.iter().map(String::as_str));
    let output = run(dir.path(), &rebuild);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(engines.rows().await, rows);
    assert_eq!(engines.documents(), documents);
    println!("{} orders over both command nodes; nothing oversold", placed.len());
    engines.end().await;
}
