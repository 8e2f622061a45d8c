//! Backups, end to end: written beside a server under load, restored, changed, cut short, without
//! room, under other keys, and after somebody was forgotten.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use common::{Server, SmallDisk, daybook, eventually, order, run, stock_up, text};
use flate2::read::MultiGzDecoder;
use infra::read_models::ReadModels;
use projections::{SCHEMAS, dump};
use serde_json::{Value, json};
use tempfile::TempDir;

const NAME: &str = "Zebulon Quixotry";
const EMAIL: &str = "zeb.quixotry@example.com";
/// RFC 8410's example key.
const OTHER_KEY: &str = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

#[track_caller]
fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// What was said of a failure with this exit code.
#[track_caller]
fn refused(output: &Output, code: i32) -> String {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said} {}", text(&output.stdout));
    said
}

fn backup(dir: &Path, args: &[&str]) -> Output {
    run(dir, &[&["backup", "--data", "data", "-q"], args].concat())
}

/// Restores into `data` within the directory `to`.
fn restore(dir: &Path, to: &str, args: &[&str]) -> Output {
    let data = format!("{to}/data");
    run(dir, &[&["restore", "--data", &data, "-q"], args].concat())
}

fn json_of(dir: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&good(&run(dir, args))).unwrap()
}

fn log(dir: &Path, data: &str) -> Vec<String> {
    let printed = good(&run(dir, &["replay", "--format", "ndjson", "--data", data]));
    printed.lines().map(str::to_owned).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A shop with a few events, signed and closed, with a backup `b` and its keys `k`.
fn backed_up() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--demo"]);
    assert!(server.signal("TERM").success());
    good(&backup(dir.path(), &["b", "--keys-to", "k"]));
    dir
}

fn sql(dir: &Path, statement: &str) {
    let log = rusqlite::Connection::open(dir.join("data/events.sqlite")).unwrap();
    log.execute_batch(statement).unwrap();
}

fn rows(data: &Path) -> String {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let models = ReadModels::sqlite(data.join("read-models"));
    let mut all = Vec::new();
    for schema in SCHEMAS {
        all.push(runtime.block_on(dump(&models, schema)).unwrap());
    }
    format!("{all:#?}")
}

/// Opens the shop in `dir`, and waits until all is posted.
fn posted(dir: &Path) -> Server {
    let server = Server::start(dir, &[]);
    eventually(|| {
        let projections = server.get("/v1/projections").expect(200).json();
        let items = projections["items"].as_array().unwrap().clone();
        items.iter().all(|item| item["state"] == "live" && item["lag"]["events"] == 0).then_some(())
    });
    server
}

#[test]
fn a_backup_under_load_holds_all_that_was_acknowledged_and_is_the_same_shop_again() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    let server = Server::start(here, &[]);
    stock_up(&server, 1_000_000);
    let first = server.post("/v1/orders", &order(1)).expect(201).json();
    let stop = AtomicBool::new(false);
    let (before, after) = std::thread::scope(|scope| {
        let place = |client: usize| {
            let (server, stop) = (&server, &stop);
            scope.spawn(move || {
                let mut placed = 0;
                while !stop.load(Ordering::Relaxed) {
                    let key = format!("{client}-{placed}");
                    let answer = server.post_with("/v1/orders", &key, &order(1)).unwrap();
                    answer.expect(201);
                    placed += 1;
                }
            })
        };
        let clients: Vec<_> = (0..4).map(place).collect();
        let orders =
            || server.get("/v1/projections").expect(200).json()["items"][0]["head"].clone();
        eventually(|| (orders().as_u64() > Some(500)).then_some(()));
        let before = orders().as_u64().unwrap();
        let said = good(&backup(here, &["b", "--keys-to", "k"]));
        assert!(said.contains("they are what was signed"), "{said}");
        let after = orders().as_u64().unwrap();
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
        (before, after)
    });
    assert!(server.signal("TERM").success());

    // What was acknowledged before is in it, and nothing half.
    good(&restore(here, "again", &["b", "--keys-from", "k"]));
    let (whole, restored) = (log(here, "data"), log(here, "again/data"));
    let count = restored.len() as u64;
    assert!(before <= count && count <= after, "{before} {count} {after}");
    assert_eq!(restored, whole[..restored.len()]);
    let head = json_of(here, &["audit", "head", "--data", "again/data", "-q"]);
    fs::write(here.join("head.json"), head.to_string()).unwrap();
    for data in ["data", "again/data"] {
        good(&run(here, &["audit", "verify", "head.json", "--data", data, "-q"]));
        good(&run(here, &["audit", "verify", "--data", data, "-q"]));
    }
    let id = |data: &str| {
        let status = json_of(here, &["status", "--format", "json", "--data", data]);
        status["store"]["id"].clone()
    };
    assert_ne!(id("data"), id("again/data"));
    let show = |data: &str| {
        let id = first["id"].as_str().unwrap();
        good(&run(here, &["show", "order", id, "--data", data, "--format", "json"]))
    };
    assert_eq!(show("data"), show("again/data"));

    // With no server: all of it, and the rows come out the same.
    good(&backup(here, &["all", "--keys-to", "keys"]));
    good(&restore(here, "all-again", &["all", "--keys-from", "keys"]));
    assert_eq!(log(here, "all-again/data"), whole);
    assert!(posted(&here.join("all-again")).signal("TERM").success());
    assert_eq!(rows(&here.join("all-again/data")), rows(&here.join("data")));
    let server = Server::start(&here.join("all-again"), &[]);
    let user = server.get("/v1/users/u1").expect(200).json();
    assert_eq!(user["personal"]["name"], "Ada");
    server.post("/v1/orders", &order(1)).expect(201);
    assert!(server.signal("TERM").success());
    good(&run(here, &["audit", "verify", "--data", "all-again/data", "-q"]));
}

