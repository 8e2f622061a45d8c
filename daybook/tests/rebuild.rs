//! Read models are rebuilt while the shop is open, and whatever ends the process meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{path::Path, time::Duration};

use common::{Server, eventually, order, run, stock_up, text};
use serde_json::{Value, json};

fn projection(server: &Server, name: &str) -> Value {
    let document = server.get("/v1/projections").expect(200).json();
    let items = document["items"].as_array().unwrap().clone();
    items.into_iter().find(|item| item["name"] == name).expect("a projection of that name")
}

fn rebuilt(server: &Server, name: &str) -> Value {
    eventually(|| {
        let found = projection(server, name);
        (found["rebuilding"].is_null() && found["rebuilt"].is_object()).then_some(found)
    })
}

/// The files of a read model that is or was read.
fn files(dir: &Path, name: &str) -> usize {
    let entries = std::fs::read_dir(dir.join("data/read-models")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|file| file.starts_with(name) && file.ends_with(".sqlite")).count()
}

/// The projections' names, the search last.
const ALL: [&str; 6] = ["orders", "stock", "products", "users", "sales", "search"];

#[test]
fn another_shops_server_is_not_asked() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (server, other) = (Server::start(dir.path(), &[]), Server::start(elsewhere.path(), &[]));
    stock_up(&server, 1);
    let rebuild = |address: &str| {
        let url = format!("http://{address}");
        run(dir.path(), &["rebuild", "orders", "-q", "--data", "data", "--server", &url])
    };
    let refused = rebuild(&other.address);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains("is another shop's") && said.contains("--server URL"), "{said}");
    assert_eq!(projection(&other, "orders")["generation"], 1);
    assert!(rebuild(&server.address).status.success());
}

#[test]
fn the_search_is_not_said_to_be_right_unchecked() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let checked = run(dir.path(), &["rebuild", "search", "--check", "--data", "data"]);
    assert_eq!(checked.status.code(), Some(2));
    assert!(text(&checked.stderr).contains("cannot be checked"));
    drop(server);
}

#[test]
fn an_open_shop_rebuilds_and_shows_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    stock_up(&server, 1_000);
    for _ in 0..40 {
        server.post("/v1/orders", &order(1)).expect(201);
    }
    for name in ALL {
        assert_eq!(projection(&server, name)["generation"], 1, "{name}");
        let begun = server.post(&format!("/v1/projections/{name}/rebuild"), &json!({})).expect(202);
        assert_eq!(begun.header("location").as_deref(), Some("/v1/projections"));
        // Read your own writes, before the switch and after it.
        let placed = server.post("/v1/orders", &order(1)).expect(201);
        let path = format!("/v1/orders/{}", placed.json()["id"].as_str().unwrap());
        server.get_at(&path, &placed.position()).expect(200);
        let ended = rebuilt(&server, name);
        assert_eq!(ended["rebuilt"]["error"], Value::Null, "{name}: {ended}");
        server.get_at(&path, &placed.position()).expect(200);
        let after = server.post("/v1/orders", &order(1)).expect(201);
        server.get_at("/v1/orders?limit=1", &after.position()).expect(200);
        server.get_at("/v1/products/search?q=mug", &after.position()).expect(200);
        let shown = eventually(|| {
            let shown = projection(&server, name);
            (shown["generation"] == 2).then_some(shown)
        });
        assert_eq!(shown["error"], Value::Null, "{name}");
    }
    let unknown = server.post("/v1/projections/cats/rebuild", &json!({})).expect(404);
    assert!(unknown.json()["detail"].as_str().unwrap().contains("orders, stock, products"));
    let path = "/v1/projections/orders/rebuild";
    let keyless = server.send("POST", path, None, b"{}").unwrap().expect(400);
    assert_eq!(keyless.problem(), "idempotency-key-missing");
    server.post(path, &json!({ "fast": true })).expect(400);
    server.get(path).expect(405);
    assert!(server.signal("TERM").success());
}

