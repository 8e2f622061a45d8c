use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    response::{IntoResponse as _, Response},
};
use futures::{FutureExt as _, future::BoxFuture};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use metrics::counter;
use tower::Service;

use super::{
    BAD_REQUEST, Faults, INTERNAL, METHOD_NOT_ALLOWED, MISDIRECTED, NOT_FOUND, Problem, RequestId,
    headers, measure::Measure,
};

/// The outermost service: it gives each request its id, refuses hosts that are not meant, catches
/// panics, renders problems, and sets what every answer has.
#[derive(Clone, Debug)]
pub struct Frame {
    router: Router,
    hosts: Option<Arc<[String]>>,
}

/// Frames a router. `hosts`, if given, are the names that `Host` may have, without port.
pub fn frame(router: Router, hosts: Option<Vec<String>>) -> Frame {
    let router = router.route_layer(Measure).fallback(no_such_path);
    Frame { router, hosts: hosts.map(Into::into) }
}

async fn no_such_path(request: Request<Body>) -> Problem {
    counter!("http_requests_total", "method" => "", "route" => "", "status" => "404").increment(1);
    let path: String = request.uri().path().chars().take(200).collect();
    Problem::new(
        &NOT_FOUND,
        format!("There is no path {path}. GET /openapi.json lists those that there are."),
    )
}

impl Frame {
    /// The answer to one request.
    pub async fn answer(&self, mut request: Request<Body>) -> Response {
        let start = Instant::now();
        let id = RequestId::of(request.headers());
        let method = request.method().clone();
        let logged = tracing::enabled!(tracing::Level::DEBUG).then(|| request.uri().clone());
        let mut response = match self.check_host(&request) {
            Ok(()) => {
                request.extensions_mut().insert(id.clone());
                self.route(request).await
            }
            Err(problem) => problem.into_response(),
        };
        if response.status().as_u16() >= 400 {
            response = rendered(response, &id, &method);
        }
        let headers = response.headers_mut();
        headers.insert(&headers::REQUEST_ID, id.header().clone());
        if !headers.contains_key(header::CACHE_CONTROL) {
            const NO_CACHE: HeaderValue = HeaderValue::from_static("private, no-cache");
            headers.insert(header::CACHE_CONTROL, NO_CACHE);
        }
        if let Some(uri) = logged {
            let status = response.status().as_u16();
            tracing::debug!(request_id = id.as_str(), %method, path = uri.path(), status, micros = start.elapsed().as_micros(), "answered");
        }
        response
    }

    async fn route(&self, request: Request<Body>) -> Response {
        let mut router = self.router.clone();
        let answer = AssertUnwindSafe(async move { router.call(request).await });
        match answer.catch_unwind().await {
            Ok(Ok(response)) => response,
            Err(panic) => {
                let said = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned());
                let said = said.unwrap_or_else(|| "no message".to_owned());
                Problem::internal(format!("panicked: {said}")).into_response()
            }
        }
    }

    /// RFC 9112, 3.2: one Host. On loopback a foreign one is refused, or a web page could let its
    /// own name point here (DNS rebinding).
    fn check_host(&self, request: &Request<Body>) -> Result<(), Problem> {
        let Some(hosts) = &self.hosts else { return Ok(()) };
        let mut sent = request.headers().get_all(header::HOST).iter();
        let host = match (request.uri().authority(), sent.next(), sent.next()) {
            (Some(authority), _, None) => authority.as_str(),
            (None, Some(value), None) => value.to_str().unwrap_or(""),
            _ => {
                let mut faults = Faults::new();
                faults.header("Host", "must be there once");
                return Err(faults.into_problem(&BAD_REQUEST));
            }
        };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        if hosts.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Ok(());
        }
        Err(Problem::new(
            &MISDIRECTED,
            format!(
                "The Host {name:?} is not served here; use {}, or start the server with --host.",
                hosts.join(", ")
            ),
        ))
    }
}

/// The problem of an answer that is none yet, as a document.
fn rendered(mut response: Response, id: &RequestId, method: &Method) -> Response {
    let status = response.status();
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        // Meant as it is, such as 503 of a health check. The router's own are empty or plain text.
        None if response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| !value.as_bytes().starts_with(b"text/plain")) =>
        {
            return response;
        }
        None => plain(status, method, response.headers()),
    };
    if status.is_server_error() {
        let cause = problem.cause().unwrap_or("");
        tracing::error!(
            request_id = id.as_str(),
            problem = problem.kind().name,
            cause,
            "{}",
            problem.detail()
        );
    }
    *response.status_mut() = problem.status();
    let document = problem.document(id.as_str());
    let headers = response.headers_mut();
    const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
    headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(document.len()));
    *response.body_mut() =
        if method == Method::HEAD { Body::empty() } else { Body::from(document) };
    response
}

/// What the router itself answers, without a body of ours.
fn plain(status: StatusCode, method: &Method, headers: &HeaderMap) -> Problem {
    match status {
        // A path that is not percent-encoded UTF-8 names nothing.
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => {
            Problem::new(&NOT_FOUND, "There is no such path.")
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            let allow = headers.get(header::ALLOW).and_then(|value| value.to_str().ok());
            let allow = allow.unwrap_or("none");
            Problem::new(
                &METHOD_NOT_ALLOWED,
                format!("{method} is not allowed here; allowed: {allow}."),
            )
        }
        other => Problem::new(&INTERNAL, "Something went wrong inside the server.")
            .because(format!("a bare answer of {other}")),
    }
}

impl Service<Request<Body>> for Frame {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.answer(request).await) })
    }
}

/// The value of `Preference-Applied` for a wait that was granted.
pub fn preference_applied(wait: Duration) -> HeaderValue {
    HeaderValue::try_from(format!("wait={}", wait.as_secs()))
        .unwrap_or_else(|_| HeaderValue::from_static("wait"))
}
