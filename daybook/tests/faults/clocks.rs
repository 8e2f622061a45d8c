//! One process believes that it is an hour later. Nothing rests on clocks that agree: leases run by
//! the database's, reservations by each process's own, which only counts.

use std::{
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    CLIENTS, at_our_pace,
    cluster::{Cluster, sources},
    common::{Server, text},
    goes_on,
    orders::{ids, log, stock_up},
    own::{required, system},
    say, until,
};

/// What `faketime` puts into the environment of a process to set its clock an hour forward; the one
/// that only counts is left alone. None where there is no `faketime`, which is said.
fn an_hour_later() -> Option<Vec<(String, String)>> {
    let program = required(system("faketime"), "there is no faketime")?;
    let told = Command::new(program).args(["-f", "+1h", "env"]).output().unwrap();
    let told = text(&told.stdout);
    let pairs = told.lines().filter_map(|line| line.split_once('='));
    // Not the memory that the programs of one `faketime` share: it is gone with that one.
    let of_it = pairs.filter(|(name, _)| {
        *name == "LD_PRELOAD" || name.starts_with("FAKETIME") && *name != "FAKETIME_SHARED"
    });
    let mut found: Vec<_> =
        of_it.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert!(found.iter().any(|(name, _)| name == "LD_PRELOAD"), "{told}");
    found.push(("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()));
    found.push(("DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()));
    Some(found)
}

fn node(cluster: &Cluster, name: &str, role: &str, clock: &[(String, String)]) -> Server {
    let engines = cluster.engines.args();
    // Short, so that the watch would have taken what it takes for old within this test.
    let mut args = vec!["--roles", role, "--reservation-timeout", "5s"];
    args.extend(engines.iter().map(String::as_str));
    Server::with(&cluster.folder(name), &args, |command| {
        command.envs(clock.iter().map(|(name, value)| (name, value)));
    })
}

/// Milliseconds since 1970.
fn millis(event: &serde_json::Value) -> i64 {
    let time = event["recorded_at"].as_str().unwrap();
    time.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

#[test]
fn a_command_node_an_hour_off() {
    let Some(later) = an_hour_later() else { return };
    let Some(cluster) = Cluster::new() else { return };
    let right = node(&cluster, "c1", "command", &[]);
    let off = node(&cluster, "c2", "command", &later);
    let _relay = cluster.node("r1", "relay");
    let (projector, query) = (cluster.node("p1", "projector"), cluster.node("q1", "query"));
    stock_up(&right, 1_000_000);
    let begun = jiff::Timestamp::now().as_millisecond();
    let orders = at_our_pace();
    orders.placing(&[&right, &off], CLIENTS, || {
        for _ in 0..4 {
            goes_on(&orders, &query);
            sleep(Duration::from_secs(2));
        }
    });
    // The same key at the other node is the same command.
    let receive = |node: &Server| {
        let receipt = serde_json::json!({ "quantity": 1 });
        node.post_with("/v1/stock/mug/receipts", "twice", &receipt).unwrap().expect(201)
    };
    let (first, again) = (receive(&right), receive(&off));
    assert_eq!(again.header("idempotency-replayed").as_deref(), Some("true"));
    assert_eq!(again.json(), first.json());
    assert_eq!(ids(cluster.store(), "OrderAbandoned"), Vec::<String>::new());
    let now = jiff::Timestamp::now().as_millisecond();
    let (mut by_right, mut by_off) = (0, 0);
    for event in log(cluster.store(), "type=OrderPlaced") {
        let at = millis(&event);
        let hour = 3_600_000;
        if (begun..=now).contains(&at) {
            by_right += 1;
        } else {
            assert!((begun + hour..=now + hour).contains(&at), "{event}");
            by_off += 1;
        }
    }
    assert!(by_right > 10 && by_off > 10, "{by_right} and {by_off}");
    cluster.all_is_well(&orders, &query, vec![projector]);
    println!(
        "a command node an hour off: {by_right} orders recorded by the right clock, {by_off} an hour later, none abandoned"
    );
    say("clocks of commands", &orders);
}

/// How many of the leases a process says that it has.
fn held(node: &Server) -> usize {
    sources(node).iter().filter(|source| !source.is_empty()).count()
}

/// Starts a process beside the one that has the leases: it takes none for longer than a lease lasts.
/// A machine that stands still for so long lets any lease run out, whatever the clocks say, but not
/// each time.
fn stands_by(holder: &Server, start: impl Fn() -> Server) -> Server {
    for _ in 0..5 {
        let beside = start();
        let begun = Instant::now();
        while held(&beside) == 0 {
            if begun.elapsed() > Duration::from_secs(5) {
                assert_eq!(held(holder), 6);
                return beside;
            }
            sleep(Duration::from_millis(100));
        }
        beside.kill();
        until(|| held(holder) == 6);
    }
    panic!("the leases never hold");
}

#[test]
fn a_projector_an_hour_off() {
    let Some(later) = an_hour_later() else { return };
    let Some(cluster) = Cluster::new() else { return };
    let command = node(&cluster, "c1", "command", &[]);
    let _relay = cluster.node("r1", "relay");
    stock_up(&command, 1_000_000);
    let off = node(&cluster, "p1", "projector,query", &later);
    until(|| held(&off) == 6);
    let orders = at_our_pace();
    let off = orders.placing(&[&command], CLIENTS, || {
        let right = stands_by(&off, || node(&cluster, "p2", "projector,query", &[]));
        goes_on(&orders, &right);
        // The leases go on to the other one, and back.
        off.kill();
        let over = until(|| held(&right) == 6);
        let off = stands_by(&right, || node(&cluster, "p1", "projector,query", &later));
        goes_on(&orders, &off);
        right.kill();
        let back = until(|| held(&off) == 6);
        goes_on(&orders, &off);
        println!(
            "a projector an hour off: its leases hold, go over in {over:.1?} and back in {back:.1?}"
        );
        off
    });
    let query = cluster.node("q1", "query");
    cluster.all_is_well(&orders, &query, vec![off]);
    say("clocks of projectors", &orders);
}