#[test]
fn the_command_hands_the_work_to_the_server_and_does_it_alone_without_one() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    stock_up(&server, 100);
    for _ in 0..19 {
        server.post("/v1/orders", &order(1)).expect(201);
    }
    let placed = server.post("/v1/orders", &order(1)).expect(201);
    server.get_at("/v1/orders", &placed.position()).expect(200);
    let rebuild = |args: &[&str]| {
        let output = run(dir.path(), &[&["rebuild", "--data", "data"], args].concat());
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    // Nobody listens there.
    let (code, _, said) = rebuild(&["orders", "--server", "http://127.0.0.1:9"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("--server") && said.contains("in use"), "{said}");
    let (code, _, said) = rebuild(&["orders", "--server", "here"]);
    assert_eq!(code, Some(2), "{said}");

    let (code, _, said) = rebuild(&["--all", "--server", &server.url]);
    assert_eq!(code, Some(0), "{said}");
    for name in ALL {
        assert!(said.contains(&format!("{name} is posted up to position")), "{said}");
        eventually(|| (projection(&server, name)["generation"] == 2).then_some(()));
    }
    assert_eq!(files(dir.path(), "orders"), 2);
    let (code, _, said) = rebuild(&["--all", "--drop-old"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("orders: 1 replaced generations removed"), "{said}");
    assert_eq!(files(dir.path(), "orders"), 1);
    let all = server.get("/v1/orders?limit=100").expect(200).json();
    assert_eq!(all["items"].as_array().unwrap().len(), 20);
    server.get("/v1/products/search?q=mug").expect(200);
    // Beside the server nothing is switched by a check.
    let (code, shown, said) = rebuild(&["--all", "--check"]);
    assert_eq!((code, shown.as_str()), (Some(0), ""), "{said}");
    assert!(said.contains("orders: 0 rows differ"), "{said}");
    assert!(server.signal("TERM").success());

    let file = dir.path().join("data/read-models/orders-2.sqlite");
    let rows = rusqlite::Connection::open(&file).unwrap();
    let changed = rows.execute("UPDATE orders SET status = 'lost' WHERE rowid = 3", []).unwrap();
    assert_eq!(changed, 1);
    drop(rows);
    let (code, shown, said) = rebuild(&["--all", "--check", "-q"]);
    assert_eq!(code, Some(4), "{said}");
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert!(shown.starts_with("orders orders") && shown.contains("lost"), "{shown}");
    let left = std::fs::read_dir(dir.path().join("data")).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.filter(|name| name.starts_with("check-")).count() == 0);
    let (code, _, said) = rebuild(&["--all"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, _, said) = rebuild(&["--all", "--check"]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn after_an_update_what_the_older_version_posted_is_rebuilt_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    stock_up(&server, 100);
    let placed = server.post("/v1/orders", &order(1)).expect(201);
    let path = format!("/v1/orders/{}", placed.json()["id"].as_str().unwrap());
    let shown = server.get_at(&path, &placed.position()).expect(200).json();
    assert!(server.signal("TERM").success());
    let file = dir.path().join("data/read-models/orders-1.sqlite");
    let file = rusqlite::Connection::open(file).unwrap();
    let older = "UPDATE checkpoint SET schema = replace(schema, 'version 1', 'version 0')";
    assert_eq!(file.execute(older, []).unwrap(), 1);
    drop(file);

    let server = Server::start(dir.path(), &[]);
    server.get(&path).expect(200);
    let ended = rebuilt(&server, "orders");
    assert_eq!(ended["rebuilt"]["error"], Value::Null, "{ended}");
    assert_eq!(server.get_at(&path, &placed.position()).expect(200).json(), shown);
    assert_eq!((files(dir.path(), "orders"), files(dir.path(), "stock")), (2, 1));
    assert!(server.signal("TERM").success());
}

#[test]
fn a_process_that_is_killed_while_it_rebuilds_leaves_one_generation_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]);
    stock_up(&server, 10_000);
    for _ in 0..300 {
        server.post("/v1/orders", &order(1)).expect(201);
    }
    for round in 0..8_u64 {
        let placed = server.post("/v1/orders", &order(1)).expect(201);
        for name in ALL {
            server.post(&format!("/v1/projections/{name}/rebuild"), &json!({})).expect(202);
        }
        std::thread::sleep(Duration::from_millis(round * 8));
        server.kill();
        server = Server::start(dir.path(), &[]);
        let path = format!("/v1/orders/{}", placed.json()["id"].as_str().unwrap());
        server.get_at(&path, &placed.position()).expect(200);
        let all = server.get_at("/v1/orders?limit=1000", &placed.position()).expect(200).json();
        assert_eq!(all["items"].as_array().unwrap().len() as u64, 301 + round);
        let found = server.get_at("/v1/products/search?q=mug", &placed.position()).expect(200);
        assert_eq!(found.json()["total"], 1);
    }
    let done =
        run(dir.path(), &["rebuild", "--all", "--data", "data", "--server", &server.url, "-q"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(server.signal("TERM").success());
    let checked = run(dir.path(), &["rebuild", "--all", "--data", "data", "--check"]);
    assert!(checked.status.success(), "{}", text(&checked.stdout));
}
