//! Two command nodes on one event store, which each may be behind: neither oversells, neither
//! refuses from what it remembers, and one key has one effect.

use std::{path::Path, time::Duration};

use futures::future::join_all;
use gateway::{Access, Options};
use http::StatusCode;
use infra::{
    event_store::{EventStore, SqliteOptions},
    keys::KeyStore,
};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    proxy::{Mode, Proxy},
    support::{Answer, Shop},
};

/// An event store that others reach over the gateway.
struct Server {
    address: std::net::SocketAddr,
    folder: TempDir,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new(folder.path().join("events.sqlite"));
        let store = EventStore::open_sqlite(options).await.unwrap();
        let listener = infra::http::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let options = Options { access: Access::All, ..Options::default() };
        tokio::spawn(gateway::serve(store, listener, options, std::future::pending()));
        Self { address, folder }
    }

    /// A node that reaches the server there. All share one key store.
    async fn node(&self, address: std::net::SocketAddr) -> Shop {
        let url = format!("esdb://{address}?tls=false").parse().unwrap();
        let store = EventStore::open_eventstoredb(url).await.unwrap();
        let keys = KeyStore::open_sqlite(keys(self.folder.path())).await.unwrap();
        Shop::over(store, keys, tempfile::tempdir().unwrap(), Duration::from_secs(60)).await
    }
}

fn keys(folder: &Path) -> std::path::PathBuf {
    folder.join("keys.sqlite")
}

async fn two_nodes() -> (Server, Shop, Shop) {
    let server = Server::start().await;
    let (one, two) = (server.node(server.address).await, server.node(server.address).await);
    one.user("u1").await;
    (server, one, two)
}

async fn put(shop: &Shop, product: &str, status: &str) {
    let path = format!("/v1/products/{product}");
    let headers = [("content-type", "application/merge-patch+json")];
    let body = json!({ "status": status }).to_string();
    let patched = shop.send(http::Method::PATCH, &path, &headers, body).await;
    assert_eq!(patched.status, StatusCode::OK, "{patched:?}");
}

