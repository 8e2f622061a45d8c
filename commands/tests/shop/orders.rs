use std::time::Duration;

use event_schemas::{ExpectedRevision, NewEvent, StreamName};
use futures::{FutureExt as _, future::join_all};
use http::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Shop, order, usd};

async fn shop(units: i64) -> Shop {
    let shop = Shop::open().await;
    shop.user("u1").await;
    shop.product("mug", units).await;
    shop
}

#[tokio::test]
async fn a_placed_order_is_answered_whole() {
    let shop = shop(20).await;
    let placed = shop.order("k1", &[("mug", 2)]).await;
    assert_eq!(placed.status, StatusCode::CREATED, "{placed:?}");
    let id = placed.body["id"].as_str().unwrap();
    assert_eq!(placed.header("location"), Some(format!("/v1/orders/{id}").as_str()));
    assert!(placed.header("daybook-position").unwrap().starts_with(&shop.store.id().to_string()));
    assert!(!placed.replayed());
    assert_eq!(placed.body["status"], "placed");
    assert_eq!(placed.body["total"], usd(2198));
    let line = &placed.body["lines"][0];
    assert_eq!(line["sku"], "mug");
    assert_eq!(line["title"], "Mug");
    assert_eq!(line["quantity"], 2);
    assert_eq!(line["unit_price"], usd(1099));
    assert_eq!(line["discount"], usd(0));
    assert_eq!(line["total"], usd(2198));
    assert_eq!(shop.stock("mug").await, (20, 2));
}

#[tokio::test]
async fn the_same_key_has_one_effect_and_one_answer_over_a_restart_too() {
    let shop = shop(20).await;
    let first = shop.order("k1", &[("mug", 2)]).await;
    let events = shop.log().await.len();
    let again = shop.order("k1", &[("mug", 2)]).await;
    assert!(again.replayed());
    assert_eq!((again.status, &again.body), (first.status, &first.body));

    let shop = shop.restart().await;
    let again = shop.order("\"k1\"", &[("mug", 2)]).await;
    assert!(again.replayed(), "quoted it is the same key");
    assert_eq!(again.body, first.body);
    let path = format!("/v1/orders/{}/cancellation", first.body["id"].as_str().unwrap());
    let cancelled = shop.post(&path, "c1", json!({ "reason": "mistake" })).await;
    assert_eq!(cancelled.body["status"], "cancelled");
    assert_eq!(shop.order("k1", &[("mug", 2)]).await.body, first.body, "the first answer");
    assert_eq!(shop.log().await.len(), events + 2, "a cancellation and a release");
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let shop = shop(20).await;
    shop.order("k1", &[("mug", 2)]).await;
    let other = shop.order("k1", &[("mug", 3)]).await;
    assert_eq!((other.status.as_u16(), other.problem()), (422, "idempotency-key-reused"));
    assert_eq!(other.places(), ["Idempotency-Key"]);
    assert_eq!(shop.stock("mug").await, (20, 2));
}

#[tokio::test]
async fn the_same_key_sent_many_times_at_once_places_one_order() {
    let shop = shop(20).await;
    let answers = join_all((0..20).map(|_| shop.order("k1", &[("mug", 2)]))).await;
    for answer in &answers {
        match answer.status.as_u16() {
            201 => {}
            409 => assert_eq!(answer.problem(), "idempotency-key-in-flight"),
            _ => panic!("{answer:?}"),
        }
    }
    assert!(answers.iter().any(|answer| answer.status == StatusCode::CREATED));
    assert_eq!(shop.stock("mug").await, (20, 2));
    let types = shop.types().await;
    assert_eq!(types.iter().filter(|name| *name == "OrderPlaced").count(), 1);
}

