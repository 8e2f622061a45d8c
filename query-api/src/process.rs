//! What a process says of itself.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use http::{HeaderValue, header};

use crate::QueryState;

/// Metrics of this process
#[utoipa::path(
    get, path = "/metrics", tag = "process", operation_id = "get_metrics",
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain"))
)]
pub(crate) async fn metrics(State(state): State<QueryState>) -> Response {
    typed("text/plain; version=0.0.4; charset=utf-8", (state.metrics)().into_bytes())
}

/// This document
#[utoipa::path(
    get, path = "/openapi.json", tag = "process", operation_id = "get_openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json"))
)]
pub(crate) async fn openapi(State(state): State<QueryState>) -> Response {
    typed("application/json", state.openapi.clone())
}

/// Leads to the documentation
#[utoipa::path(
    get, path = "/", tag = "process", operation_id = "get_root",
    responses((status = 303, description = "See /docs", headers(("Location" = String, description = "/docs"))))
)]
pub(crate) async fn root() -> impl IntoResponse {
    Redirect::to("/docs")
}

pub(crate) fn typed(content_type: &'static str, body: impl Into<axum::body::Body>) -> Response {
    let mut response = Response::new(body.into());
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
