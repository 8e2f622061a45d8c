//! While a server that the shop cannot open without is away at the start (the event store's, the
//! keys'): the port is open, every answer is 503, and the shop opens by itself as soon as the server
//! is there.

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
    keys::KeysError,
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
    waiting: Arc<Mutex<Waiting>>,
}

/// For what the shop waits.
#[derive(Clone)]
struct Waiting {
    /// As the check of `/health/ready` is called.
    name: &'static str,
    why: String,
}

/// Opens the shop, however long its event store's server and its keys' are away.
pub(crate) async fn open(settings: &Settings, here: String, told: Told) -> Result<Shop, Failure> {
    let opened = async {
        let opened = there("event-store", &told, || engines::event_store(settings)).await?;
        let store = opened.store.clone();
        let keys = async {
            let keys = there("keys", &told, || engines::keys(settings, &store)).await;
            told.set("event-store", "the log is being read".to_owned());
            keys
        };
        Shop::over(settings, opened, keys).await
    };
    let mut opened = std::pin::pin!(opened);
    tokio::select! {
        opened = &mut opened => return opened,
        () = tokio::time::sleep(SILENT) => {}
    }
    let Waiting { name, why } = told.waiting();
    let what = if name == "keys" { "the key store" } else { "the event store" };
    output::say(&format!(
        "Daybook waits for {what} ({why}); until the shop is open, {here} answers 503"
    ));
    opened.await
}

/// Opens what lies on a server, as soon as that is there.
async fn there<T, F: Future<Output = Result<T, Failure>>>(
    name: &'static str,
    told: &Told,
    mut open: impl FnMut() -> F,
) -> Result<T, Failure> {
    loop {
        match open().await {
            Err(failure) if is_away(&failure) => {
                tracing::warn!(%failure, "{name} is waited for");
                told.set(name, failure.to_string());
                tokio::time::sleep(AGAIN).await;
            }
            opened => return opened,
        }
    }
}

/// Whether a server cannot be reached, or not be used as it is: somebody may see to that.
fn is_away(failure: &Failure) -> bool {
    let Failure::Failed(error) = failure else { return false };
    matches!(error.downcast_ref(), Some(OpenError::Unreachable(_)))
        || matches!(error.downcast_ref(), Some(KeysError::Away { .. }))
}

/// Answers at the listener until the work is done.
pub(crate) async fn meanwhile<T, F: Future<Output = T>>(
    listener: TcpListener,
    options: HttpOptions,
    work: impl FnOnce(Told) -> F,
) -> Result<(TcpListener, T), Failure> {
    let since = Timestamp::from(jiff::Timestamp::now());
    let waiting = Waiting { name: "event-store", why: "not yet connected".to_owned() };
    let told = Told { since, waiting: Arc::new(Mutex::new(waiting)) };
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
    let Waiting { name, why } = told.waiting();
    let check = Check {
        name: name.to_owned(),
        status: HealthStatus::Unhealthy,
        since: told.since,
        detail: Some(why),
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
    Problem::new(&UNAVAILABLE, format!("The shop is not open yet: {}.", told.waiting().why))
}

impl Told {
    fn set(&self, name: &'static str, why: String) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Waiting { name, why };
    }

    fn waiting(&self) -> Waiting {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
