//! The limits of the contract, from both sides: what is within is done, what is beyond is a
//! problem that names the field, and leaves no event.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use common::Server;
use serde_json::{Value, json};

/// Where a problem says that the fault is.
fn places(problem: &Value) -> Vec<String> {
    let place = |error: &Value| {
        ["pointer", "parameter", "header"]
            .iter()
            .find_map(|kind| error[kind].as_str())
            .unwrap_or_else(|| panic!("no place in {error}"))
            .to_owned()
    };
    problem["errors"]
        .as_array()
        .map(|errors| errors.iter().map(place).collect())
        .unwrap_or_default()
}

fn events(server: &Server) -> Value {
    server.get("/v1/projections").expect(200).json()["items"][0]["head"].clone()
}

/// A shop with one sku and one customer.
fn shop(dir: &std::path::Path) -> Server {
    let server = Server::start(dir, &[]);
    server.post("/v1/products", &product("mug", |_| {})).expect(201);
    server.post("/v1/stock/mug-sku/receipts", &json!({ "quantity": 100 })).expect(201);
    server
        .post(
            "/v1/users",
            &json!({ "id": "u1", "personal": { "name": "Ada", "email": "ada@example.com" } }),
        )
        .expect(201);
    server
}

fn product(id: &str, change: impl FnOnce(&mut Value)) -> Value {
    let price = json!({ "amount": 100, "currency": "USD" });
    let mut product = json!({
        "id": id, "title": "Mug", "brand": "Acme", "department": "HOME", "category": "CUPS",
        "variants": [{ "sku": format!("{id}-sku"), "title": "Red", "price": price }],
    });
    change(&mut product);
    product
}

fn order(change: impl FnOnce(&mut Value)) -> Value {
    let mut order = json!({
        "customer_id": "u1", "channel": "web", "lines": [{ "sku": "mug-sku", "quantity": 1 }],
    });
    change(&mut order);
    order
}

/// The request is refused with this status, names this place, and leaves no event.
#[track_caller]
fn refused(server: &Server, path: &str, body: &Value, status: u16, place: &str) {
    let before = events(server);
    let problem = server.post(path, body).expect(status).json();
    assert!(places(&problem).iter().any(|found| found == place), "{place}: {problem}");
    assert!(problem["request_id"].is_string() && problem["detail"].is_string(), "{problem}");
    assert_eq!(events(server), before);
}

#[test]
fn products() {
    let dir = tempfile::tempdir().unwrap();
    let server = shop(dir.path());
    let set = |path: &'static str, value: Value| {
        move |product: &mut Value| *product.pointer_mut(path).unwrap() = value
    };
    let long = |n: usize| Value::from("é".repeat(n));
    for (n, (path, within, beyond)) in [
        ("/title", long(200), long(201)),
        ("/title", long(1), json!("")),
        ("/brand", long(64), long(65)),
        ("/department", long(64), long(65)),
        ("/category", long(64), long(65)),
        ("/brand", json!(""), json!(1)),
        ("/variants/0/title", long(200), long(201)),
        ("/id", json!("a".repeat(64)), json!("a".repeat(65))),
        ("/id", json!("A-_.9"), json!(".a")),
        ("/id", json!("a.b"), json!("a/b")),
        ("/id", json!("live1"), json!("a b")),
        ("/id", json!("search2"), json!("search")),
        ("/id", json!("x"), json!("")),
        ("/id", json!("y"), json!("\u{1f600}")),
        ("/id", json!("z"), json!("a\u{0}b")),
        ("/variants/0/sku", json!("b".repeat(64)), json!("b".repeat(65))),
        ("/variants/0/price/amount", json!(0), json!("1")),
        (
            "/variants/0/price/amount",
            json!(9_007_199_254_740_991_i64),
            json!(9_007_199_254_740_992_i64),
        ),
        ("/variants/0/price/amount", json!(1), json!(1.5)),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("p{n}");
        server.post("/v1/products", &product(&id, set(path, within))).expect(201);
        let bad = product(&format!("q{n}"), set(path, beyond));
        refused(&server, "/v1/products", &bad, 400, &format!("#{path}"));
    }
    let negative = product("neg", set("/variants/0/price/amount", json!(-1)));
    refused(&server, "/v1/products", &negative, 422, "#/variants/0/price/amount");
    let euro = product("eur", set("/variants/0/price/currency", json!("EUR")));
    refused(&server, "/v1/products", &euro, 422, "#/variants/0/price/currency");
    let unknown = product("unk", |product| product["colour"] = json!("red"));
    refused(&server, "/v1/products", &unknown, 400, "#/colour");
    let attributes = |n: usize| -> Value {
        (0..n)
            .map(|n| (format!("a{n}"), Value::from("x")))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let within = product("attributes", |product| product["attributes"] = attributes(32));
    server.post("/v1/products", &within).expect(201);
    let beyond = product("attributes2", |product| product["attributes"] = attributes(33));
    refused(&server, "/v1/products", &beyond, 400, "#/attributes");
}

