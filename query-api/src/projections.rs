use axum::{extract::State, response::Response};
use infra::{event_store::ReadError, http::Problem};
use projections::{ProjectionStatus, read_status, search};
use serde_json::json;

use crate::{
    QueryState,
    answers::Projections,
    ask::Ask,
    posted::{Posted, unreadable_log},
};

/// How far the read models are posted
#[utoipa::path(
    get, path = "/v1/projections", tag = "log", operation_id = "list_projections",
    responses((status = 200, description = "Every projection", body = Projections))
)]
pub(crate) async fn projections(
    State(state): State<QueryState>,
    ask: Ask,
) -> Result<Response, Problem> {
    let asked = ask.finish()?;
    let items = statuses(&state).await.map_err(|error| unreadable_log(&error))?;
    let posted = items.iter().map(|status| status.position).min().unwrap_or_default();
    let document = json!({ "items": items }).to_string();
    Ok(Posted::at(&state, posted, &asked).json(document))
}

/// As the projectors of this process say it; without any, as the read models do.
async fn statuses(state: &QueryState) -> Result<Vec<ProjectionStatus>, ReadError> {
    let mut items = state.projectors.status().await?;
    if items.is_empty() {
        items = read_status(&state.store, &state.models).await?;
        items.push(search::read_status(&state.store, Ok(&state.search)).await?);
    }
    Ok(items)
}
