//! The audit, end to end: heads, proofs, exports and what they say of a log that was changed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Output,
    time::Duration,
};

use common::{Server, eventually, run, text};
use serde_json::{Value, json};
use tempfile::TempDir;

mod common;

/// A shop with a few events, signed and closed.
fn closed_shop() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--demo"]);
    assert!(server.signal("TERM").success());
    dir
}

/// Runs `daybook audit` on the shop in `dir`.
fn audit(dir: &Path, args: &[&str]) -> Output {
    let (command, rest) = args.split_first().unwrap();
    run(dir, &[&["audit", command, "--data", "data", "-q"], rest].concat())
}

#[track_caller]
fn good(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| text(&output.stdout).into())
}

/// What was said of a failure with this exit code.
#[track_caller]
fn refused(output: &Output, code: i32) -> String {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said} {}", text(&output.stdout));
    said
}

fn sql(dir: &Path, statement: &str) {
    let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); \
                  c.execute(sys.argv[2]); c.commit()";
    let done = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(dir.join("data/events.sqlite"))
        .arg(statement)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
}

fn save(dir: &Path, name: &str, bytes: &[u8]) {
    fs::write(dir.join(name), bytes).unwrap();
}

#[test]
fn a_running_shop_signs_proves_and_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--demo"]);
    let user = json!({"id": "grace", "personal": {"name": "Grace", "email": "grace@example.org"}});
    let at = server.post("/v1/users", &user).expect(201).position();

    // A head that covers the command is there within a second or so, and is waited for.
    let head = server.get_at("/v1/audit/head", &at).expect(200);
    assert_eq!(head.header("cache-control").as_deref(), Some("private, no-cache"));
    let head = head.json();
    let proof = server.get_at("/v1/audit/proof?stream=user-grace&revision=0", &at).expect(200);
    let proof_of_id = {
        let id = proof.json()["event"]["id"].as_str().unwrap().to_owned();
        server.get(&format!("/v1/audit/proof?event={id}")).expect(200)
    };
    assert_eq!(proof_of_id.json()["index"], proof.json()["index"]);
    save(dir.path(), "proof.json", &proof.body);
    save(dir.path(), "head.json", head.to_string().as_bytes());

    // The same from the command line, beside the server.
    let printed = good(&audit(dir.path(), &["head"]));
    assert_eq!(printed["public_key"], head["public_key"]);
    assert!(printed["size"].as_u64() >= head["size"].as_u64());
    let verified = good(&audit(dir.path(), &["verify", "--format", "json"]));
    assert_eq!(verified["outcome"], "verified");
    let verified = good(&audit(dir.path(), &["verify", "head.json", "--format", "json"]));
    assert_eq!((&verified["outcome"], &verified["events"]), (&json!("verified"), &head["size"]));
    let proven = audit(dir.path(), &["prove", "user-grace@0"]);
    assert_eq!(good(&proven)["event"], proof.json()["event"]);

    // With nothing at hand but the key.
    let check =
        |file: &str, key: &str| run(dir.path(), &["audit", "check", file, "--public-key", key]);
    let key = head["public_key"].as_str().unwrap().to_owned();
    assert!(
        text(&check("proof.json", &key).stdout).starts_with("proven: UserRegistered user-grace@0")
    );
    assert!(check("proof.json", "head.json").status.success());
    save(dir.path(), "more.json", &audit(dir.path(), &["head"]).stdout);
    let consistent = audit(dir.path(), &["consistent", "head.json", "more.json"]);
    good(&consistent);
    save(dir.path(), "consistent.json", &consistent.stdout);
    assert!(text(&check("consistent.json", &key).stdout).contains("begins with the log of"));

    // Anything else proves nothing.
    refused(&check("proof.json", "nothing"), 2);
    // RFC 8410's example key.
    let other_key = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    let said = refused(&check("proof.json", other_key), 4);
    assert!(said.contains("is not signed with the key Gb9"), "{said}");
    let mut forged = proof.json();
    forged["event"]["revision"] = json!(1);
    save(dir.path(), "forged.json", forged.to_string().as_bytes());
    assert!(refused(&check("forged.json", &key), 4).contains("do not lead to the signed root"));
    let mut forged = proof.json();
    forged["head"]["size"] = json!(forged["head"]["size"].as_u64().unwrap() + 1);
    save(dir.path(), "forged.json", forged.to_string().as_bytes());
    assert!(refused(&check("forged.json", &key), 4).contains("is not signed with the key"));
    save(dir.path(), "cut.json", &proof.body[..proof.body.len() / 2]);
    assert!(refused(&check("cut.json", &key), 4).contains("no whole proof"));
    refused(&check("none.json", &key), 1);
    assert!(server.signal("TERM").success());
}

