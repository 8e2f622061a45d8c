//! Every query gives the same answer, whatever engine the read models lie in.

use http::Method;
use infra::read_models::ReadModels;

use crate::{
    history::{self, Step},
    servers::{self, Place, over_every_engine},
    support::{Answer, Shop},
};

over_every_engine!(every_query_answers_as_over_sqlite, a_replica_answers_only_what_it_has);

async fn every_query_answers_as_over_sqlite(place: Place) {
    let shop = Shop::open().await;
    let step = |at: u16| Step { kind: (at % 24) as u8, a: at * 7, b: at * 13 };
    let steps: Vec<_> = (0..900).map(step).collect();
    history::append(&shop.store, &history::shop(&steps).log).await;
    let other = shop.beside(place.models().await).await;
    let shops = [&shop, &other];

    let mut orders = Vec::new();
    for sort in ["placed_at", "-placed_at", "total", "-total"] {
        orders = same_pages(shops, &format!("/v1/orders?limit=7&sort={sort}")).await;
    }
    assert!(orders.len() > 7, "{}", orders.len());
    for status in ["placed", "dispatched", "delivered", "cancelled", "refused", "abandoned"] {
        same_pages(shops, &format!("/v1/orders?limit=3&status={status}")).await;
    }
    same_pages(shops, "/v1/orders?channel=web").await;
    same_pages(shops, "/v1/orders?placed_from=2023-11-14T00:00:00Z&placed_to=2023-11-15T00:00:00Z")
        .await;
    for id in &orders {
        same(shops, &format!("/v1/orders/{id}")).await;
        same(shops, &format!("/v1/orders/{id}/history")).await;
    }
    let mut skus = Vec::new();
    for parameters in ["sort=sku", "sort=available", "sort=-available", "below=5"] {
        skus = same_pages(shops, &format!("/v1/stock?limit=3&{parameters}")).await;
    }
    for sku in &skus {
        same(shops, &format!("/v1/stock/{sku}")).await;
    }
    let mut products = Vec::new();
    for parameters in ["sort=title", "sort=-title", "sort=id", "sort=-id", "status=off_shelf"] {
        let found = same_pages(shops, &format!("/v1/products?limit=2&{parameters}")).await;
        products.extend(found);
    }
    assert!(!products.is_empty());
    for id in &products {
        same(shops, &format!("/v1/products/{id}")).await;
    }
    let users = same_pages(shops, "/v1/users?limit=2").await;
    assert!(!users.is_empty());
    for id in &users {
        same_pages(shops, &format!("/v1/orders?limit=4&customer_id={id}")).await;
        same(shops, &format!("/v1/users/{id}")).await;
        same(shops, &format!("/v1/users/{id}/summary")).await;
    }
    let years = "from=2020-01-01&to=2030-01-01";
    for by in ["none", "department", "brand", "channel", "sku", "customer"] {
        for interval in ["day", "month", "none"] {
            same(shops, &format!("/v1/reports/sales?{years}&by={by}&interval={interval}")).await;
        }
    }
    for nothing in ["orders", "products", "stock", "users"] {
        same(shops, &format!("/v1/{nothing}/no-such-thing")).await;
    }
}

/// The copy stands still: here it is a database of its own, posted from the same log up to a point.
async fn a_replica_answers_only_what_it_has(place: Place) {
    let Place::Database(primary) = &place else { return };
    let variable = if primary.is(servers::MARIADB) { servers::MARIADB } else { servers::MYSQL };
    let copy = servers::Database::new(variable).await.unwrap();
    let shop = Shop::open().await;
    shop.register("u1", None).await;
    let posted = shop.beside(ReadModels::open_mysql(copy.url(), None).await.unwrap()).await;
    assert_eq!(posted.get("/v1/users").await.ids(), ["u1"]);
    drop(posted);
    let models = ReadModels::open_mysql(primary.url(), Some(&copy.url())).await.unwrap();
    let queried = shop.beside(models).await;
    let before = shop.position(shop.store.head().await.unwrap());
    shop.register("u2", None).await;
    // Who asks for what it has not gets it from the primary, others from the copy.
    assert_eq!(queried.get("/v1/users").await.ids(), ["u1", "u2"]);
    let sent = queried.send(Method::GET, "/v1/users", &[("daybook-position", &before)]).await;
    assert_eq!(sent.ids(), ["u1"]);
    assert_eq!(sent.header("daybook-position"), before);
    // Without it, everybody asks the primary.
    copy.remove().await;
    let sent = queried.send(Method::GET, "/v1/users", &[("daybook-position", &before)]).await;
    assert_eq!(sent.ids(), ["u1", "u2"]);
}

async fn same(shops: [&Shop; 2], path: &str) -> Answer {
    let [expected, found] = [shops[0].get(path).await, shops[1].get(path).await];
    assert_eq!(found.status, expected.status, "{path}: {}", found.text());
    if expected.status == 200 {
        assert_eq!(found.text(), expected.text(), "{path}");
    }
    for header in ["daybook-position", "etag"] {
        assert_eq!(found.header(header), expected.header(header), "{path}");
    }
    expected
}

/// Every page of a list; the ids of all its items.
async fn same_pages(shops: [&Shop; 2], path: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = same(shops, &format!("{path}{cursor}")).await;
        ids.extend(answer.ids());
        match answer.json()["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}
