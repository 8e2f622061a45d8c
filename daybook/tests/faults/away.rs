//! An engine is away for thirty seconds, or killed: what does not need it goes on, what does is
//! answered 503 with Retry-After, and all comes back without a restart.

use std::{
    thread::{scope, sleep},
    time::Duration,
};

use serde_json::Value;

use crate::{
    CLIENTS, at_our_pace,
    cluster::{Cluster, Engines, Own, host_and_port, posted, projections, sources},
    common::Server,
    goes_on,
    orders::{Orders, stock_up},
    own::OwnServer,
    processes::through,
    say,
    toxiproxy::Toxiproxy,
    until, while_asking,
};

const AWAY: Duration = Duration::from_secs(30);

/// What a process says of one part of itself.
fn check(node: &Server, name: &str) -> Option<Value> {
    let checks = node.get("/health/ready").json()["checks"].clone();
    let found = checks.as_array().unwrap().iter().find(|check| check["name"] == name);
    found.map(|check| check["status"].clone())
}

/// Each in a scene of its own, all at the same time: most of it is waiting.
#[test]
fn an_engine_away_for_thirty_seconds() {
    scope(|scope| {
        for away in [nats_away, elasticsearch_away, event_store_away] {
            scope.spawn(away);
        }
    });
}

fn nats_away() {
    let Some(toxiproxy) = Toxiproxy::of_the_environment() else { return };
    let Some(cluster) = Cluster::new() else { return };
    let line = toxiproxy.line_to(host_and_port(&cluster.engines.bus));
    let bus = through(&cluster.engines.bus, &line.listen);
    let engines = Engines { bus, ..cluster.engines.clone() };
    let node = |name: &str, roles: &str| cluster.node_over(&engines, name, roles, &[]);
    let (command, relay) = (node("c1", "command"), node("r1", "relay"));
    let (projector, query) = (node("p1", "projector,query"), node("q1", "query"));
    stock_up(&command, 1_000_000);
    let orders = at_our_pace();
    orders.placing(&[&command], CLIENTS, || {
        until(|| sources(&projector).iter().all(|source| source == "bus"));
        orders.more(20);
        line.switch(false);
        let before = orders.count();
        let (slowest, answers) = while_asking(&query, "/v1/orders?limit=1", || {
            let begun = std::time::Instant::now();
            let mut slowest = Duration::ZERO;
            while begun.elapsed() < AWAY {
                slowest = slowest.max(goes_on(&orders, &query));
                sleep(Duration::from_secs(2));
            }
            slowest
        });
        assert_eq!(answers.refused, 0, "queries do not need the bus");
        assert_eq!(check(&relay, "relay").unwrap(), "degraded");
        let placed = orders.count() - before;
        line.switch(true);
        let fed = until(|| sources(&projector).iter().all(|source| source == "bus"));
        let relayed = until(|| check(&relay, "relay").unwrap() == "healthy");
        println!("NATS away for {AWAY:?}: {placed} orders placed meanwhile, posted after {slowest:.1?} at most; queries: {answers}; fed by the bus {fed:.1?} after it was back, the relay {:.1?}", fed + relayed);
    });
    assert!(orders.refused().is_empty(), "{:?}", orders.refused());
    cluster.all_is_well(&orders, &query, vec![projector]);
    say("NATS away", &orders);
}

fn elasticsearch_away() {
    let Some(toxiproxy) = Toxiproxy::of_the_environment() else { return };
    let Some(cluster) = Cluster::new() else { return };
    let line = toxiproxy.line_to(host_and_port(&cluster.engines.search));
    let search = through(&cluster.engines.search, &line.listen);
    let engines = Engines { search, ..cluster.engines.clone() };
    let node = |name: &str, roles: &str| cluster.node_over(&engines, name, roles, &[]);
    let (command, _relay) = (node("c1", "command"), node("r1", "relay"));
    let (projector, query) = (node("p1", "projector"), node("q1", "query"));
    stock_up(&command, 1_000_000);
    let orders = at_our_pace();
    orders.placing(&[&command], CLIENTS, || {
        goes_on(&orders, &query);
        line.switch(false);
        let before = orders.count();
        let ((_, others), answers) = while_asking(&query, "/v1/products/search", || {
            while_asking(&query, "/v1/orders?limit=1", || sleep(AWAY))
        });
        assert_eq!(others.refused, 0, "other queries do not need it");
        assert!(answers.refused > 0 && answers.fine <= 1, "{answers}");
        assert_eq!(check(&projector, "projection-search").unwrap(), "degraded");
        assert_eq!(check(&query, "search").unwrap(), "degraded");
        let placed = orders.count() - before;
        line.switch(true);
        let back = goes_on(&orders, &query);
        println!("Elasticsearch away for {AWAY:?}: {placed} orders placed meanwhile; searches: {answers}; other queries: {others}; found again {back:.1?} after it was back");
    });
    assert!(orders.refused().is_empty(), "{:?}", orders.refused());
    cluster.all_is_well(&orders, &query, vec![projector]);
    say("Elasticsearch away", &orders);
}

