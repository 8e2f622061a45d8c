//! A bad line between each pair of parts, one after the other, while orders are placed.

use std::{thread::sleep, time::Duration};

use serde_json::{Value, json};

use crate::{
    CLIENTS, at_our_pace,
    cluster::{Cluster, Engines, host_and_port},
    common::Server,
    goes_on,
    orders::stock_up,
    processes::through,
    say,
    toxiproxy::{Line, Toxiproxy},
    while_asking,
};

/// How long each line is bad.
const BAD: Duration = Duration::from_secs(2);
/// A line that is silent is silent for longer than a query may wait.
const SILENT: Duration = Duration::from_secs(7);

/// The lines of one process to its engines; the others have none.
struct Lines {
    event_store: Line,
    bus: Line,
    read_models: Line,
    search: Line,
}

impl Lines {
    fn to(engines: &Engines, toxiproxy: &Toxiproxy) -> Self {
        let line = |url: &str| toxiproxy.line_to(host_and_port(url));
        Self {
            event_store: line(&engines.event_store),
            bus: line(&engines.bus),
            read_models: line(&engines.read_models),
            search: line(&engines.search),
        }
    }

    fn of(&self, direct: &Engines) -> Engines {
        Engines {
            event_store: through(&direct.event_store, &self.event_store.listen),
            bus: through(&direct.bus, &self.bus.listen),
            read_models: through(&direct.read_models, &self.read_models.listen),
            keys: direct.keys.clone(),
            search: through(&direct.search, &self.search.listen),
        }
    }
}

/// Its kind, the stream that it is on, and its attributes.
type Toxic = (&'static str, &'static str, Value);

/// Each kind of badness: its name, and the toxics that make it.
fn kinds() -> [(&'static str, Vec<Toxic>); 4] {
    let both = |kind, attributes: Value| {
        vec![(kind, "downstream", attributes.clone()), (kind, "upstream", attributes)]
    };
    [
        ("latency 200 ms", vec![("latency", "downstream", json!({ "latency": 200 }))]),
        ("reset", vec![("reset_peer", "downstream", json!({ "timeout": 0 }))]),
        // The connection stands, and nothing comes through any more.
        ("half-open", both("timeout", json!({ "timeout": 0 }))),
        ("8 KB/s", both("bandwidth", json!({ "rate": 8 }))),
    ]
}

/// Who is at the end of the lines.
struct Parts {
    cluster: Cluster,
    command: Server,
    projector: Server,
    query: Server,
    relay: Server,
    lines: Lines,
}

/// Every process, of which the one with these roles has the lines.
fn parts(behind: &str) -> Option<Parts> {
    let toxiproxy = Toxiproxy::of_the_environment()?;
    let cluster = Cluster::new()?;
    let lines = Lines::to(&cluster.engines, &toxiproxy);
    let bad = lines.of(&cluster.engines);
    let node = |name: &str, role: &str| {
        let engines = if role == behind { &bad } else { &cluster.engines };
        cluster.node_over(engines, name, role, &[])
    };
    let (command, relay) = (node("c1", "command"), node("r1", "relay"));
    let (projector, query) = (node("p1", "projector"), node("q1", "query"));
    stock_up(&command, 1_000_000);
    Some(Parts { command, projector, query, relay, lines, cluster })
}

/// Makes each of the lines bad in each way.
fn badness(behind: &str, pairs: impl FnOnce(&Lines) -> Vec<(&'static str, &Line)>) {
    let Some(parts) = parts(behind) else { return };
    let orders = at_our_pace();
    orders.placing(&[&parts.command], CLIENTS, || {
        goes_on(&orders, &parts.query);
        for (other, line) in pairs(&parts.lines) {
            for (kind, toxics) in kinds() {
                let before = orders.count();
                for (toxic, stream, attributes) in &toxics {
                    line.add(toxic, stream, attributes);
                }
                let silent = behind == "query" && kind == "half-open";
                let bad = if silent { SILENT } else { BAD };
                let asked = match other {
                    "Elasticsearch" => "/v1/products/search",
                    _ => "/v1/orders?limit=1",
                };
                let ((), answers) = while_asking(&parts.query, asked, || sleep(bad));
                assert!(!silent || answers.refused > 0, "each query has an end: {answers}");
                let placed = orders.count() - before;
                for (toxic, stream, _) in &toxics {
                    line.remove(toxic, stream);
                }
                let back = goes_on(&orders, &parts.query);
                println!("{behind} - {other}, {kind} for {bad:?}: {placed} orders placed meanwhile, {asked}: {answers}; a new order posted {back:.1?} after it");
            }
        }
    });
    let Parts { command, projector, query, relay, lines, cluster } = parts;
    cluster.all_is_well(&orders, &query, vec![projector]);
    drop((command, relay, lines));
    say(behind, &orders);
}

#[test]
fn bad_lines_of_a_command_process() {
    badness("command", |lines| vec![("event store", &lines.event_store)]);
}

#[test]
fn bad_lines_of_a_relay() {
    badness("relay", |lines| vec![("event store", &lines.event_store), ("NATS", &lines.bus)]);
}

#[test]
fn bad_lines_of_a_projector() {
    badness("projector", |lines| {
        vec![
            ("event store", &lines.event_store),
            ("NATS", &lines.bus),
            ("MySQL", &lines.read_models),
            ("Elasticsearch", &lines.search),
        ]
    });
}

#[test]
fn bad_lines_of_a_query_process() {
    badness("query", |lines| vec![("MySQL", &lines.read_models), ("Elasticsearch", &lines.search)]);
}
