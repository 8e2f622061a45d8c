//! `/v1/users`

use http::Method;
use serde_json::json;

use crate::support::{Placed, Shop};

#[tokio::test]
async fn personal_values_are_opened_until_the_key_is_gone() {
    let shop = Shop::open().await;
    shop.register("u1", Some("ada@example.com")).await;
    shop.register("u2", None).await;
    let answer = shop.get("/v1/users/u1").await;
    assert_eq!((answer.status, answer.header("etag")), (200, "\"0\""));
    assert_eq!(answer.header("cache-control"), "no-store");
    let ada = json!({"name": "Ada", "email": "ada@example.com"});
    let user = json!({"id": "u1", "personal": ada, "registered_at": "2026-11-21T09:15:00.000000Z"});
    assert_eq!(answer.json(), user);
    assert!(shop.get("/v1/users/u2").await.json()["personal"].is_null());
    let list = shop.get("/v1/users?limit=1").await;
    assert_eq!(list.json()["items"], json!([user]));
    assert_eq!(list.header("cache-control"), "no-store");
    assert_eq!(shop.pages("/v1/users?limit=1").await, [["u1"], ["u2"]]);
    let known = shop.send(Method::GET, "/v1/users/u1", &[("if-none-match", "\"0\"")]).await;
    assert_eq!((known.status, known.header("cache-control")), (304, "no-store"));
    shop.keys.destroy("u1").await.unwrap();
    assert!(shop.get("/v1/users/u1").await.json()["personal"].is_null());
    assert!(shop.get("/v1/users").await.json()["items"][0]["personal"].is_null());
}

#[tokio::test]
async fn a_summary_counts_what_is_not_cancelled() {
    let shop = Shop::open().await;
    shop.register("u1", None).await;
    let none = shop.get("/v1/users/u1/summary").await;
    assert_eq!(none.header("cache-control"), "no-store");
    let zero = json!({"amount": 0, "currency": "USD"});
    assert_eq!(
        none.json(),
        json!({"id": "u1", "orders": 0, "units": 0, "revenue": zero, "first_order": null, "last_order": null})
    );
    shop.place(&Placed::new("b", "2026-11-02T00:00:00Z")).await;
    shop.place(&Placed::new("a", "2026-11-03T00:00:00Z")).await;
    let cancelled = Placed::new("c", "2026-11-01T00:00:00Z");
    shop.place(&cancelled).await;
    shop.cancel(&cancelled).await;
    let json = shop.get("/v1/users/u1/summary").await.json();
    assert_eq!(
        (&json["orders"], &json["units"], &json["revenue"]["amount"]),
        (&2.into(), &6.into(), &1200.into())
    );
    assert_eq!(json["first_order"]["id"], "b");
    assert_eq!(json["last_order"]["placed_at"], "2026-11-03T00:00:00.000000Z");
}

#[tokio::test]
async fn who_is_not_registered_is_not_there() {
    let shop = Shop::open().await;
    shop.place(&Placed::new("b", "2026-11-02T00:00:00Z").of("u9", "web")).await;
    for path in ["/v1/users/u9", "/v1/users/u9/summary"] {
        assert_eq!(shop.get(path).await.problem().0, 404);
    }
    assert!(shop.get("/v1/users").await.ids().is_empty());
    assert_eq!(shop.get("/v1/users?sort=id").await.problem().2, ["sort"]);
}
