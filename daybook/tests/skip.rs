//! What this Daybook does not know, written into the log by another program: read models stop there,
//! or pass over it where they are told to.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{path::Path, process::Stdio};

use common::{Server, daybook, eventually, order, run, stock_up, text};
use eventstore::{AppendToStreamOptions, Client, EventData};
use serde_json::{Value, json};

const GATEWAY: [&str; 4] = ["--eventstore-listen", "127.0.0.1:0", "--eventstore-access", "append"];

fn serve(dir: &Path, more: &[&str]) -> Server {
    Server::start(dir, &[&GATEWAY[..], more].concat())
}

/// Another program appends an event to a stream of ours.
fn append(server: &Server, stream: &str, event_type: &str, version: u32) {
    let time = "2026-11-21T09:15:00.000000Z";
    let metadata = json!({
        "schema_version": version, "occurred_at": time, "recorded_at": time,
        "actor": { "id": "x", "kind": "user", "proof": "none" },
        "command_id": "00000000-0000-0000-0000-000000000001", "$correlationId": "x",
        "$causationId": "00000000-0000-0000-0000-000000000001",
    });
    let event = EventData::json(event_type, &json!({ "wrapped": true })).unwrap();
    let event = event.metadata_as_json(&metadata).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let client = Client::new(server.esdb().parse().unwrap()).unwrap();
        let options = AppendToStreamOptions::default();
        client.append_to_stream(stream, &options, event).await.unwrap();
    });
}

fn projection(server: &Server, name: &str) -> Value {
    let document = server.get("/v1/projections").expect(200).json();
    let items = document["items"].as_array().unwrap().clone();
    items.into_iter().find(|item| item["name"] == name).expect("a projection of that name")
}

fn comes_to(server: &Server, name: &str, state: &str) -> Value {
    eventually(|| {
        let found = projection(server, name);
        let there = found["state"] == state && (state != "live" || found["lag"]["events"] == 0);
        there.then_some(found)
    })
}

#[test]
fn a_product_that_cannot_be_read_is_not_sold_and_everything_else_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), &[]);
    stock_up(&server, 10);
    append(&server, "product-mug", "ProductPainted", 1);
    comes_to(&server, "products", "stopped");
    assert!(server.signal("TERM").success());

    let server = serve(dir.path(), &[]);
    comes_to(&server, "products", "stopped");
    assert_eq!(server.get("/v1/stock").expect(200).json()["items"][0]["available"], 10);
    server.post("/v1/stock/mug-red/receipts", &json!({ "quantity": 1 })).expect(201);
    let refused = server.post("/v1/orders", &order(1)).expect(503);
    assert_eq!(refused.problem(), "unavailable");
    assert!(refused.header("retry-after").is_some());
    assert!(server.signal("TERM").success());
}

