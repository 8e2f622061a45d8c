//! What receipts and adjustments have in common.

use axum::response::{IntoResponse, Response};
use domain::{
    Decider,
    stock::{self, StockItem},
};
use event_schemas::{Event, Position, Revision, StockEvent, StreamName};
use http::StatusCode;
use infra::{
    event_store::Direction,
    http::{At, Fault, Problem},
};
use serde::Serialize;
use thiserror::Error;

use crate::{
    Commands,
    context::Context,
    executor::{ExecuteError, Failure},
    http::Answer,
    problems::{BELOW_ZERO, failed, key_reused, unexpected},
    streams,
};

/// The numbers of a sku, as a command left them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StockNumbers {
    /// The sku.
    pub sku: String,
    /// Units in the house.
    pub on_hand: i64,
    /// Units held for orders.
    pub reserved: i64,
    /// Their difference.
    pub available: i64,
}

/// A sku's stock after a command.
#[derive(Clone, Debug)]
pub struct StockAfter {
    /// The numbers.
    pub numbers: StockNumbers,
    /// A position at or behind the command's event; `None` if it appended none now.
    pub position: Option<Position>,
    /// Whether the command came before.
    pub replayed: bool,
}

/// Why stock is not changed.
#[derive(Debug, Error)]
pub enum StockError {
    /// The same key came with another payload.
    #[error("the same key came with another payload before")]
    KeyReused,
    /// No product has the sku.
    #[error("no product has the sku {0:?}")]
    UnknownSku(String),
    /// The stock refuses.
    #[error(transparent)]
    Rejected(#[from] stock::Rejection),
    /// An engine was in the way.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Executes a receipt or an adjustment.
///
/// # Errors
/// [`StockError`]
pub(super) async fn change_stock(
    commands: &Commands,
    sku: &str,
    command: stock::Command,
    context: Context,
) -> Result<StockAfter, StockError> {
    let known = |commands: &Commands| commands.catalogue().offer(sku).is_some();
    if !known(commands) && (commands.catalogue_is_current().await? || !known(commands)) {
        return Err(StockError::UnknownSku(sku.to_owned()));
    }
    let executed = match commands.0.stock.execute(sku, command, context).await {
        Ok(executed) => executed,
        Err(ExecuteError::KeyReused) => return Err(StockError::KeyReused),
        Err(ExecuteError::Rejected(rejection)) => return Err(rejection.into()),
        Err(ExecuteError::Changed { .. }) => return Err(Failure::Contended(1).into()),
        Err(ExecuteError::Failed(failure)) => return Err(failure.into()),
    };
    let (on_hand, reserved) = match (executed.replayed, executed.revision) {
        (true, Some(revision)) => numbers_at(commands, sku, revision).await?,
        _ => (executed.view.on_hand, executed.view.reserved),
    };
    Ok(StockAfter {
        numbers: StockNumbers {
            sku: sku.to_owned(),
            on_hand,
            reserved,
            available: on_hand - reserved,
        },
        position: executed.position,
        replayed: executed.replayed,
    })
}

/// The numbers that one event of a sku carries.
async fn numbers_at(
    commands: &Commands,
    sku: &str,
    revision: Revision,
) -> Result<(i64, i64), Failure> {
    let stream = StreamName::new(StockItem::CATEGORY, sku);
    let store = &commands.0.engines.store;
    let page = store.read_stream(&stream, revision, Direction::Forwards, 1).await?;
    let missing = || Failure::Unreadable(format!("{stream}@{revision} is missing"));
    let recorded = page.events.first().ok_or_else(missing)?;
    match &streams::decode(recorded)?.event {
        Event::Stock(StockEvent::Received(event)) => Ok((event.on_hand, event.reserved)),
        Event::Stock(StockEvent::Adjusted(event)) => Ok((event.on_hand, event.reserved)),
        _ => Err(missing()),
    }
}

pub(super) fn answer(after: StockAfter) -> Result<Response, Problem> {
    let answer = Answer::of(StatusCode::CREATED, &after.numbers)?;
    Ok(Answer {
        location: Some(format!("/v1/stock/{}", after.numbers.sku)),
        position: after.position,
        replayed: after.replayed,
        ..answer
    }
    .into_response())
}

/// The problem of a receipt or an adjustment; `member` is what a broken rule is about.
pub(super) fn problem(error: StockError, member: &'static str) -> Problem {
    let at_member = |problem: Problem, detail: String| {
        problem.errors([Fault { detail, at: At::Pointer(format!("#/{member}")) }])
    };
    match error {
        StockError::KeyReused => key_reused(),
        StockError::UnknownSku(sku) => Problem::new(
            &infra::http::NOT_FOUND,
            format!("No product has the sku {sku:?}. Add it to a product first."),
        ),
        StockError::Failed(failure) => failed(&failure),
        StockError::Rejected(rejection @ stock::Rejection::BelowZero { .. }) => {
            let detail = rejection.to_string();
            at_member(Problem::new(&BELOW_ZERO, detail.clone()), detail)
        }
        StockError::Rejected(rejection @ stock::Rejection::TooMany { .. }) => {
            let detail = rejection.to_string();
            at_member(Problem::new(&infra::http::UNPROCESSABLE, detail.clone()), detail)
        }
        StockError::Rejected(stock::Rejection::NotIntroduced) => Problem::new(
            &infra::http::NOT_FOUND,
            "The sku is known to no stock; add it to a product first.",
        ),
        StockError::Rejected(rejection) => unexpected(rejection),
    }
}
