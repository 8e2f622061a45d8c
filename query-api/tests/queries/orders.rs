//! `/v1/orders`

use event_schemas::{OrderAbandoned, OrderEvent, OrderRefused, ShortLine};
use http::Method;
use serde_json::json;

use crate::support::{Placed, Shop};

#[tokio::test]
async fn an_order_is_answered_as_it_was_posted() {
    let shop = Shop::open().await;
    let order = Placed::new("o1", "2026-11-21T09:15:00.123456Z");
    shop.place(&order).await;
    let answer = shop.get("/v1/orders/o1").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    assert_eq!(answer.header("preference-applied"), "wait=30");
    assert_eq!(answer.header("daybook-position"), shop.position(shop.store.head().await.unwrap()));
    let json = answer.json();
    assert_eq!(json["status"], "placed");
    assert_eq!(json["placed_at"], "2026-11-21T09:15:00.123456Z");
    assert_eq!(json["total"], json!({"amount": 600, "currency": "USD"}));
    assert_eq!(json["lines"][0]["quantity"], 2);
    let head = shop.send(Method::HEAD, "/v1/orders/o1", &[]).await;
    assert!(head.body.is_empty());
    assert_eq!(head.header("content-length"), answer.body.len().to_string());

    shop.cancel(&order).await;
    let json = shop.get("/v1/orders/o1").await.json();
    assert_eq!(
        (&json["status"], &json["cancellation"]["reason"]),
        (&"cancelled".into(), &"changed my mind".into())
    );
    let json = shop.get("/v1/orders/o1/history").await.json();
    let types: Vec<_> =
        json["items"].as_array().unwrap().iter().map(|e| e["type"].clone()).collect();
    assert_eq!(types, ["OrderPlaced", "OrderCancelled"]);
    assert!(json["next"].is_null());
}

#[tokio::test]
async fn an_unknown_order_is_404_and_says_how_far_it_looked() {
    let shop = Shop::open().await;
    shop.place(&Placed::new("o1", "2026-11-21T09:15:00Z")).await;
    for path in ["/v1/orders/O1", "/v1/orders/o1%2F", "/v1/orders/%F0%9F%98%80/history"] {
        let answer = shop.get(path).await;
        assert_eq!(answer.problem(), (404, "not-found".to_owned(), vec![]), "{path}");
        assert_eq!(
            answer.header("daybook-position"),
            shop.position(shop.store.head().await.unwrap())
        );
    }
}

#[tokio::test]
async fn lists_are_filtered_and_sorted() {
    let shop = Shop::open().await;
    shop.place(&Placed::new("a", "2026-11-03T00:00:00Z").only(1, 500)).await;
    shop.place(&Placed::new("b", "2026-11-01T00:00:00Z").of("u2", "store").only(1, 700)).await;
    shop.place(&Placed::new("c", "2026-11-02T00:00:00Z").of("u2", "web").only(1, 500)).await;
    let cancelled = Placed::new("d", "2026-11-04T00:00:00Z").only(1, 100);
    shop.place(&cancelled).await;
    shop.cancel(&cancelled).await;
    let refused = OrderRefused {
        order: Placed::new("e", "2026-11-05T00:00:00Z").body(),
        short: vec![ShortLine { sku: "a".to_owned(), requested: 2, available: 1 }],
    };
    shop.append("order", "e", OrderEvent::Refused(refused)).await;
    shop.append("order", "f", OrderEvent::Abandoned(OrderAbandoned {})).await;
    for (query, ids) in [
        ("", "dacb"),
        ("?sort=placed_at", "bcad"),
        ("?sort=total", "dacb"),
        ("?sort=-total", "bacd"),
        ("?customer_id=u2", "cb"),
        ("?channel=web&customer_id=u2", "c"),
        ("?status=cancelled", "d"),
        ("?status=refused", "e"),
        ("?status=abandoned", "f"),
        ("?placed_from=2026-11-02T00:00:00Z&placed_to=2026-11-04T00:00:00Z", "ac"),
        ("?placed_from=2026-11-02T01:00:00%2B01:00&placed_to=2026-11-02T00:00:00.000001Z", "c"),
        ("?placed_from=2026-11-02T00:00:00Z&placed_to=2026-11-02T00:00:00Z", ""),
    ] {
        assert_eq!(shop.get(&format!("/v1/orders{query}")).await.ids().concat(), ids, "{query}");
        let sign = if query.is_empty() { '?' } else { '&' };
        let pages = shop.pages(&format!("/v1/orders{query}{sign}limit=1")).await;
        assert_eq!(pages.concat().concat(), ids, "{query} in pages");
        assert!(ids.is_empty() || pages.len() == ids.len(), "{query}: {pages:?}");
    }
}

#[tokio::test]
async fn pages_stay_right_while_rows_are_added() {
    let shop = Shop::open().await;
    for id in ["b", "d", "f"] {
        shop.place(&Placed::new(id, "2026-11-01T00:00:00Z")).await;
    }
    let first = shop.get("/v1/orders?sort=placed_at&limit=2").await;
    assert_eq!(first.ids(), ["b", "d"]);
    let cursor = first.json()["next"].as_str().unwrap().to_owned();
    for id in ["a", "c", "e"] {
        shop.place(&Placed::new(id, "2026-11-01T00:00:00Z")).await;
    }
    shop.place(&Placed::new("g", "2026-10-01T00:00:00Z")).await;
    let second = shop.get(&format!("/v1/orders?sort=placed_at&limit=9&cursor={cursor}")).await;
    assert_eq!(second.ids(), ["e", "f"]);
    let other = shop.get(&format!("/v1/orders?sort=total&cursor={cursor}")).await;
    assert_eq!(other.problem(), (400, "bad-request".to_owned(), vec!["cursor".to_owned()]));
    let other = shop.get(&format!("/v1/orders?sort=placed_at&status=placed&cursor={cursor}")).await;
    assert_eq!(other.status, 400);
}

#[tokio::test]
async fn every_fault_of_a_query_is_told_at_once() {
    let shop = Shop::open().await;
    let path = "/v1/orders?customer_id=a/b&status=gone&channel=&placed_from=2026-02-30T00:00:00Z&placed_to=x&sort=id&limit=1001&cursor=!&colour=red&limit2=1";
    let answer =
        shop.send(Method::GET, path, &[("prefer", "wait=31"), ("daybook-position", "x")]).await;
    let (status, name, faults) = answer.problem();
    assert_eq!((status, name.as_str()), (400, "bad-request"));
    assert_eq!(
        faults,
        [
            "Daybook-Position",
            "Prefer",
            "sort",
            "customer_id",
            "channel",
            "status",
            "placed_from",
            "placed_to",
            "limit",
            "cursor",
            "colour",
            "limit2",
        ]
    );
    for bad in [
        "limit=0",
        "limit=1e1",
        "status=placed&status=placed",
        "placed_from=2026-11-02T00:00:00Z&placed_to=2026-11-01T00:00:00Z",
        "placed_from=2026-11-01T00:00:00.1234567Z",
        "customer_id=%00",
        "sort=-id",
        "sort=",
    ] {
        assert_eq!(shop.get(&format!("/v1/orders?{bad}")).await.problem().2.len(), 1, "{bad}");
    }
    assert_eq!(shop.get("/v1/orders/a?x=1").await.problem().2, ["x"]);
}
