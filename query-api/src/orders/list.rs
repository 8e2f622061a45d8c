use axum::{extract::State, response::Response};
use infra::http::Problem;

use crate::{
    QueryState,
    answers::Orders,
    ask::Ask,
    list::{List, Sort},
    posted::snapshot,
};

const STATUSES: &[(&str, &str)] = &[
    ("placed", "placed"),
    ("dispatched", "dispatched"),
    ("delivered", "delivered"),
    ("cancelled", "cancelled"),
    ("refused", "refused"),
    ("abandoned", "abandoned"),
];

const NEWEST_FIRST: Sort = Sort { column: "placed_at", descending: true };

/// Orders
///
/// The newest first unless `sort` says otherwise; ties by id. Refused and abandoned orders are
/// left out unless `status` names them.
#[utoipa::path(
    get, path = "/v1/orders", tag = "orders", operation_id = "list_orders",
    params(
        ("customer_id" = Option<String>, Query, description = "Of this customer"),
        ("status" = Option<String>, Query, description = "placed, dispatched, delivered, cancelled, refused or abandoned"),
        ("channel" = Option<String>, Query, description = "Ordered there"),
        ("placed_from" = Option<String>, Query, format = "date-time", description = "Placed then or later (inclusive)", example = "2026-11-21T00:00:00Z"),
        ("placed_to" = Option<String>, Query, format = "date-time", description = "Placed before (exclusive)"),
        ("sort" = Option<String>, Query, description = "placed_at, -placed_at, total or -total", example = "-placed_at"),
    ),
    responses((status = 200, description = "A page of orders", body = Orders))
)]
pub(crate) async fn list(
    State(state): State<QueryState>,
    mut ask: Ask,
) -> Result<Response, Problem> {
    let sort = Sort::read(&mut ask, &["placed_at", "total"], NEWEST_FIRST);
    let mut list = List::new("orders", "id", "document", sort);
    list.filter("customer_id = ?", ask.query.id("customer_id", &mut ask.faults));
    list.filter("channel = ?", ask.query.id("channel", &mut ask.faults));
    match ask.query.choice("status", STATUSES, &mut ask.faults) {
        Some(status) => list.filter("status = ?", Some(status)),
        None => list.only("status NOT IN ('refused', 'abandoned')"),
    }
    let (from, to) = ask.times("placed_from", "placed_to");
    list.filter("placed_at >= ?", from.map(|time| time.as_micros()));
    list.filter("placed_at < ?", to.map(|time| time.as_micros()));
    list.cut(&mut ask);
    let asked = ask.finish()?;
    let (mut snapshot, posted) = snapshot(&state, &state.orders, &asked).await?;
    let page = list.read(&mut snapshot).await?;
    Ok(posted.json(page.of_documents()?))
}
