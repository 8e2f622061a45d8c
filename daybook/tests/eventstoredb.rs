//! A shop whose event store is a server that speaks EventStoreDB's protocol: here another daybook's
//! gateway.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use common::{Server, eventually, run, text};
use serde_json::{Value, json};

/// A daybook that serves its event store to others.
fn event_store(dir: &Path, listen: &str) -> Server {
    let args = ["--eventstore-listen", listen, "--eventstore-access", "all", "--roles", "query"];
    Server::start(&folder(dir, "store"), &args)
}

/// A node on that event store, with a data directory of its own and the keys of all.
fn node(dir: &Path, name: &str, esdb: &str) -> Server {
    Server::start(&folder(dir, name), &["--event-store", esdb, "--keys", KEYS])
}

const KEYS: &str = "sqlite:../keys.sqlite";

fn folder(dir: &Path, name: &str) -> PathBuf {
    let folder = dir.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn product(sku: &str) -> Value {
    let price = json!({ "amount": 1099, "currency": "USD" });
    let variant = json!({ "sku": sku, "title": "Red", "price": price });
    json!({ "id": sku, "title": "Mug", "department": "HOME", "variants": [variant] })
}

fn order(sku: &str, quantity: u32) -> Value {
    let lines = json!([{ "sku": sku, "quantity": quantity }]);
    json!({ "customer_id": "u1", "channel": "web", "lines": lines })
}

fn user() -> Value {
    json!({ "id": "u1", "personal": { "name": "Ada", "email": "ada@example.com" } })
}

fn json_of(dir: &Path, args: &[String]) -> Value {
    let output = run_all(dir, args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_shop_takes_orders_and_every_command_works_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = event_store(dir.path(), "127.0.0.1:0");
    let esdb = store.esdb();
    let shop = node(dir.path(), "one", &esdb);
    shop.post("/v1/users", &user()).expect(201);
    shop.post("/v1/products", &product("mug")).expect(201);
    shop.post("/v1/stock/mug/receipts", &json!({ "quantity": 5 })).expect(201);
    let placed = shop.post_with("/v1/orders", "first", &order("mug", 2)).unwrap().expect(201);
    let id = placed.json()["id"].as_str().unwrap().to_owned();
    let again = shop.post_with("/v1/orders", "first", &order("mug", 2)).unwrap().expect(201);
    assert_eq!(again.header("idempotency-replayed").as_deref(), Some("true"));
    assert_eq!(again.json(), placed.json());
    let short = shop.post("/v1/orders", &order("mug", 4)).expect(409);
    assert_eq!(short.problem(), "insufficient-stock");
    let sent = shop.post(&format!("/v1/orders/{id}/dispatch"), &json!({})).expect(200);
    let seen = shop.get_at(&format!("/v1/orders/{id}"), &sent.position()).expect(200);
    assert_eq!(seen.json()["status"], "dispatched");
    let stock = shop.get_at("/v1/stock/mug", &sent.position()).expect(200).json();
    eventually(|| {
        let stock = shop.get("/v1/stock/mug").expect(200).json();
        (stock["on_hand"] == 3 && stock["reserved"] == 0).then_some(())
    });
    assert_eq!(stock["sku"], "mug");
    // The second node is a process of its own, on the same log from its start.
    let other = node(dir.path(), "two", &esdb);
    let seen = other.get_at(&format!("/v1/orders/{id}"), &sent.position()).expect(200);
    assert_eq!(seen.json()["status"], "dispatched");

    let projections = shop.get("/v1/projections").expect(200).json();
    for projection in projections["items"].as_array().unwrap() {
        let at_head = projection["position"] == projection["head"];
        let events = if at_head { json!(0) } else { Value::Null };
        assert_eq!(projection["lag"]["events"], events, "{projection}");
    }

    let one = dir.path().join("one");
    let on_it = |args: &[&'static str]| -> Vec<String> {
        let engines = ["--data", "data", "--event-store", &esdb];
        args.iter().copied().chain(engines).map(str::to_owned).collect()
    };
    let status = json_of(&one, &on_it(&["status", "--format", "json"]));
    assert_eq!(status["store"]["engine"], "eventstoredb");
    assert_eq!(status["store"]["events"], Value::Null);
    assert_eq!(status["counts"]["orders"], 1, "{status}");

    let lines = replayed(&one, &on_it(&["replay", "--format", "ndjson"]));
    assert_eq!(lines[0]["type"], "StoreFounded");
    let placed = lines.iter().find(|line| line["type"] == "OrderPlaced").unwrap();
    let position = placed["position"].as_u64().unwrap();
    let from = ["--from".to_owned(), position.to_string()];
    let lines = replayed(&one, &[on_it(&["replay", "--format", "ndjson"]), from.into()].concat());
    assert_eq!(lines[0]["position"], position);
    let page = shop.get(&format!("/v1/events?from={position}&to={position}")).expect(200).json();
    assert_eq!(page["items"][0]["type"], "OrderPlaced");
    assert_eq!(page["items"].as_array().unwrap().len(), 1);

    // A directory in use is refused, naming the process.
    let rebuild = run_all(&one, &on_it(&["rebuild", "--all"]));
    assert_eq!(rebuild.status.code(), Some(1));
    let said = text(&rebuild.stderr);
    assert!(said.contains(&format!("process {}", shop.process.id())), "{said}");
    assert!(shop.signal("TERM").success());
    let rebuild = run_all(&one, &on_it(&["rebuild", "--all"]));
    assert!(rebuild.status.success(), "{}", text(&rebuild.stderr));
    let again = json_of(&one, &on_it(&["status", "--format", "json"]));
    assert_eq!(again["counts"], status["counts"]);
    let stock = "sku,quantity\nmug,40\n";
    std::fs::write(one.join("stock.csv"), stock).unwrap();
    let imported = run_all(&one, &on_it(&["import", "stock", "stock.csv", "--keys", KEYS]));
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    let bought = other.post("/v1/orders", &order("mug", 43)).expect(201);
    assert_eq!(bought.json()["lines"][0]["quantity"], 43);
}

fn run_all(dir: &Path, args: &[String]) -> std::process::Output {
    run(dir, &args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn replayed(dir: &Path, args: &[String]) -> Vec<Value> {
    let output = run_all(dir, args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn other_keys_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = event_store(dir.path(), "127.0.0.1:0");
    let esdb = store.esdb();
    node(dir.path(), "one", &esdb).signal("TERM");
    let args = ["serve", "--listen", "127.0.0.1:0", "--event-store", &esdb];
    let refused = run(&folder(dir.path(), "two"), &args);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("fingerprint"), "{}", text(&refused.stderr));
}

#[test]
fn a_shop_opens_by_itself_once_its_server_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = event_store(dir.path(), "127.0.0.1:0");
    let esdb = store.esdb();
    let port = esdb.trim_start_matches("esdb://").split('?').next().unwrap();
    store.signal("TERM");

    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut waiting = common::daybook(&folder(dir.path(), "one"))
        .args(["serve", "-q", "--listen", &listen, "--event-store", &esdb, "--keys", KEYS])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(waiting.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("waits for the event store")));
    let (status, body) = get(&listen, "/health/ready").unwrap();
    assert_eq!(status, 503);
    let health: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(health["status"], "unhealthy");
    assert_eq!(health["checks"][0]["name"], "event-store");
    assert_eq!(get(&listen, "/health/live").unwrap().0, 200);
    let (status, body) = get(&listen, "/v1/orders").unwrap();
    assert_eq!(status, 503);
    assert!(body.contains("/problems/unavailable"), "{body}");

    let _store = event_store(dir.path(), port);
    eventually(|| (get(&listen, "/health/ready")?.0 == 200).then_some(()));
    assert_eq!(get(&listen, "/v1/orders").unwrap().0, 200);
    common::signal(waiting.id(), "TERM");
    assert!(waiting.wait().unwrap().success());
}

/// A plain GET, before there is a server that says where it is.
fn get(host: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(host).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

#[test]
fn who_is_forgotten_on_one_node_is_soon_opened_by_no_other() {
    /// What other nodes may hold a key for.
    const HELD: Duration = Duration::from_secs(5);
    let dir = tempfile::tempdir().unwrap();
    let store = event_store(dir.path(), "127.0.0.1:0");
    let (one, two) =
        (node(dir.path(), "one", &store.esdb()), node(dir.path(), "two", &store.esdb()));
    let registered = one.post("/v1/users", &user()).expect(201);
    let opened = |node: &Server, path: &str| {
        let answer = node.get(path).expect(200).json();
        answer["personal"]["name"] == "Ada"
    };
    for node in [&one, &two] {
        node.get_at("/v1/users/u1", &registered.position()).expect(200);
        assert!(opened(node, "/v1/users/u1"));
    }
    std::thread::scope(|scope| {
        let (forgotten, told) = std::sync::mpsc::channel();
        let opening = scope.spawn(move || {
            // The other goes on opening, so the key is in its memory when it is destroyed.
            let (mut last, mut forgotten) = (None, None);
            loop {
                let asked = std::time::Instant::now();
                if opened(&two, "/v1/users/u1") {
                    last = Some(asked);
                }
                forgotten = forgotten.or_else(|| told.try_recv().ok());
                match forgotten {
                    Some(at) if asked > at + HELD + Duration::from_secs(2) => break,
                    _ => std::thread::sleep(Duration::from_millis(20)),
                }
            }
            (two, last, forgotten.unwrap())
        });
        one.post("/v1/users/u1/forget", &json!({})).expect(200);
        forgotten.send(std::time::Instant::now()).unwrap();
        assert!(!opened(&one, "/v1/users/u1"));
        let (two, last, forgotten): (Server, Option<std::time::Instant>, std::time::Instant) =
            opening.join().unwrap();
        let late = last.expect("it was opened before").saturating_duration_since(forgotten);
        assert!(late <= HELD, "opened {late:?} after it was forgotten elsewhere");
        for path in ["/v1/users/u1", "/v1/users/u1/at?revision=0"] {
            assert!(!opened(&two, path) && !opened(&one, path), "{path}");
        }
    });
}