#[test]
fn what_is_not_there_is_said_clearly() {
    let dir = tempfile::tempdir().unwrap();
    assert!(refused(&audit(dir.path(), &["head"]), 1).contains("daybook serve"));
    let server = Server::start(dir.path(), &["--demo"]);
    let problem = |path: &str, status| server.get(path).expect(status).problem();
    assert_eq!(problem("/v1/audit/proof", 400), "bad-request");
    assert_eq!(problem("/v1/audit/proof?event=1", 400), "bad-request");
    assert_eq!(problem("/v1/audit/proof?stream=order-none&revision=0", 404), "not-found");
    let product = "stream=product-none&revision=0&size=999999";
    assert_eq!(problem(&format!("/v1/audit/proof?{product}"), 400), "bad-request");
    let nil = "00000000-0000-0000-0000-000000000000";
    assert_eq!(problem(&format!("/v1/audit/proof?event={nil}"), 404), "not-found");
    assert!(server.signal("TERM").success());

    let said = refused(&audit(dir.path(), &["prove", "order-none@0"]), 2);
    assert!(said.contains("there is no stream order-none"), "{said}");
    let head = good(&audit(dir.path(), &["head"]));
    let product = "stock-none";
    refused(&audit(dir.path(), &["prove", product]), 2);
    let said = refused(&audit(dir.path(), &["prove", nil]), 2);
    assert!(said.contains("no event that a signed head covers"), "{said}");
    let said = refused(&audit(dir.path(), &["prove", nil, "--size", "99999999"]), 2);
    assert!(said.contains("the newest head covers"), "{said}");
    let said = refused(&audit(dir.path(), &["consistent", "99999999", "head.json"]), 2);
    assert!(said.contains("the newest head covers"), "{said}");
    refused(&audit(dir.path(), &["verify", "none.json"]), 2);
    save(dir.path(), "empty", b"");
    refused(&audit(dir.path(), &["verify", "--heads", "empty"]), 2);

    // A head of somebody else's.
    let mut foreign = head;
    foreign["root"] = json!("00".repeat(32));
    save(dir.path(), "foreign.json", foreign.to_string().as_bytes());
    let said = refused(&audit(dir.path(), &["verify", "foreign.json"]), 4);
    assert!(said.contains("was not signed with"), "{said}");
    let said = refused(&audit(dir.path(), &["verify", "--audit-key", "none.pem"]), 2);
    assert!(said.contains("openssl genpkey"), "{said}");
}

#[test]
fn heads_that_were_handed_out_do_not_stand_for_the_newest() {
    let dir = closed_shop();
    save(dir.path(), "heads", good(&audit(dir.path(), &["head"])).to_string().as_bytes());
    let server = Server::start(dir.path(), &[]);
    let more = json!({ "quantity": 1 });
    let skus = server.get("/v1/stock?limit=1").expect(200).json();
    let sku = skus["items"][0]["sku"].as_str().unwrap().to_owned();
    server.post(&format!("/v1/stock/{sku}/receipts"), &more).expect(201);
    assert!(server.signal("TERM").success());
    let verify = ["verify", "--heads", "heads", "--format", "json"];
    let verified = good(&audit(dir.path(), &verify));
    assert_eq!((&verified["heads"], &verified["beyond"]), (&json!(2), &json!(0)));
    sql(
        dir.path(),
        "UPDATE events SET data = CAST(data || x'20' AS BLOB) WHERE position = (SELECT max(position) FROM events)",
    );
    refused(&audit(dir.path(), &verify), 4);
}

#[test]
fn an_event_that_is_filed_under_another_category_is_found() {
    let dir = closed_shop();
    sql(dir.path(), "UPDATE kinds SET category = 'order' WHERE category = 'stock'");
    let said = refused(&audit(dir.path(), &["verify"]), 4);
    assert!(said.contains("index"), "{said}");
}

