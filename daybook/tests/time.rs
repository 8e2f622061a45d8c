//! What was, and when: replay, states as they were, the log as it goes on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use common::{Server, daybook, eventually, order, promptly, run, stock_up, text};
use event_schemas::{ExpectedRevision, NewEvent, Received, StreamName, Timestamp};
use infra::event_store::{EventStore, SqliteOptions};
use serde_json::{Value, json};
use uuid::Uuid;

/// A shop with an order by Bob, and that order's id.
fn shop(dir: &Path) -> (Server, String) {
    let server = Server::start(dir, &[]);
    stock_up(&server, 5);
    let head = "POST /v1/orders HTTP/1.1\r\nContent-Type: application/json\r\n\
        Idempotency-Key: bobs\r\nRequest-Id: wish-1\r\nDaybook-Actor: bob";
    let placed = server.raw(head, order(1).to_string().as_bytes()).expect(201);
    let id = placed.json()["id"].as_str().unwrap().to_owned();
    (server, id)
}

fn replay(dir: &Path, args: &[&str]) -> Vec<Value> {
    let output = run(dir, &[&["replay", "--data", "data", "--format", "ndjson"], args].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The exit code and what was said.
fn refused(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = run(dir, args);
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    (output.status.code(), text(&output.stderr))
}

#[test]
fn replay_picks_what_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (server, id) = shop(dir.path());
    let stream = format!("order-{id}");
    let replay = |args: &[&str]| replay(dir.path(), args);
    let all = replay(&[]);
    let of_stream = replay(&["--stream", &stream]);
    assert_eq!(of_stream.len(), 1);
    assert!(all.contains(&of_stream[0]), "the position is the log's");
    let last = all.last().unwrap()["position"].to_string();
    assert_eq!(replay(&["--stream", "stock-mug-red", "--from", &last]), Vec::<Value>::new());
    assert_eq!(of_stream[0]["type"], "OrderPlaced");
    assert_eq!(of_stream[0]["data"]["order"]["total"], 1099);
    assert!(
        replay(&["--category", "stock"]).iter().all(|event| { event["stream"] == "stock-mug-red" })
    );
    assert_eq!(replay(&["--type", "OrderPlaced"]), of_stream);
    assert_eq!(replay(&["--limit", "2"]), all[..2]);
    let second = all[1]["position"].to_string();
    assert_eq!(replay(&["--from", &second]), all[1..]);
    assert_eq!(replay(&["--to", &second]), all[..2]);
    assert_eq!(replay(&["--from", &second, "--to", &second]), all[1..2]);

    let backwards: Vec<_> = all.iter().rev().cloned().collect();
    assert_eq!(replay(&["--backwards"]), backwards);
    assert_eq!(replay(&["--backwards", "--to", &second]), backwards[backwards.len() - 2..]);
    assert_eq!(replay(&["--backwards", "--from", &last]), backwards[..1]);
    assert_eq!(replay(&["--backwards", "--limit", "1", "--type", "OrderPlaced"]), of_stream);

    // Bob's request, and all that came of it.
    let bobs = replay(&["--actor", "bob"]);
    assert!(bobs.contains(&of_stream[0]) && bobs.len() == 2, "{bobs:#?}");
    assert_eq!(replay(&["--correlation", "wish-1"]), bobs);

    let at = of_stream[0]["recorded_at"].as_str().unwrap();
    let since = replay(&["--since", at]);
    assert_eq!(since[0]["recorded_at"], at);
    assert_eq!([replay(&["--until", at]), since].concat(), all);
    assert_eq!(replay(&["--since", at, "--until", at]), Vec::<Value>::new());
    assert_eq!(replay(&["--until", "2020-01-01", "--clock", "occurred"]), Vec::<Value>::new());
    assert_eq!(replay(&["--since", "2020-01-01", "--clock", "occurred"]), all);
    drop(server);
}

#[test]
fn replay_since_a_time_begins_further_on_and_leaves_out_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _) = shop(dir.path());
    assert!(server.signal("TERM").success());
    // Enough for the log's times to be marked, each event 10 µs later.
    let begun = jiff::Timestamp::now().as_microsecond();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let options = SqliteOptions::new(dir.path().join("data/events.sqlite"));
        let store = EventStore::open_sqlite(options).await.unwrap();
        for part in 0..5_i64 {
            let event = |n: i64| {
                let event = NewEvent::raw(Uuid::new_v4(), "Seen".into(), "1".into(), "".into());
                let at = Timestamp::from_micros(begun - (2_500 - n) * 10).unwrap();
                event.received(Received { at, json: true })
            };
            let events = (part * 500..(part + 1) * 500).map(event).collect();
            let stream = StreamName::new("seen", "it");
            store.append(stream, ExpectedRevision::Any, events).await.unwrap();
        }
        store.close().await.unwrap();
    });
    let server = Server::start(dir.path(), &[]);
    eventually(|| {
        let answer = server.get("/v1/events?limit=1&backwards=true").expect(200).json();
        (answer["items"][0]["position"].as_u64() >= Some(2_500)).then_some(())
    });
    let kept = || {
        let files = std::fs::read_dir(dir.path().join("data/snapshots")).unwrap();
        let kept = files.filter_map(|file| std::fs::read(file.unwrap().path()).ok());
        kept.filter(|bytes| text_of(bytes).contains("\"chronology\"")).count()
    };
    assert!(server.signal("TERM").success());
    assert_eq!(kept(), 1, "how far times are known is kept at the end");

    let all = replay(dir.path(), &[]);
    let time = |event: &Value| event["position"].as_u64().unwrap();
    for at in [10_i64, 900, 1_500, 2_300] {
        let since = jiff::Timestamp::from_microsecond(begun - (2_500 - at) * 10).unwrap();
        let since = since.to_string();
        let found = replay(dir.path(), &["--since", &since]);
        let backwards = replay(dir.path(), &["--since", &since, "--backwards"]);
        assert!(found.iter().rev().eq(backwards.iter()), "{at}");
        // All of those that were put in from there on, and what the shop itself had done meanwhile.
        let seen: Vec<u64> = found.iter().filter(|e| e["type"] == "Seen").map(time).collect();
        let expected: Vec<u64> = all.iter().filter(|e| e["type"] == "Seen").map(time).collect();
        assert_eq!(seen, expected[usize::try_from(at).unwrap()..], "{at}");
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn replay_prints_a_table_and_cloud_events() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, id) = shop(dir.path());
    let table = run(dir.path(), &["replay", "--data", "data", "--limit", "1"]);
    let table = text(&table.stdout);
    assert!(
        table.starts_with("position\trecorded_at\tstream\trevision\ttype\tdata\n1\t"),
        "{table}"
    );
    assert!(!table.contains('\u{1b}'));

    let stream = format!("order-{id}");
    let args = ["replay", "--data", "data", "--stream", &stream, "--format", "cloudevents"];
    let event: Value = serde_json::from_slice(&run(dir.path(), &args).stdout).unwrap();
    let plain = &replay(dir.path(), &["--stream", &stream])[0];
    assert_eq!((&event["specversion"], &event["subject"]), (&json!("1.0"), &plain["stream"]));
    for (attribute, member) in [
        ("id", "id"),
        ("type", "type"),
        ("time", "recorded_at"),
        ("position", "position"),
        ("occurredat", "occurred_at"),
        ("commandid", "command_id"),
        ("data", "data"),
    ] {
        assert_eq!(event[attribute], plain[member], "{attribute}");
    }
    assert_eq!((&event["actorid"], &event["actorproof"]), (&json!("bob"), &json!("header")));
    // Attribute names are lower case letters and digits (CloudEvents 1.0.2, 3.1).
    let plain = |name: &String| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    assert!(event.as_object().unwrap().keys().all(plain), "{event}");
}

