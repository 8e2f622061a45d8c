use std::time::Duration;

use event_schemas::{
    Actor, Event, ExpectedRevision, Metadata, NewEvent, Revision, StockEvent, StockReserved,
    StreamName, Timestamp,
};
use serde_json::json;
use uuid::Uuid;

use crate::support::Shop;

/// A hold of two mugs that some handler made before it died.
async fn orphan(shop: &Shop, order_id: &str, actor: Actor) {
    hold(shop, "mug", order_id, actor).await;
}

/// The third event of the sku's stock.
async fn hold(shop: &Shop, sku: &str, order_id: &str, actor: Actor) {
    let time = Timestamp::from_micros(1_000_000).unwrap();
    let metadata = Metadata {
        schema_version: 1,
        occurred_at: time,
        recorded_at: time,
        actor,
        command_id: Uuid::new_v4(),
        request_hash: None,
        correlation_id: "test".to_owned(),
        causation_id: Uuid::new_v4(),
        traceparent: None,
    };
    let reserved = StockReserved {
        order_id: order_id.to_owned(),
        quantity: 2,
        hold: 1,
        request_hash: None,
        on_hand: 10,
        reserved: 2,
    };
    let event = Event::from(StockEvent::from(reserved));
    let event = NewEvent::new(Uuid::new_v4(), event, metadata).unwrap();
    let expected = ExpectedRevision::Exact(Revision(1));
    shop.store.append(StreamName::new("stock", sku), expected, vec![event]).await.unwrap();
}

/// A shop whose watch is patient, until it is [`impatient`].
async fn shop() -> Shop {
    let shop = Shop::open_with(Duration::from_secs(3_600)).await;
    shop.user("u1").await;
    shop.product("mug", 10).await;
    shop
}

/// The same shop after a restart: it has read the holds that were written behind its back.
async fn impatient(shop: Shop) -> Shop {
    shop.restart_with(Duration::from_millis(100)).await
}

#[tokio::test]
async fn an_orphans_order_is_abandoned_and_its_holds_released() {
    let shop = shop().await;
    orphan(&shop, "lost", Actor::system("test")).await;
    let shop = impatient(shop).await;
    shop.until("released", async || shop.stock("mug").await == (10, 0)).await;
    let types = shop.types().await;
    assert_eq!(&types[types.len() - 2..], ["OrderAbandoned", "StockReleased"]);
    assert_eq!(
        shop.log().await.last().unwrap().decode().unwrap().metadata.actor,
        Actor::system("reservation-watch")
    );
}

#[tokio::test]
async fn an_imports_holds_wait_for_the_import() {
    let shop = shop().await;
    orphan(&shop, "past", Actor::import("orders")).await;
    shop.product("cup", 10).await;
    hold(&shop, "cup", "other", Actor::system("test")).await;
    let shop = impatient(shop).await;
    shop.until("the other is abandoned", async || {
        shop.types().await.contains(&"OrderAbandoned".to_owned())
    })
    .await;
    assert_eq!(shop.stock("mug").await, (10, 2));
    assert_eq!(shop.commands.import_holds(), 1);
}

#[tokio::test]
async fn a_late_hold_of_a_placed_order_is_released() {
    let shop = shop().await;
    shop.product("cup", 10).await;
    let placed = shop.order("k1", &[("cup", 1)]).await;
    let id = placed.body["id"].as_str().unwrap();
    // The mug is in no line of it.
    orphan(&shop, id, Actor::system("test")).await;
    let shop = impatient(shop).await;
    shop.until("released", async || shop.stock("mug").await == (10, 0)).await;
    assert_eq!(shop.stock("cup").await, (10, 1), "the line's own hold stands");
    let path = format!("/v1/orders/{id}/dispatch");
    assert_eq!(shop.post(&path, "d1", json!({})).await.body["status"], "dispatched");
    assert_eq!(shop.stock("cup").await, (9, 0));
}

#[tokio::test]
async fn an_abandoned_key_is_told_so_for_good() {
    let shop = shop().await;
    let key = "k1";
    let id = commands::command_id(&["anonymous", "POST", "/v1/orders", key]).to_string();
    orphan(&shop, &id, Actor::system("test")).await;
    let shop = impatient(shop).await;
    shop.until("released", async || shop.stock("mug").await == (10, 0)).await;
    for _ in 0..2 {
        let refused = shop.order(key, &[("mug", 2)]).await;
        assert_eq!((refused.status.as_u16(), refused.problem()), (409, "order-abandoned"));
    }
}