#[test]
fn a_changed_log_is_found_and_never_signed_again() {
    let dir = closed_shop();
    let before = good(&audit(dir.path(), &["head"]));
    sql(dir.path(), "UPDATE events SET data = CAST(data || x'20' AS BLOB) WHERE position = 9");
    let said = refused(&audit(dir.path(), &["verify"]), 4);
    assert!(said.contains("number 8 of the log, at position 9"), "{said}");
    assert!(said.contains("is not what was signed"), "{said}");

    // Over HTTP the event that was changed has no proof, and others have theirs.
    let log = text(&run(dir.path(), &["replay", "--data", "data", "--format", "ndjson"]).stdout);
    let place = |at: usize| -> String {
        let event: Value = serde_json::from_str(log.lines().nth(at - 1).unwrap()).unwrap();
        format!("/v1/audit/proof?event={}", event["id"].as_str().unwrap())
    };
    let server = Server::start(dir.path(), &[]);
    eventually(|| (server.get("/v1/audit/head").status == 200).then_some(()));
    server.get(&place(8)).expect(200);
    let different = server.get(&place(9)).expect(409);
    assert_eq!(different.problem(), "audit-different");
    assert!(different.json()["detail"].as_str().unwrap().contains("is not what was signed"));
    assert!(server.signal("TERM").success());

    // Without the tree it still says where, as far as heads tell.
    fs::rename(dir.path().join("data/audit"), dir.path().join("aside")).unwrap();
    let said = refused(&audit(dir.path(), &["verify"]), 4);
    assert!(said.contains("the root differs: among the events number 0 to"), "{said}");

    // A tree made anew is another: nothing is signed over it.
    let server = Server::start(dir.path(), &[]);
    let health = eventually(|| {
        let health = server.get("/health/ready").json();
        let checks = health["checks"].as_array()?.clone();
        checks.into_iter().find(|check| check["name"] == "audit" && check["status"] == "degraded")
    });
    assert!(health["detail"].as_str().unwrap().contains("not the one that was signed"));
    assert_eq!(server.get("/v1/audit/head").expect(503).problem(), "audit-unavailable");
    let metrics = text(&server.get("/metrics").expect(200).body);
    assert!(metrics.contains("audit_diverged 1"), "{metrics}");
    assert!(server.signal("TERM").success());
    assert_eq!(good(&audit(dir.path(), &["head"])), before);
}

/// The longest time from one head to the next under load, by the heads' own times.
fn longest_gap(dir: &Path) -> Duration {
    let keys = rusqlite::Connection::open(dir.join("data/keys.sqlite")).unwrap();
    let mut heads = keys.prepare("SELECT head FROM heads ORDER BY n").unwrap();
    let time = |row: &rusqlite::Row<'_>| -> rusqlite::Result<String> { row.get(0) };
    let times: Vec<jiff::Timestamp> = heads
        .query_map([], time)
        .unwrap()
        .map(|head| {
            let head: Value = serde_json::from_str(&head.unwrap()).unwrap();
            head["time"].as_str().unwrap().parse().unwrap()
        })
        .collect();
    let gap = |two: &[jiff::Timestamp]| two[1].duration_since(two[0]).unsigned_abs();
    times.windows(2).map(gap).max().expect("heads")
}

#[test]
fn under_load_a_head_is_signed_every_second() {
    // A machine that is at work with other things may hold up one round, and not each.
    let mut gaps = Vec::new();
    for _ in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path(), &[]);
        common::stock_up(&server, 1);
        let end = std::time::Instant::now() + Duration::from_secs(4);
        while std::time::Instant::now() < end {
            server.post("/v1/stock/mug-red/receipts", &json!({ "quantity": 1 })).expect(201);
        }
        assert!(server.signal("TERM").success());
        let heads = good(&audit(dir.path(), &["verify", "--format", "json"]));
        assert_eq!(heads["outcome"], "verified");
        gaps.push(longest_gap(dir.path()));
        if gaps.last().is_some_and(|gap| *gap <= Duration::from_secs(1)) {
            return;
        }
    }
    panic!("from one head to the next: {gaps:?}");
}

