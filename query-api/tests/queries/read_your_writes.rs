//! `Daybook-Position` and `Prefer: wait=N`

use std::time::{Duration, Instant};

use event_schemas::{NewEvent, Position};
use http::Method;
use uuid::Uuid;

use crate::support::{Placed, Shop, metadata};

const PATHS: [&str; 9] = [
    "/v1/orders",
    "/v1/orders/o1",
    "/v1/stock",
    "/v1/products",
    "/v1/products/search",
    "/v1/users",
    "/v1/users/u1/summary",
    "/v1/reports/sales?from=2026-11-01&to=2026-12-01",
    "/v1/events",
];

#[tokio::test]
async fn what_is_not_there_in_time_is_not_yet_posted() {
    let shop = Shop::open().await;
    shop.place(&Placed::new("o1", "2026-11-21T09:15:00Z")).await;
    shop.get("/v1/orders/o1").await;
    let (wanted, posted) = (shop.position(Position(9)), shop.position(Position(1)));
    for path in PATHS {
        shop.get(path).await;
        let headers = [("daybook-position", wanted.as_str()), ("prefer", "wait=0")];
        let answer = shop.send(Method::GET, path, &headers).await;
        assert_eq!(answer.problem(), (503, "not-yet-posted".to_owned(), vec![]), "{path}");
        assert_eq!(
            (answer.header("retry-after"), answer.header("preference-applied")),
            ("1", "wait=0")
        );
        let json = answer.json();
        assert_eq!(json["wanted"], *wanted);
        assert_eq!(json["posted"], *posted, "{path}");
    }
}

#[tokio::test]
async fn what_comes_meanwhile_is_waited_for() {
    let shop = Shop::open().await;
    let wanted = shop.position(Position(1));
    let headers = [("daybook-position", wanted.as_str()), ("prefer", "wait=30")];
    let order = Placed::new("o1", "2026-11-21T09:15:00Z");
    let (answer, ()) =
        tokio::join!(shop.send(Method::GET, "/v1/orders/o1", &headers), shop.place(&order));
    assert_eq!((answer.status, answer.header("daybook-position")), (200, wanted.as_str()));
}

#[tokio::test]
async fn two_seconds_are_waited_unless_said_otherwise() {
    let shop = Shop::open().await;
    let begun = Instant::now();
    let wanted = shop.position(Position(1));
    let answer = shop.send(Method::GET, "/v1/orders", &[("daybook-position", &wanted)]).await;
    assert_eq!(answer.status, 503);
    assert!((Duration::from_secs(2)..Duration::from_secs(30)).contains(&begun.elapsed()));
}

#[tokio::test]
async fn a_position_of_another_store_or_garbage_is_refused() {
    let shop = Shop::open().await;
    let other = format!("{}:1", Uuid::new_v4());
    for path in PATHS {
        for sent in [other.as_str(), "1", "garbage", ""] {
            let answer = shop.send(Method::GET, path, &[("daybook-position", sent)]).await;
            let (status, name, faults) = answer.problem();
            assert_eq!(
                (status, name.as_str(), faults),
                (400, "bad-request", vec!["Daybook-Position".to_owned()])
            );
        }
    }
}

#[tokio::test]
async fn a_stopped_projection_says_so_at_once() {
    let shop = Shop::open().await;
    shop.place(&Placed::new("o1", "2026-11-21T09:15:00Z")).await;
    shop.get("/v1/orders/o1").await;
    let metadata = serde_json::to_vec(&metadata()).unwrap();
    let poison =
        NewEvent::raw(Uuid::new_v4(), "OrderLost".to_owned(), "{}".into(), metadata.into());
    shop.append_raw("order", "o2", poison).await;
    let begun = Instant::now();
    let answer = shop.get("/v1/orders/o1").await;
    assert_eq!(answer.problem(), (503, "projection-stopped".to_owned(), vec![]));
    assert!(begun.elapsed() < Duration::from_secs(20), "not waited for");
    // What was posted before is still answered, and other projections go on.
    assert_eq!(shop.send(Method::GET, "/v1/orders/o1", &[]).await.status, 200);
    assert_eq!(shop.get("/v1/stock").await.status, 200);
    let json = shop.get("/v1/projections").await.json();
    let orders =
        &json["items"].as_array().unwrap().iter().find(|item| item["name"] == "orders").unwrap();
    assert_eq!(orders["state"], "stopped");
    assert!(orders["error"].as_str().unwrap().contains("OrderLost"));
    assert_eq!(orders["lag"]["events"], 1);
}
