use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::Response,
};
use event_schemas::{Position, Recorded, Revision};
use history::{Kind, Shown};
use infra::{
    event_store::{Direction, StreamPage},
    http::{Cursor, CursorValue, NOT_FOUND, Problem},
};

use crate::{
    QueryState,
    answers::Events,
    ask::Ask,
    list::Page,
    posted::{Posted, reached, unreadable_log},
};

/// What happened to the stock of a sku
///
/// Its events, the oldest first.
#[utoipa::path(
    get, path = "/v1/stock/{sku}/history", tag = "stock", operation_id = "list_stock_history",
    params(("sku" = String, Path, description = "The sku")),
    responses((status = 200, description = "A page of its events", body = Events))
)]
pub(crate) async fn stock(
    State(state): State<QueryState>,
    Path(sku): Path<String>,
    ask: Ask,
) -> Result<Response, Problem> {
    history(state, Kind::Stock, sku, ask).await
}

/// What happened to a product
///
/// Its events, the oldest first.
#[utoipa::path(
    get, path = "/v1/products/{id}/history", tag = "products", operation_id = "list_product_history",
    params(("id" = String, Path, description = "The product's id")),
    responses((status = 200, description = "A page of its events", body = Events))
)]
pub(crate) async fn product(
    State(state): State<QueryState>,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Problem> {
    history(state, Kind::Product, id, ask).await
}

/// What happened to a user
///
/// Its events, the oldest first. What is personal stays sealed.
#[utoipa::path(
    get, path = "/v1/users/{id}/history", tag = "users", operation_id = "list_user_history",
    params(("id" = String, Path, description = "The user's id")),
    responses((status = 200, description = "A page of its events", body = Events))
)]
pub(crate) async fn user(
    State(state): State<QueryState>,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Problem> {
    history(state, Kind::User, id, ask).await
}

async fn history(
    state: QueryState,
    kind: Kind,
    id: String,
    mut ask: Ask,
) -> Result<Response, Problem> {
    let fingerprint = format!("history {} {id:?}", kind.name());
    let limit = ask.query.limit(&mut ask.faults);
    let cursor = ask.query.take("cursor", &mut ask.faults);
    let cursor = cursor.and_then(|text| Cursor::decode(&text, &fingerprint, &mut ask.faults));
    let asked = ask.finish()?;
    let from = match cursor.as_ref().map(|cursor| cursor.0.as_slice()) {
        Some([CursorValue::Int(next)]) => Revision(next.unsigned_abs()),
        _ => Revision(0),
    };
    let head = reached(&state, &asked).await?;
    let read = state.store.read_stream(&kind.stream(&id), from, Direction::Forwards, limit).await;
    let StreamPage { events, places, at_end } = read.map_err(|error| unreadable_log(&error))?;
    let Some(last) = events.last() else {
        let shown: String = id.chars().take(64).collect();
        return Err(Problem::new(&NOT_FOUND, format!("There is no {} {shown:?}.", kind.name())));
    };
    let next = (!at_end).then(|| {
        let next = i64::try_from(last.revision.next().0).unwrap_or(i64::MAX);
        Cursor::encode(&fingerprint, &[CursorValue::Int(next)])
    });
    let item = |(event, place): (&Arc<Recorded>, Option<Position>)| {
        let metadata = history::metadata(event);
        serde_json::to_string(&Shown::of_stream(event, place, metadata.as_ref()))
    };
    let items: Result<Vec<String>, _> = events.iter().zip(places).map(item).collect();
    let items = items.map_err(Problem::internal)?;
    Ok(Posted::at(&state, head, &asked).json(Page::document(&items, next.as_deref())))
}
