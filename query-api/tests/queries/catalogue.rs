//! `/v1/products`, `/v1/stock` and the search

use event_schemas::{ProductEvent, ProductTakenOffShelf, SkuReleased, StockEvent};
use http::Method;
use serde_json::json;
use uuid::Uuid;

use crate::{elasticsearch::Place, support::Shop};

async fn shop() -> Shop {
    let shop = Shop::open().await;
    fill(&shop).await;
    shop
}

async fn fill(shop: &Shop) {
    shop.create("mug", "Red mug", "Acme", "HOME", 1_099).await;
    shop.create("cup", "Blue cup", "Acme", "HOME", 500).await;
    shop.create("tea", "Green tea", "Leaf", "FOOD", 300).await;
    shop.create("pot", "Tea pot", "", "HOME", 2_000).await;
    shop.append("product", "pot", ProductEvent::TakenOffShelf(ProductTakenOffShelf {})).await;
    shop.stock("mug", "mug-1", 20).await;
    shop.stock("cup", "cup-1", 0).await;
    shop.stock("tea", "tea-1", 5).await;
}

#[tokio::test]
async fn products_are_filtered_and_sorted() {
    let shop = shop().await;
    for (query, ids) in [
        ("", vec!["cup", "mug", "pot", "tea"]),
        ("?sort=-id", vec!["tea", "pot", "mug", "cup"]),
        ("?sort=title", vec!["cup", "tea", "mug", "pot"]),
        ("?sort=-title", vec!["pot", "mug", "tea", "cup"]),
        ("?department=HOME", vec!["cup", "mug", "pot"]),
        ("?brand=", vec!["pot"]),
        ("?status=on_shelf&brand=Acme", vec!["cup", "mug"]),
        ("?status=off_shelf", vec!["pot"]),
        ("?category=none", vec![]),
    ] {
        assert_eq!(shop.get(&format!("/v1/products{query}")).await.ids(), ids, "{query}");
        let sign = if query.is_empty() { '?' } else { '&' };
        let pages = shop.pages(&format!("/v1/products{query}{sign}limit=1")).await;
        assert_eq!(pages.concat(), ids, "{query} in pages");
    }
    for bad in ["status=gone", "sort=brand", "q=x", "department=a&department=b"] {
        assert_eq!(shop.get(&format!("/v1/products?{bad}")).await.problem().2.len(), 1, "{bad}");
    }
}

#[tokio::test]
async fn a_product_has_its_revision() {
    let shop = shop().await;
    let answer = shop.get("/v1/products/mug").await;
    assert_eq!((answer.status, answer.header("etag")), (200, "\"0\""));
    assert_eq!(answer.json()["variants"][0]["price"], json!({"amount": 1099, "currency": "USD"}));
    assert_eq!(shop.get("/v1/products/pot").await.header("etag"), "\"1\"");
    for (sent, status) in [
        ("\"0\"", 304),
        ("W/\"0\"", 304),
        ("*", 304),
        ("\"7\", \"0\"", 304),
        ("\"1\"", 200),
        ("0", 400),
    ] {
        let answer = shop.send(Method::GET, "/v1/products/mug", &[("if-none-match", sent)]).await;
        assert_eq!(answer.status, status, "{sent}");
        if status == 304 {
            assert!(answer.body.is_empty() && answer.header("etag") == "\"0\"");
            assert!(!answer.header("daybook-position").is_empty());
        }
    }
    assert_eq!(shop.get("/v1/products/MUG").await.problem().0, 404);
}

