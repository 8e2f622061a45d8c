use http::StatusCode;
use serde_json::json;

use crate::support::Shop;

async fn shop() -> Shop {
    let shop = Shop::open().await;
    shop.user("u1").await;
    shop.product("mug", 20).await;
    shop
}

#[tokio::test]
async fn receipts_and_adjustments_answer_with_the_numbers() {
    let shop = shop().await;
    shop.order("o1", &[("mug", 5)]).await;
    let received = shop.post("/v1/stock/mug/receipts", "r1", json!({ "quantity": 3 })).await;
    assert_eq!(received.status, StatusCode::CREATED);
    assert_eq!(received.header("location"), Some("/v1/stock/mug"));
    let numbers = json!({ "sku": "mug", "on_hand": 23, "reserved": 5, "available": 18 });
    assert_eq!(received.body, numbers);

    let broken = json!({ "delta": -3, "reason": "breakage" });
    let adjusted = shop.post("/v1/stock/mug/adjustments", "a1", broken).await;
    assert_eq!(adjusted.body["available"], 15);
    let again = shop.post("/v1/stock/mug/receipts", "r1", json!({ "quantity": 3 })).await;
    assert!(again.replayed());
    assert_eq!(again.body, numbers, "the first answer again");
    let reused = shop.post("/v1/stock/mug/receipts", "r1", json!({ "quantity": 4 })).await;
    assert_eq!(reused.problem(), "idempotency-key-reused");
}

#[tokio::test]
async fn reserved_units_cannot_be_taken_away() {
    let shop = shop().await;
    shop.order("o1", &[("mug", 5)]).await;
    let all = json!({ "delta": -16, "reason": "theft" });
    let refused = shop.post("/v1/stock/mug/adjustments", "a1", all).await;
    assert_eq!((refused.status.as_u16(), refused.problem()), (422, "below-zero"));
    assert_eq!(refused.places(), ["#/delta"]);
    let free = json!({ "delta": -15, "reason": "theft" });
    let adjusted = shop.post("/v1/stock/mug/adjustments", "a2", free).await;
    assert_eq!(adjusted.body["available"], 0);
}

#[tokio::test]
async fn limits_name_their_field() {
    let shop = shop().await;
    let receipts = "/v1/stock/mug/receipts";
    for quantity in [json!(0), json!(-1), json!(2_147_483_648_i64), json!("1")] {
        let refused = shop.post(receipts, "r", json!({ "quantity": quantity })).await;
        assert_eq!((refused.status.as_u16(), refused.places()), (400, vec!["#/quantity"]));
    }
    let most = shop.post(receipts, "most", json!({ "quantity": 2_147_483_647 })).await;
    assert_eq!(most.status, StatusCode::CREATED);

    let adjustments = "/v1/stock/mug/adjustments";
    let empty = shop.post(adjustments, "a1", json!({ "delta": 0, "reason": "" })).await;
    assert_eq!(empty.places(), ["#/delta", "#/reason"]);
    let long = "r".repeat(201);
    let refused = shop.post(adjustments, "a2", json!({ "delta": 1, "reason": long })).await;
    assert_eq!(refused.places(), ["#/reason"]);
    let fits = "r".repeat(200);
    let adjusted = shop.post(adjustments, "a3", json!({ "delta": 1, "reason": fits })).await;
    assert_eq!(adjusted.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_sku_that_no_product_has_is_not_found() {
    let shop = shop().await;
    let events = shop.log().await.len();
    for path in
        ["/v1/stock/none/receipts", "/v1/stock/%F0%9F%8D%B5/receipts", "/v1/stock/a%2Fb/receipts"]
    {
        let missing = shop.post(path, "r1", json!({ "quantity": 1 })).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(shop.log().await.len(), events);
}