#[test]
fn an_export_is_checked_offline_and_restored_byte_for_byte() {
    let dir = closed_shop();
    let here = dir.path();
    let head = good(&audit(here, &["head"]));
    save(here, "head.json", head.to_string().as_bytes());
    good(&audit(here, &["export", "out"]));
    let check = |of: &str| run(here, &["audit", "check", of, "--public-key", "head.json", "-q"]);
    assert!(text(&check("out").stdout).contains("all events of the log"));
    assert!(refused(&audit(here, &["export", "out"]), 2).contains("not empty"));

    // Into an empty store: the same log under another id, with the same root.
    let import = |of: &str, data: &str| run(here, &["import", "events", of, "--data", data, "-q"]);
    let restored = import("out", "restored");
    assert!(restored.status.success(), "{}", text(&restored.stderr));
    let again = run(here, &["audit", "head", "--data", "restored", "-q"]);
    let again = good(&again);
    assert_eq!((&again["size"], &again["root"]), (&head["size"], &head["root"]));
    let log = |data: &str| run(here, &["replay", "--format", "ndjson", "--data", data]).stdout;
    assert_eq!(log("data"), log("restored"));
    let id = |data: &str| {
        good(&run(here, &["status", "--format", "json", "--data", data]))["store"]["id"].clone()
    };
    assert_ne!(id("data"), id("restored"));
    // Once more there is nothing to do; another shop is left alone.
    assert!(import("out", "restored").status.success());
    let other = closed_shop();
    let theirs = other.path().join("data");
    let said = refused(&import("out", theirs.to_str().unwrap()), 2);
    assert!(said.contains("no beginning of this export"), "{said}");

    // A part of it is proven to be a part, and cannot be restored alone.
    let events: Vec<Value> =
        text(&log("data")).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let since = events[5]["recorded_at"].as_str().unwrap();
    good(&audit(here, &["export", "part", "--since", since]));
    let said = text(&check("part").stdout);
    assert!(said.contains("events number") && !said.contains("number 0 to"), "{said}");
    assert!(refused(&import("part", "from-part"), 2).contains("can be restored"));
    assert!(!here.join("from-part").exists());
    refused(&audit(here, &["export", "x", "--since", "yesterday"]), 2);
    let said = refused(&audit(here, &["export", "x", "--since", "2999-01-01"]), 2);
    assert!(said.contains("lies in the future"), "{said}");
    assert!(!here.join("x").exists());
    good(&audit(here, &["export", "since-a-day", "--since", "2026-01-01"]));

    // Whatever is changed in it is found.
    let part = here.join("out/events-000001.ndjson.gz");
    let whole = fs::read(&part).unwrap();
    fs::write(&part, &whole[..whole.len() - 1]).unwrap();
    assert!(refused(&check("out"), 4).contains("bytes, and had"));
    let mut bent = whole.clone();
    bent[whole.len() / 2] ^= 1;
    fs::write(&part, &bent).unwrap();
    assert!(refused(&check("out"), 4).contains("SHA-256"));
    assert!(refused(&import("out", "broken"), 4).contains("SHA-256"));
    assert!(!here.join("broken").exists());
    fs::remove_file(&part).unwrap();
    assert!(refused(&check("out"), 4).contains("missing"));
    fs::write(&part, &whole).unwrap();
    let manifest = here.join("out/manifest.json");
    let text_of = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text_of.replacen("\"begin\": 0", "\"begin\": 1", 1)).unwrap();
    refused(&check("out"), 4);
    fs::write(&manifest, &text_of[..text_of.len() / 2]).unwrap();
    refused(&check("out"), 4);
    fs::write(&manifest, &text_of).unwrap();
    assert!(check("out").status.success());
    refused(&run(here, &["audit", "check", "out", "--public-key", "none.pem"]), 2);
}