fn event_store_away() {
    let Some(mut cluster) = Cluster::new() else { return };
    let command = cluster.node("c1", "command");
    let _relay = cluster.node("r1", "relay");
    let projector = cluster.node("p1", "projector");
    let query = cluster.node("q1", "query");
    stock_up(&command, 1_000_000);
    let orders = at_our_pace();
    orders.placing(&[&command], CLIENTS, || {
        goes_on(&orders, &query);
        cluster.stop_store(true);
        let before = orders.count();
        let ((), answers) = while_asking(&query, "/v1/orders?limit=1", || sleep(AWAY));
        assert!(orders.count() <= before + CLIENTS, "nothing is acknowledged");
        assert_eq!(check(&command, "event-store").unwrap(), "unhealthy");
        cluster.start_store();
        let back = goes_on(&orders, &query);
        println!("the event store away for {AWAY:?}: queries meanwhile: {answers}; orders placed and posted {back:.1?} after it was back");
    });
    assert!(orders.refused().values().sum::<usize>() > 0, "orders were answered 503");
    cluster.all_is_well(&orders, &query, vec![projector]);
    say("the event store away", &orders);
}

#[test]
fn mysql_killed_under_load() {
    let Some(mut server) = OwnServer::mariadb() else { return };
    let own = Own { nats: None, mysql: Some(server.databases()) };
    let Some(cluster) = Cluster::over(own) else { return };
    let command = cluster.node("c1", "command");
    let _relay = cluster.node("r1", "relay");
    let projector = cluster.node("p1", "projector");
    let query = cluster.node("q1", "query");
    stock_up(&command, 1_000_000);
    let orders = at_our_pace();
    let late = orders.placing(&[&command], CLIENTS, || {
        goes_on(&orders, &query);
        killed(&mut server, &orders, &query, || sleep(Duration::from_secs(8)));
        let mut late = None;
        scope(|scope| {
            // What is started meanwhile waits for it.
            let mut starting = None;
            killed(&mut server, &orders, &query, || {
                let node = scope.spawn(|| cluster.node("p2", "projector,query"));
                sleep(Duration::from_secs(8));
                assert!(!node.is_finished());
                starting = Some(node);
            });
            late = Some(starting.unwrap().join().unwrap());
        });
        late.unwrap()
    });
    assert!(orders.refused().is_empty(), "{:?}", orders.refused());
    posted(&late, &orders.newest());
    cluster.all_is_well(&orders, &query, vec![projector, late]);
    say("MySQL killed", &orders);
}

/// Kills it, and starts it again after a while.
fn killed(server: &mut OwnServer, orders: &Orders, query: &Server, meanwhile: impl FnOnce()) {
    server.kill();
    let before = orders.count();
    let ((), answers) = while_asking(query, "/v1/orders?limit=1", meanwhile);
    // Orders do not need it.
    orders.more(CLIENTS + 1);
    let placed = orders.count() - before;
    assert!(answers.refused > 0 && answers.fine <= 1, "{answers}");
    assert_eq!(check(query, "read-models").unwrap(), "unhealthy");
    assert!(projections(query).is_some_and(|all| all.len() == 6));
    server.start();
    let back = goes_on(orders, query);
    println!(
        "MySQL killed -9 under load: {placed} orders placed meanwhile; queries: {answers}; new orders posted {back:.1?} after it was back"
    );
    until(|| check(query, "read-models").unwrap() == "healthy");
}
