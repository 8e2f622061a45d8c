use axum::{
    extract::{Path, State},
    response::Response,
};
use infra::{http::Problem, read_models::Value};

use crate::{
    QueryState,
    answers::History,
    ask::Ask,
    posted::{snapshot, unreadable},
};

/// What happened to an order
///
/// Its events, the oldest first, all of them.
#[utoipa::path(
    get, path = "/v1/orders/{id}/history", tag = "orders", operation_id = "get_order_history",
    params(("id" = String, Path, description = "The order's id")),
    responses((status = 200, description = "The order's events", body = History))
)]
pub(crate) async fn history(
    State(state): State<QueryState>,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Problem> {
    let asked = ask.finish()?;
    let (mut snapshot, posted) = snapshot(&state, &state.orders, &asked).await?;
    let sql = "SELECT history FROM orders WHERE id = ?";
    let rows = snapshot.query(sql, &[Value::from(id.as_str())]).await;
    match rows.map_err(|error| unreadable(&error))?.first_mut() {
        Some(row) => {
            let events = row.text(0).map_err(|error| unreadable(&error))?;
            Ok(posted.json(format!("{{\"items\":{events},\"next\":null}}")))
        }
        None => Err(posted.not_found("order", &id)),
    }
}
