//! What may become of the messages on the bus: the stream is purged, deleted, robbed of a message,
//! given doubled and shuffled ones, and loses its disk; and the server is killed.

use async_nats::{
    HeaderMap,
    jetstream::{self, stream::Stream},
};
use bytes::Bytes;
use futures::TryStreamExt as _;

use crate::{
    CLIENTS, at_our_pace,
    cluster::{Cluster, Own, block_on, sources},
    goes_on,
    orders::stock_up,
    own::OwnServer,
    say, until,
};

/// The stream of a cluster's bus.
async fn stream(cluster: &Cluster) -> Stream {
    let (server, name) = cluster.engines.bus.rsplit_once('/').unwrap();
    let client = async_nats::connect(server).await.unwrap();
    jetstream::new(client).get_stream(name).await.unwrap()
}

async fn messages(stream: &Stream) -> u64 {
    stream.get_info().await.unwrap().state.messages
}

fn purged(cluster: &Cluster) -> String {
    block_on(async {
        let purged = stream(cluster).await.purge().await.unwrap();
        format!("{} messages gone", purged.purged)
    })
}

fn deleted(cluster: &Cluster) -> String {
    let (server, name) = cluster.engines.bus.rsplit_once('/').unwrap();
    block_on(async {
        let gone = messages(&stream(cluster).await).await;
        let client = async_nats::connect(server).await.unwrap();
        jetstream::new(client).delete_stream(name).await.unwrap();
        format!("{gone} messages gone with it")
    })
}

/// Every third of the newest messages goes, most of them before somebody heard them.
fn robbed(cluster: &Cluster) -> String {
    block_on(async {
        let stream = stream(cluster).await;
        let mut removed = 0;
        for _ in 0..200 {
            let last = stream.get_info().await.unwrap().state.last_sequence;
            // It may be gone already, or be robbed of its place by a message of the relay's.
            removed += usize::from(stream.delete_message(last).await.is_ok());
        }
        format!("{removed} messages removed as they came")
    })
}

/// What is on the stream is published again, twice, backwards and forwards.
fn mischief(cluster: &Cluster) -> String {
    block_on(async {
        let stream = stream(cluster).await;
        let config = jetstream::consumer::pull::OrderedConfig::default();
        let consumer = stream.create_consumer(config).await.unwrap();
        let count = usize::try_from(messages(&stream).await).unwrap().min(300);
        let messages = consumer.messages().await.unwrap();
        let heard: Vec<jetstream::Message> =
            futures::StreamExt::take(messages, count).try_collect().await.unwrap();
        let (server, _) = cluster.engines.bus.rsplit_once('/').unwrap();
        let client = async_nats::connect(server).await.unwrap();
        let shuffled = heard.iter().rev().chain(heard.iter().step_by(2)).chain(heard.iter().rev());
        let mut sent = 0;
        for message in shuffled {
            let mut headers = HeaderMap::new();
            // All that the relay said, but for what the server would refuse it for.
            for (name, values) in message.headers.iter().flat_map(HeaderMap::iter) {
                if !name.to_string().starts_with("Nats-") {
                    values.iter().for_each(|value| headers.append(name.clone(), value.clone()));
                }
            }
            let (subject, body): (_, Bytes) = (message.subject.clone(), message.payload.clone());
            client.publish_with_headers(subject, headers, body).await.unwrap();
            sent += 1;
        }
        client.flush().await.unwrap();
        format!("{sent} messages published again, backwards and doubled")
    })
}

/// Brings it about, and says what was done.
type Fault<'a> = &'a dyn Fn(&Cluster, &mut OwnServer) -> String;

#[test]
fn whatever_becomes_of_the_messages_the_read_models_are_right() {
    let Some(mut nats) = OwnServer::nats() else { return };
    let own = Own { nats: Some(format!("nats://{}", nats.address())), mysql: None };
    let Some(cluster) = Cluster::over(own) else { return };
    let command = cluster.node("c1", "command");
    let _relay = cluster.node("r1", "relay");
    let query = cluster.node("q1", "query");
    stock_up(&command, 1_000_000);
    let orders = at_our_pace();
    let faults: [(&str, Fault<'_>); 6] = [
        ("the stream purged", &|cluster, _| purged(cluster)),
        ("the stream deleted", &|cluster, _| deleted(cluster)),
        ("messages removed from the middle", &|cluster, _| robbed(cluster)),
        ("messages doubled and shuffled", &|cluster, _| mischief(cluster)),
        ("the server killed", &|_, nats| {
            nats.kill();
            nats.start();
            "started again with what it had".to_owned()
        }),
        ("the storage wiped while down", &|_, nats| {
            nats.kill();
            nats.wipe();
            nats.start();
            "started again with nothing".to_owned()
        }),
    ];
    for (fault, bring) in faults {
        let projector = cluster.node("p1", "projector,query");
        orders.placing(&[&command], CLIENTS, || {
            until(|| sources(&projector).iter().any(|source| source == "bus"));
            orders.more(20);
            let what = bring(&cluster, &mut nats);
            let posted = goes_on(&orders, &query);
            let fed = until(|| sources(&projector).iter().all(|source| source == "bus"));
            println!("{fault}: {what}; a new order posted {posted:.1?} later, all fed by the bus again {:.1?} later", posted + fed);
        });
        cluster.all_is_well(&orders, &query, vec![projector]);
    }
    say("messages", &orders);
}
