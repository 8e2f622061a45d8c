//! How fast the documents of a catalogue get into an Elasticsearch: posted as a rebuild posts them,
//! then the very same documents once more as plain bulk requests of 4 MiB, two at a time, into an
//! index with the same mapping. Leaves nothing behind.
//!
//! `cargo run --release -p projections --example elasticsearch_bulk -- URL products.csv.gz`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]
#![allow(clippy::cast_precision_loss, reason = "a rate is a float")]

#[path = "../../infra/tests/support/elasticsearch.rs"]
mod elasticsearch;
mod grocery;

use std::time::{Duration, Instant};

use elasticsearch::Place;
use event_schemas::Logged;
use infra::search::SearchIndex;
use projections::search::{SearchSink, schema};
use serde_json::{Value, json};

const BULK: usize = 4 << 20;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().expect("the URL of an Elasticsearch, such as http://127.0.0.1:9200");
    let path = arguments.next().expect("the path of products.csv.gz");
    let place = Place::at(&url);
    let products = grocery::read(&path);
    let events: Vec<Logged> =
        grocery::created(&products).chain(grocery::received(&products)).collect();
    let url = place.url().parse().unwrap();
    let index = SearchIndex::open_elasticsearch(&url, "products", schema()).unwrap();
    let mut sink = SearchSink::anew(index, grocery::STORE);
    let (created, received) = events.split_at(products.len());
    for (what, events) in [("posted", created), ("posted again, now in stock", received)] {
        let begun = Instant::now();
        grocery::post(&mut sink, events).await;
        report(what, events.len(), begun.elapsed());
    }

    let posted = format!("{}-products-1", place.name);
    let plain = format!("{}-plain", place.name);
    let made = made_alike(&place, &posted, &plain);
    assert_eq!(made, 200);
    let requests = requests(&place, &posted);
    let documents: usize = requests.iter().map(|(documents, _)| documents).sum();
    let begun = Instant::now();
    std::thread::scope(|threads| {
        for part in 0..2 {
            let (place, requests, plain) = (&place, &requests, &plain);
            threads.spawn(move || {
                for (_, body) in requests.iter().skip(part).step_by(2) {
                    let path = format!("{plain}/_bulk?filter_path=errors");
                    let (status, answer) = place.call("POST", &path, body);
                    assert_eq!((status, &answer["errors"]), (200, &false.into()));
                }
            });
        }
    });
    place.call("POST", &format!("{plain}/_refresh"), "");
    report("plain bulk requests", documents, begun.elapsed());
}

fn report(what: &str, documents: usize, took: Duration) {
    let rate = documents as f64 / took.as_secs_f64();
    println!("{what}: {documents} documents in {took:.2?}, {rate:.0} a second");
}

/// Makes an index with the settings and the mapping of another.
fn made_alike(place: &Place, like: &str, name: &str) -> u16 {
    let (_, made) = place.call("GET", like, "");
    let (settings, mappings) = (&made[like]["settings"]["index"], &made[like]["mappings"]);
    let index = json!({
        "number_of_shards": settings["number_of_shards"],
        "auto_expand_replicas": settings["auto_expand_replicas"],
        "refresh_interval": settings["refresh_interval"],
        "analysis": settings["analysis"],
    });
    let body = json!({ "settings": { "index": index }, "mappings": mappings }).to_string();
    place.call("PUT", name, &body).0
}

/// The documents of an index as bulk requests, each with the number of its documents.
fn requests(place: &Place, index: &str) -> Vec<(usize, String)> {
    let mut requests: Vec<(usize, String)> = vec![(0, String::new())];
    let mut after = None;
    loop {
        let query = json!({ "exists": { "field": "id" } });
        let mut asked = json!({ "size": 1_000, "version": true, "sort": ["id"], "query": query });
        if let Some(after) = after {
            asked["search_after"] = after;
        }
        let (_, page) = place.call("POST", &format!("{index}/_search"), &asked.to_string());
        let hits: &Vec<Value> = page["hits"]["hits"].as_array().unwrap();
        let Some(last) = hits.last() else { return requests };
        after = Some(last["sort"].clone());
        for hit in hits {
            if requests.last().is_none_or(|(_, body)| body.len() >= BULK) {
                requests.push((0, String::new()));
            }
            let (documents, body) = requests.last_mut().unwrap();
            let action = json!({ "index": {
                "_id": hit["_id"], "version": hit["_version"], "version_type": "external",
            }});
            *documents += 1;
            body.push_str(&format!("{action}\n{}\n", hit["_source"]));
        }
    }
}
