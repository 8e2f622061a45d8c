use futures::future::join_all;
use http::StatusCode;
use serde_json::json;

use crate::support::Shop;

fn ada(id: &str, email: &str) -> serde_json::Value {
    json!({ "id": id, "personal": { "name": "Ada", "email": email } })
}

#[tokio::test]
async fn a_user_is_answered_open_and_kept_sealed() {
    let shop = Shop::open().await;
    let made = shop.post("/v1/users", "k1", ada("u1", "Ada@Example.com")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(made.body["personal"], json!({ "name": "Ada", "email": "Ada@Example.com" }));
    assert!(made.body["registered_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let again = shop.post("/v1/users", "k1", ada("u1", "Ada@Example.com")).await;
    assert!(again.replayed());
    assert_eq!(again.body, made.body);
    for event in shop.log().await {
        let all = [&event.data[..], &event.metadata[..], event.stream.as_str().as_bytes()].concat();
        let text = String::from_utf8(all).unwrap().to_lowercase();
        assert!(!text.contains("example.com") && !text.contains("\"ada\""), "{text}");
    }
}

#[tokio::test]
async fn an_id_is_generated_where_none_is_given() {
    let shop = Shop::open().await;
    let body = json!({ "personal": { "name": "Ada", "email": "ada@example.com" } });
    let made = shop.post("/v1/users", "k1", body.clone()).await;
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(id.len(), 36);
    assert_eq!(shop.post("/v1/users", "k1", body).await.body["id"], id);
}

#[tokio::test]
async fn ids_and_addresses_are_unique() {
    let shop = Shop::open().await;
    shop.post("/v1/users", "k1", ada("u1", "ada@example.com")).await;
    let taken = shop.post("/v1/users", "k2", ada("u2", "ADA@example.com")).await;
    assert_eq!((taken.status.as_u16(), taken.problem()), (409, "email-taken"));
    let exists = shop.post("/v1/users", "k3", ada("u1", "new@example.com")).await;
    assert_eq!((exists.status.as_u16(), exists.problem()), (409, "already-exists"));
    let free = shop.post("/v1/users", "k4", ada("u3", "new@example.com")).await;
    assert_eq!(free.status, StatusCode::CREATED, "the refused user left no claim");
}

#[tokio::test]
async fn one_of_many_gets_an_address() {
    let shop = Shop::open().await;
    let made =
        join_all(
            (0..20).map(|n| {
                let shop = &shop;
                async move {
                    shop.post("/v1/users", &format!("k{n}"), ada(&format!("u{n}"), "a@b.c")).await
                }
            }),
        );
    let answers = made.await;
    let created = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    assert_eq!(created, 1, "{answers:?}");
}

#[tokio::test]
async fn limits_name_their_field() {
    let shop = Shop::open().await;
    for (id, email, place) in [
        (".u", "a@b.c", "#/id"),
        ("a b", "a@b.c", "#/id"),
        ("live", "a@b.c", "#/id"),
        ("u1", "nobody", "#/personal/email"),
        ("u1", "a b@c.d", "#/personal/email"),
        ("u1", "@", "#/personal/email"),
    ] {
        let refused = shop.post("/v1/users", "k", ada(id, email)).await;
        assert_eq!((refused.status.as_u16(), refused.places()), (400, vec![place]), "{id} {email}");
    }
    let long = "i".repeat(65);
    assert_eq!(shop.post("/v1/users", "k", ada(&long, "a@b.c")).await.places(), ["#/id"]);
    let most = shop.post("/v1/users", "k", ada(&long[..64], "a@b.c")).await;
    assert_eq!(most.status, StatusCode::CREATED);
    let bare = shop.post("/v1/users", "k2", json!({ "id": "u2" })).await;
    assert_eq!(bare.places(), ["#/personal"]);
    assert_eq!(shop.log().await.len(), 2, "a claim and a registration");
}