#[test]
fn orders() {
    let dir = tempfile::tempdir().unwrap();
    let server = shop(dir.path());
    let quantity = |value: Value| order(|order| order["lines"][0]["quantity"] = value);
    server.post("/v1/orders", &quantity(json!(1))).expect(201);
    // Within the limit, though not in stock.
    let much = server.post("/v1/orders", &quantity(json!(2_147_483_647))).expect(409);
    assert_eq!(much.problem(), "insufficient-stock");
    for bad in [json!(0), json!(-1), json!(2_147_483_648_i64), json!(1.5), json!("1"), json!(null)]
    {
        refused(&server, "/v1/orders", &quantity(bad), 400, "#/lines/0/quantity");
    }
    for (text, place) in [
        ("1e0", "#/lines/0/quantity"),
        ("1.0", "#/lines/0/quantity"),
        ("-0", "#/lines/0/quantity"),
        ("1e309", "#/lines/0/quantity"),
        ("9223372036854775808", "#/lines/0/quantity"),
    ] {
        let body =
            order(|_| {}).to_string().replace("\"quantity\":1", &format!("\"quantity\":{text}"));
        assert!(body.contains(text), "{body}");
        let answer = server.send("POST", "/v1/orders", Some(text), body.as_bytes()).unwrap();
        let problem = answer.expect(400).json();
        assert!(places(&problem).iter().any(|found| found == place), "{text}: {problem}");
    }
    let lines = |n: usize| {
        order(|order| {
            order["lines"] =
                (0..n).map(|n| json!({ "sku": format!("s{n}"), "quantity": 1 })).collect()
        })
    };
    refused(&server, "/v1/orders", &lines(0), 400, "#/lines");
    refused(&server, "/v1/orders", &lines(1_001), 400, "#/lines");
    // Within the limit, though no product has them.
    refused(&server, "/v1/orders", &lines(1_000), 422, "#/lines/0/sku");
    let twice = order(|order| {
        let line = order["lines"][0].clone();
        order["lines"] = json!([line, line]);
    });
    refused(&server, "/v1/orders", &twice, 400, "#/lines/1/sku");
    let nobody = order(|order| order["customer_id"] = json!("nobody"));
    refused(&server, "/v1/orders", &nobody, 422, "#/customer_id");
    let expected = |amount: i64, currency: &str| {
        let money = json!({ "amount": amount, "currency": currency });
        order(|order| order["expected_total"] = money)
    };
    server.post("/v1/orders", &expected(100, "USD")).expect(201);
    let changed = server.post("/v1/orders", &expected(99, "USD")).expect(409);
    assert_eq!(changed.problem(), "price-changed");
    refused(&server, "/v1/orders", &expected(100, "EUR"), 422, "#/expected_total/currency");
    // All faults at once, at most 20.
    let bad = order(|order| {
        order["lines"] =
            (0..30).map(|n| json!({ "sku": format!("s{n}"), "quantity": 0 })).collect();
        order["channel"] = json!(" ");
    });
    let problem = server.post("/v1/orders", &bad).expect(400).json();
    assert_eq!(places(&problem).len(), 20);
}

