//! A disk that runs full under a running server: nothing acknowledged is lost, and it goes on
//! without a restart as soon as there is room.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Server, SmallDisk, eventually};
use serde_json::{Value, json};

fn user(n: usize) -> Value {
    let email = format!("u{n}@example.com");
    json!({ "id": format!("u{n}"), "personal": { "name": "Ada", "email": email } })
}

#[test]
fn a_full_disk_is_a_503_until_there_is_room() {
    let Some(disk) = SmallDisk::new("10m") else {
        println!("skipped: this process may not mount a tmpfs");
        return;
    };
    let server = Server::start(disk.path(), &[]);
    let mut made = 0;
    let refused = loop {
        let answer = server.post_with("/v1/users", &format!("k{made}"), &user(made)).unwrap();
        match answer.status {
            201 => made += 1,
            503 => break answer,
            _ => drop(answer.expect(201)),
        }
        assert!(made < 20_000, "the disk does not run full");
    };
    assert_eq!(refused.problem(), "storage-full", "{}", refused.json());
    assert!(refused.header("retry-after").is_some());
    server.get("/v1/users/u0/summary").expect(200);
    // What is personal is opened only if that can be recorded.
    let opened = server.get("/v1/users/u0");
    assert!(opened.status == 200 || opened.problem() == "storage-full", "{}", opened.status);

    disk.resize("200m");
    // The same key: what was refused is done now, once.
    let answer = eventually(|| {
        let answer = server.post_with("/v1/users", &format!("k{made}"), &user(made)).unwrap();
        (answer.status == 201).then_some(answer)
    });
    let all = server.get_at("/v1/users?limit=1000", &answer.position()).expect(200).json();
    let listed = all["items"].as_array().unwrap().len();
    assert_eq!(listed, (made + 1).min(1_000));
    let first = server.post_with("/v1/users", "k0", &user(0)).unwrap();
    assert_eq!(first.header("idempotency-replayed").as_deref(), Some("true"));
    eventually(|| {
        let projections = server.get("/v1/projections").json();
        let items = projections["items"].as_array().unwrap().clone();
        items.iter().all(|item| item["lag"]["events"] == 0).then_some(())
    });
    assert!(server.signal("TERM").success());
}

#[test]
fn a_disk_that_fills_during_a_rebuild_leaves_what_is_read() {
    let Some(disk) = SmallDisk::new("64m") else {
        println!("skipped: this process may not mount a tmpfs");
        return;
    };
    let server = Server::start(disk.path(), &[]);
    for at in 0..149 {
        server.post("/v1/users", &user(at)).expect(201);
    }
    let last = server.post("/v1/users", &user(149)).expect(201);
    server.get_at("/v1/users/u149", &last.position()).expect(200);
    // No room for another generation.
    let ballast = disk.path().join("ballast");
    let _ = std::fs::write(&ballast, vec![1; 64 << 20]);
    let rebuild = || {
        server.post("/v1/projections/users/rebuild", &json!({})).expect(202);
        eventually(|| {
            let items = server.get("/v1/projections").expect(200).json();
            let items = items["items"].as_array().unwrap().clone();
            let users = items.into_iter().find(|item| item["name"] == "users").unwrap();
            users["rebuilding"].is_null().then_some(users)
        })
    };
    // However much room there is, as long as it is too little: none of it is kept.
    let all = std::fs::metadata(&ballast).unwrap().len();
    for spare in 0..64 {
        let file = std::fs::OpenOptions::new().write(true).open(&ballast).unwrap();
        file.set_len(all - spare * (16 << 10)).unwrap();
        let ended = rebuild();
        let Some(error) = ended["rebuilt"]["error"].as_str() else {
            assert!(spare > 0, "there was no room");
            break;
        };
        assert!(error.contains("full"), "{ended}");
        assert_eq!(ended["generation"], 1);
        let files = std::fs::read_dir(disk.path().join("data/read-models")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let names: Vec<_> = names.filter(|name| name.contains(".building")).collect();
        assert!(names.is_empty(), "{names:?}");
        if spare == 0 {
            // The list would open what is personal, which cannot be recorded now.
            let summary = server.get("/v1/users/u149/summary").expect(200).json();
            assert_eq!(summary["orders"], 0);
        }
    }

    std::fs::remove_file(&ballast).unwrap();
    let done = rebuild();
    assert_eq!(done["rebuilt"]["error"], Value::Null, "{done}");
    let listed = server.get("/v1/users?limit=1000").expect(200).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 150);
    assert!(server.signal("TERM").success());
}
