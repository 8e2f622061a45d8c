//! An Elasticsearch that behaves badly: a small server that knows the calls an index makes, and
//! does to them what a test says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use event_schemas::{Position, StoreId};
use infra::{
    read_models::Checkpoint,
    search::{Change, Document, Query, Schema, SearchError, SearchIndex, TextField},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use uuid::Uuid;

/// What is done to one call whose path holds a word.
#[derive(Clone, Debug)]
enum Fault {
    /// Answered with this status, and nothing done.
    Status(u16),
    /// These documents get this status and kind of error, the others are taken.
    Items(Vec<&'static str>, u16, &'static str),
    /// The connection ends within the answer, after all was done.
    Cut,
    /// Never answered.
    Silent,
}

#[derive(Default)]
struct State {
    mapping: Option<Value>,
    checkpoint: Option<Value>,
    seq_no: i64,
    documents: BTreeMap<String, (u64, Value)>,
    /// The ids of each request of many documents.
    bulks: Vec<Vec<String>>,
    faults: VecDeque<(&'static str, Fault)>,
}

#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

impl Server {
    /// A server that listens, and an index there.
    async fn start(faults: Vec<(&'static str, Fault)>) -> (Self, SearchIndex) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/shop", listener.local_addr().unwrap()).parse().unwrap();
        let server = Self::default();
        server.0.lock().unwrap().faults = faults.into();
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        (server, SearchIndex::open_elasticsearch(&url, "goods", schema()).unwrap())
    }

    fn next(&self, word: &'static str, fault: Fault) {
        self.0.lock().unwrap().faults.push_back((word, fault));
    }

    fn state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.0.lock().unwrap())
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let text = String::from_utf8(bytes[..head].to_vec()).unwrap().to_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while bytes.len() < head + length {
            stream.read_buf(&mut bytes).await.unwrap();
        }
        let mut words = text.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let body = String::from_utf8(bytes[head..].to_vec()).unwrap();
        let (fault, (status, answer)) = {
            let mut state = self.0.lock().unwrap();
            let hit = state.faults.iter().position(|(word, _)| path.contains(word));
            let fault = hit.and_then(|at| state.faults.remove(at)).map(|(_, fault)| fault);
            let answer = match &fault {
                Some(Fault::Status(status)) => (*status, json!({ "error": "not now" })),
                Some(Fault::Silent) => (0, Value::Null),
                Some(Fault::Items(ids, status, kind)) => {
                    state.bulk(&body, |id| ids.contains(&id).then_some((*status, *kind)))
                }
                Some(Fault::Cut) | None => state.answer(method, path, &body),
            };
            (fault, answer)
        };
        if matches!(fault, Some(Fault::Silent)) {
            return std::future::pending().await;
        }
        let answer = answer.to_string();
        let mut reply = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{answer}",
            answer.len()
        );
        if matches!(fault, Some(Fault::Cut)) {
            reply.truncate(reply.len() - answer.len() / 2);
        }
        let _ = stream.write_all(reply.as_bytes()).await;
    }
}