#[test]
fn whatever_is_changed_in_the_file_is_found_and_nothing_is_restored() {
    let dir = backed_up();
    let here = dir.path();
    let whole = fs::read(here.join("b")).unwrap();
    let found = |bytes: &[u8]| {
        fs::write(here.join("bent"), bytes).unwrap();
        let said = refused(&restore(here, "again", &["bent", "--keys-from", "k"]), 4);
        assert!(said.contains("bent is not what `daybook backup` wrote"), "{said}");
        assert!(!here.join("again").exists());
        refused(&restore(here, "again", &["bent", "--check"]), 4);
    };
    // A fixed seed: the same places each time (Knuth's multiplier).
    let mut place = 42_usize;
    for _ in 0..25 {
        place = place.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut bent = whole.clone();
        bent[(place >> 20) % whole.len()] ^= 1 << (place % 8);
        found(&bent);
        found(&whole[..(place >> 20) % whole.len()]);
    }
    found(&[&whole[..], b"more"].concat());
    found(b"");
    found(b"these are my notes, and no backup");
    let said = good(&restore(here, "again", &["b", "--check"]));
    assert!(said.starts_with("whole: "), "{said}");
    assert!(!here.join("again").exists());
    refused(&restore(here, "again", &["nowhere"]), 1);
}

#[test]
fn who_has_to_have_signed_can_be_named() {
    let dir = backed_up();
    let here = dir.path();
    let said = refused(&restore(here, "again", &["b", "--public-key", OTHER_KEY]), 4);
    assert!(said.contains("is not signed with the key Gb9"), "{said}");
    assert!(!here.join("again").exists());
    refused(&restore(here, "again", &["b", "--check", "--public-key", OTHER_KEY]), 4);
    refused(&restore(here, "again", &["b", "--public-key", "nobody"]), 2);
    let head = json_of(here, &["audit", "head", "--data", "data", "-q"]);
    fs::write(here.join("head.json"), head.to_string()).unwrap();
    good(&restore(here, "again", &["b", "--check", "--public-key", "head.json"]));
    // Nothing was signed with that key.
    refused(&backup(here, &["c", "--public-key", OTHER_KEY]), 1);
    assert_eq!(names(here), ["b", "data", "head.json", "k"]);
}

#[test]
fn what_is_there_is_never_written_over() {
    let dir = backed_up();
    let here = dir.path();
    let before = fs::read(here.join("b")).unwrap();
    assert!(refused(&backup(here, &["b"]), 2).contains("b is there already"));
    assert!(refused(&backup(here, &["c", "--keys-to", "k"]), 2).contains("k is there already"));
    assert!(refused(&backup(here, &["c", "--keys-to", "c"]), 2).contains("a file of their own"));
    assert!(!here.join("c").exists());
    assert_eq!(fs::read(here.join("b")).unwrap(), before);
    let log = fs::read(here.join("data/events.sqlite")).unwrap();
    let said = refused(&restore(here, ".", &["b"]), 2);
    assert!(said.contains("there is an event store at ./data/events.sqlite already"), "{said}");
    assert_eq!(fs::read(here.join("data/events.sqlite")).unwrap(), log);
    // A WAL that was left behind would become a part of the new store.
    for (beside, args) in [
        ("again/data/events.sqlite-wal", &["b"][..]),
        ("third/data/keys.sqlite-wal", &["b", "--keys-from", "k"]),
    ] {
        let (folder, _) = beside.split_once('/').unwrap();
        fs::create_dir_all(here.join(folder).join("data")).unwrap();
        fs::write(here.join(beside), "of another").unwrap();
        let said = refused(&restore(here, folder, args), 2);
        assert!(said.contains(&format!("{beside} is left of a database that is gone")), "{said}");
    }
    refused(&run(here, &["backup", "c", "--data", "nowhere"]), 1);
    assert!(!here.join("nowhere").exists());
}