#[test]
fn a_type_that_nobody_knows_is_passed_over_where_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), &[]);
    stock_up(&server, 10);
    let placed = server.post("/v1/orders", &order(1)).expect(201);
    let id = placed.json()["id"].as_str().unwrap().to_owned();
    let (path, stream) = (format!("/v1/orders/{id}"), format!("order-{id}"));
    append(&server, &stream, "OrderGifted", 2);
    // Nothing is said, so it stops, and tells what could be said.
    let stopped = comes_to(&server, "orders", "stopped");
    let error = stopped["error"].as_str().unwrap();
    assert!(error.ends_with("pass over it with --skip-unknown OrderGifted@2"), "{error}");
    assert_eq!(stopped["skipped"], json!([]));
    let at = projection(&server, "stock")["head"].as_u64().unwrap();
    assert!(server.signal("TERM").success());

    let expected = json!([{
        "category": "order", "type": "OrderGifted", "schema_version": 2, "events": 1, "first": at,
    }]);
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let skip = ["--skip-unknown", "OrderGifted@2"];
    let server = Server::with(dir.path(), &[], |command| {
        // The same, and not quiet.
        *command = daybook(dir.path());
        command.args(["serve", "--listen", "127.0.0.1:0", "--data", "data"]).args(GATEWAY);
        command.args(skip).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    });
    for name in ["orders", "users", "sales"] {
        let live = comes_to(&server, name, "live");
        assert_eq!((&live["skipped"], &live["error"]), (&expected, &Value::Null), "{name}");
    }
    assert_eq!(projection(&server, "stock")["skipped"], json!([]));
    server.get(&path).expect(200);
    let metrics = text(&server.get("/metrics").expect(200).body);
    let gauge = "projection_skipped_events{projection=\"orders\"} 1";
    assert!(metrics.contains(gauge), "{metrics}");
    // A command decides on nothing that it cannot read.
    let refused = server.post(&format!("{path}/cancellation"), &json!({ "reason": "late" }));
    assert!(refused.status >= 500, "{}", refused.status);
    // A rebuild beside the server, and one without it.
    let rebuilt =
        run(dir.path(), &["rebuild", "orders", "--data", "data", "--server", &server.url]);
    assert!(rebuilt.status.success(), "{}", text(&rebuilt.stderr));
    assert_eq!(comes_to(&server, "orders", "live")["skipped"], expected);
    append(&server, "order-unheard", "OrderGifted", 2);
    eventually(|| (projection(&server, "orders")["skipped"][0]["events"] == 2).then_some(()));
    assert!(server.signal("TERM").success());
    let said = std::fs::read_to_string(dir.path().join("log")).unwrap();
    let lines = said.lines().filter(|line| {
        line.contains("passed over") && line.contains("OrderGifted") && line.contains("orders")
    });
    assert_eq!(lines.count(), 1, "once a kind: {said}");

    let status = run(dir.path(), &["status", "--data", "data"]);
    let shown = text(&status.stdout);
    assert!(shown.contains("passed over 2 events OrderGifted@2"), "{}", text(&status.stderr));
    let data = ["--data", "data"];
    let rebuild = |more: &[&str]| {
        let output = run(dir.path(), &[&["rebuild", "orders"], &data[..], more].concat());
        (output.status.code(), text(&output.stderr))
    };
    let (code, said) = rebuild(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("--skip-unknown OrderGifted@2"), "{said}");
    let (code, said) = rebuild(&skip);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("orders has passed over 2 events OrderGifted@2"), "{said}");
    let (code, said) = rebuild(&["--check", "--skip-unknown", "all"]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn what_became_known_is_not_missing_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), &[]);
    stock_up(&server, 10);
    let placed = server.post("/v1/orders", &order(1)).expect(201);
    let path = format!("/v1/orders/{}", placed.json()["id"].as_str().unwrap());
    server.get_at(&path, &placed.position()).expect(200);
    assert!(server.signal("TERM").success());
    // As a Daybook left it to which orders that were placed were news.
    let file = dir.path().join("data/read-models/orders-1.sqlite");
    let skipped =
        r#"[{"category":"order","type":"OrderPlaced","schema_version":1,"events":1,"first":9}]"#;
    let file = rusqlite::Connection::open(file).unwrap();
    file.execute("UPDATE checkpoint SET skipped = ?", [skipped]).unwrap();
    drop(file);

    let server = serve(dir.path(), &[]);
    // What there is is read meanwhile.
    server.get(&path).expect(200);
    let shown = eventually(|| {
        let shown = projection(&server, "orders");
        (shown["generation"] == 2 && shown["state"] == "live").then_some(shown)
    });
    assert_eq!((&shown["skipped"], &shown["rebuilt"]["error"]), (&json!([]), &Value::Null));
    server.get(&path).expect(200);
    assert!(server.signal("TERM").success());
}

#[test]
fn what_cannot_be_passed_over_is_refused_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    for (named, told) in [
        ("OrderPlaced", "OrderPlaced@2"),
        ("all,ProductCreated@1", "never passed over"),
        ("Order Gifted", "is no event type"),
    ] {
        let refused = run(dir.path(), &["serve", "--data", "data", "--skip-unknown", named]);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(
            said.contains("skip-unknown (from --skip-unknown)") && said.contains(told),
            "{said}"
        );
    }
    std::fs::write(dir.path().join("daybook.toml"), "skip-unknown = \"OrderGifted\"\n").unwrap();
    let shown = text(&run(dir.path(), &["config"]).stdout);
    let line = shown.lines().find(|line| line.starts_with("skip-unknown")).unwrap();
    assert_eq!(line, "skip-unknown\tOrderGifted\t./daybook.toml");
}