#[test]
fn stock_users_and_reasons() {
    let dir = tempfile::tempdir().unwrap();
    let server = shop(dir.path());
    let receipts = "/v1/stock/mug-sku/receipts";
    let adjustments = "/v1/stock/mug-sku/adjustments";
    server.post(receipts, &json!({ "quantity": 2_147_483_647 })).expect(201);
    refused(&server, receipts, &json!({ "quantity": 2_147_483_648_i64 }), 400, "#/quantity");
    refused(&server, receipts, &json!({ "quantity": 0 }), 400, "#/quantity");
    refused(&server, receipts, &json!({}), 400, "#/quantity");
    server.post("/v1/stock/nothing/receipts", &json!({ "quantity": 1 })).expect(404);
    let adjust = |delta: i64, reason: &str| json!({ "delta": delta, "reason": reason });
    server.post(adjustments, &adjust(-1, &"r".repeat(200))).expect(201);
    refused(&server, adjustments, &adjust(-1, &"r".repeat(201)), 400, "#/reason");
    refused(&server, adjustments, &adjust(-1, ""), 400, "#/reason");
    refused(&server, adjustments, &adjust(0, "nothing"), 400, "#/delta");
    refused(&server, adjustments, &adjust(-2_147_483_648, "count"), 400, "#/delta");
    let left = server.post(adjustments, &adjust(-2_147_483_647, "count")).expect(201).json();
    let left = left["available"].as_i64().unwrap();
    refused(&server, adjustments, &adjust(-left - 1, "count"), 422, "#/delta");
    server.post(adjustments, &adjust(-left, "count")).expect(201);
    let user = |personal: Value| json!({ "personal": personal });
    let made = server.post("/v1/users", &user(json!({ "name": "A", "email": "a@example.com" })));
    let id = made.expect(201).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 36, "{id}");
    let again = server.post("/v1/users", &user(json!({ "name": "B", "email": "A@Example.com" })));
    assert_eq!(again.expect(409).problem(), "email-taken");
    refused(&server, "/v1/users", &user(json!({ "email": "no address" })), 400, "#/personal/email");
}

#[test]
fn bodies_and_headers() {
    let dir = tempfile::tempdir().unwrap();
    let server = shop(dir.path());
    let before = events(&server);
    let send = |body: &[u8]| server.send("POST", "/v1/orders", Some("k"), body).unwrap();
    for body in [
        &b""[..],
        b"{",
        b"[]",
        b"{\"customer_id\":\"u1\",",
        b"{\"customer_id\":\"u1\",\"customer_id\":\"u1\",\"channel\":\"web\",\"lines\":[]}",
        b"{\"customer_id\":\"\\ud800\",\"channel\":\"web\",\"lines\":[]}",
        b"{\"customer_id\":\"\xe9\",\"channel\":\"web\",\"lines\":[]}",
    ] {
        let answer = send(body).expect(400);
        assert_eq!(answer.problem(), "bad-request");
        assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"));
        assert!(!places(&answer.json()).is_empty());
    }
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(send(nested(33).as_bytes()).expect(400).problem(), "bad-request");
    // One MiB is read, and found wanting; a byte more is not.
    let padded = |size: usize| {
        let body = order(|order| order["customer_id"] = json!("nobody")).to_string();
        format!("{body}{}", " ".repeat(size - body.len()))
    };
    send(padded(1 << 20).as_bytes()).expect(422);
    assert_eq!(send(padded((1 << 20) + 1).as_bytes()).expect(413).problem(), "payload-too-large");

    let raw = |headers: &str| {
        let head = format!("POST /v1/orders HTTP/1.1\r\n{headers}");
        server.raw(&head, order(|_| {}).to_string().as_bytes())
    };
    let typed = |kind: &str| raw(&format!("Idempotency-Key: t\r\nContent-Type: {kind}"));
    let answer = typed("text/plain").expect(415);
    assert_eq!(answer.header("accept").as_deref(), Some("application/json"));
    typed("application/json; charset=latin-1").expect(415);
    let keyed = |key: &str| raw(&format!("Content-Type: application/json{key}"));
    assert_eq!(keyed("").expect(400).problem(), "idempotency-key-missing");
    for key in ["", "\"\"", "a b", &"k".repeat(256)] {
        let answer = keyed(&format!("\r\nIdempotency-Key: {key}")).expect(400);
        assert_eq!(answer.problem(), "idempotency-key-malformed", "{key:?}");
    }
    assert_eq!(events(&server), before);
    keyed(&format!("\r\nIdempotency-Key: {}", "k".repeat(255))).expect(201);
    let first = keyed("\r\nIdempotency-Key: bare").expect(201);
    let quoted = keyed("\r\nIdempotency-Key: \"bare\"").expect(201);
    assert_eq!(first.json(), quoted.json());
    assert_eq!(quoted.header("idempotency-replayed").as_deref(), Some("true"));

    let delete = server.send("DELETE", "/v1/orders", None, b"").unwrap().expect(405);
    let allow = delete.header("allow").unwrap();
    assert!(allow.contains("GET") && allow.contains("POST") && allow.contains("HEAD"), "{allow}");
    assert_eq!(server.get("/v1/nothing").expect(404).problem(), "not-found");
    let head = server.raw("HEAD /v1/orders HTTP/1.1", b"").expect(200);
    assert!(head.body.is_empty());
}

