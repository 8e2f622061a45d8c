//! What cancellation, dispatch and delivery have in common.

use axum::response::{IntoResponse, Response};
use domain::{
    Decider,
    order::{self, Order},
};
use event_schemas::{
    Decoded, Event, OrderEvent, Position, Revision, StreamName, resource::OrderResource,
};
use http::StatusCode;
use infra::http::{Problem, ProblemKind};
use thiserror::Error;

use crate::{
    Commands,
    context::Context,
    executor::{ExecuteError, Failure},
    http::Answer,
    problems::{ORDER_STATE, failed, key_reused, unexpected},
    streams,
};

/// What cancellation, dispatch and delivery may be refused with.
pub(crate) static PROBLEMS: &[&ProblemKind] = &[&ORDER_STATE];

/// An order after a command.
#[derive(Clone, Debug)]
pub struct OrderAfter {
    /// The order.
    pub order: OrderResource,
    /// A position at or behind all that the command did; `None` if it appended nothing now.
    pub position: Option<Position>,
    /// Whether the command came before.
    pub replayed: bool,
}

/// Why an order is not changed.
#[derive(Debug, Error)]
pub enum OrderError {
    /// The same key came with another payload.
    #[error("the same key came with another payload before")]
    KeyReused,
    /// The order refuses.
    #[error(transparent)]
    Rejected(#[from] order::Rejection),
    /// An engine was in the way.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Executes a command on an order, then does at once what is owed for its holds.
///
/// # Errors
/// [`OrderError`]
pub(super) async fn change_order(
    commands: &Commands,
    id: &str,
    command: order::Command,
    context: Context,
) -> Result<OrderAfter, OrderError> {
    let executed = match commands.0.orders.execute(id, command, context.clone()).await {
        Ok(executed) => executed,
        Err(ExecuteError::KeyReused) => return Err(OrderError::KeyReused),
        Err(ExecuteError::Rejected(rejection)) => return Err(rejection.into()),
        Err(ExecuteError::Changed { .. }) => return Err(Failure::Contended(1).into()),
        Err(ExecuteError::Failed(failure)) => return Err(failure.into()),
    };
    let mut position = executed.position;
    for decoded in &executed.events {
        position = position.max(commands.follow_up(id, &decoded.event, &context).await);
    }
    let stream = StreamName::new(Order::CATEGORY, id);
    let revision = executed.revision.unwrap_or(Revision(u64::MAX));
    let fold = |order, decoded: &Decoded| match &decoded.event {
        Event::Order(event) => OrderResource::evolve(order, id, event, &decoded.metadata),
        _ => order,
    };
    let store = &commands.0.engines.store;
    let order = streams::fold_until(store, &stream, revision, None, fold).await?;
    let order = order.ok_or(order::Rejection::NotFound)?;
    Ok(OrderAfter { order, position, replayed: executed.replayed })
}

impl Commands {
    /// What the reservation watch would do a moment later.
    async fn follow_up(&self, id: &str, event: &Event, context: &Context) -> Option<Position> {
        match event {
            Event::Order(OrderEvent::Cancelled(event)) => {
                let skus = event.order.lines.iter().map(|line| line.sku.as_str());
                self.release(id, skus, context).await
            }
            Event::Order(OrderEvent::Dispatched(event)) => {
                self.send_off(id, &event.holds, context).await
            }
            _ => None,
        }
    }
}

pub(super) fn answer(after: OrderAfter) -> Result<Response, Problem> {
    let answer = Answer::of(StatusCode::OK, &after.order)?;
    Ok(Answer { position: after.position, replayed: after.replayed, ..answer }.into_response())
}

pub(super) fn problem(error: OrderError) -> Problem {
    match error {
        OrderError::KeyReused => key_reused(),
        OrderError::Rejected(order::Rejection::NotFound) => {
            Problem::new(&infra::http::NOT_FOUND, "There is no order with this id.")
        }
        OrderError::Rejected(rejection @ order::Rejection::Status { status, allowed }) => {
            let allowed: Vec<&str> = allowed.iter().map(order::Status::as_str).collect();
            Problem::new(&ORDER_STATE, rejection.to_string())
                .with("order_status", status.as_str())
                .with("allowed", allowed)
        }
        OrderError::Rejected(rejection) => unexpected(rejection),
        OrderError::Failed(failure) => failed(&failure),
    }
}
