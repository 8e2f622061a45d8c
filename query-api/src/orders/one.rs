use axum::{
    extract::{Path, State},
    response::Response,
};
use infra::{http::Problem, read_models::Value};

use crate::{
    QueryState,
    answers::Order,
    ask::Ask,
    posted::{snapshot, unreadable},
};

/// An order
///
/// The document as it was posted, byte for byte. `short` is there for a refused order,
/// `cancellation`, `dispatch` and `delivered_at` once they happened; an abandoned order has no
/// customer, channel, lines or total, and its `placed_at` is when it was given up.
#[utoipa::path(
    get, path = "/v1/orders/{id}", tag = "orders", operation_id = "get_order",
    params(("id" = String, Path, description = "The order's id")),
    responses((status = 200, description = "The order", body = Order))
)]
pub(crate) async fn order(
    State(state): State<QueryState>,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Problem> {
    let asked = ask.finish()?;
    let (mut snapshot, posted) = snapshot(&state, &state.orders, &asked).await?;
    let sql = "SELECT document FROM orders WHERE id = ?";
    let rows = snapshot.query(sql, &[Value::from(id.as_str())]).await;
    match rows.map_err(|error| unreadable(&error))?.first_mut() {
        Some(row) => Ok(posted.json(row.text(0).map_err(|error| unreadable(&error))?)),
        None => Err(posted.not_found("order", &id)),
    }
}