impl State {
    fn answer(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let none = (404, json!({ "error": { "type": "index_not_found_exception" } }));
        match (method, path) {
            ("get", path) if path.contains("_mapping") => match &self.mapping {
                Some(mapping) => (200, json!({ "shop-goods-1": { "mappings": mapping } })),
                None => none,
            },
            ("get", path) if path.contains("_alias") => (200, json!({})),
            ("put", "/shop-goods-1") => {
                let made: Value = serde_json::from_str(body).unwrap();
                self.mapping = Some(made["mappings"].clone());
                (200, json!({ "acknowledged": true }))
            }
            ("get", path) if path.contains(".checkpoint") => match &self.checkpoint {
                Some(source) => (
                    200,
                    json!({ "found": true, "_seq_no": self.seq_no, "_primary_term": 1, "_source": source }),
                ),
                None => (404, json!({ "found": false })),
            },
            ("put", path) if path.contains(".checkpoint") => {
                let expected = if self.checkpoint.is_none() {
                    "op_type=create".to_owned()
                } else {
                    format!("if_seq_no={}&", self.seq_no)
                };
                if !path.contains(&expected) {
                    return (
                        409,
                        json!({ "error": { "type": "version_conflict_engine_exception" } }),
                    );
                }
                self.checkpoint = Some(serde_json::from_str(body).unwrap());
                self.seq_no += 1;
                (200, json!({ "_seq_no": self.seq_no, "_primary_term": 1 }))
            }
            ("post", path) if path.contains("_bulk") => self.bulk(body, |_| None),
            ("post", path) if path.contains("_refresh") => (200, json!({})),
            ("post", path) if path.contains("_mget") => {
                let asked: Value = serde_json::from_str(body).unwrap();
                let ids = asked["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap());
                let docs = ids.map(|id| match self.documents.get(id) {
                    Some((version, source)) => {
                        json!({ "_id": id, "_version": version, "_source": source })
                    }
                    None => json!({ "_id": id, "found": false }),
                });
                (200, json!({ "docs": docs.collect::<Vec<_>>() }))
            }
            other => panic!("an unknown call: {other:?}"),
        }
    }

    /// Takes documents whose version is newer than what is there.
    fn bulk(
        &mut self,
        body: &str,
        refuse: impl Fn(&str) -> Option<(u16, &'static str)>,
    ) -> (u16, Value) {
        let (mut items, mut ids) = (Vec::new(), Vec::new());
        let mut lines = body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        while let Some(action) = lines.next() {
            let (action, source) = (&action["index"], lines.next().unwrap());
            let (id, version) =
                (action["_id"].as_str().unwrap(), action["version"].as_u64().unwrap());
            ids.push(id.to_owned());
            let refused = match self.documents.get(id) {
                _ if refuse(id).is_some() => refuse(id),
                Some((there, _)) if *there >= version => {
                    Some((409, "version_conflict_engine_exception"))
                }
                _ => None,
            };
            let item = match refused {
                Some((status, kind)) => {
                    json!({ "status": status, "error": { "type": kind, "reason": "so it is" } })
                }
                None => {
                    self.documents.insert(id.to_owned(), (version, source));
                    json!({ "status": 201 })
                }
            };
            items.push(json!({ "index": item }));
        }
        self.bulks.push(ids);
        (200, json!({ "items": items }))
    }
}

fn schema() -> Schema {
    Schema {
        version: 1,
        texts: vec![TextField { name: "title", boost: 8, sortable: true }],
        keywords: vec!["part"],
        integers: vec![],
        flags: vec!["shown"],
    }
}

fn at(position: u64) -> Checkpoint {
    let position = Position(position);
    Checkpoint { position, ..Checkpoint::start(StoreId(Uuid::from_u128(7))) }
}

fn put(id: &str, position: u64) -> Change {
    Change::Put(Document {
        id: id.to_owned(),
        position: Position(position),
        texts: vec![("title", format!("Good {position}"))],
        keywords: vec![("part", format!("{id}-1"))],
        flags: vec!["shown"],
        body: format!(r#"{{"at":{position}}}"#),
        ..Document::default()
    })
}

fn three(position: u64) -> Vec<Change> {
    ["a", "b", "c"].map(|id| put(id, position)).into()
}

#[tokio::test]
async fn what_there_is_no_room_for_is_sent_again_and_only_that() {
    let faults = vec![
        ("_bulk", Fault::Items(vec!["b", "c"], 429, "es_rejected_execution_exception")),
        ("_bulk", Fault::Status(503)),
        ("_bulk", Fault::Items(vec!["c"], 503, "unavailable_shards_exception")),
    ];
    let (server, index) = Server::start(faults).await;
    assert_eq!(index.checkpoint().await.unwrap(), None);
    index.commit(None, three(1), at(1)).await.unwrap();
    assert_eq!(server.state(|state| state.documents.len()), 3);
    let sent: [&[&str]; 3] = [&["a", "b", "c"], &["b", "c"], &["c"]];
    assert_eq!(server.state(|state| state.bulks.clone()), sent);
    assert_eq!(index.checkpoint().await.unwrap(), Some(at(1)));
}

#[tokio::test]
async fn a_server_that_never_has_room_is_told_as_unavailable() {
    let (server, index) = Server::start(vec![]).await;
    index.checkpoint().await.unwrap();
    (0..6).for_each(|_| server.next("_bulk", Fault::Status(429)));
    let refused = index.commit(None, three(1), at(1)).await;
    assert!(matches!(refused, Err(SearchError::Unavailable(said)) if said.contains("429")));
    assert_eq!(index.checkpoint().await.unwrap(), None);
}

#[tokio::test]
async fn a_document_that_is_refused_is_set_aside_and_goes_on_from_there() {
    let poison = Fault::Items(vec!["b"], 400, "document_parsing_exception");
    let (server, index) = Server::start(vec![]).await;
    index.checkpoint().await.unwrap();
    index.commit(None, three(1), at(1)).await.unwrap();
    assert_eq!(index.set_aside(), None);
    server.next("_bulk", poison);
    index.commit(Some(at(1)), three(2), at(2)).await.unwrap();
    let said = index.set_aside().unwrap();
    assert!(said.contains("\"b\"") && said.contains("so it is"), "{said}");
    let versions =
        |state: &State| state.documents.values().map(|(version, _)| *version).collect::<Vec<_>>();
    assert_eq!(server.state(versions), vec![2, 1, 2]);
    // It is known after a start, and is read back as it is, not as it was.
    assert_eq!(index.checkpoint().await.unwrap(), Some(at(2)));
    assert!(index.set_aside().is_some());
    let found = index.by_id(vec!["a".to_owned(), "b".to_owned()]).await.unwrap();
    let bodies: Vec<_> = found.iter().map(|found| found.body.as_str()).collect();
    assert_eq!(bodies, [r#"{"at":2}"#, r#"{"at":2}"#]);
    assert_eq!((found[1].position, &found[1].flags[..]), (Position(2), &["shown"][..]));
    // What is taken later is set aside no more.
    index.commit(Some(at(2)), vec![put("b", 3)], at(3)).await.unwrap();
    assert_eq!(index.set_aside(), None);
    let stored = server.state(|state| state.checkpoint.clone().unwrap());
    assert_eq!(stored["checkpoint"].get("set_aside"), None);
}

#[tokio::test]
async fn where_every_document_is_refused_nothing_is_posted() {
    let (server, index) = Server::start(vec![]).await;
    index.checkpoint().await.unwrap();
    let ids: Vec<String> = (0..101).map(|n| format!("d{n}")).collect();
    let ids: Vec<&'static str> = ids.into_iter().map(|id| &*id.leak()).collect();
    server.next("_bulk", Fault::Items(ids.clone(), 400, "document_parsing_exception"));
    let changes = ids.iter().map(|id| put(id, 1)).collect();
    let refused = index.commit(None, changes, at(1)).await;
    assert!(matches!(refused, Err(SearchError::Unavailable(said)) if said.contains("100 others")));
    assert_eq!(index.checkpoint().await.unwrap(), None);
}

#[tokio::test]
async fn a_fault_that_is_not_the_documents_sets_none_aside() {
    for (status, kind) in [(403, "cluster_block_exception"), (404, "index_not_found_exception")] {
        let (server, index) = Server::start(vec![]).await;
        index.checkpoint().await.unwrap();
        server.next("_bulk", Fault::Items(vec!["b"], status, kind));
        let refused = index.commit(None, three(1), at(1)).await;
        assert!(matches!(refused, Err(SearchError::Unavailable(said)) if said.contains(kind)));
        assert_eq!(index.set_aside(), None);
        index.commit(index.checkpoint().await.unwrap(), three(1), at(1)).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_leaves_the_outcome_to_be_looked_up() {
    let (server, index) = Server::start(vec![]).await;
    index.checkpoint().await.unwrap();
    server.next("_bulk", Fault::Cut);
    let unknown = index.commit(None, three(5), at(5)).await;
    assert!(matches!(unknown, Err(SearchError::Unavailable(_))), "{unknown:?}");
    // The documents are there and say how far they are; the checkpoint is not moved.
    assert_eq!(index.checkpoint().await.unwrap(), None);
    let found = index.by_id(vec!["a".to_owned()]).await.unwrap();
    assert_eq!(found[0].position, Position(5));
    // Posted again in other parts: nothing older replaces what is there.
    index.commit(None, three(3), at(3)).await.unwrap();
    assert_eq!(server.state(|state| state.documents["a"].0), 5);
    server.next(".checkpoint", Fault::Cut);
    let unknown = index.commit(Some(at(3)), three(6), at(6)).await;
    assert!(matches!(unknown, Err(SearchError::Unavailable(_))), "{unknown:?}");
    // This time it was moved.
    assert_eq!(index.checkpoint().await.unwrap(), Some(at(6)));
    index.commit(Some(at(6)), vec![], at(7)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for() {
    let (server, index) = Server::start(vec![]).await;
    index.checkpoint().await.unwrap();
    index.commit(None, three(1), at(1)).await.unwrap();
    server.next(".checkpoint", Fault::Silent);
    let begun = Instant::now();
    let query = Query { limit: 5, ..Query::default() };
    let answer = index.query(query).await;
    assert!(matches!(answer, Err(SearchError::Unavailable(_))), "{answer:?}");
    // A query waits for 5 seconds, other requests for 30.
    assert!(begun.elapsed() < Duration::from_secs(25));
}

#[tokio::test]
async fn something_else_than_an_elasticsearch_is_told() {
    let (server, index) = Server::start(vec![]).await;
    server.next("_mapping", Fault::Status(200));
    let said = index.checkpoint().await.unwrap_err().to_string();
    assert!(said.contains("Elasticsearch"), "{said}");
    server.next("_alias", Fault::Status(401));
    let said = index.checkpoint().await.unwrap_err().to_string();
    assert!(said.contains("answered 401"), "{said}");
    assert_eq!(index.checkpoint().await.unwrap(), None);
}
