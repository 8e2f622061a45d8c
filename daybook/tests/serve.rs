//! The program as people run it: the real binary, over its whole life.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use common::{Server, daybook, eventually, order, promptly, run, signal, stock_up, text};
use serde_json::{Value, json};

fn left_behind(data: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(data).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().unwrap().is_dir() {
            found.extend(left_behind(&entry.path()));
        } else if name.ends_with("-wal") || name.ends_with("-shm") {
            found.push(name);
        }
    }
    found
}

#[test]
fn the_curl_lines_of_the_demo_work_as_printed() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: there is no curl to run the lines with");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut keys = Vec::new();
    for _ in 0..2 {
        let server = Server::start(dir.path(), &["--demo"]);
        let lines: Vec<&String> =
            server.printed.iter().filter(|line| line.starts_with("curl")).collect();
        assert_eq!(lines.len(), 3);
        let mut answers = Vec::new();
        for line in lines {
            assert!(line.starts_with("curl -fsS "), "{line}");
            for shell in ["sh", "zsh"] {
                let Ok(output) = Command::new(shell).args(["-c", line]).output() else {
                    assert_eq!(shell, "zsh", "every machine has sh");
                    continue;
                };
                assert!(output.status.success(), "{line}: {}", text(&output.stderr));
                answers.push(serde_json::from_slice::<Value>(&output.stdout).unwrap());
            }
        }
        let (placed, read, found) = (&answers[0], &answers[answers.len() / 3], answers.last());
        assert_eq!(placed["status"], "placed");
        assert_eq!(placed, read);
        assert!(found.unwrap()["total"].as_u64().unwrap() > 0, "{found:?}");
        keys.push(placed["id"].clone());
        assert_eq!(server.signal("TERM").code(), Some(0));
    }
    assert_ne!(keys[0], keys[1], "a fresh key each start");
}

#[test]
fn the_demo_refuses_a_directory_that_it_did_not_fill() {
    let dir = tempfile::tempdir().unwrap();
    Server::start(dir.path(), &[]).signal("TERM");
    let output = run(dir.path(), &["serve", "--demo", "--data", "data", "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("was not filled by --demo"));
}

#[test]
fn the_data_directory_is_its_owners_alone_and_left_clean() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let data = dir.path().join("data");
    assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    stock_up(&server, 5);
    server.post("/v1/orders", &order(1)).expect(201);
    assert!(data.join("events.sqlite").exists());
    assert_eq!(server.signal("TERM").code(), Some(0));
    assert_eq!(left_behind(&data), Vec::<String>::new());
}

#[test]
fn ctrl_c_closes_clean_and_exits_with_130() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.signal("INT").code(), Some(130));
    assert_eq!(left_behind(&dir.path().join("data")), Vec::<String>::new());
}

#[test]
fn what_changes_something_takes_no_parameters() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let user = json!({ "id": "u1", "personal": { "name": "Ada", "email": "ada@example.com" } });
    for (path, body) in [("/v1/users", &user), ("/v1/projections/orders/rebuild", &json!({}))] {
        let refused = server.post(&format!("{path}?dry-run=1"), body).expect(400).json();
        assert_eq!(refused["errors"][0]["parameter"], "dry-run", "{path}: {refused}");
    }
    assert_eq!(server.get("/v1/users/u1").status, 404);
}

