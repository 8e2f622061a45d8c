//! The roles as separate processes over every real engine: a gateway as the EventStoreDB, and
//! names of a test's own in NATS, MySQL and Elasticsearch.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use infra::read_models::ReadModels;
use projections::{SCHEMAS, dump};
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    common::{PATIENCE, Server, eventually, run, text},
    elasticsearch::Place,
    orders::Orders,
    servers::{Database, MYSQL},
};

/// What is asked of every read model once it has to be there.
pub const QUERIES: [&str; 6] = [
    "/v1/orders",
    "/v1/stock",
    "/v1/products",
    "/v1/users/u1/summary",
    "/v1/reports/sales?from=2026-01-01&to=2027-01-01",
    "/v1/products/search",
];

/// Where each engine is.
#[derive(Clone, Debug)]
pub struct Engines {
    pub event_store: String,
    pub bus: String,
    pub read_models: String,
    pub keys: String,
    pub search: String,
}

/// Engines with names of their own, and the event store's process.
pub struct Cluster {
    pub engines: Engines,
    pub search: Place,
    store: Option<Server>,
    /// Of the servers that others use, too; what has such a name is removed at the end.
    databases: Vec<Database>,
    stream: Option<(String, String)>,
    dir: TempDir,
}

/// A server that is the test's own takes the place of the one that others use, too.
#[derive(Default)]
pub struct Own {
    /// `nats://HOST:PORT`
    pub nats: Option<String>,
    /// Two databases: of the read models, of the keys.
    pub mysql: Option<[String; 2]>,
}

impl Engines {
    /// As the program takes them.
    pub fn args(&self) -> Vec<String> {
        [
            ("--event-store", &self.event_store),
            ("--bus", &self.bus),
            ("--read-models", &self.read_models),
            ("--keys", &self.keys),
            ("--search", &self.search),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value.to_owned()])
        .collect()
    }
}

impl Cluster {
    /// Over the servers of the environment. None where one is missing.
    pub fn new() -> Option<Self> {
        Self::over(Own::default())
    }

    pub fn over(own: Own) -> Option<Self> {
        let search = Place::new()?;
        let name = format!("test-{}", Uuid::new_v4().simple());
        let (server, stream) = match own.nats {
            Some(server) => (server, None),
            None => {
                let server = nats_of_the_environment()?;
                (server.clone(), Some((server, name.clone())))
            }
        };
        let (urls, databases) = match own.mysql {
            Some(urls) => (urls, Vec::new()),
            None => {
                let made =
                    block_on(async { [Database::new(MYSQL).await, Database::new(MYSQL).await] });
                let [Some(models), Some(keys)] = made else { return None };
                ([models.text(), keys.text()], vec![models, keys])
            }
        };
        let [read_models, keys] = urls;
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path(), "127.0.0.1:0");
        let engines = Engines {
            event_store: store.esdb(),
            bus: format!("{server}/{name}"),
            read_models,
            keys,
            search: search.url(),
        };
        Some(Self { engines, search, store: Some(store), databases, stream, dir })
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The process that holds the event store.
    pub fn store(&self) -> &Server {
        self.store.as_ref().expect("the event store is there")
    }

    /// Its log.
    pub fn log(&self) -> std::path::PathBuf {
        self.dir().join("store/data/events.sqlite")
    }

    /// Ends the event store's process: by a signal, which leaves a log at rest, or at once.
    pub fn stop_store(&mut self, at_once: bool) {
        let store = self.store.take().expect("the event store is there");
        match at_once {
            true => store.kill(),
            false => drop(store.signal("TERM")),
        }
    }

    /// Starts it again where it was.
    pub fn start_store(&mut self) {
        self.store = Some(store(self.dir.path(), host_and_port(&self.engines.event_store)));
    }

    /// A process over these engines.
    pub fn node(&self, name: &str, roles: &str) -> Server {
        self.node_over(&self.engines, name, roles, &[])
    }

    /// A process over other ways to them, with further settings.
    pub fn node_over(&self, engines: &Engines, name: &str, roles: &str, more: &[&str]) -> Server {
        let engines = engines.args();
        let mut args = vec!["--roles", roles];
        args.extend(engines.iter().map(String::as_str).chain(more.iter().copied()));
        Server::start(&self.folder(name), &args)
    }

