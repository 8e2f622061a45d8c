use axum::{extract::State, response::Response};
use infra::http::Problem;
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
    responses((status = 200, description = "Every projection of this process", body = Projections))
)]
pub(crate) async fn projections(
    State(state): State<QueryState>,
    ask: Ask,
) -> Result<Response, Problem> {
    let asked = ask.finish()?;
    let items = state.projectors.status().await.map_err(|error| unreadable_log(&error))?;
    let posted = items.iter().map(|status| status.position).min().unwrap_or_default();
    let document = json!({ "items": items }).to_string();
    Ok(Posted::at(&state, posted, &asked).json(document))
}
