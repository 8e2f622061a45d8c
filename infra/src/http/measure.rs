use std::{
    sync::{Arc, OnceLock, RwLock},
    task::{Context, Poll},
    time::Instant,
};

use axum::{body::Body, extract::MatchedPath, response::Response};
use futures::future::BoxFuture;
use http::{Method, Request};
use metrics::{Counter, Histogram, counter, histogram};
use tower::{Layer, Service};

/// Counts and times the requests of each route: `http_requests_total` by method, route and
/// status, `http_request_duration_seconds` by method and route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure;

impl<S> Layer<S> for Measure {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured { inner, series: Arc::default() }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Measured<S> {
    inner: S,
    series: Arc<Series>,
}

/// The series of one route, found by name once and not for each request.
#[derive(Debug, Default)]
struct Series {
    duration: OnceLock<Histogram>,
    requests: RwLock<Vec<(u16, Counter)>>,
}

impl Series {
    fn record(&self, method: &Method, route: Option<&MatchedPath>, status: u16, start: Instant) {
        let names = || {
            let route = route.map_or("", MatchedPath::as_str).to_owned();
            (method.as_str().to_owned(), route)
        };
        let duration = self.duration.get_or_init(|| {
            let (method, route) = names();
            histogram!("http_request_duration_seconds", "method" => method, "route" => route)
        });
        duration.record(start.elapsed());
        let known = |requests: &[(u16, Counter)]| {
            let found = requests.iter().find(|(known, _)| *known == status);
            found.map(|(_, counter)| counter.increment(1)).is_some()
        };
        if self.requests.read().is_ok_and(|requests| known(&requests)) {
            return;
        }
        let (method, route) = names();
        let counter = counter!("http_requests_total", "method" => method, "route" => route, "status" => status.to_string());
        counter.increment(1);
        if let Ok(mut requests) = self.requests.write() {
            requests.push((status, counter));
        }
    }
}

impl<S> Service<Request<Body>> for Measured<S>
where
    S: Service<Request<Body>, Response = Response> + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let start = Instant::now();
        let method = request.method().clone();
        let route = request.extensions().get::<MatchedPath>().cloned();
        let series = Arc::clone(&self.series);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            series.record(&method, route.as_ref(), response.status().as_u16(), start);
            Ok(response)
        })
    }
}