#[tokio::test]
async fn stock_is_filtered_and_sorted() {
    let shop = shop().await;
    let one = shop.get("/v1/stock/mug-1").await.json();
    assert_eq!(one, json!({"sku": "mug-1", "on_hand": 20, "reserved": 0, "available": 20}));
    for (query, skus) in [
        ("", vec!["cup-1", "mug-1", "tea-1"]),
        ("?sort=-available", vec!["mug-1", "tea-1", "cup-1"]),
        ("?sort=available", vec!["cup-1", "tea-1", "mug-1"]),
        ("?below=20", vec!["cup-1", "tea-1"]),
        ("?below=0", vec![]),
        ("?below=6&sort=-sku", vec!["tea-1", "cup-1"]),
    ] {
        assert_eq!(shop.get(&format!("/v1/stock{query}")).await.ids(), skus, "{query}");
    }
    assert_eq!(
        shop.pages("/v1/stock?sort=-available&limit=1").await.concat(),
        ["mug-1", "tea-1", "cup-1"]
    );
    for bad in ["below=-1", "below=x", "sort=on_hand", "below=1.5"] {
        assert_eq!(shop.get(&format!("/v1/stock?{bad}")).await.problem().2.len(), 1, "{bad}");
    }
    assert_eq!(shop.get("/v1/stock/none").await.problem().0, 404);
    let released = SkuReleased { claim: Uuid::new_v4() };
    shop.append("stock", "cup-1", StockEvent::SkuReleased(released)).await;
    assert_eq!(shop.get("/v1/stock/cup-1").await.problem().0, 404);
    assert_eq!(shop.get("/v1/stock").await.ids(), ["mug-1", "tea-1"]);
}

#[tokio::test]
async fn a_search_finds_what_is_on_the_shelf() {
    check_search(&shop().await).await;
    if let Some(place) = Place::new() {
        let shop = Shop::over_elasticsearch(&place, true).await;
        fill(&shop).await;
        check_search(&shop).await;
    }
}

#[tokio::test]
async fn a_search_that_another_process_posts_is_waited_for() {
    let Some(place) = Place::new() else { return };
    let shop = Shop::over_elasticsearch(&place, false).await;
    fill(&shop).await;
    let position = shop.position(shop.store.head().await.unwrap());
    let at_once = [("daybook-position", position.as_str()), ("prefer", "wait=0")];
    // Nobody has made the index.
    let early = shop.send(Method::GET, "/v1/products/search", &at_once).await;
    assert_eq!(early.problem().1, "unavailable");
    let (found, projectors) =
        tokio::join!(shop.get("/v1/products/search?q=mug"), async { shop.post_elsewhere() });
    assert_eq!(found.ids(), ["mug"]);
    projectors.stop().await;
    shop.create("jug", "Mug with a spout", "Acme", "HOME", 100).await;
    let position = shop.position(shop.store.head().await.unwrap());
    let at_once = [("daybook-position", position.as_str()), ("prefer", "wait=0")];
    let early = shop.send(Method::GET, "/v1/products/search", &at_once).await;
    assert_eq!(early.problem().1, "not-yet-posted");
    let (found, projectors) =
        tokio::join!(shop.get("/v1/products/search?q=mug"), async { shop.post_elsewhere() });
    assert_eq!(found.ids(), ["mug", "jug"]);
    projectors.stop().await;
}

async fn check_search(shop: &Shop) {
    for (query, ids) in [
        ("?sort=title", vec!["cup", "tea", "mug"]),
        ("?q=&sort=-price", vec!["mug", "cup", "tea"]),
        ("?q=mugs", vec!["mug"]),
        ("?q=tea", vec!["tea"]),
        ("?sort=price&brand=Acme&brand=Leaf", vec!["tea", "cup", "mug"]),
        ("?sort=price&department=HOME", vec!["cup", "mug"]),
        ("?price_min=500&price_max=1098", vec!["cup"]),
        ("?in_stock=true&sort=title", vec!["tea", "mug"]),
    ] {
        let answer = shop.get(&format!("/v1/products/search{query}")).await;
        assert_eq!(answer.ids(), ids, "{query}");
        assert_eq!(answer.json()["total"], ids.len(), "{query}");
    }
    let pages = shop.pages("/v1/products/search?sort=title&limit=1").await;
    assert_eq!(pages, [["cup"], ["tea"], ["mug"]]);
    let json = shop.get("/v1/products/search?department=FOOD").await.json();
    let departments = json!([{"key": "HOME", "count": 2}, {"key": "FOOD", "count": 1}]);
    assert_eq!(json["facets"]["department"], departments);
    assert_eq!(json["facets"]["brand"], json!([{"key": "Leaf", "count": 1}]));
    for bad in [
        "price_min=-1",
        "price_min=2&price_max=1",
        "in_stock=false",
        "sort=brand",
        "limit=0",
        "cursor=x",
        &format!("q={}", "x".repeat(201)),
        "query=x",
        "brand=",
    ] {
        assert_eq!(
            shop.get(&format!("/v1/products/search?{bad}")).await.problem().2.len(),
            1,
            "{bad}"
        );
    }
}