#[test]
fn a_log_that_was_changed_under_its_head_is_not_backed_up() {
    for (statement, said_of_it) in [
        (
            "UPDATE events SET data = x'7b7d' WHERE position = 9",
            "number 8 of the log, at position 9",
        ),
        ("DELETE FROM events WHERE position = 9", "is missing"),
        ("DELETE FROM events WHERE position > 20", "is missing"),
        ("UPDATE events SET id = x'00' WHERE position = 9", "cannot be read"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path(), &["--demo"]);
        assert!(server.signal("TERM").success());
        sql(dir.path(), statement);
        let said = refused(&backup(dir.path(), &["b", "--keys-to", "k"]), 4);
        assert!(said.contains("nothing was backed up: the log is not what was signed"), "{said}");
        assert!(said.contains(said_of_it), "{said}");
        assert_eq!(names(dir.path()), ["data"]);
    }
}

/// A log that takes a while.
fn large_shop() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut csv = "sku,title,brand,department,category,price\n".to_owned();
    for n in 0..6_000 {
        csv += &format!("sku-{n},Thing {n},Acme,HOME,THINGS,1.00\n");
    }
    fs::write(dir.path().join("products.csv"), csv).unwrap();
    good(&run(dir.path(), &["import", "products", "products.csv", "--data", "data", "-q"]));
    dir
}

