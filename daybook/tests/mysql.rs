//! The real program over MySQL and MariaDB.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "../../infra/tests/servers/mod.rs"]
mod servers;
#[path = "common/toxiproxy.rs"]
mod toxiproxy;

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::Stdio,
};

use common::{Server, eventually, run, text};
use infra::read_models::ReadModels;
use projections::{SCHEMAS, dump};
use serde_json::{Value, json};
use servers::{Database, MARIADB, MYSQL};
use toxiproxy::Toxiproxy;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_holds_read_models_and_keys() {
    read_models_and_keys(MYSQL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_holds_read_models_and_keys() {
    read_models_and_keys(MARIADB).await;
}

/// An order is placed and read back, the process is killed and started again, and a rebuild gives
/// the same rows.
async fn read_models_and_keys(variable: &str) {
    let (Some(models), Some(keys)) = (Database::new(variable).await, Database::new(variable).await)
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (models_url, keys_url) = (models.text(), keys.text());
    let engines = ["--read-models", &models_url, "--keys", &keys_url];

    let server = Server::start(dir.path(), &engines);
    stock_up(&server);
    let placed = server.post("/v1/orders", &order()).expect(201);
    let path = format!("/v1/orders/{}", placed.json()["id"].as_str().unwrap());
    let read = server.get_at(&path, &placed.position()).expect(200);
    assert_eq!(read.body, placed.body);
    let cancelled = server.post(&format!("{path}/cancellation"), &json!({ "reason": "late" }));
    let position = cancelled.expect(200).position();
    let second = server.post("/v1/orders", &order()).expect(201);
    let user = server.get_at("/v1/users/u", &second.position()).expect(200).json();
    assert_eq!(user["personal"]["name"], "Ada");
    server.kill();

    let server = Server::start(dir.path(), &engines);
    assert_eq!(server.get_at(&path, &position).expect(200).json()["status"], "cancelled");
    let user = server.get_at("/v1/users/u", &second.position()).expect(200).json();
    assert_eq!(user["personal"]["email"], "ada@example.com");
    let third = server.post("/v1/orders", &order()).expect(201);
    let summary = server.get_at("/v1/users/u/summary", &third.position()).expect(200).json();
    assert_eq!(summary["orders"], 2);
    assert!(server.signal("TERM").success());

    let posted = rows(&models).await;
    for command in [["status", "--format", "json"].as_slice(), &["rebuild", "--all"]] {
        let output = run_over(dir.path(), command, &engines);
        assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
        if command[0] == "status" {
            let status: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(status["counts"]["orders"], 2, "{status}");
            for projection in status["projections"].as_array().unwrap() {
                assert_eq!(projection["lag"]["events"], 0, "{projection}");
            }
        }
    }
    assert_eq!(rows(&models).await, posted);

    // With other keys it does not start, and says so without a password.
    let other = Database::new(variable).await.unwrap();
    let output = run_over(
        dir.path(),
        &["serve", "--listen", "127.0.0.1:0"],
        &["--read-models", &models_url, "--keys", &other.text()],
    );
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("fingerprint") && !said.contains(":app@"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_used_is_told_at_the_start() {
    for variable in [MYSQL, MARIADB] {
        let Some(database) = Database::new(variable).await else { continue };
        let wrong = database.text().replacen(":app@", ":hunter2@", 1);
        let missing = format!("{}_no", database.text());
        let dir = tempfile::tempdir().unwrap();
        for (url, expected) in [(wrong.as_str(), "Access denied"), (&missing, "_no")] {
            for setting in ["--read-models", "--keys"] {
                let serve = ["serve", "--listen", "127.0.0.1:0"];
                let output = run_over(dir.path(), &serve, &[setting, url]);
                let said = text(&output.stderr);
                assert_eq!(output.status.code(), Some(1), "{setting} {url}: {said}");
                assert!(said.contains(expected), "{setting} {url}: {said}");
                assert!(!said.contains("hunter2") && !said.contains(":app@"), "{said}");
            }
            let output = run_over(dir.path(), &["status"], &["--read-models", url]);
            assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        }
    }
}

/// A container may well start before its database: nothing has to be started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_at_the_start_is_waited_for() {
    let Some(toxiproxy) = Toxiproxy::of_the_environment() else { return };
    for variable in [MYSQL, MARIADB] {
        let Some(database) = Database::new(variable).await else { continue };
        let line = toxiproxy.line_to(&database.address());
        let url = database.text().replace(&database.address(), &line.listen);

        // Read models: commands are taken, queries answer 503 until they are there.
        line.switch(false);
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path(), &["--read-models", &url]);
        stock_up(&server);
        let placed = server.post("/v1/orders", &order()).expect(201);
        let path = format!("/v1/orders/{}", placed.json()["id"].as_str().unwrap());
        let answer = server.get(&path).expect(503);
        assert!(answer.header("retry-after").is_some());
        let health = server.get("/health/ready").expect(200).json();
        assert_eq!(check(&health, "read-models"), "degraded", "{health}");
        line.switch(true);
        let read = server.get_at(&path, &placed.position()).expect(200);
        assert_eq!(read.body, placed.body);
        let health = server.get("/health/ready").expect(200).json();
        assert_eq!(check(&health, "read-models"), "healthy", "{health}");
        assert!(server.signal("TERM").success());
        // What reads them at once, and ends, says so.
        line.switch(false);
        let output = run_over(dir.path(), &["status"], &["--read-models", &url]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        line.switch(true);

        // Keys: nothing can be answered without them, and the port says why.
        let Some(keys) = Database::new(variable).await else { continue };
        let url = keys.text().replace(&keys.address(), &line.listen);
        line.switch(false);
        let dir = tempfile::tempdir().unwrap();
        let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut waiting = common::daybook(dir.path())
            .args(["serve", "-q", "--data", "data", "--listen", &listen, "--keys", &url])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(waiting.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(said.any(|line| line.contains("waits for the key store")));
        let server = Server::at(waiting, &listen);
        let health = server.get("/health/ready").expect(503).json();
        assert_eq!(check(&health, "keys"), "unhealthy", "{health}");
        assert!(!health.to_string().contains(":app@"), "{health}");
        assert!(server.get("/v1/orders").expect(503).header("retry-after").is_some());
        line.switch(true);
        eventually(|| (server.get("/health/ready").status == 200).then_some(()));
        stock_up(&server);
        assert!(server.signal("TERM").success());
    }
}

fn check(health: &Value, name: &str) -> String {
    let checks = health["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name).expect("a check of that name");
    found["status"].as_str().unwrap().to_owned()
}

fn run_over(dir: &Path, command: &[&str], engines: &[&str]) -> std::process::Output {
    run(dir, &[command, &["--data", "data"], engines].concat())
}

/// Every row of every read model.
async fn rows(database: &Database) -> String {
    let models = ReadModels::read_mysql(database.url()).await.unwrap();
    let mut all = Vec::new();
    for schema in SCHEMAS {
        all.push(dump(&models, schema).await.unwrap());
    }
    format!("{all:#?}")
}

fn stock_up(server: &Server) {
    let price = json!({ "amount": 100, "currency": "USD" });
    let variants = json!([{ "sku": "mug", "title": "Red", "price": price }]);
    let product = json!({ "id": "p", "title": "Mug", "department": "D", "variants": variants });
    server.post("/v1/products", &product).expect(201);
    server.post("/v1/stock/mug/receipts", &json!({ "quantity": 10 })).expect(201);
    let personal = json!({ "name": "Ada", "email": "ada@example.com" });
    server.post("/v1/users", &json!({ "id": "u", "personal": personal })).expect(201);
}

fn order() -> Value {
    let lines = json!([{ "sku": "mug", "quantity": 2 }]);
    json!({ "customer_id": "u", "channel": "web", "lines": lines })
}
