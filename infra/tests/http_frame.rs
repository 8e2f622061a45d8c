//! What the outermost service gives every answer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use axum::{
    Router,
    body::Body,
    extract::Path,
    response::Response,
    routing::{get, post},
};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use infra::http::{
    Faults, Frame, Json, OVERLOADED, Problem, RequestId, UNPROCESSABLE, frame, parse_json,
    read_body,
};
use serde_json::Value;
use tower::ServiceExt as _;

fn app() -> Frame {
    let router = Router::new()
        .route("/things/{id}", get(async |Path(id): Path<String>| id).delete(async || "gone"))
        .route("/id", get(async |id: RequestId| id.as_str().to_owned()))
        .route("/panics", get(panics))
        .route(
            "/full",
            get(async || Problem::new(&OVERLOADED, "Send it again.").because("the queue")),
        )
        .route("/internal", get(async || Problem::internal("a secret reason")))
        .route("/short", get(short))
        .route("/strict", post(strict));
    frame(router, Some(vec!["localhost".to_owned(), "[::1]".to_owned()]))
}

async fn panics() -> &'static str {
    panic!("on purpose")
}

async fn short() -> Problem {
    let mut faults = Faults::new();
    faults.parameter("a", "no");
    faults.into_problem(&UNPROCESSABLE).with("short", serde_json::json!([1, 2]))
}

async fn strict(request: Request<Body>) -> Result<String, Problem> {
    let body = read_body(request, 100, &["application/json"]).await?;
    let json = parse_json(&body).map_err(|faults| Faults::from(faults).check().unwrap_err())?;
    Ok(if matches!(json, Json::Object(_)) { "object" } else { "other" }.to_owned())
}

async fn send(method: Method, path: &str) -> Response {
    let request = Request::builder().method(method).uri(path).header("host", "localhost:8080");
    app().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn body(response: Response) -> Vec<u8> {
    response.into_body().collect().await.unwrap().to_bytes().to_vec()
}

async fn problem(response: Response) -> Value {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let id = response.headers()["request-id"].to_str().unwrap().to_owned();
    let status = response.status().as_u16();
    let document: Value = serde_json::from_slice(&body(response).await).unwrap();
    assert_eq!((&document["request_id"], &document["status"]), (&id.into(), &status.into()));
    assert!(document["title"].is_string() && document["detail"].is_string());
    document
}

#[tokio::test]
async fn an_answer_has_its_request_id_and_is_not_cached() {
    let response = send(Method::GET, "/things/a%20b").await;
    assert_eq!(response.headers()["cache-control"], "private, no-cache");
    assert!(uuid::Uuid::parse_str(response.headers()["request-id"].to_str().unwrap()).is_ok());
    assert_eq!(body(response).await, b"a b");
    let request = Request::get("/id").header("host", "localhost").header("request-id", "mine-1");
    let response = app().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["request-id"], "mine-1");
    assert_eq!(body(response).await, b"mine-1");
}

#[tokio::test]
async fn an_unknown_path_is_a_problem() {
    let response = send(Method::GET, "/nothing").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let document = problem(response).await;
    assert_eq!(document["type"], "/problems/not-found");
    assert!(document["detail"].as_str().unwrap().contains("/nothing"));
}

#[tokio::test]
async fn another_method_is_told_those_allowed() {
    let response = send(Method::PUT, "/things/a").await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    let allow = response.headers()["allow"].to_str().unwrap().to_owned();
    assert!(["GET", "HEAD", "DELETE"].iter().all(|method| allow.contains(method)), "{allow}");
    let document = problem(response).await;
    assert_eq!(document["type"], "/problems/method-not-allowed");
    assert!(document["detail"].as_str().unwrap().contains(&allow));
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    for path in ["/things/abc", "/nothing", "/full"] {
        let get = send(Method::GET, path).await;
        let head = send(Method::HEAD, path).await;
        assert_eq!(get.status(), head.status());
        let length = head.headers()["content-length"].to_str().unwrap().to_owned();
        assert!(body(head).await.is_empty());
        let got = body(get).await;
        // A path is told in the detail and both are equally long.
        assert_eq!(length, got.len().to_string(), "{path}");
    }
}

#[tokio::test]
async fn a_panic_is_a_problem_that_tells_no_secret() {
    for path in ["/panics", "/internal"] {
        let response = send(Method::GET, path).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let document = problem(response).await;
        assert_eq!(document["type"], "/problems/internal");
        let text = document.to_string();
        assert!(!text.contains("on purpose") && !text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn a_503_says_when_to_come_back() {
    let response = send(Method::GET, "/full").await;
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(problem(response).await["type"], "/problems/overloaded");
}

#[tokio::test]
async fn faults_and_further_members_are_told() {
    let document = problem(send(Method::GET, "/short").await).await;
    assert_eq!(document["errors"], serde_json::json!([{"detail": "no", "parameter": "a"}]));
    assert_eq!(document["short"], serde_json::json!([1, 2]));
}

#[tokio::test]
async fn a_foreign_host_is_refused() {
    let answer = async |host: Option<&str>, uri: &str| {
        let mut request = Request::get(uri);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        app().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    };
    assert_eq!(answer(Some("LOCALHOST"), "/things/a").await, 200);
    assert_eq!(answer(Some("[::1]:8080"), "/things/a").await, 200);
    assert_eq!(answer(Some("[::1]"), "/things/a").await, 200);
    assert_eq!(answer(Some("evil.example"), "/things/a").await, 421);
    assert_eq!(answer(Some("localhost.evil.example"), "/things/a").await, 421);
    assert_eq!(answer(Some("localhost"), "http://evil.example/things/a").await, 421);
    assert_eq!(answer(None, "/things/a").await, 400);
}

#[tokio::test]
async fn a_body_of_another_media_type_is_told_what_is_taken() {
    let request = Request::post("/strict").header("host", "localhost");
    let request = request.header("content-type", "text/plain").body(Body::from("{}")).unwrap();
    let response = app().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(response.headers()["accept"], "application/json");
    problem(response).await;
}

#[tokio::test]
async fn a_path_that_is_no_utf8_names_nothing() {
    let response = send(Method::GET, "/things/%ff").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    problem(response).await;
}