/// Starts a command and kills it as soon as this file is there and has so many bytes.
fn killed_at(dir: &Path, args: &[&str], file: &Path, bytes: u64) {
    let mut command = daybook(dir);
    let mut process = command.args(args).stdout(Stdio::null()).spawn().unwrap();
    eventually(|| {
        let there = fs::metadata(file).is_ok_and(|file| file.len() >= bytes);
        assert!(process.try_wait().unwrap().is_none(), "it ended before it could be killed");
        there.then_some(())
    });
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn what_is_killed_leaves_nothing_that_passes_for_a_backup_or_a_store() {
    let dir = large_shop();
    let here = dir.path();
    killed_at(here, &["backup", "b", "--data", "data", "-q"], &here.join("b.part"), 100_000);
    assert!(!here.join("b").exists() && here.join("b.part").exists());
    good(&backup(here, &["b", "--keys-to", "k"]));
    assert_eq!(names(here), ["b", "data", "k", "products.csv"]);

    let again = here.join("again/data");
    let args = ["restore", "b", "--data", "again/data", "--keys-from", "k", "-q"];
    killed_at(here, &args, &again.join("events.sqlite.part"), 0);
    assert!(!again.join("events.sqlite").exists() && !again.join("keys.sqlite").exists());
    good(&run(here, &args));
    assert_eq!(names(&again), ["events.sqlite", "events.sqlite.lock", "keys.sqlite"]);
    assert_eq!(log(here, "data"), log(here, "again/data"));
}

#[test]
fn a_full_disk_leaves_nothing_half() {
    let (Some(disk), dir) = (SmallDisk::new("1m"), large_shop()) else {
        println!("skipped: this process may not mount a tmpfs");
        return;
    };
    let here = dir.path();
    let on_disk = |name: &str| disk.path().join(name).to_str().unwrap().to_owned();
    fs::write(on_disk("ballast"), vec![1; 900_000]).unwrap();
    let said = refused(&backup(here, &[&on_disk("b")]), 1);
    assert!(said.contains("No space left on device"), "{said}");
    assert_eq!(names(disk.path()), ["ballast"]);
    good(&backup(here, &["b", "--keys-to", "k"]));
    let said = refused(&restore(here, &on_disk("again"), &["b", "--keys-from", "k"]), 1);
    assert!(said.contains("the disk is full, make room on it"), "{said}");
    assert_eq!(names(&disk.path().join("again/data")), ["events.sqlite.lock"]);

    disk.resize("200m");
    good(&backup(here, &[&on_disk("b")]));
    good(&restore(here, &on_disk("again"), &["b", "--keys-from", "k"]));
}

#[test]
fn the_key_store_has_to_be_the_one_that_belongs_to_it() {
    let dir = backed_up();
    let here = dir.path();
    // The other shop's is refused before anything is made, by whichever way it comes.
    fs::create_dir(here.join("other")).unwrap();
    let other = Server::start(&here.join("other"), &[]);
    assert!(other.signal("TERM").success());
    let of_other = "other/data/keys.sqlite";
    let said = refused(&restore(here, "again", &["b", "--keys-from", of_other]), 2);
    assert!(said.contains("the backup belongs to the key store with the fingerprint"), "{said}");
    refused(&restore(here, "again", &["b", "--keys", "sqlite:other/data/keys.sqlite"]), 2);
    fs::write(here.join("notes"), "these are my notes, and no keys").unwrap();
    refused(&restore(here, "again", &["b", "--keys-from", "notes"]), 2);
    refused(&restore(here, "again", &["b", "--keys-from", "nowhere"]), 1);
    assert!(!here.join("again").exists());

    // Without any it says what is missing; the shop opens when that is there.
    let said = text(&run(here, &["restore", "b", "--data", "again/data"]).stderr);
    assert!(said.contains("without the key store with the fingerprint"), "{said}");
    assert!(said.contains("put it at again/data/keys.sqlite"), "{said}");
    assert!(said.contains("has to be forgotten again"), "{said}");
    fs::copy(here.join("k"), here.join("again/data/keys.sqlite")).unwrap();
    assert!(posted(&here.join("again")).signal("TERM").success());
    // One that is there is gone on with, and not written over.
    fs::create_dir_all(here.join("third/data")).unwrap();
    fs::copy(here.join("k"), here.join("third/data/keys.sqlite")).unwrap();
    let said = refused(&restore(here, "third", &["b", "--keys-from", "k"]), 2);
    assert!(said.contains("there is a key store at third/data/keys.sqlite already"), "{said}");
    good(&restore(here, "third", &["b"]));
    assert!(posted(&here.join("third")).signal("TERM").success());
}

#[test]
fn a_key_store_that_signed_more_gives_only_the_heads_that_still_hold() {
    let dir = backed_up();
    let here = dir.path();
    let server = Server::start(here, &[]);
    let user = json!({ "id": "zoe", "personal": { "name": "Zoe", "email": "zoe@example.com" } });
    server.post("/v1/users", &user).expect(201);
    assert!(server.signal("TERM").success());
    let newest = json_of(here, &["audit", "head", "--data", "data", "-q"]);

    // The log is lost, the key store is not.
    let data = here.join("data");
    fs::create_dir(here.join("lost")).unwrap();
    fs::rename(data.join("events.sqlite"), here.join("lost/events.sqlite")).unwrap();
    let said = refused(&restore(here, ".", &["b"]), 2);
    assert!(said.contains("Move the key store away and give it with --keys-from"), "{said}");
    assert!(!data.join("events.sqlite").exists());
    fs::rename(data.join("keys.sqlite"), here.join("newer")).unwrap();
    let restored = run(here, &["restore", "b", "--data", "data", "--keys-from", "newer"]);
    good(&restored);
    let said = text(&restored.stderr);
    assert!(said.contains("signed heads cover more events than were restored"), "{said}");
    assert!(said.contains("what was posted into data/read-models is of another store"), "{said}");
    assert!(good(&run(here, &["rebuild", "--all", "--data", "data", "-q"])).is_empty());
    assert!(posted(here).signal("TERM").success());
    good(&run(here, &["audit", "verify", "--data", "data", "-q"]));
    let head = json_of(here, &["audit", "head", "--data", "data", "-q"]);
    assert_eq!(head["public_key"], newest["public_key"]);
    // Whoever was given the newest head can tell.
    fs::write(here.join("newest.json"), newest.to_string()).unwrap();
    refused(&run(here, &["audit", "verify", "newest.json", "--data", "data", "-q"]), 4);
}

#[test]
fn what_is_wrapped_stays_wrapped() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    fs::write(here.join("master"), "11".repeat(32)).unwrap();
    fs::write(here.join("wrong"), "22".repeat(32)).unwrap();
    let server = Server::start(here, &["--master-key", "master"]);
    stock_up(&server, 1);
    assert!(server.signal("TERM").success());
    refused(&backup(here, &["b", "--keys-to", "k"]), 2);
    good(&backup(here, &["b", "--keys-to", "k", "--master-key", "master"]));
    let said = refused(&restore(here, "again", &["b", "--keys-from", "k"]), 2);
    assert!(said.contains("give that one with --master-key"), "{said}");
    refused(&restore(here, "again", &["b", "--keys-from", "k", "--master-key", "wrong"]), 2);
    assert!(!here.join("again").exists());
    good(&restore(here, "again", &["b", "--keys-from", "k", "--master-key", "master"]));
    let server = Server::start(&here.join("again"), &["--master-key", "../master"]);
    let user = eventually(|| Some(server.get("/v1/users/u1")).filter(|user| user.status == 200));
    assert_eq!(user.json()["personal"]["name"], "Ada");
}

