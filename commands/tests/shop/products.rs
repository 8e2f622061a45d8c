use bytes::Bytes;
use event_schemas::{ExpectedRevision, NewEvent, StreamName};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use uuid::Uuid;

use crate::support::{Answer, Shop, usd};

fn mug(id: &str, sku: &str) -> Value {
    json!({
        "id": id, "title": "Mug", "brand": "Acme", "department": "HOME", "category": "CUPS",
        "variants": [{ "sku": sku, "title": "Red, 300 ml", "price": usd(1099) }],
        "attributes": { "package_size": "22 LB" }
    })
}

async fn patch(shop: &Shop, headers: &[(&str, &str)], body: Value) -> Answer {
    shop.send(Method::PATCH, "/v1/products/mug", headers, body.to_string()).await
}

#[tokio::test]
async fn a_product_is_answered_whole() {
    let shop = Shop::open().await;
    let made = shop.post("/v1/products", "k1", mug("mug", "mug-red")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(made.header("location"), Some("/v1/products/mug"));
    assert_eq!(made.header("etag"), Some("\"0\""));
    let mut whole = mug("mug", "mug-red");
    whole["status"] = json!("on_shelf");
    assert_eq!(made.body, whole);
    let again = shop.post("/v1/products", "k1", mug("mug", "mug-red")).await;
    assert!(again.replayed() && again.body == whole);
}

#[tokio::test]
async fn ids_and_skus_are_unique() {
    let shop = Shop::open().await;
    shop.post("/v1/products", "k1", mug("mug", "mug-red")).await;
    let events = shop.log().await.len();
    let exists = shop.post("/v1/products", "k2", mug("mug", "other")).await;
    assert_eq!((exists.status.as_u16(), exists.problem()), (409, "already-exists"));
    let taken = shop.post("/v1/products", "k3", mug("cup", "mug-red")).await;
    assert_eq!((taken.status.as_u16(), taken.problem()), (409, "sku-taken"));
    assert_eq!(taken.body["sku"], "mug-red");
    assert_eq!(shop.log().await.len(), events);
}

#[tokio::test]
async fn a_merge_patch_changes_what_it_names_and_appends_only_changes() {
    let shop = Shop::open().await;
    shop.post("/v1/products", "k1", mug("mug", "mug-red")).await;
    let body =
        json!({ "title": "Cup", "brand": null, "attributes": { "package_size": null, "a": "b" } });
    let media = [("content-type", "application/merge-patch+json")];
    let changed = patch(&shop, &media, body).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    assert_eq!((&changed.body["title"], &changed.body["brand"]), (&json!("Cup"), &json!("")));
    assert_eq!(changed.body["attributes"], json!({ "a": "b" }));
    assert_eq!(changed.header("etag"), Some("\"1\""));

    let events = shop.log().await.len();
    let same = patch(&shop, &[], json!({ "title": "Cup", "status": "on_shelf" })).await;
    assert_eq!((same.status, same.header("etag")), (StatusCode::OK, Some("\"1\"")));
    assert_eq!(shop.log().await.len(), events, "nothing changed, nothing appended");
    let both = patch(&shop, &[], json!({ "title": "Mug", "status": "off_shelf" })).await;
    assert_eq!((&both.body["status"], both.header("etag")), (&json!("off_shelf"), Some("\"3\"")));
}

#[tokio::test]
async fn if_match_guards_a_change() {
    let shop = Shop::open().await;
    shop.post("/v1/products", "k1", mug("mug", "mug-red")).await;
    let cup = || json!({ "title": "Cup" });
    let stale = patch(&shop, &[("if-match", "\"7\"")], cup()).await;
    assert_eq!((stale.status.as_u16(), stale.problem()), (412, "changed-meanwhile"));
    assert_eq!(patch(&shop, &[("if-match", "\"0\"")], cup()).await.status, StatusCode::OK);
    let price = usd(999).to_string();
    let path = "/v1/products/mug/variants/mug-red/price";
    let stale = shop.send(Method::PUT, path, &[("if-match", "\"0\"")], price.clone()).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    let priced = shop.send(Method::PUT, path, &[("if-match", "\"1\"")], price).await;
    assert_eq!(priced.body["variants"][0]["price"], usd(999));
}

#[tokio::test]
async fn a_variant_comes_with_its_own_sku() {
    let shop = Shop::open().await;
    shop.post("/v1/products", "k1", mug("mug", "mug-red")).await;
    let blue = json!({ "sku": "mug-blue", "price": usd(1199) });
    let added = shop.post("/v1/products/mug/variants", "k2", blue.clone()).await;
    assert_eq!(added.status, StatusCode::CREATED, "{added:?}");
    assert_eq!(added.body["variants"][1]["sku"], "mug-blue");
    let taken = shop.post("/v1/products/mug/variants", "k3", blue.clone()).await;
    assert_eq!(taken.problem(), "sku-taken");
    let missing = shop.post("/v1/products/none/variants", "k4", blue).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn limits_name_their_field() {
    let shop = Shop::open().await;
    let with = |name: &str, value: Value| {
        let mut body = mug("mug", "mug-red");
        body[name] = value;
        body
    };
    let many: serde_json::Map<String, Value> =
        (0..33).map(|n| (format!("a{n}"), json!("v"))).collect();
    let tea = "\u{1F375}";
    for (body, place) in [
        (with("id", json!("search")), "#/id"),
        (with("id", json!(tea)), "#/id"),
        (with("title", json!("")), "#/title"),
        (with("title", json!(tea.repeat(201))), "#/title"),
        (with("brand", json!("b".repeat(65))), "#/brand"),
        (with("department", json!("d".repeat(65))), "#/department"),
        (with("category", json!("c".repeat(65))), "#/category"),
        (with("status", json!("sold")), "#/status"),
        (with("attributes", json!(many)), "#/attributes"),
        (with("attributes", json!({ "a": 1 })), "#/attributes/a"),
        (with("variants", json!([{ "sku": "a/b", "price": usd(1) }])), "#/variants/0/sku"),
        (
            with(
                "variants",
                json!([{ "sku": "a", "price": { "amount": 1.5, "currency": "USD" } }]),
            ),
            "#/variants/0/price/amount",
        ),
        (
            with("variants", json!([{ "sku": "a", "price": usd(9_007_199_254_740_992) }])),
            "#/variants/0/price/amount",
        ),
    ] {
        let refused = shop.post("/v1/products", "k", body.clone()).await;
        assert_eq!((refused.status.as_u16(), refused.places()), (400, vec![place]), "{body}");
    }
    let negative = with("variants", json!([{ "sku": "a", "price": usd(-1) }]));
    let refused = shop.post("/v1/products", "k", negative).await;
    assert_eq!(
        (refused.status.as_u16(), refused.places()),
        (422, vec!["#/variants/0/price/amount"])
    );
    let euro = json!([{ "sku": "a", "price": { "amount": 1, "currency": "EUR" } }]);
    let refused = shop.post("/v1/products", "k", with("variants", euro)).await;
    assert_eq!(
        (refused.status.as_u16(), refused.places()),
        (422, vec!["#/variants/0/price/currency"])
    );
    assert_eq!(shop.log().await.len(), 0);
    let most = shop.post("/v1/products", "k", with("title", json!(tea.repeat(200)))).await;
    assert_eq!(most.status, StatusCode::CREATED, "{most:?}");
}

#[tokio::test]
async fn a_patch_that_takes_all_attributes_away_is_not_the_one_that_leaves_them() {
    let shop = Shop::open().await;
    shop.post("/v1/products", "k1", mug("mug", "mug-red")).await;
    let key = [("idempotency-key", "k2")];
    let cleared = patch(&shop, &key, json!({ "title": "Cup", "attributes": null })).await;
    assert_eq!((cleared.status, &cleared.body["attributes"]), (StatusCode::OK, &json!({})));
    let other = patch(&shop, &key, json!({ "title": "Cup" })).await;
    assert_eq!(other.problem(), "idempotency-key-reused");
}

#[tokio::test]
async fn a_failure_leaves_the_claims_for_the_same_key_to_go_on_with() {
    let shop = Shop::open().await;
    let garbage =
        NewEvent::raw(Uuid::new_v4(), "StockReceived".to_owned(), Bytes::from("{"), Bytes::new());
    let bad = StreamName::new("stock", "bad");
    shop.store.append(bad, ExpectedRevision::NoStream, vec![garbage]).await.unwrap();
    let mut body = mug("mug", "mug-red");
    body["variants"].as_array_mut().unwrap().push(json!({ "sku": "bad", "price": usd(1) }));
    let failed = shop.post("/v1/products", "k1", body).await;
    assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(shop.types().await, ["StockReceived", "StockIntroduced"], "nothing is given up");
    // A claim is the command's: the same key has it, whatever its body is now.
    let made = shop.post("/v1/products", "k1", mug("mug", "mug-red")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
}
