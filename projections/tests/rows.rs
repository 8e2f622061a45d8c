//! What is read after given events.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Shop, apply, body, logged};
use event_schemas::{
    OrderCancelled, OrderDispatched, OrderEvent, OrderPlaced, OrderRefused, SkuReleased,
    StockEvent, StockIntroduced, StoreId, StreamName,
};
use infra::read_models::{Checkpoint, ReadModels, Row, Value};
use projections::{
    Projection, Sink, SinkError, SqlSink, orders::Orders, products::Products, sales::Sales,
    stock::Stock, users::Users,
};
use uuid::Uuid;

const STORE: StoreId = StoreId(Uuid::from_u128(1));
const QUARTER: i64 = 1_700_000_100_000_000; // a quarter of an hour begins

struct Read {
    models: ReadModels,
    _dir: tempfile::TempDir,
}

async fn post<P: Projection>(shop: &Shop) -> (Read, Result<Checkpoint, SinkError>) {
    let dir = tempfile::tempdir().unwrap();
    let models = ReadModels::sqlite(dir.path());
    let mut sink = SqlSink::<P>::live(models.clone(), STORE);
    let checkpoint = sink.checkpoint().await.unwrap();
    let posted = apply(&mut sink, checkpoint, &logged(&shop.log)).await;
    (Read { models, _dir: dir }, posted)
}

async fn rows<P: Projection>(shop: &Shop, sql: &str) -> Vec<Row> {
    let (read, posted) = post::<P>(shop).await;
    posted.unwrap();
    let mut snapshot = read.models.reader(P::SCHEMA).snapshot().await.unwrap();
    snapshot.query(sql, &[]).await.unwrap()
}

fn row<const N: usize>(values: [Value; N]) -> Row {
    Row(values.into())
}

