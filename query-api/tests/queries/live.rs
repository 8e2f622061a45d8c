//! `/v1/events/live`

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use http::{Method, Request};

use crate::support::{Placed, Shop};

/// An open line, and what came over it and is not read yet.
struct Line {
    body: BodyDataStream,
    come: String,
}

impl Line {
    async fn open(shop: &Shop, query: &str, last: Option<&str>) -> Self {
        let mut request = Request::get(format!("/v1/events/live{query}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = shop.answer(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let mut line = Self { body: response.into_body().into_data_stream(), come: String::new() };
        assert!(line.block().await.starts_with("retry: 1000\nid: "));
        line
    }

    /// The next lines up to an empty one.
    async fn block(&mut self) -> String {
        loop {
            if let Some((block, rest)) = self.come.split_once("\n\n") {
                let block = block.to_owned();
                self.come = rest.to_owned();
                return block;
            }
            let wait = Duration::from_secs(60);
            let chunk = tokio::time::timeout(wait, self.body.next()).await.unwrap();
            self.come.push_str(std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap());
        }
    }

    /// The next event: its id and its position.
    async fn event(&mut self) -> (String, u64) {
        let block = self.block().await;
        let (id, data) = block.split_once('\n').unwrap();
        let data: serde_json::Value =
            serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        (id.strip_prefix("id: ").unwrap().to_owned(), data["position"].as_u64().unwrap())
    }
}

async fn place(shop: &Shop, id: &str) {
    shop.place(&Placed::new(id, "2026-11-21T09:15:00Z")).await;
}

#[tokio::test]
async fn a_listener_hears_what_comes_and_goes_on_where_it_was_cut() {
    let shop = Shop::open().await;
    place(&shop, "o1").await;
    let mut line = Line::open(&shop, "", None).await;
    place(&shop, "o2").await;
    let (id, position) = line.event().await;
    assert_eq!((id.as_str(), position), (format!("{}:2", shop.store.id()).as_str(), 2));
    drop(line);
    place(&shop, "o3").await;
    let mut line = Line::open(&shop, "", Some(&id)).await;
    assert_eq!(line.event().await.1, 3);
    let mut all = Line::open(&shop, "?from=0", None).await;
    for position in 1..=3 {
        assert_eq!(all.event().await.1, position);
    }
    assert_eq!(Line::open(&shop, "?from=2", None).await.event().await.1, 2);
}

#[tokio::test]
async fn a_listener_hears_only_what_it_asked_for() {
    let shop = Shop::open().await;
    place(&shop, "o1").await;
    shop.register("u1", None).await;
    place(&shop, "o2").await;
    shop.cancel(&Placed::new("o1", "2026-11-21T09:15:00Z")).await;
    for (query, positions) in [
        ("?from=0&category=order", vec![1, 3, 4]),
        ("?from=0&type=OrderCancelled", vec![4]),
        ("?from=0&stream=order-o1", vec![1, 4]),
        ("?from=0&actor=test&category=user", vec![2]),
    ] {
        let mut line = Line::open(&shop, query, None).await;
        for position in positions {
            assert_eq!(line.event().await.1, position, "{query}");
        }
    }
}

#[tokio::test]
async fn a_line_that_nothing_comes_over_shows_that_it_stands() {
    let shop = Shop::open().await;
    let mut line = Line::open(&shop, "?type=Nothing", None).await;
    place(&shop, "o1").await;
    let id = loop {
        let block = line.block().await;
        let id = block.strip_prefix(": heartbeat\nid: ").unwrap().to_owned();
        if !id.ends_with(":0") {
            break id;
        }
    };
    // The place moves on over what was not asked for.
    assert_eq!(id, format!("{}:1", shop.store.id()));
}

#[tokio::test]
async fn where_nobody_can_listen_is_said() {
    let shop = Shop::open().await;
    place(&shop, "o1").await;
    let beyond = format!("{}:2", shop.store.id());
    let foreign = format!("{}:1", uuid::Uuid::new_v4());
    for (query, last, place) in [
        ("?from=2", None, "from"),
        ("?from=x", None, "from"),
        ("?to=2", None, "to"),
        ("", Some(beyond.as_str()), "Last-Event-ID"),
        ("", Some(foreign.as_str()), "Last-Event-ID"),
        ("", Some("5"), "Last-Event-ID"),
    ] {
        let headers: Vec<_> = last.iter().map(|last| ("last-event-id", *last)).collect();
        let answer = shop.send(Method::GET, &format!("/v1/events/live{query}"), &headers).await;
        let expected = (400, "bad-request".to_owned(), vec![place.to_owned()]);
        assert_eq!(answer.problem(), expected, "{query} {last:?}");
    }
}