#[test]
fn replay_says_what_is_wrong_with_what_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, _) = shop(dir.path());
    for (args, code, said) in [
        (&["--from", "9999"][..], 2, "--from 9999 is beyond the head of the log, "),
        (&["--to", "9999"], 2, "--to 9999 is beyond the head"),
        (&["--from", "2", "--to", "1"], 2, "--to is before --from"),
        (&["--since", "2999-01-01"], 2, "lies in the future"),
        (&["--since", "yesterday"], 2, "--since \"yesterday\" is no time; give one such as"),
        (&["--since", "2026-02-01", "--until", "2026-01-01"], 2, "--until is before --since"),
        (&["--stream", "order-none"], 1, "there is no stream order-none; `daybook replay"),
        (&["--stream", "nodash"], 1, "there is no stream nodash"),
        (&["--backwards", "--follow"], 2, "cannot be used with"),
        (&["--clock", "sundial"], 2, "invalid value 'sundial'"),
    ] {
        let args = [&["replay", "--data", "data", "--format", "ndjson"], args].concat();
        let (found, stderr) = refused(dir.path(), &args);
        assert_eq!(found, Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(said), "{args:?}: {stderr}");
    }
}

#[test]
fn replay_follows_what_another_process_writes_and_ends_with_its_reader() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _) = shop(dir.path());
    let args = ["replay", "--data", "data", "--format", "ndjson", "--follow", "--type"];
    let mut follower =
        daybook(dir.path()).args(args).arg("OrderPlaced").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["type"], "OrderPlaced");
    let placed = server.post("/v1/orders", &order(1)).expect(201).json();
    assert_eq!(next()["stream"], format!("order-{}", placed["id"].as_str().unwrap()));
    drop(lines);
    server.post("/v1/orders", &order(1)).expect(201);
    assert_eq!(follower.wait().unwrap().code(), Some(0), "a closed pipe ends it quietly");
}

