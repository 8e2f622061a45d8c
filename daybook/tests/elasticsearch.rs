//! The program with its product search in a real Elasticsearch.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "../../infra/tests/support/elasticsearch.rs"]
mod elasticsearch;

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use common::{Answer, Server, eventually, run, text};
use elasticsearch::Place;
use serde_json::{Value, json};

fn product(server: &Server, id: &str, title: &str) -> Answer {
    let price = json!({ "amount": 1099, "currency": "USD" });
    let sku = format!("{id}-red");
    let variants = json!([{ "sku": sku, "title": "Red", "price": price }]);
    let product = json!({ "id": id, "title": title, "department": "HOME", "variants": variants });
    server.post("/v1/products", &product).expect(201);
    server.post(&format!("/v1/stock/{sku}/receipts"), &json!({ "quantity": 3 })).expect(201)
}

fn projection(status: &Value, name: &str) -> Value {
    let all = status.as_array().unwrap().iter();
    all.clone().find(|projection| projection["name"] == name).unwrap().clone()
}

/// What lies in the index: every document with its version, and how far it is posted.
fn documents(place: &Place) -> Vec<(String, u64, Value)> {
    let path = format!("{}-products/_search?size=100&version=true", place.name);
    let (status, found) = place.call("GET", &path, "");
    assert_eq!(status, 200, "{found}");
    let document = |hit: &Value| {
        let id = hit["_id"].as_str().unwrap().to_owned();
        let version = if id == ".checkpoint" { 0 } else { hit["_version"].as_u64().unwrap() };
        (id, version, hit["_source"].clone())
    };
    let mut documents: Vec<_> =
        found["hits"]["hits"].as_array().unwrap().iter().map(document).collect();
    documents.sort_by(|a, b| a.0.cmp(&b.0));
    documents
}

