//! `/v1/events`

use event_schemas::NewEvent;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Placed, Shop};

async fn positions(shop: &Shop, query: &str) -> Vec<u64> {
    let json = shop.get(&format!("/v1/events{query}")).await.json();
    let position = |item: &Value| item["position"].as_u64().unwrap();
    json["items"].as_array().unwrap_or_else(|| panic!("{json}")).iter().map(position).collect()
}

async fn shop() -> Shop {
    let shop = Shop::open().await;
    let order = Placed::new("o1", "2026-11-21T09:15:00Z");
    shop.place(&order).await;
    shop.register("u1", Some("ada@example.com")).await;
    let foreign = NewEvent::raw(Uuid::new_v4(), "Seen".to_owned(), "no JSON".into(), "".into());
    shop.append_raw("audit", "x", foreign).await;
    shop.place(&Placed::new("o2", "2026-11-21T09:15:00Z")).await;
    shop.cancel(&order).await;
    shop
}

#[tokio::test]
async fn an_event_is_told_whole_but_for_what_is_personal() {
    let shop = shop().await;
    let answer = shop.get("/v1/events").await;
    assert!(!answer.text().contains("ada@example.com"));
    let items = answer.json()["items"].clone();
    let first = &items[0];
    assert_eq!(first["stream"], "order-o1");
    assert_eq!((&first["position"], &first["revision"]), (&1.into(), &0.into()));
    assert_eq!((&first["type"], &first["schema_version"]), (&"OrderPlaced".into(), &1.into()));
    assert_eq!(first["recorded_at"], "2026-11-21T09:15:00.000000Z");
    assert_eq!(first["actor"], json!({"id": "test", "kind": "system", "proof": "none"}));
    assert_eq!(first["correlation_id"], "c1");
    assert_eq!(first["data"]["order"]["total"], 600);
    assert!(items[1]["data"]["personal"]["sealed"].is_string());
    let foreign = &items[2];
    assert_eq!((&foreign["stream"], &foreign["type"]), (&"audit-x".into(), &"Seen".into()));
    assert!(["actor", "recorded_at", "schema_version"].iter().all(|name| foreign[name].is_null()));
    assert_eq!(foreign["data"], "no JSON");
}

#[tokio::test]
async fn the_log_is_narrowed() {
    let shop = shop().await;
    for (query, expected) in [
        ("", vec![1, 2, 3, 4, 5]),
        ("?from=2&to=4", vec![2, 3, 4]),
        ("?from=0&to=1", vec![1]),
        ("?from=6", vec![]),
        ("?to=0", vec![]),
        ("?stream=order-o1", vec![1, 5]),
        ("?stream=order-o1&category=user", vec![]),
        ("?category=order", vec![1, 4, 5]),
        ("?type=OrderPlaced&from=2", vec![4]),
        ("?type=Nothing", vec![]),
        ("?since=2026-11-21T09:15:00Z", vec![1, 2, 4, 5]),
        ("?until=2026-11-21T09:15:00Z", vec![]),
        ("?category=audit", vec![3]),
        ("?actor=test", vec![1, 2, 4, 5]),
        ("?actor=bob", vec![]),
        ("?correlation=c1&type=OrderCancelled", vec![5]),
        ("?correlation=c2", vec![]),
        ("?since=2026-11-21T09:15:00Z&clock=occurred", vec![1, 2, 4, 5]),
        ("?backwards=true", vec![5, 4, 3, 2, 1]),
        ("?backwards=true&from=2&to=4", vec![4, 3, 2]),
        ("?backwards=true&category=order&to=4", vec![4, 1]),
        ("?backwards=true&category=user&to=4", vec![2]),
        ("?backwards=true&to=9", vec![5, 4, 3, 2, 1]),
        ("?backwards=true&stream=order-o1", vec![5, 1]),
    ] {
        assert_eq!(positions(&shop, query).await, expected, "{query}");
        let sign = if query.is_empty() { '?' } else { '&' };
        let pages = shop.pages(&format!("/v1/events{query}{sign}limit=1")).await;
        assert_eq!(pages.concat().len(), expected.len(), "{query} in pages");
    }
}

#[tokio::test]
async fn every_fault_names_its_parameter() {
    let shop = Shop::open().await;
    for (query, name) in [
        ("from=-1", "from"),
        ("to=x", "to"),
        // Of an empty log the next one is the first.
        ("from=2", "from"),
        ("since=2999-01-01T00:00:00Z", "since"),
        ("from=2&to=1", "to"),
        ("since=2026-11-21", "since"),
        ("since=2026-11-21T00:00:00Z&until=2026-11-20T00:00:00Z", "until"),
        ("stream=", "stream"),
        ("type=%00", "type"),
        ("sort=position", "sort"),
        ("backwards=yes", "backwards"),
        ("clock=sundial", "clock"),
        ("actor=", "actor"),
        ("cursor=x", "cursor"),
    ] {
        let answer = shop.get(&format!("/v1/events?{query}")).await;
        assert_eq!(
            answer.problem(),
            (400, "bad-request".to_owned(), vec![name.to_owned()]),
            "{query}"
        );
    }
    for path in ["/v1/events?stream=order-none", "/v1/audit/trail?subject=order-none"] {
        assert_eq!(shop.get(path).await.problem(), (404, "not-found".to_owned(), vec![]));
    }
    assert_eq!(shop.get("/v1/events?from=1").await.status, 200);
}
