//! `/v1/reports/sales`

use event_schemas::{OrderCancelled, OrderEvent, OrderPlaced};
use serde_json::{Value, json};

use crate::support::{Placed, Shop};

async fn rows(shop: &Shop, query: &str) -> Vec<(Value, Value, i64, i64, i64)> {
    let answer = shop.get(&format!("/v1/reports/sales?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let row = |item: &Value| {
        let number = |value: &Value| value.as_i64().unwrap();
        (
            item["start"].clone(),
            item["key"].clone(),
            number(&item["orders"]),
            number(&item["units"]),
            number(&item["revenue"]["amount"]),
        )
    };
    answer.json()["items"].as_array().unwrap().iter().map(row).collect()
}

async fn shop() -> Shop {
    let shop = Shop::open().await;
    // Two lines of one department: the order counts once under it.
    shop.place(&Placed::new("a", "2026-11-01T05:10:00Z")).await;
    shop.place(&Placed::new("b", "2026-11-01T06:10:00Z").of("u2", "store").only(1, 50)).await;
    let mut food = Placed::new("c", "2026-11-02T04:59:59.999999Z").of("u2", "web").only(3, 100);
    food.lines[0].1 = "FOOD".to_owned();
    shop.place(&food).await;
    let cancelled = Placed::new("d", "2026-11-01T05:10:00Z");
    shop.place(&cancelled).await;
    shop.cancel(&cancelled).await;
    shop
}

#[tokio::test]
async fn an_order_counts_once_under_each_key_and_never_when_cancelled() {
    let shop = shop().await;
    let answer = shop.get("/v1/reports/sales?from=2026-11-01&to=2026-11-03").await;
    let all = json!({"orders": 3, "units": 7, "revenue": {"amount": 950, "currency": "USD"}});
    assert_eq!(answer.json()["total"], all);
    let one =
        json!({"start": null, "key": null, "orders": 3, "units": 7, "revenue": all["revenue"]});
    assert_eq!(answer.json()["items"], json!([one]));
    let range = "from=2026-11-01&to=2026-11-03";
    let by = async |by: &str| rows(&shop, &format!("{range}&by={by}")).await;
    let null = Value::Null;
    assert_eq!(
        by("department").await,
        [(null.clone(), "HOME".into(), 2, 4, 650), (null.clone(), "FOOD".into(), 1, 3, 300),]
    );
    assert_eq!(
        by("customer").await,
        [(null.clone(), "u1".into(), 1, 3, 600), (null.clone(), "u2".into(), 2, 4, 350),]
    );
    assert_eq!(by("sku").await.len(), 2);
    assert_eq!(by("brand").await, [(null.clone(), "Acme".into(), 3, 7, 950)]);
    assert_eq!(by("channel").await.len(), 2);
    let best = shop.get(&format!("/v1/reports/sales?{range}&by=customer&limit=1")).await.json();
    assert_eq!(best["items"].as_array().unwrap().len(), 1);
    assert_eq!(best["total"], all);
}

#[tokio::test]
async fn days_are_those_of_the_zone() {
    let shop = shop().await;
    let query = "from=2026-10-31&to=2026-11-03&interval=day&tz=America/New_York";
    assert_eq!(
        rows(&shop, query).await,
        [
            ("2026-10-31T04:00:00.000000Z".into(), Value::Null, 0, 0, 0),
            // 25 hours.
            ("2026-11-01T04:00:00.000000Z".into(), Value::Null, 3, 7, 950),
            ("2026-11-02T05:00:00.000000Z".into(), Value::Null, 0, 0, 0),
        ]
    );
    let hours =
        rows(&shop, "from=2026-11-01&to=2026-11-02&interval=hour&tz=America/New_York&by=sku").await;
    let starts: Vec<_> = hours.iter().map(|row| row.0.as_str().unwrap()).collect();
    // One o'clock occurs twice.
    assert_eq!(
        starts,
        [
            "2026-11-01T05:00:00.000000Z",
            "2026-11-01T05:00:00.000000Z",
            "2026-11-01T06:00:00.000000Z",
            "2026-11-02T04:00:00.000000Z",
        ]
    );
    let all = rows(&shop, "from=2026-11-01&to=2026-11-02&interval=hour&tz=America/New_York").await;
    assert_eq!(all.len(), 25);
    let weeks = rows(&shop, "from=2026-10-28&to=2026-11-03&interval=week&tz=Europe/Berlin").await;
    assert_eq!(weeks[0].0, "2026-10-25T23:00:00.000000Z");
    let quarter = "from=2026-11-01T05:15:00Z&to=2026-11-01T06:15:00%2B00:00";
    assert_eq!(rows(&shop, quarter).await, [(Value::Null, Value::Null, 1, 1, 50)]);
    assert_eq!(rows(&shop, "from=2026-11-01&to=2026-11-01").await[0].2, 0);
    assert!(rows(&shop, "from=2026-11-01&to=2026-11-01&interval=day").await.is_empty());
}

#[tokio::test]
async fn every_fault_names_its_parameter() {
    let shop = Shop::open().await;
    let faults = async |query: &str| {
        let (status, name, faults) = shop.get(&format!("/v1/reports/sales{query}")).await.problem();
        assert_eq!((status, name.as_str()), (400, "bad-request"), "{query}");
        faults
    };
    assert_eq!(faults("").await, ["from", "to"]);
    for (query, name) in [
        ("from=2026-11-01", "to"),
        ("from=2026-02-30&to=2026-03-01", "from"),
        ("from=2026-11-01&to=2026-10-31", "to"),
        ("from=2026-11-01T00:01:00Z&to=2026-11-02", "from"),
        ("from=2026-11-01T00:00:00.5Z&to=2026-11-02", "from"),
        ("from=2026-11-01&to=tomorrow", "to"),
        ("from=2026-11-01&to=2026-11-02&tz=Mars/Olympus", "tz"),
        ("from=2026-11-01&to=2026-11-02&tz=", "tz"),
        ("from=2026-11-01&to=2026-11-02&interval=year", "interval"),
        ("from=2026-11-01&to=2026-11-02&by=title", "by"),
        ("from=2026-11-01&to=2026-11-02&limit=0", "limit"),
        ("from=2026-11-01&to=2026-11-02&limit=1001", "limit"),
        ("from=2026-11-01&to=2026-11-02&cursor=x", "cursor"),
        // Local mean time, four minutes off.
        ("from=1850-01-01&to=2026-11-02&tz=America/New_York", "from"),
    ] {
        assert_eq!(faults(&format!("?{query}")).await, [name], "{query}");
    }
    let answer = shop.get("/v1/reports/sales?from=2000-01-01&to=2026-01-01&interval=hour").await;
    assert_eq!(answer.problem(), (400, "report-too-large".to_owned(), vec!["interval".to_owned()]));
}

#[tokio::test]
async fn a_report_of_the_past_is_what_it_was_then() {
    let shop = Shop::open().await;
    let orders: Vec<Placed> = (0..6)
        .map(|n| {
            let at = format!("2026-11-{:02}T{:02}:10:00Z", 1 + n % 3, n);
            let order = Placed::new(&format!("o{n}"), &at).of(&format!("u{}", n % 2), "web");
            if n % 2 == 0 { order } else { order.only(n + 1, 100 * n) }
        })
        .collect();
    let queries = [
        "from=2026-11-01&to=2026-11-04",
        "from=2026-11-01&to=2026-11-03&interval=day",
        "from=2026-11-01&to=2026-11-04&interval=day&by=customer",
        "from=2026-11-01&to=2026-11-04&by=sku&limit=1",
        "from=2026-11-01&to=2026-11-04&interval=hour&by=department&tz=America/New_York",
    ];
    let path = |query: &str| format!("/v1/reports/sales?{query}");
    let mut then = Vec::new();
    // Placed in turn, and two of them taken back in between.
    for (step, (order, cancel)) in [
        (0, false),
        (1, false),
        (2, false),
        (0, true),
        (3, false),
        (4, false),
        (1, true),
        (5, false),
    ]
    .into_iter()
    .enumerate()
    {
        let order = &orders[order];
        let event = if cancel {
            OrderEvent::from(OrderCancelled { reason: "no".to_owned(), order: order.body() })
        } else {
            OrderEvent::from(OrderPlaced { order: order.body(), holds: Vec::new() })
        };
        let recorded = format!("2026-11-20T10:{step:02}:00Z");
        let occurred = order.at.to_string();
        shop.append_at(("order", &order.id), event, [&recorded, &occurred]).await;
        let mut reports = Vec::new();
        for query in queries {
            reports.push(shop.get(&path(query)).await.json());
        }
        then.push((recorded, reports));
    }
    for (position, (time, reports)) in (1..).zip(then) {
        for (query, then) in queries.iter().zip(reports) {
            let mut now = shop.get(&path(&format!("{query}&as_of={time}"))).await.json();
            let as_of = now.as_object_mut().unwrap().remove("as_of").unwrap();
            assert_eq!(as_of, json!({ "position": position, "clocks_ran_back": 0 }));
            assert_eq!(now, then, "{query} at {time}");
        }
    }
    // By the clock of what happened: what is still so of what had been placed by then.
    let day = path("from=2026-11-01&to=2026-11-04&as_of=2026-11-02T23:59:59Z&clock=occurred");
    assert_eq!(shop.get(&day).await.json()["total"]["orders"], 2);
}

#[tokio::test]
async fn a_report_of_the_future_cannot_be_told() {
    let shop = shop().await;
    for (query, place) in [
        ("&as_of=2999-01-01T00:00:00Z", "as_of"),
        ("&as_of=yesterday", "as_of"),
        ("&clock=occurred", "clock"),
    ] {
        let path = format!("/v1/reports/sales?from=2026-11-01&to=2026-11-03{query}");
        assert_eq!(shop.get(&path).await.problem().2, [place], "{query}");
    }
}
