use axum::{extract::State, response::Response};
use event_schemas::Timestamp;
use http::{HeaderValue, StatusCode, header};
use infra::http::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use crate::QueryState;

/// How a process is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Health {
    /// All in all.
    pub status: HealthStatus,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// One thing that a process needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Check {
    /// Its name.
    #[schema(example = "event-store")]
    pub name: String,
    /// How it is doing.
    pub status: HealthStatus,
    /// Since when it has been so.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// What is known about it.
    #[schema(required)]
    pub detail: Option<String>,
}

/// How something is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// As it should be.
    Healthy,
    /// It answers, but not everything is as it should be.
    Degraded,
    /// What the process's roles cannot answer without is missing.
    Unhealthy,
    /// The process is about to end.
    Draining,
}

impl Health {
    /// Of a process that answers at all.
    pub const fn alive() -> Self {
        Self { status: HealthStatus::Healthy, checks: Vec::new() }
    }
}

/// Whether the process is alive
#[utoipa::path(
    get, path = "/health/live", tag = "process", operation_id = "get_live",
    responses((status = 200, description = "It answers", body = Health))
)]
pub(crate) async fn live() -> Result<Response, Problem> {
    answer(&Health::alive())
}

/// Whether the process can do its work
///
/// 200 for healthy and degraded, else 503.
#[utoipa::path(
    get, path = "/health/ready", tag = "process", operation_id = "get_ready",
    responses(
        (status = 200, description = "healthy or degraded", body = Health),
        (status = 503, description = "unhealthy or draining", body = Health),
    )
)]
pub(crate) async fn ready(State(state): State<QueryState>) -> Result<Response, Problem> {
    answer(&(state.health)().await)
}

fn answer(health: &Health) -> Result<Response, Problem> {
    let document = serde_json::to_vec(health).map_err(Problem::internal)?;
    let mut response = Response::new(document.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if matches!(health.status, HealthStatus::Unhealthy | HealthStatus::Draining) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}
