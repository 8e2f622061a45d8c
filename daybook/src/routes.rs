//! What this process answers: the routes of its roles, and what each process has.

use std::sync::{Arc, OnceLock};

use anyhow::Context;
use audit::Keeper;
use axum::Router;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use query_api::{QueryParts, QueryState};
use utoipa::openapi::OpenApi;

use crate::{failure::Failure, health::Watched, settings::Settings, wire::Shop};

/// Upper bounds of the buckets of durations, in seconds.
const BUCKETS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Every route of this process's roles. The embedded event store is one process's alone: whatever
/// its roles, that process also sees to what the reservation watch owes.
pub(crate) fn router(settings: &Settings, shop: &Shop) -> Result<Router, Failure> {
    let metrics = metrics()?;
    let watched = Arc::new(Watched::new(shop, settings.roles));
    let state = QueryState::new(QueryParts {
        store: shop.store.clone(),
        past: shop.past.clone(),
        models: shop.read_models.clone(),
        search: shop.search.clone(),
        keys: shop.keys.clone(),
        projectors: Arc::clone(&shop.projectors),
        audit: shop.keeper.as_ref().map(Keeper::status),
        currency: settings.currency,
        metrics: Box::new(move || metrics.render()),
        health: Box::new(move || {
            let watched = Arc::clone(&watched);
            Box::pin(async move { watched.look().await })
        }),
        problems: [infra::http::GENERAL_KINDS, commands::KINDS, query_api::KINDS].concat(),
        openapi: openapi(),
    });
    let mut router = query_api::process_router(state.clone());
    if settings.roles.query {
        router = router.merge(query_api::router(state));
    }
    if settings.roles.command {
        router = router.merge(commands::router(shop.commands()?.clone()));
    }
    Ok(router)
}

/// The OpenAPI document of the whole program.
pub(crate) fn openapi() -> OpenApi {
    query_api::openapi().merge_from(commands::openapi())
}

/// The process's one metrics recorder. What is set before the first call is lost.
pub(crate) fn metrics() -> Result<PrometheusHandle, Failure> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .context("metrics cannot be recorded")?;
    let kept = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            kept.run_upkeep();
        }
    });
    Ok(HANDLE.get_or_init(|| handle).clone())
}