fn show(dir: &Path, args: &[&str]) -> Value {
    let output = run(dir, &[&["show", "--data", "data", "--format", "json"], args].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn show_tells_what_was_and_what_changed_and_who_did_it() {
    let dir = tempfile::tempdir().unwrap();
    let (server, id) = shop(dir.path());
    let cancel = format!(
        "POST /v1/orders/{id}/cancellation HTTP/1.1\r\nContent-Type: application/json\r\n\
         Idempotency-Key: no\r\nDaybook-Actor: carol"
    );
    let reason = json!({ "reason": "changed my mind" }).to_string();
    server.raw(&cancel, reason.as_bytes()).expect(200);
    let show = |args: &[&str]| show(dir.path(), args);

    let now = show(&["order", &id]);
    assert_eq!((&now["status"], &now["as_of"]["revision"]), (&json!("cancelled"), &json!(1)));
    let then = show(&["order", &id, "--at", "@0"]);
    assert_eq!(then["status"], "placed");
    let recorded = then["as_of"]["recorded_at"].as_str().unwrap();
    let position = then["as_of"]["position"].to_string();
    assert_eq!(show(&["order", &id, "--at", recorded]), then);
    assert_eq!(show(&["order", &id, "--at", &position]), then);
    assert_eq!(show(&["order", &id, "--at", recorded, "--clock", "occurred"])["status"], "placed");

    // Either way round: the older first.
    let diff = show(&["order", &id, "--diff", "@0"]);
    assert_eq!(show(&["order", &id, "--at", "@0", "--diff", "@1"]), diff);
    let event = &diff["events"][0];
    assert_eq!(
        (&event["type"], &event["actor"]["id"]),
        (&json!("OrderCancelled"), &json!("carol"))
    );
    let status = json!({ "path": "/status", "before": "placed", "after": "cancelled" });
    assert!(event["changes"].as_array().unwrap().contains(&status), "{event}");

    let stock = show(&["stock", "mug-red", "--diff", "@1"]);
    let reserved = |n: usize| stock["events"][n]["changes"].clone();
    let members = ["/available", "/reserved"];
    assert!(members.iter().all(|path| reserved(0).to_string().contains(path)), "{stock}");
    assert_eq!(show(&["stock", "mug-red"])["available"], 5);
    assert_eq!(show(&["stock", "mug-red", "--at", "@2"])["available"], 4);
    assert_eq!(show(&["product", "mug", "--at", "@0"])["title"], "Mug");
    let user = show(&["user", "u1"]);
    assert!(user["personal"]["sealed"].is_string(), "{user}");

    // The same over HTTP.
    let then_http = server.get(&format!("/v1/orders/{id}/at?revision=0")).expect(200).json();
    assert_eq!(then_http, then);

    let table = run(dir.path(), &["show", "order", &id, "--data", "data", "--diff", "@0"]);
    let table = text(&table.stdout);
    assert!(table.contains("carol\t/status\tplaced\tcancelled\n"), "{table}");
    drop(server);
    assert_eq!(show(&["order", &id])["status"], "cancelled", "with no server too");
}

#[test]
fn show_says_what_is_wrong_with_what_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, id) = shop(dir.path());
    for (args, code, said) in [
        (&["order", "none"][..], 1, "there is no order \"none\""),
        (&["order", &id, "--at", "@1"], 2, "revision 1 is beyond the head of the stream, 0"),
        (&["order", &id, "--at", "9999"], 2, "position 9999 is beyond the head of the log"),
        (&["order", &id, "--at", "2999-01-01"], 2, "lies in the future"),
        (&["order", &id, "--at", "2020-01-01"], 1, "was not there yet: its first event"),
        (&["order", &id, "--at", "noon"], 2, "--at \"noon\" is no time"),
        (&["order", &id, "--at", "@x"], 2, "a revision is @ and a number"),
        (&["order", &id, "--diff", "@0", "--clock", "occurred"], 2, "leave out --clock"),
        (&["basket", &id], 2, "invalid value 'basket'"),
    ] {
        let (found, stderr) = refused(dir.path(), &[&["show", "--data", "data"], args].concat());
        assert_eq!(found, Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(said), "{args:?}: {stderr}");
    }
}

#[test]
fn listeners_do_not_hold_up_the_end_of_the_server() {
    promptly(Duration::from_secs(5), the_end_with_a_listener);
}

fn the_end_with_a_listener() -> Duration {
    let dir = tempfile::tempdir().unwrap();
    let (server, _) = shop(dir.path());
    let mut line = std::net::TcpStream::connect(&server.address).unwrap();
    let request =
        format!("GET /v1/events/live?from=0 HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    std::io::Write::write_all(&mut line, request.as_bytes()).unwrap();
    let mut lines = BufReader::new(line).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("data: {")));
    let begun = Instant::now();
    assert_eq!(server.signal("TERM").code(), Some(0));
    let took = begun.elapsed();
    // The last chunk of a chunked answer: it was ended in order.
    assert_eq!(lines.filter(|line| !line.is_empty()).last().as_deref(), Some("0"));
    took
}