#[test]
fn a_log_that_is_lost_is_not_replaced_by_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    stock_up(&server, 1);
    assert!(server.signal("TERM").success());
    for lost in ["events.sqlite", "events.sqlite-wal", "events.sqlite-shm"] {
        let _ = std::fs::remove_file(dir.path().join("data").join(lost));
    }
    let output = run(dir.path(), &["serve", "--data", "data", "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("has signed a log of") && said.contains("daybook restore"), "{said}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    promptly(Duration::from_secs(2), a_second_signal);
}

/// How long the end took after it.
fn a_second_signal() -> Duration {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    // A request that never ends keeps the first signal's drain going.
    let mut stuck = TcpStream::connect(&server.address).unwrap();
    let head = format!(
        "POST /v1/users HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Idempotency-Key: k\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n",
        server.address
    );
    stuck.write_all(head.as_bytes()).unwrap();
    let mut byte = [0];
    // The server asks for the body: the request is under way.
    stuck.read_exact(&mut byte).unwrap();
    let pid = server.process.id();
    signal(pid, "TERM");
    // Both signals of one kind could arrive as one; another kind cannot. The listener is gone as
    // soon as the first one was taken.
    eventually(|| TcpStream::connect(&server.address).err());
    let begun = Instant::now();
    assert_eq!(server.signal("INT").code(), Some(130));
    begun.elapsed()
}

#[test]
fn a_request_under_way_is_answered_before_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let body = json!({ "id": "u9", "personal": { "name": "Eve", "email": "eve@example.com" } })
        .to_string();
    let mut slow = TcpStream::connect(&server.address).unwrap();
    let head = format!(
        "POST /v1/users HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Idempotency-Key: k\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        server.address,
        body.len()
    );
    slow.write_all(head.as_bytes()).unwrap();
    let mut byte = [0];
    slow.read_exact(&mut byte).unwrap();
    signal(server.process.id(), "TERM");
    eventually(|| TcpStream::connect(&server.address).err());
    slow.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("201 Created"), "{answer}");
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(left_behind(&dir.path().join("data")), Vec::<String>::new());
}

#[test]
fn what_was_acknowledged_outlives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    stock_up(&server, 5);
    let placed = server.post_with("/v1/orders", "once", &order(2)).unwrap().expect(201);
    let id = placed.json()["id"].as_str().unwrap().to_owned();
    server.kill();

    let server = Server::start(dir.path(), &[]);
    let again = server.post_with("/v1/orders", "once", &order(2)).unwrap().expect(201);
    assert_eq!(again.header("idempotency-replayed").as_deref(), Some("true"));
    assert_eq!(again.json(), placed.json());
    let position = again.position();
    assert_eq!(server.get_at(&format!("/v1/orders/{id}"), &position).json(), placed.json());
    let stock = server.get_at("/v1/stock/mug-red", &position).json();
    assert_eq!((&stock["on_hand"], &stock["reserved"]), (&json!(5), &json!(2)));
    server.post_with("/v1/orders", "once", &order(3)).unwrap().expect(422);
    server.post("/v1/orders", &order(4)).expect(409);
}

