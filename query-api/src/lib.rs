//! Queries: HTTP in, rows out. One file a query. Nothing here writes, but for the one event that
//! says who opened what is personal.

pub mod answers;
mod ask;
mod audit;
mod belongs;
mod docs;
mod events;
mod health;
mod list;
mod openapi;
mod orders;
mod past;
mod posted;
mod problems;
mod process;
mod products;
mod projections;
mod reports;
mod state;
mod stock;
mod users;

use axum::{
    Router,
    routing::{get, post},
};
use infra::http::ProblemKind;

pub use self::audit::{AUDIT_DIFFERENT, AUDIT_UNAVAILABLE};
pub use self::projections::{ALREADY_REBUILDING, NO_PROJECTOR};
pub use health::{Check, Health, HealthStatus};
pub use openapi::openapi;
pub use reports::sales::REPORT_TOO_LARGE;
pub use state::{HealthCheck, QueryParts, QueryState};

/// The kinds of problem that only queries have.
pub static KINDS: &[&ProblemKind] =
    &[&REPORT_TOO_LARGE, &AUDIT_UNAVAILABLE, &AUDIT_DIFFERENT, &ALREADY_REBUILDING, &NO_PROJECTOR];

/// Every query.
pub fn router(state: QueryState) -> Router {
    Router::new()
        .route("/v1/orders", get(orders::list::list))
        .route("/v1/orders/{id}", get(orders::one::order))
        .route("/v1/orders/{id}/history", get(orders::history::history))
        .route("/v1/orders/{id}/at", get(past::at::order))
        .route("/v1/stock", get(stock::list::list))
        .route("/v1/stock/{sku}", get(stock::one::stock))
        .route("/v1/stock/{sku}/history", get(past::history::stock))
        .route("/v1/stock/{sku}/at", get(past::at::stock))
        .route("/v1/products", get(products::list::list))
        .route("/v1/products/search", get(products::search::search))
        .route("/v1/products/{id}", get(products::one::product))
        .route("/v1/products/{id}/history", get(past::history::product))
        .route("/v1/products/{id}/at", get(past::at::product))
        .route("/v1/users", get(users::list::list))
        .route("/v1/users/{id}", get(users::one::user))
        .route("/v1/users/{id}/summary", get(users::summary::summary))
        .route("/v1/users/{id}/export", get(users::export::export))
        .route("/v1/users/{id}/history", get(past::history::user))
        .route("/v1/users/{id}/at", get(past::at::user))
        .route("/v1/reports/sales", get(reports::sales::sales))
        .route("/v1/audit/trail", get(past::trail::trail))
        .route("/v1/events", get(events::page::events))
        .route("/v1/events/live", get(events::live::live))
        .with_state(state)
}

/// What a process says of itself, whatever its roles.
pub fn process_router(state: QueryState) -> Router {
    Router::new()
        .route("/v1/projections", get(projections::projections))
        .route("/v1/projections/{name}/rebuild", post(projections::rebuild))
        .route("/v1/audit/head", get(audit::head))
        .route("/v1/audit/proof", get(audit::proof))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(process::metrics))
        .route("/openapi.json", get(process::openapi))
        .route("/docs", get(docs::docs))
        .route("/problems/{name}", get(problems::problem))
        .route("/", get(process::root))
        .with_state(state)
}