#[tokio::test]
async fn a_short_order_is_refused_remembered_and_holds_nothing() {
    let shop = shop(5).await;
    shop.product("cup", 100).await;
    let refused = shop.order("k1", &[("cup", 1), ("mug", 6)]).await;
    assert_eq!((refused.status.as_u16(), refused.problem()), (409, "insufficient-stock"));
    assert_eq!(refused.body["short"], json!([{ "sku": "mug", "requested": 6, "available": 5 }]));
    assert_eq!(shop.stock("cup").await, (100, 0));
    shop.post("/v1/stock/mug/receipts", "r2", json!({ "quantity": 10 })).await;
    let again = shop.order("k1", &[("cup", 1), ("mug", 6)]).await;
    assert!(again.replayed());
    assert_eq!(again.body["short"], refused.body["short"]);
    assert_eq!(shop.order("k2", &[("mug", 6)]).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn many_buyers_of_the_last_units_never_oversell() {
    let shop = shop(10).await;
    let keys: Vec<String> = (0..200).map(|n| format!("k{n}")).collect();
    let answers = join_all(keys.iter().map(|key| shop.order(key, &[("mug", 1)]))).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(StatusCode::CREATED), count(StatusCode::CONFLICT)), (10, 190));
    assert_eq!(shop.stock("mug").await, (10, 10));
}

#[tokio::test]
async fn what_does_not_exist_is_named_and_leaves_no_event() {
    let shop = shop(20).await;
    let events = shop.log().await.len();
    let unknown = shop.order("k1", &[("mug", 1), ("nothing", 1), ("never", 1)]).await;
    assert_eq!((unknown.status.as_u16(), unknown.problem()), (422, "unknown-sku"));
    assert_eq!(unknown.places(), ["#/lines/1/sku", "#/lines/2/sku"]);

    let body = json!({ "customer_id": "who", "channel": "web", "lines": [{ "sku": "mug", "quantity": 1 }] });
    let unknown = shop.post("/v1/orders", "k2", body).await;
    assert_eq!((unknown.status.as_u16(), unknown.problem()), (422, "unknown-customer"));
    assert_eq!(unknown.places(), ["#/customer_id"]);
    assert_eq!(shop.log().await.len(), events);

    let off = json!({ "status": "off_shelf" }).to_string();
    let patched = shop.send(Method::PATCH, "/v1/products/mug", &[], off).await;
    assert_eq!(patched.status, StatusCode::OK, "{patched:?}");
    let off_shelf = shop.order("k3", &[("mug", 1)]).await;
    assert_eq!((off_shelf.status.as_u16(), off_shelf.problem()), (422, "off-shelf"));
    assert_eq!(off_shelf.places(), ["#/lines/0/sku"]);
}