#[test]
fn a_key_kept_elsewhere_signs_and_heads_are_handed_out() {
    let dir = tempfile::tempdir().unwrap();
    // RFC 8410, section 10.3: an example key.
    let pem = "-----BEGIN PRIVATE KEY-----\n\
               MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
               -----END PRIVATE KEY-----\n";
    let public = "-----BEGIN PUBLIC KEY-----\n\
                  MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                  -----END PUBLIC KEY-----\n";
    save(dir.path(), "key.pem", pem.as_bytes());
    fs::set_permissions(dir.path().join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    save(dir.path(), "public.pem", public.as_bytes());
    let flags =
        ["--audit-key", "key.pem", "--audit-publish", "heads.ndjson", "--audit-every", "1s"];
    let server = Server::start(dir.path(), &flags);
    let lines = || {
        let text = fs::read_to_string(dir.path().join("heads.ndjson")).unwrap_or_default();
        text.lines().count()
    };
    eventually(|| (lines() == 1).then_some(()));
    let user = json!({"id": "ada", "personal": {"name": "Ada", "email": "ada@example.com"}});
    server.post("/v1/users", &user).expect(201);
    eventually(|| (lines() == 2).then_some(()));
    let user = json!({"id": "bob", "personal": {"name": "Bob", "email": "bob@example.com"}});
    server.post("/v1/users", &user).expect(201);
    assert!(server.signal("TERM").success());
    assert_eq!(lines(), 3, "the last head is handed out at the end");

    let heads = ["verify", "--audit-key", "key.pem", "--heads", "heads.ndjson", "--format", "json"];
    let verified = good(&audit(dir.path(), &heads));
    assert_eq!((&verified["heads"], &verified["beyond"]), (&json!(3), &json!(0)));
    let by_public =
        ["verify", "--public-key", "public.pem", "--heads", "heads.ndjson", "--format", "json"];
    good(&audit(dir.path(), &by_public));
    // The key store's own key signed nothing.
    refused(&audit(dir.path(), &["head"]), 1);
    let said = refused(&audit(dir.path(), &["verify", "--heads", "heads.ndjson"]), 4);
    assert!(said.contains("line 1"), "{said}");

    // A key beside the data is pointed out.
    fs::copy(dir.path().join("key.pem"), dir.path().join("data/key.pem")).unwrap();
    let head = audit(dir.path(), &["head", "--audit-key", "data/key.pem"]);
    assert!(text(&head.stderr).contains("lies beside the data"), "{}", text(&head.stderr));
    let head = audit(dir.path(), &["head", "--audit-key", "key.pem"]);
    assert_eq!(text(&head.stderr), "");
}

#[test]
fn heads_are_sent_to_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/heads", listener.local_addr().unwrap());
    let server = Server::start(dir.path(), &["--audit-publish", &url, "--audit-every", "1s"]);
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    while !request.ends_with(b"}") {
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0);
        request.extend_from_slice(&chunk[..read]);
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    let request = text(&request);
    assert!(request.starts_with("POST /heads HTTP/1.1"), "{request}");
    let head: Value = serde_json::from_str(request.rsplit("\r\n\r\n").next().unwrap()).unwrap();
    assert_eq!(head, server.get("/v1/audit/head").expect(200).json());
}

#[test]
fn a_rebuild_leaves_the_tree_alone_and_a_killed_shop_goes_on_with_it() {
    let dir = closed_shop();
    let head = good(&audit(dir.path(), &["head"]));
    let checkpoint = dir.path().join("data/audit/checkpoint");
    let before = fs::read(&checkpoint).unwrap();
    let rebuilt = run(dir.path(), &["rebuild", "--all", "--data", "data", "-q"]);
    assert!(rebuilt.status.success());
    assert_eq!(fs::read(&checkpoint).unwrap(), before);
    for n in 0..3 {
        let server = Server::start(dir.path(), &[]);
        let user = json!({"id": format!("u{n}"),
            "personal": {"name": "Ada", "email": format!("u{n}@example.com")}});
        let at = server.post("/v1/users", &user).expect(201).position();
        server.get_at("/v1/audit/head", &at).expect(200);
        server.kill();
        // A torn tail.
        let nodes = dir.path().join("data/audit/nodes");
        fs::OpenOptions::new().append(true).open(nodes).unwrap().write_all(b"torn").unwrap();
    }
    let server = Server::start(dir.path(), &[]);
    assert!(server.signal("TERM").success());
    let verified = good(&audit(dir.path(), &["verify", "--format", "json"]));
    assert_eq!((&verified["outcome"], &verified["beyond"]), (&json!("verified"), &json!(0)));
    assert!(good(&audit(dir.path(), &["head"]))["size"].as_u64() > head["size"].as_u64());

    // Thrown away, it is made again from the log.
    fs::remove_dir_all(dir.path().join("data/audit")).unwrap();
    let server = Server::start(dir.path(), &[]);
    assert!(server.signal("TERM").success());
    assert!(dir.path().join("data/audit/nodes").exists());
    let size = good(&audit(dir.path(), &["head"]))["size"].clone();
    let proof = audit(dir.path(), &["consistent", &head["size"].to_string(), &size.to_string()]);
    good(&proof);
}