#[test]
fn a_second_process_that_would_write_is_refused_and_readers_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    stock_up(&server, 5);
    let placed = server.post("/v1/orders", &order(1)).expect(201);
    server.get_at("/v1/orders", &placed.position()).expect(200);
    let pid = server.process.id().to_string();
    for args in [
        &["serve", "--data", "data", "--listen", "127.0.0.1:0"][..],
        &["rebuild", "--data", "data", "--all"],
    ] {
        let output = run(dir.path(), args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(text(&output.stderr).contains(&pid), "{args:?}: {}", text(&output.stderr));
    }
    let output = run(dir.path(), &["status", "--data", "data", "--format", "json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["store"]["engine"], "sqlite");
    assert_eq!(status["store"]["events"], status["store"]["head"]);
    assert_eq!(
        status["counts"],
        json!({ "products": 1, "skus": 1, "users": 1, "orders": 1, "order_lines": 1, "units": 1 })
    );
    assert_eq!(status["import_holds"], 0);
    let names: Vec<&str> = status["projections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|projection| projection["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["orders", "stock", "products", "users", "sales", "search"]);
    let output = run(dir.path(), &["replay", "--data", "data", "--format", "ndjson"]);
    let events: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(u64::try_from(events.len()).ok(), status["store"]["events"].as_u64());
    assert!(!text(&output.stdout).contains("Ada"), "personal values are sealed");
}

#[test]
fn a_rebuild_says_the_same_as_what_was_posted_live() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--demo"]);
    let paths = [
        "/v1/orders?limit=1000",
        "/v1/stock?limit=1000",
        "/v1/products?limit=1000",
        "/v1/users?limit=1000",
        "/v1/products/search?limit=1000&sort=title",
    ];
    let ask = |server: &Server| paths.map(|path| server.get(path).expect(200).json());
    let before = ask(&server);
    assert_eq!(server.signal("TERM").code(), Some(0));
    let output = run(dir.path(), &["rebuild", "--data", "data", "--all"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(left_behind(&dir.path().join("data")), Vec::<String>::new());
    let output = run(dir.path(), &["rebuild", "--data", "data", "orders"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let server = Server::start(dir.path(), &[]);
    for (before, after) in before.iter().zip(ask(&server)) {
        assert_eq!(before["items"], after["items"]);
    }
}

#[test]
fn another_key_store_is_refused_and_the_right_one_named() {
    let dir = tempfile::tempdir().unwrap();
    Server::start(dir.path(), &[]).signal("TERM");
    std::fs::create_dir(dir.path().join("elsewhere")).unwrap();
    Server::start(&dir.path().join("elsewhere"), &[]).signal("TERM");
    for keys in ["sqlite:elsewhere/data/keys.sqlite", "sqlite:nowhere.sqlite"] {
        let args = ["serve", "--data", "data", "--listen", "127.0.0.1:0", "--keys", keys];
        let output = run(dir.path(), &args);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        let said = text(&output.stderr);
        assert!(said.contains("--keys sqlite:data/keys.sqlite"), "{said}");
    }
    assert!(!dir.path().join("nowhere.sqlite").exists());
}

#[test]
fn a_port_that_is_taken_is_said_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(dir.path(), &["serve", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&address));
    assert!(!dir.path().join("daybook-data").exists());
}

#[test]
fn on_loopback_only_its_own_names_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--host", "shop.example"]);
    let ask = |host: &str| {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let request =
            format!("GET /health/live HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    for host in ["localhost", "127.0.0.1:80", "[::1]", "shop.example", "SHOP.example:1"] {
        assert_eq!(ask(host), "200", "{host}");
    }
    assert_eq!(ask("evil.example"), "421");
}

#[test]
fn health_and_metrics_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let ready = server.get("/health/ready").expect(200).json();
    assert_eq!(ready["status"], "healthy");
    assert!(ready["checks"].as_array().unwrap().len() >= 7, "{ready}");
    let metrics = text(&server.get("/metrics").expect(200).body);
    assert!(metrics.contains("http_requests_total"), "{metrics}");
}

#[test]
fn the_served_openapi_document_is_the_printed_one() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let printed = run(dir.path(), &["openapi"]);
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(server.get("/openapi.json").expect(200).json(), printed);
}

#[test]
fn a_load_of_orders_is_checked_against_stock_and_orders() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let bench = |args: &[&str]| -> Value {
        let output = daybook(dir.path())
            .arg("bench")
            .args(args)
            .args(["--url", &server.url, "--format", "json"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let orders = ["orders", "--clients", "8", "--seconds", "1", "--lines", "3", "--skus", "20"];
    let report = bench(&[&orders[..], &["--lag"]].concat());
    assert_eq!(report["stock_and_orders_agree"], true);
    assert!(report["placed"].as_u64().unwrap() > 0);
    assert_eq!(report["placed"], report["answers"]["201"]);
    assert!(report["acknowledged_to_queryable_ms_p99"].is_number());
    let rush = bench(&["orders", "--hot", "drop", "--stock", "10", "--buyers", "50"]);
    assert_eq!(rush["answers"], json!({ "201": 10, "409 insufficient-stock": 40 }));
    let queries = ["queries", "--clients", "4", "--seconds", "2", "--compare"];
    assert!(bench(&queries)["ratio"].as_f64().unwrap() > 0.0);
    let search = ["queries", "--what", "search", "--rate", "50", "--seconds", "1"];
    assert_eq!(bench(&search)["answers"], json!({ "200": 50 }));
}

#[test]
fn a_process_answers_what_its_roles_are_for() {
    let dir = tempfile::tempdir().unwrap();
    let user = json!({ "id": "u1", "personal": { "name": "Ada", "email": "ada@example.com" } });
    let server = Server::start(dir.path(), &["--roles", "command"]);
    server.post("/v1/users", &user).expect(201);
    server.get("/v1/users").expect(405);
    server.get("/v1/reports/sales").expect(404);
    for path in ["/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs"] {
        server.get(path).expect(200);
    }
    assert_eq!(server.get("/problems/not-found").status, 200);
    assert_eq!(server.signal("TERM").code(), Some(0));

    let server = Server::start(dir.path(), &["--roles", "query"]);
    server.post("/v1/users", &user).expect(405);
    // Nobody has posted a read model yet.
    server.get("/v1/users").expect(503);
    assert_eq!(server.signal("TERM").code(), Some(0));

    let server = Server::start(dir.path(), &["--roles", "projector,query"]);
    eventually(|| (server.get("/v1/users/u1").status == 200).then_some(()));
}