#[tokio::test]
async fn another_price_than_expected_holds_and_remembers_nothing() {
    let shop = shop(20).await;
    let events = shop.log().await.len();
    let mut body = order(&[("mug", 2)]);
    body["expected_total"] = usd(2000);
    let changed = shop.post("/v1/orders", "k1", body.clone()).await;
    assert_eq!((changed.status.as_u16(), changed.problem()), (409, "price-changed"));
    assert_eq!(changed.body["total"], usd(2198));
    assert_eq!(changed.body["lines"][0]["unit_price"], usd(1099));
    assert_eq!(shop.log().await.len(), events);
    body["expected_total"] = usd(2198);
    assert_eq!(shop.post("/v1/orders", "k1", body).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn all_faults_of_a_body_are_told_at_once() {
    let shop = shop(20).await;
    let events = shop.log().await.len();
    let body = json!({
        "customer_id": ".hidden", "lines": [
            { "sku": "mug", "quantity": 0 },
            { "sku": "mug", "quantity": 2_147_483_648_i64 },
            { "sku": "a/b", "quantity": "1", "colour": "red" }
        ], "coupon": "X"
    });
    let refused = shop.post("/v1/orders", "k1", body).await;
    assert_eq!((refused.status.as_u16(), refused.problem()), (400, "bad-request"));
    for place in [
        "#/customer_id",
        "#/channel",
        "#/lines/0/quantity",
        "#/lines/1/quantity",
        "#/lines/1/sku",
        "#/lines/2/sku",
        "#/lines/2/quantity",
        "#/lines/2/colour",
        "#/coupon",
    ] {
        assert!(refused.places().contains(&place), "{place}: {refused:?}");
    }
    assert_eq!(shop.log().await.len(), events);
}

#[tokio::test]
async fn numbers_that_are_no_plain_integers_name_their_field() {
    let shop = shop(20).await;
    for quantity in [
        "1.5",
        "1.0",
        "1e0",
        "1e309",
        "\"1\"",
        "-0",
        "-1",
        "2147483648",
        "9223372036854775808",
        "null",
        "true",
    ] {
        let body = format!(
            r#"{{"customer_id":"u1","channel":"web","lines":[{{"sku":"mug","quantity":{quantity}}}]}}"#
        );
        let refused =
            shop.send(Method::POST, "/v1/orders", &[("idempotency-key", "k")], body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{quantity}: {refused:?}");
        assert_eq!(refused.places(), ["#/lines/0/quantity"], "{quantity}");
    }
    let most = shop.order("most", &[("mug", 2_147_483_647)]).await;
    assert_eq!(most.problem(), "insufficient-stock", "the limit itself can be asked for");
}

#[tokio::test]
async fn lines_are_one_to_a_thousand() {
    let shop = shop(20).await;
    assert_eq!(shop.order("k0", &[]).await.places(), ["#/lines"]);
    let skus: Vec<String> = (0..1_001).map(|n| format!("sku-{n}")).collect();
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
    let many = shop.order("k1", &lines).await;
    assert_eq!((many.status.as_u16(), many.places()), (400, vec!["#/lines"]));
    let most = shop.order("k2", &lines[..1_000]).await;
    assert_eq!(most.problem(), "unknown-sku", "a thousand can be asked for");
}

#[tokio::test]
async fn a_key_is_needed() {
    let shop = shop(20).await;
    let body = order(&[("mug", 1)]).to_string();
    let missing = shop.send(Method::POST, "/v1/orders", &[], body.clone()).await;
    assert_eq!((missing.status.as_u16(), missing.problem()), (400, "idempotency-key-missing"));
    assert_eq!(missing.places(), ["Idempotency-Key"]);
    let long = "k".repeat(256);
    let malformed =
        shop.send(Method::POST, "/v1/orders", &[("idempotency-key", &long)], body.clone()).await;
    assert_eq!(
        (malformed.status.as_u16(), malformed.problem()),
        (400, "idempotency-key-malformed")
    );
    let most =
        shop.send(Method::POST, "/v1/orders", &[("idempotency-key", &long[..255])], body).await;
    assert_eq!(most.status, StatusCode::CREATED);
}

#[tokio::test]
async fn keys_belong_to_their_caller() {
    let shop = shop(20).await;
    let body = order(&[("mug", 1)]).to_string();
    for actor in ["ada", "grace"] {
        let headers = [("idempotency-key", "k1"), ("daybook-actor", actor)];
        let placed = shop.send(Method::POST, "/v1/orders", &headers, body.clone()).await;
        assert!(placed.status == StatusCode::CREATED && !placed.replayed(), "{placed:?}");
    }
    let events = shop.log().await;
    let placed = events.iter().rfind(|event| event.event_type == "OrderPlaced").unwrap();
    let actor = &placed.decode().unwrap().metadata.actor;
    assert_eq!(
        serde_json::to_value(actor).unwrap(),
        json!({ "id": "grace", "kind": "user", "proof": "header" })
    );
}

#[tokio::test]
async fn an_order_goes_its_way_and_no_other() {
    let shop = shop(20).await;
    let placed = shop.order("k1", &[("mug", 2)]).await;
    let path = format!("/v1/orders/{}", placed.body["id"].as_str().unwrap());

    let early = shop.post(&format!("{path}/delivery"), "d0", json!({})).await;
    assert_eq!((early.status.as_u16(), early.problem()), (409, "order-state"));
    assert_eq!(early.body["order_status"], "placed");
    assert_eq!(early.body["allowed"], json!(["dispatched"]));

    let carrier = json!({ "carrier": "ACME Post", "tracking": "1Z" });
    let dispatched = shop.post(&format!("{path}/dispatch"), "d1", carrier).await;
    assert_eq!(dispatched.status, StatusCode::OK, "{dispatched:?}");
    assert_eq!(dispatched.body["status"], "dispatched");
    assert_eq!(dispatched.body["dispatch"]["carrier"], "ACME Post");
    assert_eq!(shop.stock("mug").await, (18, 0));

    let late = shop.post(&format!("{path}/cancellation"), "c1", json!({ "reason": "late" })).await;
    assert_eq!(late.problem(), "order-state");
    let delivered = shop.post(&format!("{path}/delivery"), "d2", json!({})).await;
    assert_eq!(delivered.body["status"], "delivered");
    let again = shop.post(&format!("{path}/delivery"), "d2", json!({})).await;
    assert!(again.replayed());
    assert_eq!(again.body, delivered.body);
    let missing = shop.post("/v1/orders/none/delivery", "d3", json!({})).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn totals_that_overflow_are_refused() {
    let shop = shop(20).await;
    let price = json!({ "amount": 9_007_199_254_740_991_i64, "currency": "USD" });
    let path = "/v1/products/mug/variants/mug/price";
    let priced = shop.send(Method::PUT, path, &[], price.to_string()).await;
    assert_eq!(priced.status, StatusCode::OK, "{priced:?}");
    assert_eq!(shop.order("k1", &[("mug", 1)]).await.status, StatusCode::CREATED);
    let events = shop.log().await.len();
    let over = shop.order("k2", &[("mug", 2)]).await;
    assert_eq!((over.status.as_u16(), over.problem()), (422, "unprocessable"));
    assert_eq!(over.places(), ["#/lines"]);
    assert_eq!(shop.log().await.len(), events);
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_the_key_in_flight_until_the_order_is_placed() {
    let shop = shop(20).await;
    let gone = shop.order("k1", &[("mug", 2)]).now_or_never();
    assert!(gone.is_none(), "the caller hung up");
    let early = shop.order("k1", &[("mug", 2)]).await;
    assert_eq!((early.status.as_u16(), early.problem()), (409, "idempotency-key-in-flight"));
    shop.until("placed all the same", async || {
        shop.types().await.contains(&"OrderPlaced".to_owned())
    })
    .await;
    let again = loop {
        let again = shop.order("k1", &[("mug", 2)]).await;
        if again.status == StatusCode::CREATED {
            break again;
        }
        assert_eq!(again.problem(), "idempotency-key-in-flight");
    };
    assert!(again.replayed());
}

#[tokio::test]
async fn an_order_can_be_cancelled_that_was_asked_for_too_early() {
    let shop = shop(20).await;
    let id = commands::command_id(&["anonymous", "POST", "/v1/orders", "k1"]);
    let path = format!("/v1/orders/{id}/cancellation");
    let early = shop.post(&path, "c1", json!({ "reason": "mistake" })).await;
    assert_eq!(early.status, StatusCode::NOT_FOUND);
    assert_eq!(shop.order("k1", &[("mug", 2)]).await.status, StatusCode::CREATED);
    let cancelled = shop.post(&path, "c1", json!({ "reason": "mistake" })).await;
    assert_eq!(cancelled.body["status"], "cancelled", "{cancelled:?}");
}

#[tokio::test]
async fn with_an_event_that_cannot_be_read_nothing_is_sold_at_an_old_price() {
    let shop = shop(20).await;
    for category in ["product", "order"] {
        let garbage = NewEvent::raw(Uuid::new_v4(), "X".to_owned(), "{".into(), "{".into());
        let stream = StreamName::new(category, "bad");
        shop.store.append(stream, ExpectedRevision::NoStream, vec![garbage]).await.unwrap();
    }
    let stopped = async {
        while shop.commands.followers().iter().any(|(_, stopped)| stopped.is_none()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(180), stopped).await.expect("both stop");
    let [(_, catalogue), (_, watch)] = shop.commands.followers();
    assert!(catalogue.unwrap().starts_with("product-bad@0"), "the event is named");
    assert!(watch.unwrap().starts_with("order-bad@0"), "the event is named");
    let answer = shop.order("k1", &[("mug", 2)]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert_eq!(shop.stock("mug").await, (20, 0), "nothing is held");
}
