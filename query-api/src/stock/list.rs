use axum::{extract::State, response::Response};
use event_schemas::MAX_AMOUNT;
use infra::http::Problem;

use super::{COLUMNS, document};
use crate::{
    QueryState,
    answers::StockList,
    ask::Ask,
    list::{List, Page, Sort},
    posted::{snapshot, unreadable},
};

/// Stock
///
/// By sku unless `sort` says otherwise; ties by sku.
#[utoipa::path(
    get, path = "/v1/stock", tag = "stock", operation_id = "list_stock",
    params(
        ("below" = Option<i64>, Query, description = "Less than this many units available", minimum = 0),
        ("sort" = Option<String>, Query, description = "sku, -sku, available or -available", example = "available"),
    ),
    responses((status = 200, description = "A page of stock", body = StockList))
)]
pub(crate) async fn list(
    State(state): State<QueryState>,
    mut ask: Ask,
) -> Result<Response, Problem> {
    let sort = Sort::read(&mut ask, &["available", "sku"], Sort::ascending("sku"));
    let mut list = List::new("stock", "sku", COLUMNS, sort);
    list.only("hidden = 0");
    list.filter("available < ?", ask.query.integer("below", 0..=MAX_AMOUNT, &mut ask.faults));
    list.cut(&mut ask);
    let asked = ask.finish()?;
    let (mut snapshot, posted) = snapshot(&state, &state.stock, &asked).await?;
    let mut page = list.read(&mut snapshot).await?;
    let items = page.rows.iter_mut().map(|row| document(row, 2)).collect::<Result<Vec<_>, _>>();
    let items = items.map_err(|error| unreadable(&error))?;
    Ok(posted.json(Page::document(&items, page.next.as_deref())))
}
