//! EventStoreDB's protocol, spoken by the real binary to clients that we did not write.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use common::{Server, eventually, promptly, run, signal, text};
use eventstore::{
    AppendToStreamOptions, Client, DeleteStreamOptions, EventData, ReadStreamOptions,
    StreamPosition, StreamState, SubscribeToAllOptions, TombstoneStreamOptions,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// The version of the Python client that is asked.
const PYTHON_CLIENT: &str = "kurrentdbclient==1.3.5";

fn serve(dir: &Path, access: &str) -> Server {
    let listen = ["--eventstore-listen", "127.0.0.1:0"];
    Server::start(dir, &[&listen[..], &["--eventstore-access", access]].concat())
}

/// Where EventStoreDB's clients find the server.
fn url(server: &Server) -> &str {
    let line = server.printed.iter().find(|line| line.contains("esdb://")).unwrap();
    line.rsplit(' ').next().unwrap()
}

fn client(server: &Server) -> Client {
    Client::new(url(server).parse().unwrap()).unwrap()
}

/// A virtual environment with the Python client, made once; none where there is no Python.
fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PYTHON_CLIENT);
    let (python, made) = (folder.join("bin/python"), folder.join("made"));
    if made.exists() {
        return Some(python);
    }
    let works = |command: &mut Command| command.status().is_ok_and(|status| status.success());
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYTHON_CLIENT];
    if works(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        && works(Command::new(&python).args(install))
    {
        std::fs::write(made, "").unwrap();
        return Some(python);
    }
    assert!(
        std::env::var_os("REQUIRE_ENGINES").is_none_or(|required| required != "1"),
        "the official Python client cannot be installed"
    );
    None
}

#[test]
fn the_official_python_client_finds_what_it_expects() {
    let Some(python) = python() else {
        eprintln!("skipped: there is no python3 with venv and pip to install {PYTHON_CLIENT}");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), "all");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/eventstore_client.py");
    let address = url(&server).strip_prefix("esdb://").unwrap().split('?').next().unwrap();
    let output = Command::new(python).arg(script).arg(address).output().unwrap();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches(": ok").count(), 6, "{said}");
    assert_eq!(server.signal("TERM").code(), Some(0));
}

/// A product with stock and a customer.
fn stock_up(server: &Server, units: i64) {
    let price = json!({ "amount": 1099, "currency": "USD" });
    let product = json!({
        "id": "mug", "title": "Mug", "department": "HOME",
        "variants": [{ "sku": "mug-red", "title": "Red", "price": price }],
    });
    server.post("/v1/products", &product).expect(201);
    server.post("/v1/stock/mug-red/receipts", &json!({ "quantity": units })).expect(201);
    let personal = json!({ "name": "Ada", "email": "ada@example.com" });
    server.post("/v1/users", &json!({ "id": "u1", "personal": personal })).expect(201);
}

fn order(server: &Server, quantity: i64) -> common::Answer {
    let lines = json!([{ "sku": "mug-red", "quantity": quantity }]);
    server.post("/v1/orders", &json!({ "customer_id": "u1", "channel": "web", "lines": lines }))
}

fn append(event_type: &str, data: &Value) -> EventData {
    EventData::json(event_type, data).unwrap().id(Uuid::new_v4())
}

