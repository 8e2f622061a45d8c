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

#[tokio::test]
async fn who_opens_what_is_personal_is_recorded_before_it_is_answered() {
    let shop = Shop::open().await;
    shop.register("u1", Some("ada@example.com")).await;
    shop.register("u2", None).await;
    assert!(shop.openings("u1").await.is_empty());
    let asked = [("daybook-actor", "grace"), ("daybook-reason", " a call of the customer ")];
    shop.get("/v1/users/u1").await;
    assert_eq!(shop.send(Method::GET, "/v1/users/u1", &asked).await.status, 200);
    for path in ["/v1/users", "/v1/users/u1/at?revision=0", "/v1/users/u1/export"] {
        assert_eq!(shop.send(Method::GET, path, &asked).await.status, 200, "{path}");
    }
    let opened = |route: &str| json!({"user_id": "u1", "route": route});
    let told = |route: &str| {
        let mut data = opened(route);
        data["reason"] = json!("a call of the customer");
        (data, "grace".to_owned())
    };
    let expected = [
        (opened("/v1/users/{id}"), "anonymous".to_owned()),
        told("/v1/users/{id}"),
        told("/v1/users"),
        told("/v1/users/{id}/at"),
        told("/v1/users/{id}/export"),
    ];
    assert_eq!(shop.openings("u1").await, expected);
    // What opens nothing is no opening.
    assert!(shop.openings("u2").await.is_empty());
    let known = shop.send(Method::GET, "/v1/users/u1", &[("if-none-match", "\"0\"")]).await;
    assert_eq!(known.status, 304);
    for path in ["/v1/users/u1/summary", "/v1/users/u1/history", "/v1/events"] {
        assert_eq!(shop.get(path).await.status, 200, "{path}");
    }
    shop.keys.destroy("u1").await.unwrap();
    shop.get("/v1/users/u1").await;
    assert_eq!(shop.openings("u1").await, expected);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_opened() {
    let shop = Shop::open().await;
    shop.register("u1", Some("ada@example.com")).await;
    shop.register("u2", None).await;
    let reader = shop.read_only().await;
    for path in ["/v1/users/u1", "/v1/users", "/v1/users/u1/at?revision=0", "/v1/users/u1/export"] {
        let refused = reader.get(path).await;
        assert!(!refused.text().contains("ada@"), "{path}");
        assert_eq!(refused.problem(), (503, "unavailable".to_owned(), vec![]), "{path}");
        assert!(!refused.header("retry-after").is_empty());
    }
    assert_eq!(reader.get("/v1/users/u2").await.status, 200, "nothing of it is personal");
}

#[tokio::test]
async fn a_reason_is_one_text_of_up_to_200_characters() {
    let shop = Shop::open().await;
    shop.register("u1", Some("ada@example.com")).await;
    // Until it is posted nobody is there.
    shop.get("/v1/users/u1/summary").await;
    let (most, more) = ("x".repeat(200), "x".repeat(201));
    for wrong in [
        &[("daybook-reason", "")][..],
        &[("daybook-reason", more.as_str())],
        &[("daybook-reason", "a"), ("daybook-reason", "b")],
    ] {
        let refused = shop.send(Method::GET, "/v1/users/u1", wrong).await;
        assert_eq!(refused.problem().2, ["Daybook-Reason"], "{wrong:?}");
    }
    let told = shop.send(Method::GET, "/v1/users/u1", &[("daybook-reason", &most)]).await;
    assert_eq!((told.status, shop.openings("u1").await.len()), (200, 1));
}

#[tokio::test]
async fn an_export_holds_all_that_is_known_of_a_person() {
    let shop = Shop::open().await;
    shop.register("u1", Some("ada@example.com")).await;
    shop.register("u2", Some("bob@example.com")).await;
    let day = |n: usize| format!("2026-11-{:02}T00:00:00Z", n % 20 + 1);
    for n in 0..450 {
        shop.place(&Placed::new(&format!("o{n}"), &day(n)).of("u1", "web")).await;
    }
    shop.place(&Placed::new("other", &day(1)).of("u2", "web")).await;
    shop.get("/v1/users/u1").await;
    let answer = shop.get("/v1/users/u1/export").await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    let export = answer.json();
    assert_eq!(export["user"]["personal"]["email"], "ada@example.com");
    let orders = export["orders"].as_array().unwrap();
    let mut ids: Vec<&str> = orders.iter().map(|order| order["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.len() == 450 && orders.len() == 450 && !ids.contains(&"other"));
    assert_eq!(
        orders[0],
        shop.get(&format!("/v1/orders/{}", orders[0]["id"].as_str().unwrap())).await.json()
    );
    assert_eq!(export["events"][0]["data"]["personal"]["name"], "Ada");
    let routes: Vec<_> =
        export["openings"].as_array().unwrap().iter().map(|one| &one["data"]["route"]).collect();
    assert_eq!(routes, ["/v1/users/{id}", "/v1/users/{id}/export"]);
    assert!(!answer.text().contains("bob@"));
    shop.keys.destroy("u1").await.unwrap();
    let export = shop.get("/v1/users/u1/export").await.json();
    assert!(
        export["user"]["personal"].is_null() && export["events"][0]["data"]["personal"].is_null()
    );
    assert_eq!(export["orders"].as_array().unwrap().len(), 450);
    assert_eq!(shop.get("/v1/users/nobody/export").await.problem().0, 404);
}
