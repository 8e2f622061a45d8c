//! While the event store's server is away at the start: the port is open, every answer is 503, and
//! the shop opens by itself as soon as the server is there.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use event_schemas::Timestamp;
use http::{StatusCode, header};
use infra::{
    event_store::OpenError,
    http::{HttpOptions, Problem, UNAVAILABLE},
};
use query_api::{Check, Health, HealthStatus};
use tokio::net::TcpListener;

use crate::{engines, failure::Failure, output, settings::Settings, wire::Shop};

/// How long after the start somebody is told that the server is waited for.
const SILENT: Duration = Duration::from_secs(2);
/// The wait before a server that cannot be reached is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Requests that are under way when the shop opens are short.
const DRAIN: Duration = Duration::from_secs(1);

/// Why the shop is not open yet, for those who ask.
#[derive(Clone)]
pub(crate) struct Told {
    since: Timestamp,
    why: Arc<Mutex<String>>,
}

/// Opens the shop, however long its event store's server is away.
pub(crate) async fn open(
    settings: &Settings,
    server: String,
    here: String,
    told: Told,
) -> Result<Shop, Failure> {
    let opened = async {
        loop {
            match engines::event_store(settings).await {
                Err(failure) if is_away(&failure) => {
                    told.set(failure.to_string());
                    tokio::time::sleep(AGAIN).await;
                }
                Err(failure) => return Err(failure),
                Ok(opened) => {
                    told.set("the log is being read".to_owned());
                    return Shop::over(settings, opened).await;
                }
            }
        }
    };
    let mut opened = std::pin::pin!(opened);
    tokio::select! {
        opened = &mut opened => return opened,
        () = tokio::time::sleep(SILENT) => {}
    }
    output::say(&format!(
        "Daybook waits for the event store {server}; until it is there, {here} answers 503"
    ));
    opened.await
}

/// Whether a server cannot be reached, or not be used as it is: somebody may see to that.
fn is_away(failure: &Failure) -> bool {
    let Failure::Failed(error) = failure else { return false };
    matches!(error.downcast_ref(), Some(OpenError::Unreachable(_)))
}

/// Answers at the listener until the work is done.
pub(crate) async fn meanwhile<T, F: Future<Output = T>>(
    listener: TcpListener,
    options: HttpOptions,
    work: impl FnOnce(Told) -> F,
) -> Result<(TcpListener, T), Failure> {
    let since = Timestamp::from(jiff::Timestamp::now());
    let told = Told { since, why: Arc::new(Mutex::new("not yet connected".to_owned())) };
    let router = Router::new()
        .route("/health/live", get(|| async { json(StatusCode::OK, &Health::alive()) }))
        .route("/health/ready", get(ready))
        .route("/", any(closed))
        .route("/{*path}", any(closed))
        .with_state(told.clone());
    // The port stays open while one listener gives way to the other.
    let kept = listener.into_std().context("the port cannot be kept")?;
    let doubled = kept.try_clone().and_then(TcpListener::from_std);
    let doubled = doubled.context("the port cannot be kept")?;
    let mut done = None;
    let options = HttpOptions { drain: DRAIN, ..options };
    infra::http::serve(doubled, router, options, async { done = Some(work(told).await) }).await;
    let listener = TcpListener::from_std(kept).context("the port cannot be kept")?;
    let done = done.ok_or_else(|| Failure::failed("the shop was not opened"))?;
    Ok((listener, done))
}

async fn ready(State(told): State<Told>) -> Response {
    let check = Check {
        name: "event-store".to_owned(),
        status: HealthStatus::Unhealthy,
        since: told.since,
        detail: Some(told.why()),
    };
    let health = Health { status: HealthStatus::Unhealthy, checks: vec![check] };
    let answer = json(StatusCode::SERVICE_UNAVAILABLE, &health);
    ([(header::RETRY_AFTER, "1")], answer).into_response()
}

fn json(status: StatusCode, health: &Health) -> Response {
    match serde_json::to_string(health) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => Problem::internal(error).into_response(),
    }
}

async fn closed(State(told): State<Told>) -> Problem {
    Problem::new(&UNAVAILABLE, format!("The shop is not open yet: {}.", told.why()))
}

impl Told {
    fn set(&self, why: String) {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    fn why(&self) -> String {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
