use axum::{
    extract::{Path, State},
    response::Response,
};
use event_schemas::{Position, Revision, Timestamp, resource::UserResource};
use history::{AsOf, At, Kind, PastError};
use infra::http::{BAD_REQUEST, Faults, NOT_FOUND, Problem, UNAVAILABLE};
use serde::Serialize;
use serde_json::Value;

use crate::{
    QueryState,
    answers::{OrderAsOf, ProductAsOf, StockAsOf, UserAsOf},
    ask::Ask,
    events::asked::CLOCKS,
    posted::{Posted, personal, reached, unreadable_log},
    users::{Sealed, opener::Opener},
};

/// What made it so.
#[derive(Serialize)]
struct Made<'a> {
    revision: Revision,
    position: Option<Position>,
    event_id: uuid::Uuid,
    event_type: &'a str,
    recorded_at: Option<Timestamp>,
    clocks_ran_back: u64,
}

/// An order as it was
///
/// What its GET would have answered at a moment, which is exactly one of a time, a position in the
/// log and a revision of its stream (inclusive all). `as_of` tells the last event that counts.
#[utoipa::path(
    get, path = "/v1/orders/{id}/at", tag = "orders", operation_id = "get_order_at",
    params(("id" = String, Path, description = "The order's id")),
    responses((status = 200, description = "The order as it was", body = OrderAsOf))
)]
pub(crate) async fn order(
    State(state): State<QueryState>,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Problem> {
    at(state, Kind::Order, id, None, ask).await
}

/// Stock as it was
///
/// What its GET would have answered at a moment, which is exactly one of a time, a position in the
/// log and a revision of its stream (inclusive all). `as_of` tells the last event that counts.
#[utoipa::path(
    get, path = "/v1/stock/{sku}/at", tag = "stock", operation_id = "get_stock_at",
    params(("sku" = String, Path, description = "The sku")),
    responses((status = 200, description = "The stock as it was", body = StockAsOf))
)]
pub(crate) async fn stock(
    State(state): State<QueryState>,
    Path(sku): Path<String>,
    ask: Ask,
) -> Result<Response, Problem> {
    at(state, Kind::Stock, sku, None, ask).await
}

/// A product as it was
///
/// What its GET would have answered at a moment, which is exactly one of a time, a position in the
/// log and a revision of its stream (inclusive all). `as_of` tells the last event that counts.
#[utoipa::path(
    get, path = "/v1/products/{id}/at", tag = "products", operation_id = "get_product_at",
    params(("id" = String, Path, description = "The product's id")),
    responses((status = 200, description = "The product as it was", body = ProductAsOf))
)]
pub(crate) async fn product(
    State(state): State<QueryState>,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Problem> {
    at(state, Kind::Product, id, None, ask).await
}

/// A user as it was
///
/// What its GET would have answered at a moment, which is exactly one of a time, a position in the
/// log and a revision of its stream (inclusive all). `as_of` tells the last event that counts.
/// `personal` is null for a user who was forgotten since.
#[utoipa::path(
    get, path = "/v1/users/{id}/at", tag = "users", operation_id = "get_user_at",
    params(("id" = String, Path, description = "The user's id")),
    responses((status = 200, description = "The user as it was", body = UserAsOf))
)]
pub(crate) async fn user(
    State(state): State<QueryState>,
    Path(id): Path<String>,
    opener: Opener,
    ask: Ask,
) -> Result<Response, Problem> {
    at(state, Kind::User, id, Some(opener), ask).await.map(personal)
}

/// `opener` is there where what is personal may be opened.
async fn at(
    state: QueryState,
    kind: Kind,
    id: String,
    opener: Option<Opener>,
    mut ask: Ask,
) -> Result<Response, Problem> {
    let moment = moment(&mut ask);
    let asked = ask.finish()?;
    let Some(moment) = moment else { return Err(Problem::internal("a fault was not noted")) };
    let head = reached(&state, &asked).await?;
    let now = Timestamp::from(jiff::Timestamp::now());
    let found = state.past.as_of(kind, &id, moment, now).await;
    let as_of = found.map_err(|error| problem(&error, moment))?;
    let document = document(&state, &as_of, opener.as_ref()).await?;
    Ok(Posted::at(&state, head, &asked).json(document))
}

/// Exactly one moment; faults are noted.
fn moment(ask: &mut Ask) -> Option<At> {
    let (query, faults) = (&mut ask.query, &mut ask.faults);
    let named = ["time", "position", "revision"].map(|name| query.has(name));
    if named.iter().filter(|named| **named).count() != 1 {
        faults.parameter("time", "give exactly one of time, position and revision");
    }
    let clock = query.choice("clock", &CLOCKS, faults);
    if clock.is_some() && !named[0] {
        faults.parameter("clock", "is of a time; leave it out");
    }
    let time = query.time("time", faults).map(|time| At::Time(time, clock.unwrap_or_default()));
    let mut number = |name| query.integer(name, 0..=i64::MAX, faults).map(i64::unsigned_abs);
    let position = number("position").map(|at| At::Position(Position(at)));
    let revision = number("revision").map(|at| At::Revision(Revision(at)));
    time.or(position).or(revision)
}

/// The document as it was, with what made it so.
async fn document(
    state: &QueryState,
    as_of: &AsOf,
    opener: Option<&Opener>,
) -> Result<Vec<u8>, Problem> {
    let made = Made {
        revision: as_of.last.revision,
        position: as_of.position,
        event_id: as_of.last.id,
        event_type: &as_of.last.event_type,
        recorded_at: as_of.last.recorded_at(),
        clocks_ran_back: as_of.clocks_ran_back,
    };
    let mut document = match (&as_of.state, opener) {
        (history::State::User(user), Some(opener)) => opened(state, user, opener).await?,
        (other, _) => serde_json::to_value(other).map_err(Problem::internal)?,
    };
    if let Value::Object(members) = &mut document {
        let made = serde_json::to_value(made).map_err(Problem::internal)?;
        members.insert("as_of".to_owned(), made);
    }
    serde_json::to_vec(&document).map_err(Problem::internal)
}

/// A user as the outside sees it.
async fn opened(
    state: &QueryState,
    user: &UserResource,
    opener: &Opener,
) -> Result<Value, Problem> {
    let document = Sealed::of(user).open(state, opener).await?;
    serde_json::from_str(&document).map_err(Problem::internal)
}

/// Why it cannot be told.
pub(super) fn problem(error: &PastError, moment: At) -> Problem {
    let fault = |detail: String| {
        let name = match moment {
            At::Time(..) | At::Newest => "time",
            At::Position(_) => "position",
            At::Revision(_) => "revision",
        };
        let mut faults = Faults::new();
        faults.parameter(name, detail);
        faults.into_problem(&BAD_REQUEST)
    };
    match error {
        PastError::NeverWas { .. } => Problem::new(&NOT_FOUND, format!("Now or before, {error}.")),
        PastError::NotYet { .. } => Problem::new(&NOT_FOUND, format!("At that moment {error}.")),
        PastError::Future { .. }
        | PastError::BeyondLog { .. }
        | PastError::BeyondStream { .. }
        | PastError::NoPlaces => fault(error.to_string()),
        PastError::Store(error) => unreadable_log(error),
        PastError::Unreadable { .. } => Problem::new(
            &UNAVAILABLE,
            format!("{error}. If a newer version of Daybook wrote it, start that one."),
        )
        .retry_after(60)
        .because(error),
    }
}