#[test]
fn who_was_forgotten_stays_forgotten_with_old_keys_and_stands_in_no_backup() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    let server = Server::start(here, &[]);
    let user = json!({ "id": "zeb", "personal": { "name": NAME, "email": EMAIL } });
    server.post("/v1/users", &user).expect(201);
    stock_up(&server, 1);
    good(&backup(here, &["before", "--keys-to", "old-keys"]));
    server.post("/v1/users/zeb/forget", &json!({})).expect(200);
    good(&backup(here, &["after", "--keys-to", "new-keys"]));
    assert!(server.signal("TERM").success());

    let plain = |path: PathBuf, unpacked: bool| {
        let mut bytes = fs::read(path).unwrap();
        if unpacked {
            let mut all = Vec::new();
            MultiGzDecoder::new(&bytes[..]).read_to_end(&mut all).unwrap();
            bytes = all;
        }
        let bytes = bytes.to_ascii_lowercase();
        [NAME, EMAIL, "quixotry"].iter().any(|text| {
            let text = text.to_ascii_lowercase();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    };
    for name in ["before", "after", "old-keys", "new-keys"] {
        assert!(!plain(here.join(name), false), "{name}");
        assert!(name.ends_with("keys") || !plain(here.join(name), true), "{name}");
    }
    // The search finds what is there.
    let mut leak = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    leak.write_all(format!("\0{NAME}\0").as_bytes()).unwrap();
    fs::write(here.join("leak"), leak.finish().unwrap()).unwrap();
    assert!(plain(here.join("leak"), true));

    // The newer log with the older keys, and with those that forgot.
    for (data, keys) in [("old", "old-keys"), ("new", "new-keys")] {
        good(&restore(here, data, &["after", "--keys-from", keys]));
        let server = posted(&here.join(data));
        assert!(server.get("/v1/users/zeb").expect(200).json()["personal"].is_null());
        assert_eq!(server.get("/v1/users/u1").expect(200).json()["personal"]["name"], "Ada");
        assert!(server.signal("TERM").success());
    }
    // The old log with those that forgot: nobody opens it any more. With the old ones it is the shop
    // of then, who was not forgotten yet.
    for (data, keys, opens) in [("then", "new-keys", false), ("all-old", "old-keys", true)] {
        good(&restore(here, data, &["before", "--keys-from", keys]));
        let server = posted(&here.join(data));
        let user = server.get("/v1/users/zeb").expect(200).json();
        assert_eq!(user["personal"]["name"] == NAME, opens, "{user}");
        assert!(server.signal("TERM").success());
    }
}

#[test]
fn other_engines_have_tools_of_their_own() {
    let dir = backed_up();
    let here = dir.path();
    for command in ["backup", "restore"] {
        let args = [command, "b", "--data", "x", "--event-store", "esdb://127.0.0.1:1?tls=false"];
        let said = refused(&run(here, &args), 2);
        assert!(said.contains("the log lies in an EventStoreDB"), "{said}");
    }
    let keys = ["--keys", "mysql://u:hunter2@127.0.0.1:1/keys"];
    let said = refused(&backup(here, &[&["c", "--keys-to", "d"], &keys[..]].concat()), 2);
    assert!(said.contains("back it up with that server's own tools"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let args = [&["b", "--keys-from", "k"], &keys[..]].concat();
    assert!(refused(&restore(here, "again", &args), 2).contains("with that server's own tools"));
    assert!(!here.join("again").exists());
}

#[test]
fn the_note_says_what_else_has_to_be_kept() {
    let dir = backed_up();
    let here = dir.path();
    let said = text(&run(here, &["backup", "c", "--data", "data"]).stderr);
    assert!(said.contains("note: the key store") && said.contains("--keys-to FILE"), "{said}");
    let args = ["backup", "d", "--data", "data", "--keys-to", "l"];
    let said = text(&run(here, &args).stderr);
    assert!(said.contains("the keys lie beside the backup"), "{said}");
    fs::create_dir(here.join("safe")).unwrap();
    let args = ["backup", "e", "--data", "data", "--keys-to", "safe/l"];
    let said = text(&run(here, &args).stderr);
    assert!(!said.contains("beside") && said.contains("do not keep the keys for long"), "{said}");
}
