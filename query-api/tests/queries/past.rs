//! `/at` and `/history`: what was.

use event_schemas::{
    Event, NewEvent, OrderDispatched, OrderEvent, ProductDescribed, ProductEvent, StockEvent,
    StockReceived, StockReserved,
};
use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Placed, Shop, metadata};

async fn append(shop: &Shop, stream: (&str, &str), event: impl Into<Event>, at: [&str; 2]) {
    shop.append_at(stream, event, at).await;
}

fn received(quantity: i64, on_hand: i64, reserved: i64) -> StockEvent {
    StockReceived { quantity, batch: None, on_hand, reserved }.into()
}

fn reserved(order: &str, quantity: i64, hold: u64, on_hand: i64, reserved: i64) -> StockEvent {
    let order_id = order.to_owned();
    StockReserved { order_id, quantity, hold, request_hash: None, on_hand, reserved }.into()
}

async fn json(shop: &Shop, path: &str) -> Value {
    let answer = shop.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

/// The document without what made it so.
async fn was(shop: &Shop, path: &str) -> Value {
    let mut found = json(shop, path).await;
    found.as_object_mut().unwrap().remove("as_of");
    found
}

#[tokio::test]
async fn what_is_now_is_what_get_answers() {
    let shop = Shop::open().await;
    let order = Placed::new("o1", "2026-11-21T09:15:00Z");
    shop.place(&order).await;
    shop.cancel(&order).await;
    shop.register("u1", Some("ada@example.com")).await;
    shop.register("u2", None).await;
    shop.create("mug", "Mug", "Acme", "HOME", 1_099).await;
    shop.stock("mug", "mug-1", 5).await;
    let head = shop.store.head().await.unwrap();
    for path in
        ["/v1/orders/o1", "/v1/users/u1", "/v1/users/u2", "/v1/products/mug", "/v1/stock/mug-1"]
    {
        let now = json(&shop, path).await;
        assert_eq!(was(&shop, &format!("{path}/at?position={head}")).await, now);
        assert_eq!(was(&shop, &format!("{path}/at?time=2026-11-21T09:15:00Z")).await, now);
        let clock = format!("{path}/at?time=2026-11-21T09:15:00Z&clock=occurred");
        assert_eq!(was(&shop, &clock).await, now);
    }
    let user = shop.get("/v1/users/u1/at?revision=0").await;
    assert_eq!(user.header("cache-control"), "no-store");
    assert_eq!(user.json()["personal"]["email"], "ada@example.com");
}

#[tokio::test]
async fn an_order_is_shown_as_it_was() {
    let shop = Shop::open().await;
    let order = Placed::new("o1", "2026-11-21T09:15:00Z");
    shop.place(&order).await;
    shop.register("u1", None).await;
    let dispatched = OrderDispatched { carrier: None, tracking: None, holds: Vec::new() };
    let later = ["2026-11-21T10:00:00Z", "2026-11-21T09:50:00Z"];
    append(&shop, ("order", "o1"), OrderEvent::from(dispatched), later).await;
    for (at, status) in [
        ("revision=0", "placed"),
        ("revision=1", "dispatched"),
        ("position=1", "placed"),
        ("position=2", "placed"),
        ("position=3", "dispatched"),
        ("time=2026-11-21T09:15:00Z", "placed"),
        ("time=2026-11-21T09:59:59.999999Z", "placed"),
        ("time=2026-11-21T10:00:00Z", "dispatched"),
        ("time=2026-11-21T11:00:00%2B01:00", "dispatched"),
        ("time=2026-11-21T09:49:00Z&clock=occurred", "placed"),
        ("time=2026-11-21T09:50:00Z&clock=occurred", "dispatched"),
    ] {
        let found = json(&shop, &format!("/v1/orders/o1/at?{at}")).await;
        assert_eq!(found["status"], status, "{at}");
        let (revision, position) = if status == "placed" { (0, 1) } else { (1, 3) };
        assert_eq!(found["as_of"]["revision"], revision, "{at}");
        assert_eq!(found["as_of"]["position"], position, "{at}");
        assert_eq!(found["as_of"]["clocks_ran_back"], 0, "{at}");
    }
    let made = json(&shop, "/v1/orders/o1/at?revision=1").await["as_of"].clone();
    assert_eq!(made["event_type"], "OrderDispatched");
    assert_eq!(made["recorded_at"], "2026-11-21T10:00:00.000000Z");
}

#[tokio::test]
async fn a_time_is_the_longest_prefix_with_nothing_recorded_later() {
    let shop = Shop::open().await;
    shop.stock("mug", "a", 0).await;
    shop.stock("mug", "b", 0).await;
    for (sku, on_hand, at) in [
        ("a", 1, "2026-11-21T10:00:00Z"),
        ("b", 1, "2026-11-21T10:30:00Z"),
        // A node whose clock is behind: it knew of nothing of half past ten, but stands behind it.
        ("a", 2, "2026-11-21T10:10:00Z"),
        ("b", 2, "2026-11-21T10:40:00Z"),
    ] {
        append(&shop, ("stock", sku), received(1, on_hand, 0), [at, at]).await;
    }
    for (time, a, b, ran_back) in [
        ("10:00:00", 1, 0, 0),
        ("10:10:00", 1, 0, 0),
        ("10:29:59", 1, 0, 0),
        ("10:30:00", 2, 1, 1),
        ("10:40:00", 2, 2, 1),
    ] {
        for (sku, on_hand) in [("a", a), ("b", b)] {
            let found = json(&shop, &format!("/v1/stock/{sku}/at?time=2026-11-21T{time}Z")).await;
            assert_eq!(found["on_hand"], on_hand, "{sku} at {time}");
            assert_eq!(found["as_of"]["clocks_ran_back"], ran_back, "{sku} at {time}");
        }
    }
}

#[tokio::test]
async fn what_happened_then_is_told_as_known_now() {
    let shop = Shop::open().await;
    shop.stock("mug", "a", 0).await;
    let today = "2026-11-21T12:00:00Z";
    for (event, occurred) in [
        (received(100, 100, 0), "2026-03-01T00:00:00Z"),
        (reserved("o1", 5, 1, 100, 5), "2026-03-20T00:00:00Z"),
        (reserved("o2", 3, 2, 100, 8), "2026-03-10T00:00:00Z"),
    ] {
        append(&shop, ("stock", "a"), event, [today, occurred]).await;
    }
    let shop = &shop;
    let held = async |query: &str| {
        json(shop, &format!("/v1/stock/a/at?{query}")).await["reserved"].clone()
    };
    // Though the sku itself was introduced in November.
    for (day, reserved) in [(5, 0), (10, 3), (19, 3), (20, 8)] {
        let at = format!("time=2026-03-{day:02}T00:00:00Z&clock=occurred");
        assert_eq!(held(&at).await, reserved, "{at}");
    }
    assert_eq!(held("time=2026-11-21T12:00:00Z&clock=occurred").await, 8);
    assert_eq!(held("time=2026-11-21T12:00:00Z").await, 8);
    assert_eq!(held("time=2026-11-21T10:00:00Z").await, 0);
}

#[tokio::test]
async fn what_cannot_be_told_is_said() {
    let shop = Shop::open().await;
    shop.register("u1", None).await;
    shop.place(&Placed::new("o1", "2026-11-21T09:15:00Z")).await;
    for (query, status, place) in [
        ("", 400, Some("time")),
        ("?revision=0&position=2", 400, Some("time")),
        ("?revision=1", 400, Some("revision")),
        ("?position=3", 400, Some("position")),
        ("?position=-1", 400, Some("position")),
        ("?time=2999-01-01T00:00:00Z", 400, Some("time")),
        ("?time=yesterday", 400, Some("time")),
        ("?revision=0&clock=occurred", 400, Some("clock")),
        ("?time=2026-11-21T00:00:00Z&clock=sundial", 400, Some("clock")),
        ("?at=1", 400, Some("time")),
        // It was not there yet.
        ("?position=1", 404, None),
        ("?time=2026-11-21T09:14:59Z", 404, None),
        ("?time=2026-11-21T09:14:59Z&clock=occurred", 404, None),
    ] {
        let answer = shop.get(&format!("/v1/orders/o1/at{query}")).await;
        let (found, _, places) = answer.problem();
        assert_eq!((found, places.first().map(String::as_str)), (status, place), "{query}");
    }
    for path in ["/v1/orders/none/at?revision=0", "/v1/stock/none/history", "/v1/users/x/history"] {
        assert_eq!(shop.get(path).await.problem().0, 404, "{path}");
    }
    let early = shop.get("/v1/orders/o1/at?position=1").await.json();
    let detail = early["detail"].as_str().unwrap();
    assert!(detail.contains("its first event was recorded at 2026-11-21T09:15:00"), "{detail}");
}

#[tokio::test]
async fn a_history_is_paged_and_of_one_thing_alone() {
    let shop = Shop::open().await;
    shop.stock("mug", "a", 5).await;
    shop.stock("mug", "b", 5).await;
    append(&shop, ("stock", "a"), received(2, 7, 0), ["2026-11-21T09:15:00Z"; 2]).await;
    let whole = json(&shop, "/v1/stock/a/history").await;
    let types: Vec<_> = whole["items"].as_array().unwrap().iter().map(|e| &e["type"]).collect();
    assert_eq!(types, ["StockIntroduced", "StockReceived", "StockReceived"]);
    assert_eq!(whole["items"][2]["position"], 5);
    assert_eq!(whole["next"], Value::Null);
    let pages = shop.pages("/v1/stock/a/history?limit=1").await;
    let ids: Vec<_> = whole["items"].as_array().unwrap().iter().map(|e| e["id"].clone()).collect();
    assert_eq!(json!(pages.concat()), json!(ids));
    let first = json(&shop, "/v1/stock/a/history?limit=1").await;
    let cursor = first["next"].as_str().unwrap();
    let other = format!("/v1/stock/b/history?limit=1&cursor={cursor}");
    assert_eq!(shop.get(&other).await.problem().2, ["cursor"]);
    let nothing = shop.send(Method::GET, "/v1/products/none/history", &[]).await;
    assert_eq!(nothing.status, 404);
}

#[tokio::test]
async fn the_trail_tells_in_plain_words_who_did_what() {
    let shop = Shop::open().await;
    shop.register("u1", Some("ada@example.com")).await;
    shop.create("mug", "Mug", "Acme", "HOME", 1_099).await;
    shop.stock("mug", "mug-1", 5).await;
    let order = Placed::new("o1", "2026-11-21T09:15:00Z");
    shop.place(&order).await;
    shop.cancel(&order).await;
    append(&shop, ("stock", "mug-1"), received(1, 6, 0), ["2026-11-22T00:00:00Z"; 2]).await;
    let told = async |query: &str| -> Vec<(String, String)> {
        let items = json(&shop, &format!("/v1/audit/trail{query}")).await["items"].clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let each = |item: &Value| (text(&item["subject"]), text(&item["did"]));
        items.as_array().unwrap().iter().map(each).collect()
    };
    let all = [
        ("user-u1", "registered"),
        ("product-mug", "made the product \"Mug\" with 1 variant"),
        ("stock-mug-1", "introduced the sku of product mug"),
        ("stock-mug-1", "received 5 units"),
        ("order-o1", "placed an order of 2 lines for 600 minor units of USD"),
        ("order-o1", "cancelled the order: changed my mind"),
        ("stock-mug-1", "received 1 unit"),
    ]
    .map(|(subject, did)| (subject.to_owned(), did.to_owned()));
    assert_eq!(told("").await, all);
    let backwards: Vec<_> = all.iter().rev().cloned().collect();
    assert_eq!(told("?backwards=true").await, backwards);
    assert_eq!(told("?subject=order-o1").await, all[4..6]);
    assert_eq!(told("?since=2026-11-22T00:00:00Z").await, all[6..]);
    assert_eq!(told("?until=2026-11-22T00:00:00Z&subject=stock-mug-1").await, all[2..4]);
    assert_eq!(told("?actor=test").await, all);
    assert_eq!(told("?actor=bob").await, []);
    let items = json(&shop, "/v1/audit/trail?limit=2").await;
    assert_eq!(
        items["items"][0]["actor"],
        json!({"id": "test", "kind": "system", "proof": "none"})
    );
    let next = items["next"].as_str().unwrap();
    assert_eq!(told(&format!("?limit=2&cursor={next}")).await, all[2..4]);
    assert_eq!(shop.get("/v1/audit/trail?from=1").await.problem().2, ["from"]);
}

/// A product with so many events, each of which sets another title.
async fn described(shop: &Shop, count: usize) {
    shop.create("mug", "0", "Acme", "HOME", 1_099).await;
    let title = |n: usize| {
        let event = ProductDescribed {
            title: n.to_string(),
            brand: String::new(),
            department: "HOME".to_owned(),
            category: String::new(),
            attributes: Default::default(),
        };
        let event = ProductEvent::from(event);
        NewEvent::new(Uuid::new_v4(), event.into(), metadata()).unwrap()
    };
    let events: Vec<_> = (1..count).map(title).collect();
    for events in events.chunks(500) {
        shop.append_all("product", "mug", events.to_vec()).await;
    }
}

#[tokio::test]
async fn a_kept_state_that_is_wrong_is_found_out() {
    let shop = Shop::open().await;
    described(&shop, 2_200).await;
    let title = async |revision: usize| {
        let path = format!("/v1/products/mug/at?revision={revision}");
        json(&shop, &path).await["title"].clone()
    };
    let asked = [0, 999, 1_000, 1_001, 2_000, 2_199];
    for revision in asked {
        assert_eq!(title(revision).await, revision.to_string());
    }
    let kept = shop.kept();
    assert_eq!(kept.len(), 2, "{kept:?}");
    // One is damaged, and each is put in the other's place.
    let (one, other) = (std::fs::read(&kept[0]).unwrap(), std::fs::read(&kept[1]).unwrap());
    for (first, second) in [(&other, &one), (&one[..40].to_vec(), &other)] {
        std::fs::write(&kept[0], first).unwrap();
        std::fs::write(&kept[1], second).unwrap();
        for revision in asked {
            assert_eq!(title(revision).await, revision.to_string());
        }
    }
    assert_eq!(shop.kept().len(), 2, "kept anew");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// By position and by time, what is found is what one finds by going through the log.
    #[test]
    fn any_moment_is_found(changes in prop::collection::vec((0..3_usize, 0..20_i64), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let shop = Shop::open().await;
            let skus = ["a", "b", "c"];
            let time = |minute: i64| format!("2026-11-21T10:{minute:02}:00Z");
            let mut on_hand = [None::<i64>; 3];
            // After each event: its minute, and what was on hand.
            let mut log = Vec::new();
            for (sku, minute) in changes {
                let at = time(minute);
                let now = on_hand[sku].map_or(0, |now| now + 1);
                let event = match on_hand[sku] {
                    None => StockEvent::from(event_schemas::StockIntroduced {
                        sku: skus[sku].to_owned(),
                        product_id: "mug".to_owned(),
                        claim: Uuid::new_v4(),
                    }),
                    Some(_) => received(1, now, 0),
                };
                append(&shop, ("stock", skus[sku]), event, [&at, &at]).await;
                on_hand[sku] = Some(now);
                log.push((minute, on_hand));
            }
            for (sku, name) in skus.iter().enumerate() {
                if on_hand[sku].is_none() {
                    continue;
                }
                for (position, (_, was)) in (1..).zip(&log) {
                    let path = format!("/v1/stock/{name}/at?position={position}");
                    let found = shop.get(&path).await.json()["on_hand"].as_i64();
                    assert_eq!(found, was[sku], "{path}");
                }
                for minute in 0..20 {
                    let within = log.iter().take_while(|(at, _)| *at <= minute).last();
                    let path = format!("/v1/stock/{name}/at?time={}", time(minute));
                    let found = shop.get(&path).await.json()["on_hand"].as_i64();
                    assert_eq!(found, within.and_then(|(_, was)| was[sku]), "{path}");
                }
            }
        });
    }
}
