//! The event store's server is killed, frozen, and reached over a bad line while orders are placed:
//! each order is placed once or answered 503, nothing acknowledged is lost, and all goes on by
//! itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;
#[path = "common/orders.rs"]
mod orders;
#[path = "common/toxiproxy.rs"]
mod toxiproxy;

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use common::{Server, eventually, signal};
use orders::{Orders, stock_up};
use serde_json::json;
use toxiproxy::Toxiproxy;

const CLIENTS: usize = 6;

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
    stock_up(&shop, 1_000_000);
    shop
}

fn agrees(store: &Server, shop: &Server, orders: &Orders) {
    orders.agree(store, shop);
    println!("{} orders placed; 503: {:?}", orders.count(), orders.refused());
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
    let orders = Orders::default();
    let store = orders.placing(&[&shop], CLIENTS, || {
        for _ in 0..3 {
            orders.more(20);
            store.kill();
            store = event_store(dir.path(), port(&esdb));
        }
        orders.more(20);
        store
    });
    agrees(&store, &shop, &orders);
}

#[test]
fn a_server_frozen_for_ten_seconds_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = event_store(dir.path(), "127.0.0.1:0");
    let shop = shop(dir.path(), &store.esdb());
    let orders = Orders::default();
    orders.placing(&[&shop], CLIENTS, || {
        orders.more(20);
        signal(store.process.id(), "STOP");
        // Who asks for its health is not kept waiting for long.
        let begun = Instant::now();
        assert_eq!(shop.get("/health/ready").status, 503);
        thread::sleep(Duration::from_secs(10).saturating_sub(begun.elapsed()));
        signal(store.process.id(), "CONT");
        orders.more(20);
        eventually(|| (shop.get("/health/ready").status == 200).then_some(()));
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
    let orders = Orders::default();
    let answers = "downstream";
    orders.placing(&[&shop], CLIENTS, || {
        for round in 0..3 {
            orders.more(10);
            line.add("latency", answers, &json!({ "latency": 80, "jitter": 60 }));
            orders.more(5);
            line.remove("latency", answers);
            // Every connection is reset in the middle of what it does.
            line.add("reset_peer", answers, &json!({ "timeout": 20 * round }));
            thread::sleep(Duration::from_millis(700));
            line.remove("reset_peer", answers);
            orders.more(5);
            // What is sent arrives, and the answers are lost.
            line.add("timeout", answers, &json!({ "timeout": 300 }));
            thread::sleep(Duration::from_secs(1));
            line.remove("timeout", answers);
            orders.more(5);
        }
    });
    agrees(&store, &shop, &orders);
}