async fn receive(shop: &Shop, sku: &str, key: &str, units: i64) -> Answer {
    let path = format!("/v1/stock/{sku}/receipts");
    shop.post(&path, key, json!({ "quantity": units })).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sell_the_same_sku_and_never_more_than_there_is() {
    let (_server, one, two) = two_nodes().await;
    one.product("mug", 60).await;
    let buyers = (0..100).map(|n| {
        let shop = if n % 2 == 0 { &one } else { &two };
        async move { shop.order(&format!("buyer-{n}"), &[("mug", 1)]).await }
    });
    let answers = join_all(buyers).await;
    let sold = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    let short = answers.iter().filter(|answer| answer.status == StatusCode::CONFLICT);
    assert_eq!((sold, short.count()), (60, 40));
    assert_eq!(one.stock("mug").await, (60, 60));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_refused_from_stale_memory() {
    let (_server, one, two) = two_nodes().await;
    one.product("mug", 1).await;
    assert_eq!(two.order("k1", &[("mug", 1)]).await.status, StatusCode::CREATED);
    for round in 0..10 {
        // Node two has seen it sold out, and its memory says so.
        let refused = two.order(&format!("none-{round}"), &[("mug", 1)]).await;
        assert_eq!(refused.problem(), "insufficient-stock");
        let received = receive(&one, "mug", &format!("more-{round}"), 1).await;
        assert_eq!(received.status, StatusCode::CREATED, "{received:?}");
        let sold = two.order(&format!("one-{round}"), &[("mug", 1)]).await;
        assert_eq!(sold.status, StatusCode::CREATED, "{sold:?}");
    }
    assert_eq!(two.stock("mug").await, (11, 11));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_other_node_has_just_begun_to_sell_is_not_unknown() {
    let (_server, one, two) = two_nodes().await;
    for n in 0..10 {
        let sku = format!("mug-{n}");
        one.product(&sku, 0).await;
        let received = receive(&two, &sku, &format!("get-{n}"), 3).await;
        assert_eq!(received.status, StatusCode::CREATED, "{received:?}");
        let sold = one.order(&format!("buy-{n}"), &[(&sku, 1)]).await;
        assert_eq!(sold.status, StatusCode::CREATED, "{sold:?}");
    }
    receive(&one, "mug-0", "many", 1_000).await;
    for n in 0..5 {
        put(&one, "mug-0", "off_shelf").await;
        two.until("node two knows that it is off the shelf", async || {
            let key = uuid::Uuid::new_v4().to_string();
            two.order(&key, &[("mug-0", 1)]).await.status == StatusCode::UNPROCESSABLE_ENTITY
        })
        .await;
        put(&one, "mug-0", "on_shelf").await;
        let sold = two.order(&format!("on-{n}"), &[("mug-0", 1)]).await;
        assert_eq!(sold.status, StatusCode::CREATED, "{sold:?}");
    }
    let nothing = two.order("nothing", &[("never", 1)]).await;
    assert_eq!(nothing.problem(), "unknown-sku");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_at_both_nodes_at_once_has_one_effect_and_one_answer() {
    let (_server, one, two) = two_nodes().await;
    one.product("mug", 100).await;
    for n in 0..25 {
        let key = format!("order-{n}");
        let lines = [("mug", 2)];
        let (first, second) = tokio::join!(one.order(&key, &lines), two.order(&key, &lines));
        assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
        assert_eq!((first.status, &first.body), (second.status, &second.body));
        let key = format!("more-{n}");
        let received = tokio::join!(receive(&one, "mug", &key, 1), receive(&two, "mug", &key, 1));
        assert_eq!(received.0.status, StatusCode::CREATED, "{received:?}");
        assert_eq!(received.0.body, received.1.body);
    }
    assert_eq!(one.stock("mug").await, (125, 50));
    let placed = one.types().await.iter().filter(|kind| *kind == "OrderPlaced").count();
    assert_eq!(placed, 25);
}

/// A node behind a proxy that stops it at what it is about to append.
async fn stopped_node(server: &Server) -> (Shop, Proxy) {
    let proxy = Proxy::start(server.address).await;
    (server.node(proxy.address).await, proxy)
}

/// Two goods: one mug, and no spoon yet.
async fn mug_and_no_spoon(shop: &Shop) {
    shop.user("u1").await;
    shop.product("mug", 1).await;
    shop.product("spoon", 0).await;
}

const BOTH: [(&str, i64); 2] = [("mug", 1), ("spoon", 1)];

/// One node is about to refuse, the other places meanwhile: both answer that it is placed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_that_comes_second_is_the_placed_order() {
    let server = Server::start().await;
    let one = server.node(server.address).await;
    let (two, proxy) = stopped_node(&server).await;
    mug_and_no_spoon(&one).await;

    proxy.freeze_at("OrderRefused");
    let refusing = two.order("same", &BOTH);
    let placing = async {
        proxy.frozen().await;
        assert_eq!(receive(&one, "spoon", "spoons", 1).await.status, StatusCode::CREATED);
        let placed = one.order("same", &BOTH).await;
        proxy.set(Mode::Pass);
        placed
    };
    let (second, first) = tokio::join!(refusing, placing);
    assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
    assert_eq!((second.status, &second.body), (first.status, &first.body));
    assert!(second.replayed() && !first.replayed());
    for sku in ["mug", "spoon"] {
        assert_eq!(one.stock(sku).await, (1, 1), "{sku}: its hold stands");
    }
    assert!(!one.types().await.contains(&"OrderRefused".to_owned()));
}

/// One node is about to place, the other, which was asked before, refuses first: both answer that
/// it is refused, and nothing is held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_placement_that_comes_second_is_the_refused_order() {
    let server = Server::start().await;
    let one = server.node(server.address).await;
    let (two, before_two) = stopped_node(&server).await;
    let (three, before_three) = stopped_node(&server).await;
    mug_and_no_spoon(&one).await;

    before_two.freeze_at("OrderRefused");
    before_three.freeze_at("OrderPlaced");
    let refusing = two.order("same", &BOTH);
    let placing = async {
        before_two.frozen().await;
        assert_eq!(receive(&one, "spoon", "spoons", 1).await.status, StatusCode::CREATED);
        three.order("same", &BOTH).await
    };
    let releasing = async {
        before_three.frozen().await;
        before_two.set(Mode::Pass);
        one.until("the refusal comes first", async || {
            one.types().await.contains(&"OrderRefused".to_owned())
        })
        .await;
        before_three.set(Mode::Pass);
    };
    let (first, second, ()) = tokio::join!(refusing, placing, releasing);
    assert_eq!(first.problem(), "insufficient-stock");
    assert_eq!(second.problem(), "insufficient-stock");
    assert_eq!(first.body["short"], second.body["short"]);
    assert_eq!(first.body["short"][0]["sku"], "spoon");
    one.until("nothing is held any more", async || {
        one.stock("mug").await == (1, 0) && one.stock("spoon").await == (1, 0)
    })
    .await;
    assert!(!one.types().await.contains(&"OrderPlaced".to_owned()));
    let again = three.order("same", &BOTH).await;
    assert!(again.replayed() && again.problem() == "insufficient-stock");
}

/// A stream that somebody cut off on the server is not folded as if that were all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_stream_is_noticed() {
    let (server, one, two) = two_nodes().await;
    one.product("mug", 5).await;
    let url = format!("esdb://{}?tls=false", server.address);
    let client = eventstore::Client::new(url.parse().unwrap()).unwrap();
    let cut = eventstore::StreamMetadataBuilder::new().truncate_before(1).build();
    client.set_stream_metadata("stock-mug", &Default::default(), &cut).await.unwrap();
    let events = two.log().await.len();
    let refused = two.order("k1", &[("mug", 1)]).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
    assert_eq!(two.log().await.len(), events, "nothing was decided");
    // Who has it in memory, whole, goes on.
    assert_eq!(one.order("k2", &[("mug", 1)]).await.status, StatusCode::CREATED);
}
