//! The process is killed at every step of an order; once the reservation watch has run, stock and
//! orders agree.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{collections::BTreeMap, path::Path, process::Stdio};

use common::{Server, daybook, eventually, run};
use serde_json::{Value, json};

const SKUS: [&str; 3] = ["a", "b", "c"];

/// A server whose watch gives up orders without an outcome soon; `crash_at` is the point and pass
/// at which it ends itself.
fn start(dir: &Path, crash_at: Option<&str>) -> Server {
    Server::with(dir, &["--reservation-timeout", "300ms"], |command| {
        if let Some(point) = crash_at {
            command.env("DAYBOOK_CRASH_AT", point);
        }
    })
}

/// Ten units of each sku, and a customer.
fn stock_up(server: &Server) {
    let price = json!({ "amount": 100, "currency": "USD" });
    let variants: Vec<Value> =
        SKUS.iter().map(|sku| json!({ "sku": sku, "title": sku, "price": price })).collect();
    let product = json!({ "id": "p", "title": "P", "department": "D", "variants": variants });
    server.post("/v1/products", &product).expect(201);
    for sku in SKUS {
        let path = format!("/v1/stock/{sku}/receipts");
        server.post(&path, &json!({ "quantity": 10 })).expect(201);
    }
    server
        .post(
            "/v1/users",
            &json!({ "id": "u", "personal": { "name": "U", "email": "u@example.com" } }),
        )
        .expect(201);
}

fn order(quantities: [i64; 3]) -> Value {
    let lines: Vec<Value> = SKUS
        .iter()
        .zip(quantities)
        .map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity }))
        .collect();
    json!({ "customer_id": "u", "channel": "web", "lines": lines })
}

/// What placed orders hold, and what stock says is reserved, by sku; both at the log's head.
fn held_and_reserved(server: &Server) -> (BTreeMap<String, i64>, BTreeMap<String, i64>) {
    let head = server.get("/v1/projections").expect(200).json()["items"][0]["head"].clone();
    let store = server.get("/v1/stock").expect(200).position();
    let position = format!("{}:{head}", store.split(':').next().unwrap());
    let mut held: BTreeMap<String, i64> = SKUS.map(|sku| (sku.to_owned(), 0)).into();
    let orders = server.get_at("/v1/orders?status=placed&limit=1000", &position).expect(200).json();
    for line in orders["items"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|order| order["lines"].as_array().unwrap())
    {
        *held.get_mut(line["sku"].as_str().unwrap()).unwrap() += line["quantity"].as_i64().unwrap();
    }
    let stock = server.get_at("/v1/stock", &position).expect(200).json();
    let mut reserved = BTreeMap::new();
    for item in stock["items"].as_array().unwrap() {
        assert_eq!(item["on_hand"], 10, "{item}");
        reserved
            .insert(item["sku"].as_str().unwrap().to_owned(), item["reserved"].as_i64().unwrap());
    }
    (held, reserved)
}

fn agrees(server: &Server) {
    eventually(|| {
        let (held, reserved) = held_and_reserved(server);
        (held == reserved).then_some(())
    });
}

/// Kills the server at `point` while `ask` is on its way, then once more at each of `later` while
/// the watch cleans up, and sees that all agrees and that a retry is answered well.
fn killed_at(
    point: &str,
    later: &[&str],
    prepare: impl Fn(&Server),
    ask: impl Fn(&Server) -> Option<common::Answer>,
    retried: impl Fn(common::Answer),
) {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), None);
    stock_up(&server);
    prepare(&server);
    assert_eq!(server.signal("TERM").code(), Some(0));

    let server = start(dir.path(), Some(point));
    assert!(ask(&server).is_none(), "{point} was not passed");
    assert!(!server.wait().success());
    for point in later {
        let mut process = daybook(dir.path())
            .args(["serve", "--listen", "127.0.0.1:0", "--data", "data", "-q"])
            .args(["--reservation-timeout", "300ms"])
            .env("DAYBOOK_CRASH_AT", point)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let ended = eventually(|| process.try_wait().unwrap());
        assert!(!ended.success(), "{point} was not passed by the watch");
    }

    let server = start(dir.path(), None);
    agrees(&server);
    retried(ask(&server).expect("an answer"));
    agrees(&server);
}

fn place(server: &Server, quantities: [i64; 3]) -> Option<common::Answer> {
    server.post_with("/v1/orders", "the-order", &order(quantities))
}

