use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::support::{Shop, usd};

/// The operations in a sequence in which each finds what the ones before it made.
const SEQUENCE: [&str; 12] = [
    "create_product",
    "add_variant",
    "set_price",
    "change_product",
    "receive_stock",
    "adjust_stock",
    "register_user",
    "place_order",
    "dispatch_order",
    "deliver_order",
    "cancel_order",
    "forget_user",
];

struct Operation {
    method: Method,
    path: String,
    document: Value,
}

fn operation(document: &Value, id: &str) -> Operation {
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["operationId"] == id {
                let method = method.to_uppercase().parse().unwrap();
                return Operation { method, path: path.clone(), document: operation.clone() };
            }
        }
    }
    panic!("no operation {id}")
}

#[tokio::test]
async fn every_example_is_accepted_and_answered_as_the_document_says() {
    let document = serde_json::to_value(commands::openapi()).unwrap();
    let shop = Shop::open().await;
    let (mut sent, mut order) = (0, String::new());
    for id in SEQUENCE {
        let Operation { method, path, document } = operation(&document, id);
        if id == "cancel_order" {
            // The order of the example has been delivered.
            let placed = shop.order("another", &[("mug-red", 1)]).await;
            order = placed.body["id"].as_str().unwrap().to_owned();
        }
        if id == "place_order" {
            // The example expects the price that the first example set.
            let price = "/v1/products/mug/variants/mug-red/price";
            shop.send(Method::PUT, price, &[], usd(1099).to_string()).await;
            let on = json!({ "status": "on_shelf" }).to_string();
            shop.send(Method::PATCH, "/v1/products/mug", &[], on).await;
        }
        let named = match path.split('/').nth(2) {
            Some("orders") => &order,
            Some("users") => "u1",
            _ => "mug",
        };
        let path = path.replace("{id}", named).replace("{sku}", "mug-red");
        for (media, content) in document["requestBody"]["content"].as_object().unwrap() {
            sent += 1;
            let key = format!("example-{sent}");
            let headers = [("content-type", media.as_str()), ("idempotency-key", &key)];
            let body = content["example"].to_string();
            let answer = shop.send(method.clone(), &path, &headers, body).await;
            assert!(answer.status.is_success(), "{id}: {answer:?}");
            let told = &document["responses"][answer.status.as_str()];
            assert!(told.is_object(), "{id} answers {}", answer.status);
            for header in told["headers"].as_object().unwrap().keys() {
                let sometimes = ["Idempotency-Replayed", "Preference-Applied"];
                let there = answer.header(header).is_some();
                assert!(there || sometimes.contains(&header.as_str()), "{id} has no {header}");
            }
            if id == "place_order" {
                order = answer.body["id"].as_str().unwrap().to_owned();
            }
        }
    }
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeSet<&str> = paths
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    assert_eq!(described, SEQUENCE.into_iter().collect(), "an operation without a test");
}
