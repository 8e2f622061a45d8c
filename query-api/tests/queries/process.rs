//! What a process says of itself, and whether the OpenAPI document tells the truth.

use http::Method;
use query_api::HealthStatus;
use serde_json::{Value, json};

use crate::support::{Placed, Shop};

#[tokio::test]
async fn health_is_told() {
    for (status, code) in [
        (HealthStatus::Healthy, 200),
        (HealthStatus::Degraded, 200),
        (HealthStatus::Unhealthy, 503),
        (HealthStatus::Draining, 503),
    ] {
        let shop = Shop::open_with(status).await;
        let answer = shop.send(Method::GET, "/health/ready", &[]).await;
        assert_eq!((answer.status, answer.header("content-type")), (code, "application/json"));
        let name = json!(status);
        let check = json!({"name": "event-store", "status": name, "since": "1970-01-01T00:00:00.000000Z", "detail": null});
        assert_eq!(answer.json(), json!({"status": name, "checks": [check]}));
        assert_eq!(answer.header("retry-after").is_empty(), code == 200);
        assert_eq!(shop.send(Method::GET, "/health/live", &[]).await.status, 200);
    }
}

#[tokio::test]
async fn projections_metrics_and_pages() {
    let shop = Shop::open().await;
    shop.place(&Placed::new("o1", "2026-11-21T09:15:00Z")).await;
    for path in ["/v1/orders", "/v1/stock", "/v1/products", "/v1/users", "/v1/products/search"] {
        shop.get(path).await;
    }
    shop.get("/v1/reports/sales?from=2026-11-01&to=2026-11-02").await;
    let json = shop.get("/v1/projections").await.json();
    let items = json["items"].as_array().unwrap();
    let names: Vec<_> = items.iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["orders", "stock", "products", "users", "sales", "search"]);
    for item in items {
        assert_eq!((&item["position"], &item["head"]), (&1.into(), &1.into()));
        assert_eq!(item["lag"]["events"], 0);
    }
    let metrics = shop.get("/metrics").await;
    assert_eq!(metrics.text(), "up 1\n");
    assert!(metrics.header("content-type").starts_with("text/plain"));
    let root = shop.get("/").await;
    assert_eq!((root.status, root.header("location")), (303, "/docs"));
    let docs = shop.get("/docs").await;
    assert!(docs.header("content-type").starts_with("text/html"));
    assert!(docs.text().contains("/v1/orders/{id}") && !docs.text().contains("http://"));
}

#[tokio::test]
async fn every_problem_is_explained() {
    let shop = Shop::open().await;
    for kind in [infra::http::GENERAL_KINDS, query_api::KINDS].concat() {
        let path = format!("/problems/{}", kind.name);
        let text = shop.get(&path).await;
        assert!(text.status == 200 && text.text().contains(kind.explanation));
        let page = shop.send(Method::GET, &path, &[("accept", "text/html,*/*")]).await;
        assert!(
            page.header("content-type").starts_with("text/html") && page.text().contains(kind.name)
        );
    }
    assert_eq!(shop.get("/problems/nothing").await.problem().0, 404);
}

/// The document's schema of an answer, with its components, for a validator.
fn schema_of(document: &Value, path: &str, status: &str) -> Value {
    let content = &document["paths"][path]["get"]["responses"][status]["content"];
    let (_, content) = content.as_object().unwrap().iter().next().unwrap();
    let mut schema = content["schema"].clone();
    schema["components"] = document["components"].clone();
    schema
}