#[test]
fn an_order_that_is_placed() {
    for point in
        ["after-hold:1", "after-hold:2", "after-hold:3", "before-outcome:1", "after-outcome:1"]
    {
        let outcome = point.starts_with("after-outcome");
        killed_at(
            point,
            &[],
            |_| {},
            |server| place(server, [1, 2, 3]),
            |answer| match answer.status {
                201 => {}
                409 => assert!(!outcome && answer.problem() == "order-abandoned", "{point}"),
                status => panic!("{point}: {status}"),
            },
        );
    }
}

#[test]
fn an_order_that_is_refused() {
    for point in [
        "after-hold:1",
        "after-hold:2",
        "before-outcome:1",
        "after-outcome:1",
        "before-release:1",
        "before-release:2",
    ] {
        killed_at(
            point,
            &[],
            |_| {},
            |server| place(server, [1, 11, 3]),
            |answer| {
                let problem = answer.expect(409).problem();
                let outcome = point.starts_with("after-outcome") || point.contains("release");
                assert!(problem == "insufficient-stock" || !outcome, "{point}: {problem}");
            },
        );
    }
}

#[test]
fn an_order_that_is_cancelled() {
    for point in ["before-release:1", "before-release:2", "before-release:3"] {
        killed_at(
            point,
            &[],
            |server| {
                place(server, [1, 2, 3]).unwrap().expect(201);
            },
            |server| {
                let id = place(server, [1, 2, 3]).unwrap().expect(201).json();
                let path = format!("/v1/orders/{}/cancellation", id["id"].as_str().unwrap());
                server.post_with(&path, "the-cancellation", &json!({ "reason": "changed my mind" }))
            },
            |answer| assert_eq!(answer.expect(200).json()["status"], "cancelled"),
        );
    }
}

#[test]
fn the_watch_itself() {
    // The order was given up; the process dies before each of its releases.
    killed_at(
        "before-outcome:1",
        &["before-release:1", "before-release:2"],
        |_| {},
        |server| place(server, [1, 2, 3]),
        |answer| assert_eq!(answer.expect(409).problem(), "order-abandoned"),
    );
}

#[test]
fn an_import_that_was_killed_keeps_its_holds_until_it_is_run_again() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("products.csv", "sku,title,brand,department,category,price\na,A,,D,,1.00\n");
    write("stock.csv", "sku,quantity\na,10\n");
    write(
        "orders.csv",
        "order_id,customer_id,channel,placed_at,sku,quantity,unit_price,discount\n\
         o1,c1,web,2017-01-01T00:00:00Z,a,3,1.00,0.00\n",
    );
    let import = |kind: &str, crash_at: Option<&str>| {
        let mut command = daybook(dir.path());
        command.args(["import", kind, &format!("{kind}.csv"), "--data", "data", "-q"]);
        if let Some(point) = crash_at {
            command.env("DAYBOOK_CRASH_AT", point);
        }
        command.status().unwrap()
    };
    let waiting = || {
        let output = run(dir.path(), &["status", "--data", "data", "--format", "json"]);
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        status["import_holds"].as_u64().unwrap()
    };
    assert!(import("products", None).success() && import("stock", None).success());
    assert!(!import("orders", Some("before-outcome:1")).success());
    assert_eq!(waiting(), 1);
    // An order over HTTP dies at the same step, later. The watch gives it up, and not the import's.
    let server = start(dir.path(), Some("before-outcome:1"));
    let user = json!({ "id": "u", "personal": { "name": "U", "email": "u@example.com" } });
    server.post("/v1/users", &user).expect(201);
    let lines = json!([{ "sku": "a", "quantity": 2 }]);
    let order = json!({ "customer_id": "u", "channel": "web", "lines": lines });
    assert!(server.post_with("/v1/orders", "k", &order).is_none());
    let server = start(dir.path(), None);
    eventually(|| {
        let stock = server.get("/v1/stock/a").expect(200).json();
        (stock["reserved"] == 3).then_some(())
    });
    assert_eq!(waiting(), 1);
    assert_eq!(server.signal("TERM").code(), Some(0));
    assert!(import("orders", None).success());
    assert_eq!(waiting(), 0);
    let server = start(dir.path(), None);
    let order = server.get("/v1/orders/o1").expect(200).json();
    assert_eq!((&order["status"], &order["total"]["amount"]), (&json!("placed"), &json!(300)));
}
