//! The roles as separate processes over every real engine at once: a gateway as the EventStoreDB, a
//! relay, two projectors, two command nodes and two query nodes over NATS, MySQL and Elasticsearch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "common/cluster.rs"]
mod cluster;
mod common;
#[path = "../../infra/tests/support/elasticsearch.rs"]
mod elasticsearch;
#[path = "common/orders.rs"]
mod orders;
#[path = "../../infra/tests/servers/mod.rs"]
mod servers;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use cluster::{Cluster, QUERIES, sources};
use common::{Server, eventually, text};
use orders::{SKUS, stock_up};
use projections::SCHEMAS;
use serde_json::json;

/// Units of each sku.
const UNITS: u64 = 60;
const CLIENTS: u64 = 6;

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

#[test]
fn every_role_a_process_and_every_engine_a_server() {
    let Some(cluster) = Cluster::new() else { return };
    let node = |name: &str, roles: &str| cluster.node(name, roles);
    let commands = [node("c1", "command"), node("c2", "command")];
    let _relays = [node("r1", "relay"), node("r2", "relay")];
    let projectors = [node("p1", "projector,query"), node("p2", "projector,query")];
    let queries = [node("q1", "query"), node("q2", "query")];

    let position = stock_up(&commands[0], UNITS).position();
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
    eventually(|| {
        commands[0].post("/v1/stock/bowl/receipts", &receipt).expect(201);
        sources(&second).iter().all(|source| source == "bus").then_some(())
    });
    let position = commands[0].post("/v1/stock/spoon/receipts", &receipt).expect(201).position();
    for path in QUERIES {
        queries[0].get_at(path, &position).expect(200);
    }

    // Every read model equals a rebuild.
    assert!(second.signal("TERM").success());
    assert_eq!(cluster.documents().len(), SKUS.len());
    cluster.equals_a_rebuild();
    println!("{} orders over both command nodes; nothing oversold", placed.len());
}