#[test]
fn what_is_posted_is_found_and_a_rebuild_makes_the_same_documents() {
    let Some(place) = Place::new() else { return };
    let dir = tempfile::tempdir().unwrap();
    let args = ["--search", &place.url()];
    let server = Server::start(dir.path(), &args);
    product(&server, "mug", "A mug to drink from");
    let posted = product(&server, "bowl", "A bowl").position();
    for (query, found) in [("q=mugs", "mug"), ("q=bwol", "bowl"), ("q=bowl&in_stock=true", "bowl")]
    {
        let path = format!("/v1/products/search?{query}");
        let answer = server.get_at(&path, &posted).expect(200).json();
        assert_eq!((&answer["items"][0]["id"], &answer["total"]), (&found.into(), &1.into()));
    }
    let status =
        run(dir.path(), &["status", "--data", "data", "--format", "json", args[0], args[1]]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let search = projection(&status["projections"], "search");
    assert_eq!((&search["state"], &search["error"]), (&"live".into(), &Value::Null));
    assert!(server.signal("TERM").success());
    assert_eq!(
        place.indexes().into_keys().collect::<Vec<_>>(),
        [format!("{}-products-1", place.name)]
    );
    let refreshed = place.call("POST", &format!("{}-products/_refresh", place.name), "");
    assert_eq!(refreshed.0, 200);
    let before = documents(&place);
    assert_eq!(before.len(), 3);
    let rebuilt = run(dir.path(), &["rebuild", "search", "--data", "data", args[0], args[1]]);
    assert!(rebuilt.status.success(), "{}", text(&rebuilt.stderr));
    let rebuilt = place.call("POST", &format!("{}-products/_refresh", place.name), "");
    assert_eq!(rebuilt.0, 200);
    assert_eq!(
        place.indexes().into_keys().collect::<Vec<_>>(),
        [1, 2].map(|number| format!("{}-products-{number}", place.name))
    );
    assert_eq!(documents(&place), before);
    let server = Server::start(dir.path(), &args);
    let posted = product(&server, "jug", "A jug").position();
    let answer = server.get_at("/v1/products/search", &posted).expect(200);
    assert_eq!(answer.json()["total"], 3);
    assert!(server.signal("TERM").success());
}

#[test]
fn while_elasticsearch_is_away_everything_else_goes_on() {
    let Some(place) = Place::new() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut relay = Relay::to(place.address());
    let url = format!("http://{}/{}", relay.address, place.name);
    let args = ["--search", &url];
    // It is away when the server starts.
    let server = Server::start(dir.path(), &args);
    for round in ["first", "second"] {
        let posted = product(&server, round, &format!("The {round} thing")).position();
        let path = format!("/v1/products/{round}");
        assert_eq!(server.get_at(&path, &posted).expect(200).json()["id"], round);
        let answer = server.get("/v1/products/search").expect(503);
        assert!(answer.header("retry-after").is_some());
        assert_eq!(answer.problem(), "unavailable");
        let said = eventually(|| {
            let projections = server.get("/v1/projections").expect(200).json();
            projection(&projections["items"], "search")["error"].as_str().map(str::to_owned)
        });
        assert!(said.contains("does not answer"), "{said}");
        assert_eq!(server.get("/health/ready").expect(200).json()["status"], "degraded");
        let status = ["status", "--data", "data", "--format", "json", args[0], args[1]];
        let status = run(dir.path(), &status);
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        let search = projection(&status["projections"], "search");
        assert!(search["error"].as_str().unwrap().contains("does not answer"), "{search}");
        // It comes back, and nothing has to be started again.
        relay.open();
        let found = server.get_at(&format!("/v1/products/search?q={round}"), &posted).expect(200);
        assert_eq!(found.json()["items"][0]["id"], round);
        relay.close();
    }
    relay.open();
    assert!(server.signal("TERM").success());
}

#[test]
fn a_place_that_cannot_be_is_refused_and_no_password_shown() {
    let dir = tempfile::tempdir().unwrap();
    for url in ["http://ada:hunter2@127.0.0.1/My-Shop", "https://ada:hunter2@h:99999/shop"] {
        let refused = run(dir.path(), &["serve", "--data", "data", "--search", url]);
        assert_eq!(refused.status.code(), Some(2));
        let said = text(&refused.stderr);
        assert!(said.contains("the setting search (from --search)"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let shown = run(dir.path(), &["config", "--search", "http://ada:hunter2@127.0.0.1:1/shop"]);
    let shown = text(&shown.stdout);
    assert!(shown.contains("http://ada:***@127.0.0.1:1/shop"), "{shown}");
}

/// A port that leads to a server while it is open.
struct Relay {
    address: SocketAddr,
    to: String,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    accepting: Option<JoinHandle<TcpListener>>,
}

impl Relay {
    /// It is closed: nobody listens.
    fn to(server: &str) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { address, to: server.to_owned(), streams: Arc::default(), accepting: None }
    }

    fn open(&mut self) {
        // A connection that is still being closed may hold the port for a moment.
        let listener = eventually(|| TcpListener::bind(self.address).ok());
        let (streams, to) = (Arc::clone(&self.streams), self.to.clone());
        self.accepting = Some(std::thread::spawn(move || {
            loop {
                let (client, _) = listener.accept().unwrap();
                let mut first = [0];
                // The connection that asks it to end.
                if client.peek(&mut first).unwrap_or(0) == 0 {
                    return listener;
                }
                let server = TcpStream::connect(&to).unwrap();
                let ends = [client.try_clone().unwrap(), server.try_clone().unwrap()];
                streams.lock().unwrap().extend(ends);
                pass(client.try_clone().unwrap(), server.try_clone().unwrap());
                pass(server, client);
            }
        }));
    }

    fn close(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        TcpStream::connect(self.address).unwrap().shutdown(Shutdown::Both).unwrap();
        drop(accepting.join().unwrap());
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let mut bytes = [0; 16_384];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
