//! Projectors and relays are killed in the middle of what they do.

use std::{collections::BTreeSet, time::Instant};

use async_nats::jetstream;
use serde_json::json;
use sqlx::{Connection as _, MySqlConnection, Row as _};

use crate::{
    CLIENTS, at_our_pace,
    cluster::{Cluster, Engines, all_posted, block_on, host_and_port},
    common::{Server, text},
    goes_on,
    orders::{log, stock_up},
    say,
    toxiproxy::Toxiproxy,
    until,
};

const KILLS: usize = 20;

/// The rows of read models that a transaction has written and not yet committed: of batches that
/// are half done.
async fn half_done(connection: &mut MySqlConnection) -> i64 {
    let asked = "SELECT count(*) FROM performance_schema.data_locks \
        WHERE object_schema = DATABASE() AND object_name <> 'leases' \
        AND lock_type = 'RECORD' AND lock_mode LIKE 'X%'";
    sqlx::query(asked).fetch_one(connection).await.unwrap().get(0)
}

#[test]
fn a_projector_killed_twenty_times_within_batches_posts_each_event_once() {
    let Some(toxiproxy) = Toxiproxy::of_the_environment() else { return };
    let Some(cluster) = Cluster::new() else { return };
    let command = cluster.node("c1", "command");
    let _relay = cluster.node("r1", "relay");
    let query = cluster.node("q1", "query");
    stock_up(&command, 1_000_000);
    // So that a batch takes long enough to be met in the middle.
    let line = toxiproxy.line_to(host_and_port(&cluster.engines.read_models));
    line.add("latency", "downstream", &json!({ "latency": 10 }));
    let slow = through(&cluster.engines.read_models, &line.listen);
    let slow = Engines { read_models: slow, ..cluster.engines.clone() };
    let projector = || cluster.node_over(&slow, "p1", "projector", &[]);
    let orders = at_our_pace();
    let mut killed = 0;
    let last = orders.placing(&[&command], CLIENTS, || {
        for _ in 0..KILLS {
            let doomed = projector();
            let mut met = false;
            block_on(async {
                let mut connection =
                    MySqlConnection::connect(&cluster.engines.read_models).await.unwrap();
                let end = Instant::now() + crate::common::PATIENCE;
                while !met && Instant::now() < end {
                    met = half_done(&mut connection).await > 0;
                }
            });
            assert!(met, "no batch was met in the middle");
            doomed.kill();
            killed += 1;
        }
        let last = projector();
        let took = goes_on(&orders, &query);
        println!("a projector killed {killed} times within batches: posted {took:.1?} after the last start");
        last
    });
    cluster.all_is_well(&orders, &query, vec![last]);
    say("projectors", &orders);
}

/// The URL of a database by way of a line.
pub(crate) fn through(url: &str, listen: &str) -> String {
    url.replace(host_and_port(url), listen)
}

/// The events on the bus, in order: id and position.
async fn published(cluster: &Cluster) -> Vec<(String, u64)> {
    use futures::TryStreamExt as _;
    let (server, name) = cluster.engines.bus.rsplit_once('/').unwrap();
    let client = async_nats::connect(server).await.unwrap();
    let stream = jetstream::new(client).get_stream(name).await.unwrap();
    let count = stream.get_info().await.unwrap().state.messages;
    let config = jetstream::consumer::pull::OrderedConfig::default();
    let messages = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
    let messages = futures::StreamExt::take(messages, usize::try_from(count).unwrap());
    let messages: Vec<jetstream::Message> = messages.try_collect().await.unwrap();
    let said = |message: &jetstream::Message| {
        let header = |name| message.headers.as_ref().unwrap().get(name).unwrap().to_string();
        (header("ce-id"), header("Daybook-Position").parse().unwrap())
    };
    messages.iter().map(said).collect()
}

/// One relay's answers from the bus are lost on the way, so that it is killed with messages that
/// were taken and not acknowledged; the other one is killed as it works.
#[test]
fn relays_killed_between_publishing_and_acknowledgement_publish_each_event_once() {
    let Some(toxiproxy) = Toxiproxy::of_the_environment() else { return };
    let Some(cluster) = Cluster::new() else { return };
    let command = cluster.node("c1", "command");
    let query = cluster.node("q1", "query");
    let projector = cluster.node("p1", "projector");
    let line = toxiproxy.line_to(host_and_port(&cluster.engines.bus));
    let bad =
        Engines { bus: through(&cluster.engines.bus, &line.listen), ..cluster.engines.clone() };
    let from = ["--relay-from", "start"];
    let unlucky = || cluster.node_over(&bad, "r1", "relay", &from);
    let other = || cluster.node_over(&cluster.engines, "r2", "relay", &from);
    stock_up(&command, 1_000_000);
    let orders = at_our_pace();
    let (mut unheard, mut rounds) = (0, 0);
    let relays = orders.placing(&[&command], CLIENTS, || {
        let mut relays = (unlucky(), other());
        for _ in 0..3 {
            // The other one is killed: after two seconds this one works.
            relays.1.kill();
            until(|| works(&relays.0));
            line.add("timeout", "downstream", &json!({ "timeout": 0 }));
            // What the bus has taken and the relay has not heard of.
            let beyond = || {
                let said = position(&relays.0);
                let published = block_on(published(&cluster));
                published.iter().filter(|(_, position)| *position > said).count()
            };
            until(|| beyond() > 0);
            unheard += beyond();
            relays.0.kill();
            line.remove("timeout", "downstream");
            relays = (unlucky(), other());
            until(|| works(&relays.0) || works(&relays.1));
            rounds += 1;
        }
        let took = goes_on(&orders, &query);
        println!("a relay killed {rounds} times with {unheard} messages taken and not acknowledged; a new order posted {took:.1?} later");
        relays
    });
    cluster.all_is_well(&orders, &query, vec![projector]);
    let logged = log(cluster.store(), "");
    let logged: Vec<_> =
        logged.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
    until(|| block_on(published(&cluster)).len() >= logged.len());
    let published = block_on(published(&cluster));
    let published: Vec<_> = published.into_iter().map(|(id, _)| id).collect();
    assert_eq!(published.iter().collect::<BTreeSet<_>>().len(), published.len(), "none twice");
    assert!(published == logged, "the bus has every event in the log's order");
    let standing_by = [&relays.0, &relays.1].into_iter().filter(|relay| !works(relay)).count();
    println!(
        "two relays: {} events, each published once, in order; {standing_by} stands by",
        published.len()
    );
    all_posted(&query);
    say("relays", &orders);
}

fn metric(relay: &Server, name: &str) -> f64 {
    let metrics = text(&relay.get("/metrics").expect(200).body);
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Whether it publishes, and does not stand by.
fn works(relay: &Server) -> bool {
    metric(relay, "relay_working") > 0.0
}

/// How far it knows that it has come.
fn position(relay: &Server) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a position")]
    let position = metric(relay, "relay_position") as u64;
    position
}
