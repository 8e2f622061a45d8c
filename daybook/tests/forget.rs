//! A person is forgotten: nothing opens what was personal any more, whatever the process dies of and
//! whichever key store is put back, and everything else stays as it was.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use common::{Server, eventually, order, run, stock_up, text, within};
use event_schemas::{Event, Personal, Revision, StreamName, UserEvent};
use infra::{
    event_store::{Direction, EventStore},
    keys::{KeyStore, associated_data},
    read_models::ReadModels,
};
use projections::{SCHEMAS, dump};
use serde_json::{Value, json};

const NAME: &str = "Zebulon Quixotry";
const EMAIL: &str = "Zeb.Quixotry@example.com";
/// What other nodes may hold a key for.
const HELD: Duration = Duration::from_secs(5);

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(work)
}

fn register(server: &Server, id: &str) -> common::Answer {
    let personal = json!({ "name": NAME, "email": EMAIL });
    server.post("/v1/users", &json!({ "id": id, "personal": personal }))
}

fn forget(server: &Server, id: &str) -> Option<common::Answer> {
    let path = format!("/v1/users/{id}/forget");
    server.post_with(&path, "forget", &json!({ "reason": "asked by letter" }))
}

/// What is sealed in a user's registration, as it stands in a log, with what it is bound to.
async fn sealed(log: &Path, id: &str) -> (Vec<u8>, String) {
    let store = EventStore::read_sqlite(log).await.unwrap();
    let stream = StreamName::new("user", id);
    let page = store.read_stream(&stream, Revision(0), Direction::Forwards, 1).await.unwrap();
    let event = &page.events[0];
    match &event.decode().unwrap().event {
        Event::User(UserEvent::Registered(registered)) => match &registered.personal {
            Some(Personal::Sealed(sealed)) => (associated_data(&stream, event.id), sealed.clone()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// What a log's registration holds, as a key store opens it.
async fn opened(keys: &KeyStore, log: &Path, id: &str) -> Option<String> {
    let (associated, sealed) = sealed(log, id).await;
    keys.unseal(id, &associated, &sealed).await.unwrap().map(|plain| text(&plain))
}

/// The same with a key store that was just opened.
fn opens(data: &Path, id: &str) -> bool {
    block_on(async {
        let keys = KeyStore::open_sqlite(data.join("keys.sqlite")).await.unwrap();
        let plain = opened(&keys, &data.join("events.sqlite"), id).await;
        plain.is_some_and(|plain| plain.contains(NAME))
    })
}

fn rows(data: &Path) -> String {
    let models = ReadModels::sqlite(data.join("read-models"));
    let all = block_on(async {
        let mut all = Vec::new();
        for schema in SCHEMAS {
            all.push(dump(&models, schema).await.unwrap());
        }
        all
    });
    format!("{all:#?}")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The files below a folder whose bytes hold any of these texts, in whatever case.
fn holding(folder: &Path, texts: &[&str]) -> Vec<PathBuf> {
    let holds = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap().to_ascii_lowercase();
        texts.iter().any(|text| {
            let text = text.to_ascii_lowercase();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    };
    files(folder).into_iter().filter(holds).collect()
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let place = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(file, place).unwrap();
    }
}

/// What is left of the shop but for the person: orders, sums, reports.
fn the_rest(server: &Server) -> Vec<Value> {
    let paths = [
        "/v1/orders",
        "/v1/users/zeb/summary",
        "/v1/reports/sales?from=2020-01-01&to=2100-01-01&interval=none&by=customer",
        "/v1/stock",
        "/v1/products/search?q=mug",
    ];
    let head = server.post("/v1/users/u1/forget", &json!({})).expect(200).position();
    paths.iter().map(|path| server.get_at(path, &head).expect(200).json()).collect()
}

#[test]
fn nothing_of_a_person_is_left_and_all_else_stays() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(dir.path(), &[]);
    stock_up(&server, 100);
    register(&server, "zeb").expect(201);
    for quantity in 1..4 {
        let mut order = order(quantity);
        order["customer_id"] = json!("zeb");
        server.post("/v1/orders", &order).expect(201);
    }
    let before = the_rest(&server);
    assert!(before[0].to_string().contains("zeb"));
    assert!(server.signal("TERM").success());
    let (verify, backup) = (["audit", "verify", "--data", "data", "-q"], dir.path().join("backup"));
    assert!(run(dir.path(), &verify).status.success());
    copy(&data, &backup);
    let export = |to: &str| run(dir.path(), &["audit", "export", to, "--data", "data", "-q"]);
    assert!(export("before").status.success());
    assert!(opens(&data, "zeb") && opens(&backup, "zeb"));

    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.get("/v1/users/zeb").expect(200).json()["personal"]["email"], EMAIL);
    // Another node that has just used the key.
    let log = data.join("events.sqlite");
    let elsewhere = block_on(KeyStore::open_sqlite(data.join("keys.sqlite"))).unwrap();
    assert!(block_on(opened(&elsewhere, &log, "zeb")).is_some());
    let answer = forget(&server, "zeb").unwrap().expect(200);
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    let user = answer.json();
    assert!(user["personal"].is_null() && user["id"] == "zeb", "{user}");
    let seen = server.get_at("/v1/users/zeb", &answer.position()).expect(200);
    assert_eq!((&seen.json(), seen.header("etag")), (&user, answer.header("etag")));
    for path in ["/v1/users/zeb/at?revision=0", "/v1/users/zeb/at?revision=1"] {
        assert!(server.get(path).expect(200).json()["personal"].is_null(), "{path}");
    }
    within(HELD, || block_on(opened(&elsewhere, &log, "zeb")).is_none().then_some(()));
    drop(elsewhere);
    // Twice is once, and the address is free.
    let again = forget(&server, "zeb").unwrap().expect(200);
    assert_eq!(again.header("idempotency-replayed").as_deref(), Some("true"));
    assert_eq!(server.post("/v1/users/zeb/forget", &json!({})).expect(200).json(), user);
    let other = json!({ "name": "Another", "email": EMAIL });
    let other = json!({ "id": "other", "personal": other });
    server.post("/v1/users", &other).expect(201);
    assert_eq!(the_rest(&server), before);
    assert!(server.signal("TERM").success());

    // The address is another's now, and as well sealed; the name was one person's alone.
    assert!(export("after").status.success());
    assert_eq!(holding(dir.path(), &[NAME, "quixotry", EMAIL]), [] as [PathBuf; 0]);
    assert!(!opens(&data, "zeb"));
    let keys = block_on(KeyStore::open_sqlite(data.join("keys.sqlite"))).unwrap();
    assert_eq!(block_on(opened(&keys, &backup.join("events.sqlite"), "zeb")), None);
    drop(keys);
    let verified = run(dir.path(), &verify);
    assert!(verified.status.success(), "{}", text(&verified.stderr));
    let posted = rows(&data);
    assert!(posted.contains("zeb"));
    assert!(run(dir.path(), &["rebuild", "--all", "--data", "data", "-q"]).status.success());
    assert_eq!(rows(&data), posted);
}

#[test]
fn a_search_of_the_bytes_finds_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("leak"), format!("\0\0{}\0", NAME.to_uppercase())).unwrap();
    assert_eq!(holding(dir.path(), &["nothing", NAME]), [dir.path().join("leak")]);
}

#[test]
fn a_crash_between_event_and_key_loses_neither() {
    let start = |dir: &Path, point: Option<&str>| {
        Server::with(dir, &["--reservation-timeout", "300ms"], |command| {
            if let Some(point) = point {
                command.env("DAYBOOK_CRASH_AT", point);
            }
        })
    };
    for (point, destroyed) in [("after-forgotten:1", false), ("after-key:1", true)] {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let server = start(dir.path(), Some(point));
        register(&server, "zeb").expect(201);
        assert!(forget(&server, "zeb").is_none(), "{point} was not passed");
        assert!(!server.wait().success());
        // What follows the log may have destroyed the key before the process died; not after.
        assert!(!destroyed || !opens(&data, "zeb"), "{point}");

        let server = start(dir.path(), None);
        assert!(!opens(&data, "zeb"), "{point}: it was destroyed before anything was served");
        let history = server.get("/v1/users/zeb/history").expect(200).json().to_string();
        assert!(history.contains("UserForgotten"), "{history}");
        assert!(server.get("/v1/users/zeb").expect(200).json()["personal"].is_null());
        let retried = forget(&server, "zeb").unwrap().expect(200);
        assert_eq!(retried.header("idempotency-replayed").as_deref(), Some("true"));
        // Nobody knows the address any more to give it back: who wants it takes it over.
        eventually(|| (register(&server, "other").status == 201).then_some(()));
    }
}

#[test]
fn keys_that_come_back_with_a_backup_are_destroyed_before_anything_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (keys, kept) = (data.join("keys.sqlite"), dir.path().join("kept.sqlite"));
    let server = Server::start(dir.path(), &[]);
    register(&server, "zeb").expect(201);
    stock_up(&server, 1);
    assert!(server.signal("TERM").success());
    fs::copy(&keys, &kept).unwrap();
    let server = Server::start(dir.path(), &[]);
    forget(&server, "zeb").unwrap().expect(200);
    assert!(server.signal("TERM").success());

    fs::copy(&kept, &keys).unwrap();
    for beside in ["keys.sqlite-wal", "keys.sqlite-shm"] {
        let _ = fs::remove_file(data.join(beside));
    }
    assert!(opens(&data, "zeb"));
    let server = Server::start(dir.path(), &[]);
    assert!(!opens(&data, "zeb"));
    assert!(server.get("/v1/users/zeb").expect(200).json()["personal"].is_null());
    assert_eq!(server.get("/v1/users/u1").expect(200).json()["personal"]["name"], "Ada");
}

#[test]
fn who_cannot_be_forgotten_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    assert_eq!(forget(&server, "nobody").unwrap().expect(404).problem(), "not-found");
    register(&server, "zeb").expect(201);
    let reason = |reason: Value| json!({ "reason": reason });
    for wrong in [reason(json!("")), reason(json!("x".repeat(201))), reason(json!(1))] {
        server.post("/v1/users/zeb/forget", &wrong).expect(400);
    }
    assert_eq!(server.get("/v1/users/zeb").expect(200).json()["personal"]["name"], NAME);
    forget(&server, "zeb").unwrap().expect(200);
    let path = "/v1/users/zeb/forget";
    let other = server.post_with(path, "forget", &reason(json!("another"))).unwrap();
    assert_eq!(other.expect(422).problem(), "idempotency-key-reused");
}
