use axum::{
    extract::{Path, State},
    response::Response,
};
use event_schemas::{Currency, Timestamp};
use infra::{
    http::Problem,
    read_models::{ReadModelError, Row, Snapshot, Value},
};

use crate::{
    QueryState,
    answers::{OrderBrief, Summary},
    ask::Ask,
    posted::{personal, snapshot, unreadable},
};

/// What a user bought
///
/// Cancelled orders count nowhere, as in reports.
#[utoipa::path(
    get, path = "/v1/users/{id}/summary", tag = "users", operation_id = "get_user_summary",
    params(("id" = String, Path, description = "The user's id")),
    responses((status = 200, description = "Sums, the first order and the last", body = Summary))
)]
pub(crate) async fn summary(
    State(state): State<QueryState>,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Problem> {
    let asked = ask.finish()?;
    let (mut snapshot, posted) = snapshot(&state, &state.users, &asked).await?;
    let found = read(&mut snapshot, &id, state.currency).await;
    match found.map_err(|error| unreadable(&error))? {
        Some(summary) => {
            let document = serde_json::to_vec(&summary).map_err(Problem::internal)?;
            Ok(personal(posted.json(document)))
        }
        None => Err(posted.not_found("user", &id)),
    }
}

async fn read(
    snapshot: &mut Snapshot,
    id: &str,
    unless_known: Currency,
) -> Result<Option<Summary>, ReadModelError> {
    let key = [Value::from(id)];
    let sql = "SELECT orders, units, revenue, currency FROM users WHERE id = ? AND registered_at IS NOT NULL";
    let mut rows = snapshot.query(sql, &key).await?;
    let Some(row) = rows.first_mut() else { return Ok(None) };
    let (orders, units, revenue) = (row.integer(0)?, row.integer(1)?, row.integer(2)?);
    let currency = row.optional_text(3)?.and_then(|code| code.parse().ok());
    let sql = "SELECT order_id, placed_at, total, currency FROM user_orders WHERE user_id = ?";
    let first = format!("{sql} ORDER BY placed_at, order_id LIMIT 1");
    let last = format!("{sql} ORDER BY placed_at DESC, order_id DESC LIMIT 1");
    let mut first = snapshot.query(&first, &key).await?;
    let mut last = snapshot.query(&last, &key).await?;
    Ok(Some(Summary {
        id: id.to_owned(),
        orders,
        units,
        revenue: currency.unwrap_or(unless_known).money(revenue).into(),
        first_order: first.first_mut().map(brief).transpose()?,
        last_order: last.first_mut().map(brief).transpose()?,
    }))
}

fn brief(row: &mut Row) -> Result<OrderBrief, ReadModelError> {
    let (id, placed_at, total) = (row.text(0)?, row.integer(1)?, row.integer(2)?);
    let code = row.text(3)?;
    let currency: Currency =
        code.parse().map_err(|error| ReadModelError::Unavailable(format!("{error}")))?;
    Ok(OrderBrief {
        id,
        placed_at: Timestamp::saturating(placed_at).to_string(),
        total: currency.money(total).into(),
    })
}