    /// Where a process of that name has its data directory.
    pub fn folder(&self, name: &str) -> std::path::PathBuf {
        let folder = self.dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Every row of every read model.
    pub fn rows(&self) -> String {
        let url = self.engines.read_models.parse().unwrap();
        block_on(async {
            let models = ReadModels::read_mysql(url).await.unwrap();
            let mut all = Vec::new();
            for schema in SCHEMAS {
                all.push(dump(&models, schema).await.unwrap());
            }
            format!("{all:#?}")
        })
    }

    /// Every document of the search index.
    pub fn documents(&self) -> Vec<String> {
        let path = format!("{}-products/_search?size=100", self.search.name);
        let (status, found) = self.search.call("GET", &path, "");
        assert_eq!(status, 200, "{found}");
        let documents = found["hits"]["hits"].as_array().unwrap().iter();
        let mut documents: Vec<_> = documents
            .filter(|hit| hit["_id"] != ".checkpoint")
            .map(|hit| format!("{} {}", hit["_id"], hit["_source"]))
            .collect();
        documents.sort();
        documents
    }

    /// Runs `daybook rebuild --all`.
    pub fn rebuild(&self) {
        let args = self.engines.args();
        let mut command = vec!["rebuild", "--all", "-q", "--data", "rebuild/data"];
        command.extend(args.iter().map(String::as_str));
        let output = run(self.dir(), &command);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// With nobody posting any more: rows and documents equal those of a rebuild.
    pub fn equals_a_rebuild(&self) {
        let (rows, documents) = (self.rows(), self.documents());
        self.rebuild();
        let rebuilt = self.rows();
        let differ: Vec<_> = (rows.lines().zip(rebuilt.lines()).enumerate())
            .filter(|(_, (posted, rebuilt))| posted != rebuilt)
            .take(10)
            .collect();
        assert!(rebuilt == rows, "the rows are not those of a rebuild, which has: {differ:#?}");
        assert_eq!(self.documents(), documents, "the documents are not those of a rebuild");
    }

    /// The whole of what must hold after a fault: nothing acknowledged is missing, nothing stands
    /// twice, no stock is wrong, and read models and search equal a rebuild. Ends the projectors.
    pub fn all_is_well(&self, orders: &Orders, query: &Server, projectors: Vec<Server>) {
        posted(query, &orders.newest());
        orders.agree(self.store(), query);
        all_posted(query);
        for projector in projectors {
            assert!(projector.signal("TERM").success());
        }
        self.equals_a_rebuild();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some((server, name)) = self.stream.take() else { return };
        block_on(async {
            let Ok(client) = async_nats::connect(server).await else { return };
            // One that was never made needs no removal.
            let _ = async_nats::jetstream::new(client).delete_stream(name).await;
        });
    }
}

/// The event store's server: a gateway that lets its clients append.
pub fn store(dir: &Path, listen: &str) -> Server {
    let folder = dir.join("store");
    std::fs::create_dir_all(&folder).unwrap();
    let args = ["--eventstore-listen", listen, "--eventstore-access", "append", "--roles", "query"];
    Server::start(&folder, &args)
}

/// Waits until a process answers every query at that position. How long it took.
#[track_caller]
pub fn posted(query: &Server, position: &str) -> Duration {
    let begun = Instant::now();
    for path in QUERIES {
        let mut last = None;
        while last.as_ref() != Some(&200) {
            assert!(begun.elapsed() < PATIENCE, "{path}: {last:?} after {PATIENCE:?}");
            let answer = query.get_at(path, position);
            assert!(answer.status == 200 || answer.status == 503, "{answer:?}");
            last = Some(answer.status);
        }
    }
    begun.elapsed()
}

/// Waits until every projection has come to the head of the log.
#[track_caller]
pub fn all_posted(query: &Server) {
    eventually(|| {
        let posted = projections(query)?;
        let at_head = |item: &Value| item["lag"]["events"] == 0 && item["state"] == "live";
        posted.iter().all(at_head).then_some(())
    });
}

/// What a process says of the projections; nothing while it cannot.
pub fn projections(node: &Server) -> Option<Vec<Value>> {
    let answer = node.get("/v1/projections");
    (answer.status == 200).then(|| answer.json()["items"].as_array().unwrap().clone())
}

/// Where a process's projections are fed from; empty where another process posts.
pub fn sources(node: &Server) -> Vec<String> {
    let source = |item: &Value| item["source"].as_str().unwrap_or("").to_owned();
    projections(node).unwrap_or_default().iter().map(source).collect()
}

/// Of a URL of any engine.
pub fn host_and_port(url: &str) -> &str {
    let rest = url.split_once("://").expect("a URL").1;
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    authority.rsplit('@').next().unwrap_or(authority)
}

fn nats_of_the_environment() -> Option<String> {
    let Ok(server) = std::env::var("TEST_NATS_URL") else {
        let required = std::env::var("REQUIRE_ENGINES").is_ok_and(|value| value == "1");
        assert!(!required, "REQUIRE_ENGINES=1, and TEST_NATS_URL is not set");
        println!("skipped: TEST_NATS_URL is not set");
        return None;
    };
    Some(server.trim_end_matches('/').to_owned())
}

/// Runs what needs a runtime, on one of its own.
pub fn block_on<T: Send>(work: impl Future<Output = T> + Send) -> T {
    // Never within another one.
    std::thread::scope(|scope| {
        let runtime = || {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            runtime.worker_threads(2).enable_all().build().unwrap().block_on(work)
        };
        scope.spawn(runtime).join().unwrap()
    })
}