fn projections(server: &Server) -> Vec<Value> {
    server.get("/v1/projections").expect(200).json()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_others_append_elsewhere_is_kept_replayed_and_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), "all");
    stock_up(&server, 10);
    let client = client(&server);
    let options = AppendToStreamOptions::default();
    let binary = EventData::binary("Bytes", vec![0, 255, 10].into()).id(Uuid::new_v4());
    for stream in ["invoice-1", "plain", "a-b-c", "$settings", "Straße-1"] {
        client.append_to_stream(stream, &options, binary.clone()).await.unwrap();
        client.append_to_stream(stream, &options, append("Sent", &json!({}))).await.unwrap();
    }
    // What EventStoreDB itself writes of a stream of Daybook's own is not Daybook's.
    client.delete_stream("product-mug", &DeleteStreamOptions::default()).await.unwrap();
    client.tombstone_stream("user-u1", &TombstoneStreamOptions::default()).await.unwrap();
    let placed = order(&server, 2).expect(201);
    server.get_at("/v1/stock/mug-red", &placed.position()).expect(200);
    eventually(|| {
        let live = |item: &Value| item["state"] == "live" && item["lag"]["events"] == 0;
        projections(&server).iter().all(live).then_some(())
    });
    // Deletes hide from reads of the stream through the gateway, and from nobody else.
    let events = server.get("/v1/events?stream=product-mug").expect(200).json();
    assert_eq!(events["items"][0]["type"], "ProductCreated");
    let ended = server.get("/v1/events?stream=user-u1").expect(200).json();
    assert_eq!(ended["items"][1]["type"], "$streamDeleted");
    drop(client);
    assert_eq!(server.signal("TERM").code(), Some(0));
    for (stream, lines) in [("invoice-1", 2), ("plain", 2), ("product-mug", 1), ("user-u1", 2)] {
        let args = ["replay", "--data", "data", "--stream", stream, "--format", "ndjson"];
        let output = run(dir.path(), &args);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout).lines().count(), lines, "{stream}");
    }
    let output = run(dir.path(), &["rebuild", "--all", "--data", "data"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[tokio::test]
async fn an_unknown_type_among_daybooks_own_stops_its_projections_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), "append");
    stock_up(&server, 10);
    let options = AppendToStreamOptions::default();
    let unknown = append("StockEvaporated", &json!({}));
    client(&server).append_to_stream("stock-other", &options, unknown).await.unwrap();
    let stopped = eventually(|| {
        let stock = projections(&server).into_iter().find(|item| item["name"] == "stock");
        stock.filter(|stock| stock["state"] == "stopped")
    });
    let error = stopped["error"].to_string();
    assert!(error.contains("stock-other"), "{error}");
    assert!(error.contains("no event type \\\"StockEvaporated\\\""), "{error}");
    // Those that it does not concern go on.
    let products = projections(&server).into_iter().find(|item| item["name"] == "products");
    assert_eq!(products.unwrap()["state"], "live");
}

#[tokio::test]
async fn a_refusal_never_rests_on_what_was_true_before_another_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), "append");
    stock_up(&server, 1);
    order(&server, 1).expect(201);
    // The node has seen the sku sold out, and remembers it.
    assert_eq!(order(&server, 1).expect(409).problem(), "insufficient-stock");
    let client = client(&server);
    for _ in 0..10 {
        let mut read = client.read_stream("stock-mug-red", &ReadStreamOptions::default()).await;
        let mut received = None;
        let mut last = 0;
        while let Some(event) = read.as_mut().unwrap().next().await.unwrap() {
            let event = event.get_original_event();
            last = event.revision;
            if event.event_type == "StockReceived" {
                received = Some((event.data.clone(), event.custom_metadata.clone()));
            }
        }
        // The same receipt once more, by another program's client.
        let (data, metadata) = received.unwrap();
        let data: Value = serde_json::from_slice(&data).unwrap();
        let more = append("StockReceived", &data).metadata(metadata);
        let options =
            AppendToStreamOptions::default().stream_state(StreamState::StreamRevision(last));
        client.append_to_stream("stock-mug-red", &options, more).await.unwrap();
        order(&server, 1).expect(201);
        assert_eq!(order(&server, 1).expect(409).problem(), "insufficient-stock");
    }
}

#[tokio::test]
async fn who_may_only_read_reads_and_follows_the_shop() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--eventstore-listen", "127.0.0.1:0"]);
    stock_up(&server, 10);
    let client = client(&server);
    let options = AppendToStreamOptions::default();
    let denied = client.append_to_stream("a", &options, append("Sent", &json!({}))).await;
    assert!(matches!(denied, Err(eventstore::Error::AccessDenied)), "{denied:?}");
    let from = SubscribeToAllOptions::default().position(StreamPosition::End);
    let mut subscription = client.subscribe_to_all(&from).await;
    let confirmed = subscription.next_subscription_event().await.unwrap();
    assert!(matches!(confirmed, eventstore::SubscriptionEvent::Confirmed(_)));
    order(&server, 2).expect(201);
    let mut types = Vec::new();
    while types.len() < 2 {
        let event = subscription.next().await.unwrap();
        types.push(event.get_original_event().event_type.clone());
    }
    assert_eq!(types, ["StockReserved", "OrderPlaced"]);
}

/// Nor does a client that takes no notice of the end: waiting for it here, it does not.
#[test]
fn an_open_subscription_does_not_hold_up_the_end() {
    promptly(Duration::from_secs(3), || {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path(), &["--eventstore-listen", "127.0.0.1:0"]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _subscription = runtime.block_on(async {
            let from = SubscribeToAllOptions::default().position(StreamPosition::End);
            let mut subscription = client(&server).subscribe_to_all(&from).await;
            let confirmed = subscription.next_subscription_event().await.unwrap();
            assert!(matches!(confirmed, eventstore::SubscriptionEvent::Confirmed(_)));
            subscription
        });
        let begun = Instant::now();
        signal(server.process.id(), "TERM");
        assert_eq!(server.wait().code(), Some(0));
        begun.elapsed()
    });
}
