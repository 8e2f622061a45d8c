use axum::{
    extract::{Path, State},
    response::Response,
};
use event_schemas::Revision;
use infra::{http::Problem, read_models::Value};

use crate::{
    QueryState,
    answers::Product,
    ask::Ask,
    posted::{snapshot, unreadable},
};

/// A product
///
/// Its `ETag` is what `If-Match` of a change compares with.
#[utoipa::path(
    get, path = "/v1/products/{id}", tag = "products", operation_id = "get_product",
    params(
        ("id" = String, Path, description = "The product's id"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of what the caller has already", example = "\"3\""),
    ),
    responses(
        (status = 200, description = "The product", body = Product,
            headers(("ETag" = String, description = "Its revision, quoted"))),
        (status = 304, description = "The caller has it already"),
    )
)]
pub(crate) async fn product(
    State(state): State<QueryState>,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Problem> {
    let asked = ask.finish()?;
    let (mut snapshot, posted) = snapshot(&state, &state.products, &asked).await?;
    let sql = "SELECT revision, document FROM products WHERE id = ?";
    let rows = snapshot.query(sql, &[Value::from(id.as_str())]).await;
    let mut rows = rows.map_err(|error| unreadable(&error))?;
    let Some(row) = rows.first_mut() else { return Err(posted.not_found("product", &id)) };
    let revision = row.integer(0).map_err(|error| unreadable(&error))?;
    let document = row.text(1).map_err(|error| unreadable(&error))?;
    Ok(posted.revised(document, Revision(revision.unsigned_abs()), &asked))
}
