use axum::{
    extract::{Path, State},
    response::Response,
};
use infra::{http::Problem, read_models::Value};

use super::{COLUMNS, document};
use crate::{
    QueryState,
    answers::Stock,
    ask::Ask,
    posted::{snapshot, unreadable},
};

/// The stock of a sku
#[utoipa::path(
    get, path = "/v1/stock/{sku}", tag = "stock", operation_id = "get_stock",
    params(("sku" = String, Path, description = "The sku")),
    responses((status = 200, description = "Its stock", body = Stock))
)]
pub(crate) async fn stock(
    State(state): State<QueryState>,
    Path(sku): Path<String>,
    ask: Ask,
) -> Result<Response, Problem> {
    let asked = ask.finish()?;
    let (mut snapshot, posted) = snapshot(&state, &state.stock, &asked).await?;
    let sql = format!("SELECT {COLUMNS} FROM stock WHERE sku = ? AND hidden = 0");
    let rows = snapshot.query(&sql, &[Value::from(sku.as_str())]).await;
    match rows.map_err(|error| unreadable(&error))?.first_mut() {
        Some(row) => Ok(posted.json(document(row, 0).map_err(|error| unreadable(&error))?)),
        None => Err(posted.not_found("sku", &sku)),
    }
}