#[test]
fn queries() {
    let dir = tempfile::tempdir().unwrap();
    let server = shop(dir.path());
    for (path, parameter) in [
        ("/v1/orders?limit=0", "limit"),
        ("/v1/orders?limit=1001", "limit"),
        ("/v1/orders?limit=x", "limit"),
        ("/v1/orders?colour=red", "colour"),
        ("/v1/orders?status=lost", "status"),
        ("/v1/orders?sort=colour", "sort"),
        ("/v1/orders?cursor=garbage", "cursor"),
        ("/v1/orders?placed_from=2026-02-30T00:00:00Z", "placed_from"),
        ("/v1/orders?placed_from=2026-11-21T09:15:00.1234567Z", "placed_from"),
        ("/v1/products/search?price_min=-1", "price_min"),
        ("/v1/products/search?in_stock=maybe", "in_stock"),
        ("/v1/reports/sales?from=2026-01-01&to=2026-02-01&interval=year", "interval"),
        ("/v1/reports/sales?from=2026-01-01&to=2026-02-01&tz=Mars/Olympus", "tz"),
        ("/v1/reports/sales?from=2026-01-01", "to"),
        ("/v1/reports/sales?from=2026-01-01T00:01:00Z&to=2026-02-01", "from"),
    ] {
        let problem = server.get(path).expect(400).json();
        assert!(places(&problem).iter().any(|found| found == parameter), "{path}: {problem}");
    }
    for path in [
        "/v1/orders?limit=1",
        "/v1/orders?limit=1000",
        "/v1/orders?placed_from=2026-11-21T09:15:00.123456%2B01:00",
        "/v1/products/search?price_min=0",
        "/v1/reports/sales?from=2026-01-01&to=2026-02-01",
    ] {
        server.get(path).expect(200);
    }
    let long = |n: usize| format!("/v1/products/search?q={}", "a".repeat(n));
    server.get(&long(200)).expect(200);
    server.get(&long(201)).expect(400);
    server
        .get("/v1/orders?placed_from=2026-02-01T00:00:00Z&placed_to=2026-01-01T00:00:00Z")
        .expect(400);

    let at = |position: &str| {
        let head = format!("GET /v1/orders HTTP/1.1\r\nDaybook-Position: {position}");
        server.raw(&format!("{head}\r\nPrefer: wait=0"), b"")
    };
    let here = server.get("/v1/orders").expect(200).position();
    at(&here).expect(200);
    let store = here.split(':').next().unwrap();
    assert_eq!(at(&format!("{store}:999999")).expect(503).problem(), "not-yet-posted");
    at("00000000-0000-4000-8000-000000000000:1").expect(400);
    at("garbage").expect(400);
}

#[test]
fn a_request_cut_in_the_middle_and_a_client_that_reads_nothing_harm_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let server = shop(dir.path());
    let before = events(&server);
    let mut cut = TcpStream::connect(&server.address).unwrap();
    let head = format!(
        "POST /v1/orders HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Idempotency-Key: cut\r\nContent-Length: 1000\r\n\r\n{{\"customer_id\":",
        server.address
    );
    cut.write_all(head.as_bytes()).unwrap();
    drop(cut);
    let mut deaf = TcpStream::connect(&server.address).unwrap();
    let ask = format!("GET /openapi.json HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    for _ in 0..50 {
        deaf.write_all(ask.as_bytes()).unwrap();
    }
    server.post("/v1/orders", &order(|_| {})).expect(201);
    // It still gets what it asked for once it reads.
    let mut byte = [0];
    deaf.read_exact(&mut byte).unwrap();
    assert_eq!(byte, *b"H");
    assert_eq!(events(&server).as_u64(), before.as_u64().map(|n| n + 2), "one hold, one order");
}