fn skus(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn order(id: &str, event: impl Into<OrderEvent>, shop: &mut Shop) {
    let event: OrderEvent = event.into();
    shop.tell(StreamName::new("order", id), event);
}

/// o1 of u1 stands, o2 of u1 is cancelled, o3 of u2 is refused.
fn three_orders() -> Shop {
    let mut shop = Shop::default();
    shop.place("o1", "u1", &skus(&["a", "b"]), QUARTER);
    shop.register("u1");
    shop.place("o2", "u1", &skus(&["a"]), QUARTER - 1);
    let order_2 = body("u1", &skus(&["a"]), QUARTER - 1);
    let reason = "late".to_owned();
    order("o2", OrderCancelled { reason, order: order_2 }, &mut shop);
    let refused = body("u2", &skus(&["a"]), QUARTER);
    order("o3", OrderRefused { order: refused, short: vec![] }, &mut shop);
    shop
}

#[tokio::test]
async fn a_cancelled_order_counts_nowhere() {
    let shop = three_orders();
    let counts = rows::<Orders>(&shop, "SELECT name, value FROM counts ORDER BY name").await;
    let count = |name: &str, value: i64| row([name.into(), value.into()]);
    assert_eq!(counts, [count("order_lines", 2), count("orders", 1), count("units", 3)]);

    let users = "SELECT id, orders, units, revenue, registered_at IS NULL FROM users";
    let expected = row(["u1".into(), 1.into(), 3.into(), 748.into(), 0.into()]);
    assert_eq!(rows::<Users>(&shop, users).await, [expected]);
    let user_orders = "SELECT order_id, placed_at FROM user_orders";
    let expected = row(["o1".into(), QUARTER.into()]);
    assert_eq!(rows::<Users>(&shop, user_orders).await, [expected]);
}

#[tokio::test]
async fn sales_stand_in_quarter_hours_once_under_each_key() {
    let shop = three_orders();
    let sales = "SELECT dimension, bucket, item, orders, units, revenue FROM sales";
    let bucket = QUARTER / 1_000_000;
    let sale = |dimension: i64, item: &str, units: i64, revenue: i64| {
        row([dimension.into(), bucket.into(), item.into(), 1.into(), units.into(), revenue.into()])
    };
    assert_eq!(
        rows::<Sales>(&shop, sales).await,
        [
            sale(0, "", 3, 748),
            sale(1, "department 0", 1, 249),
            sale(1, "department 1", 2, 499),
            sale(2, "brand 0", 1, 249),
            sale(2, "brand 1", 2, 499),
            sale(3, "channel 0", 3, 748),
            sale(4, "a", 1, 249),
            sale(4, "b", 2, 499),
            sale(5, "u1", 3, 748),
        ]
    );
}

#[tokio::test]
async fn an_order_is_one_document_with_its_history() {
    let mut shop = Shop::default();
    shop.place("o1", "u1", &skus(&["a"]), QUARTER);
    let carrier = Some("post".to_owned());
    order("o1", OrderDispatched { carrier, tracking: None, holds: vec![] }, &mut shop);
    let mut found = rows::<Orders>(&shop, "SELECT document, history, status FROM orders").await;
    let document: serde_json::Value = serde_json::from_str(&found[0].text(0).unwrap()).unwrap();
    assert_eq!(document["status"], "dispatched");
    assert_eq!(document["dispatch"]["carrier"], "post");
    assert_eq!(document["lines"][0]["unit_price"]["amount"], 250);
    let history: serde_json::Value = serde_json::from_str(&found[0].text(1).unwrap()).unwrap();
    assert_eq!(history[0]["type"], "OrderPlaced");
    assert_eq!(history[1]["type"], "OrderDispatched");
    assert_eq!((&history[1]["position"], &history[1]["revision"]), (&2.into(), &1.into()));
    assert_eq!(history[1]["data"]["carrier"], "post");
    assert_eq!(found[0].text(2).unwrap(), "dispatched");
}

#[tokio::test]
async fn stock_without_an_owner_is_hidden_and_keeps_its_units() {
    let mut shop = Shop::default();
    shop.product("p1", &skus(&["a"]));
    shop.receive("a", 20);
    shop.reserve("a", "o1", 2);
    let stream = StreamName::new("stock", "a");
    let claim = Uuid::from_u128(9);
    shop.tell(stream.clone(), StockEvent::from(SkuReleased { claim }));
    let sql = "SELECT product_id, on_hand, reserved, available, revision, hidden FROM stock";
    let item = |product: &str, revision: i64, hidden: i64| {
        let (on_hand, reserved, available) = (20.into(), 2.into(), 18.into());
        row([product.into(), on_hand, reserved, available, revision.into(), hidden.into()])
    };
    assert_eq!(rows::<Stock>(&shop, sql).await, [item("p1", 3, 1)]);
    let product_id = "p2".to_owned();
    let taken_over = StockIntroduced { sku: "a".to_owned(), product_id, claim };
    shop.tell(stream, StockEvent::from(taken_over));
    assert_eq!(rows::<Stock>(&shop, sql).await, [item("p2", 4, 0)]);
}

#[tokio::test]
async fn products_are_counted_with_their_skus() {
    let mut shop = Shop::default();
    shop.product("p1", &skus(&["a", "b"]));
    shop.product("p2", &skus(&["c"]));
    let counts = rows::<Products>(&shop, "SELECT value FROM counts ORDER BY name").await;
    assert_eq!(counts, [row([2.into()]), row([3.into()])]);
}

#[tokio::test]
async fn a_sum_that_does_not_fit_is_told_with_its_event() {
    let mut shop = Shop::default();
    for id in ["o1", "o2"] {
        let mut order_body = body("u1", &skus(&["a"]), QUARTER);
        order_body.total = i64::MAX - 1;
        order_body.lines[0].total = i64::MAX - 1;
        order(id, OrderPlaced { order: order_body, holds: vec![] }, &mut shop);
    }
    for posted in [post::<Users>(&shop).await.1, post::<Sales>(&shop).await.1] {
        let Err(SinkError::Poison(poison)) = posted else { panic!("{posted:?}") };
        assert_eq!(poison.position.0, 2);
        let told = poison.to_string();
        assert!(told.contains("OrderPlaced at position 2, stream order-o2"), "{told}");
        assert!(told.contains("revenue does not fit into 64 bits"), "{told}");
    }
}

#[tokio::test]
async fn two_currencies_have_no_sum() {
    let mut shop = Shop::default();
    shop.place("o1", "u1", &skus(&["a"]), QUARTER);
    let mut order_body = body("u1", &skus(&["a"]), QUARTER);
    order_body.currency = "EUR".parse().unwrap();
    order("o2", OrderPlaced { order: order_body, holds: vec![] }, &mut shop);
    for posted in [post::<Users>(&shop).await.1, post::<Sales>(&shop).await.1] {
        let told = posted.unwrap_err().to_string();
        assert!(told.contains("amounts in EUR cannot be added to amounts in USD"), "{told}");
    }
}

#[tokio::test]
async fn what_was_never_brought_into_being_cannot_be_changed() {
    let mut shop = Shop::default();
    let order_body = body("u1", &skus(&["a"]), QUARTER);
    order("o1", OrderCancelled { reason: String::new(), order: order_body }, &mut shop);
    let told = post::<Orders>(&shop).await.1.unwrap_err().to_string();
    assert!(told.contains("the order \"o1\" is not known from any event before"), "{told}");
}