#[tokio::test]
async fn answers_are_as_the_document_says() {
    let shop = Shop::open().await;
    let order = Placed::new("o1", "2026-11-21T09:15:00Z");
    shop.place(&order).await;
    shop.place(&Placed::new("o2", "2026-11-21T09:15:00Z")).await;
    shop.cancel(&order).await;
    shop.register("u1", Some("ada@example.com")).await;
    shop.register("u2", None).await;
    shop.create("mug", "Mug", "Acme", "HOME", 1_099).await;
    shop.stock("mug", "mug-1", 5).await;
    let document = shop.get("/openapi.json").await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for (path, sent) in [
        ("/v1/orders", "/v1/orders"),
        ("/v1/orders", "/v1/orders?limit=1"),
        ("/v1/orders/{id}", "/v1/orders/o1"),
        ("/v1/orders/{id}", "/v1/orders/nothing"),
        ("/v1/orders", "/v1/orders?sort=x"),
        ("/v1/orders/{id}/history", "/v1/orders/o1/history"),
        ("/v1/stock", "/v1/stock"),
        ("/v1/stock/{sku}", "/v1/stock/mug-1"),
        ("/v1/products", "/v1/products"),
        ("/v1/products/{id}", "/v1/products/mug"),
        ("/v1/products/search", "/v1/products/search"),
        ("/v1/users", "/v1/users"),
        ("/v1/users/{id}", "/v1/users/u2"),
        ("/v1/users/{id}/summary", "/v1/users/u1/summary"),
        ("/v1/users/{id}/summary", "/v1/users/u2/summary"),
        ("/v1/reports/sales", "/v1/reports/sales?from=2026-11-01&to=2026-12-01"),
        (
            "/v1/reports/sales",
            "/v1/reports/sales?from=2026-11-01&to=2026-12-01&interval=day&by=sku",
        ),
        ("/v1/reports/sales", "/v1/reports/sales?from=0001-01-01&to=2026-12-01&interval=hour"),
        ("/v1/orders/{id}/at", "/v1/orders/o1/at?revision=0"),
        ("/v1/stock/{sku}/at", "/v1/stock/mug-1/at?revision=1"),
        ("/v1/products/{id}/at", "/v1/products/mug/at?time=2026-11-21T10:00:00Z"),
        ("/v1/users/{id}/at", "/v1/users/u1/at?position=4"),
        ("/v1/users/{id}/at", "/v1/users/u1/at"),
        ("/v1/stock/{sku}/history", "/v1/stock/mug-1/history"),
        ("/v1/products/{id}/history", "/v1/products/mug/history"),
        ("/v1/users/{id}/history", "/v1/users/u1/history"),
        (
            "/v1/reports/sales",
            "/v1/reports/sales?from=2026-11-01&to=2026-12-01&as_of=2026-11-21T10:00:00Z",
        ),
        ("/v1/audit/trail", "/v1/audit/trail"),
        ("/v1/users/{id}/export", "/v1/users/u1/export"),
        ("/v1/users/{id}/export", "/v1/users/u2/export"),
        ("/v1/events", "/v1/events"),
        ("/v1/projections", "/v1/projections"),
        ("/v1/audit/head", "/v1/audit/head"),
        ("/v1/audit/proof", "/v1/audit/proof?stream=order-o1&revision=0"),
        ("/v1/audit/proof", "/v1/audit/proof?size=0"),
        ("/health/live", "/health/live"),
        ("/health/ready", "/health/ready"),
    ] {
        let answer = shop.get(sent).await;
        let schema = schema_of(&document, path, &answer.status.to_string());
        let validator = jsonschema::validator_for(&schema).unwrap();
        let faults: Vec<_> = validator.iter_errors(&answer.json()).map(|e| e.to_string()).collect();
        assert!(faults.is_empty(), "{sent}: {faults:?}\n{}", answer.text());
    }
}

#[tokio::test]
async fn the_document_has_every_path_with_its_errors() {
    let document = serde_json::to_value(query_api::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 34);
    for (path, item) in paths {
        // A rebuild is the one thing that is asked for here and is no query.
        let operation = item.get("get").unwrap_or(&item["post"]);
        assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{path}");
        assert!(operation["responses"]["500"].is_object(), "{path}");
        if path.starts_with("/v1/") {
            assert!(operation["responses"]["400"].is_object(), "{path}");
            assert!(operation["responses"]["503"].is_object(), "{path}");
        }
        if path.contains('{') {
            assert!(operation["responses"]["404"].is_object(), "{path}");
        }
    }
    assert!(!document.to_string().contains("\"T\""));
}
