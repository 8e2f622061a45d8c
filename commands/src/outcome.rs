//! From a priced order to its outcome: a hold for each line, side by side, then `OrderPlaced` or
//! `OrderRefused` as the first event of the order's stream.

use domain::{
    Decider,
    order::{self, Order},
    stock::{self, StockItem},
};
use event_schemas::resource::OrderResource;
use event_schemas::{
    Decoded, Event, ExpectedRevision, LineHold, OrderBody, OrderEvent, Position, RequestHash,
    ShortLine, StreamName,
};
use futures::future::join_all;
use infra::event_store::AppendError;
use thiserror::Error;

use crate::{
    Commands,
    context::Context,
    crash::crash_point,
    executor::{Attempt, ExecuteError, Executed, Failure, append, failure},
    streams,
};

/// The outcome of an order.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The order as its outcome left it.
    pub order: OrderResource,
    /// What the request that led to it asked for.
    pub request_hash: Option<RequestHash>,
    /// A position at or behind it; `None` if it was there before.
    pub position: Option<Position>,
}

/// Why an order comes to no outcome.
#[derive(Debug, Error)]
pub enum NoOutcome {
    /// The order holds units by another request with the same key.
    #[error("the same key came with another payload before")]
    KeyReused,
    /// The order may not be written as it is.
    #[error(transparent)]
    Rejected(#[from] order::Rejection),
    /// Something else was in the way; what is held is released by the watch, or used by a retry.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Commands {
    /// The outcome that the order's own stream tells.
    ///
    /// # Errors
    /// [`Failure`]
    pub(crate) async fn outcome_of(&self, order_id: &str) -> Result<Option<Outcome>, Failure> {
        let stream = StreamName::new(Order::CATEGORY, order_id);
        let Some(recorded) = streams::first(&self.0.engines.store, &stream).await? else {
            return Ok(None);
        };
        let decoded = streams::decode(&recorded)?;
        Ok(outcome(order_id, decoded, None))
    }

    /// Holds every line and decides. An outcome that came first is the answer.
    ///
    /// # Errors
    /// [`NoOutcome`]
    pub(crate) async fn settle(
        &self,
        order_id: &str,
        order: OrderBody,
        context: &Context,
    ) -> Result<Outcome, NoOutcome> {
        let asked = join_all(order.lines.iter().map(|line| {
            let command = stock::Command::Reserve {
                order_id: order_id.to_owned(),
                quantity: line.quantity,
                request_hash: context.request_hash(),
            };
            async {
                let answer = self.0.stock.execute(&line.sku, command, context.clone()).await;
                crash_point("after-hold");
                answer
            }
        }))
        .await;
        let mut holds = Vec::with_capacity(asked.len());
        let mut short = Vec::new();
        let mut failed = None;
        for (line, answer) in order.lines.iter().zip(asked) {
            match held(answer) {
                Ok(hold) => holds.push((line.sku.clone(), hold)),
                Err(Held::Short { available }) => short.push(ShortLine {
                    sku: line.sku.clone(),
                    requested: line.quantity,
                    available,
                }),
                Err(Held::KeyReused) => return Err(NoOutcome::KeyReused),
                Err(Held::Failed(failure)) => failed = Some(failure),
            }
        }
        if let Some(failure) = failed {
            return Err(failure.into());
        }

        crash_point("before-outcome");
        let id = order_id.to_owned();
        let outcome = if short.is_empty() {
            let holds = holds.iter().map(|(_, hold)| *hold).collect();
            let command = order::Command::Place { order_id: id, order, holds };
            self.append_outcome(order_id, command, context).await?
        } else {
            let command = order::Command::Refuse { order_id: id, order, short };
            self.append_outcome(order_id, command, context).await?
        };
        crash_point("after-outcome");
        if outcome.is_void() {
            let skus = holds.iter().map(|(sku, _)| sku.as_str());
            let released = self.release(order_id, skus, context).await;
            let position =
                outcome.position.map(|position| Some(position).max(released).unwrap_or(position));
            return Ok(Outcome { position, ..outcome });
        }
        Ok(outcome)
    }

    /// Appends the first event of an order; if another was first, gives that.
    ///
    /// # Errors
    /// [`NoOutcome`]
    pub(crate) async fn append_outcome(
        &self,
        order_id: &str,
        command: order::Command,
        context: &Context,
    ) -> Result<Outcome, NoOutcome> {
        let engines = &self.0.engines;
        let stream = StreamName::new(Order::CATEGORY, order_id);
        let events = Order::decide(&order::State::default(), command)?;
        let events = events.into_iter().map(Event::from);
        let fresh = Attempt::draw().encode(&engines.keys, &stream, events, context).await?;
        let decoded = fresh.first().and_then(|event| event.shared());
        match append(engines, &stream, ExpectedRevision::NoStream, fresh).await {
            Ok(appended) => {
                let written = decoded
                    .and_then(|decoded| outcome(order_id, &decoded, Some(appended.position)));
                written.ok_or_else(|| lost(order_id).into())
            }
            Err(AppendError::Conflict { .. }) => {
                self.outcome_of(order_id).await?.ok_or_else(|| lost(order_id).into())
            }
            Err(error) => Err(failure(error).into()),
        }
    }

    /// Releases an order's holds at once. Whoever calls it has read the outcome; what does not
    /// succeed here the watch does.
    pub(crate) async fn release<'a>(
        &self,
        order_id: &str,
        skus: impl Iterator<Item = &'a str>,
        context: &Context,
    ) -> Option<Position> {
        let released = join_all(skus.map(|sku| {
            crash_point("before-release");
            let command = stock::Command::Release { order_id: order_id.to_owned() };
            self.0.stock.execute(sku, command, context.clone())
        }))
        .await;
        last_position(order_id, released)
    }

    /// Sends an order's holds on their way at once, as [`Commands::release`] releases them.
    pub(crate) async fn send_off(
        &self,
        order_id: &str,
        holds: &[LineHold],
        context: &Context,
    ) -> Option<Position> {
        let sent = join_all(holds.iter().map(|line| {
            let order_id = order_id.to_owned();
            let command = stock::Command::Dispatch { order_id, hold: line.hold };
            self.0.stock.execute(&line.sku, command, context.clone())
        }))
        .await;
        last_position(order_id, sent)
    }
}

impl Outcome {
    /// Whether no hold may stand.
    pub(crate) fn is_void(&self) -> bool {
        use event_schemas::resource::OrderStatus::{Abandoned, Cancelled, Refused};
        matches!(self.order.status, Refused | Abandoned | Cancelled)
    }
}

/// The last position of what was done; what was not is left to the reservation watch.
fn last_position(
    order_id: &str,
    answers: Vec<Result<Executed<StockItem>, ExecuteError<stock::Rejection>>>,
) -> Option<Position> {
    let mut last = None;
    for answer in answers {
        match answer {
            Ok(executed) => last = last.max(executed.position),
            Err(error) => {
                tracing::warn!(order_id, %error, "a hold is left to the reservation watch");
            }
        }
    }
    last
}

enum Held {
    Short { available: i64 },
    KeyReused,
    Failed(Failure),
}

fn held(answer: Result<Executed<StockItem>, ExecuteError<stock::Rejection>>) -> Result<u64, Held> {
    match answer {
        Ok(executed) => {
            let lost = || Held::Failed(Failure::Unreadable("a hold has no number".to_owned()));
            executed.view.hold.ok_or_else(lost)
        }
        Err(ExecuteError::KeyReused | ExecuteError::Rejected(stock::Rejection::KeyReused)) => {
            Err(Held::KeyReused)
        }
        Err(ExecuteError::Rejected(stock::Rejection::Short { available })) => {
            Err(Held::Short { available })
        }
        // The catalogue knows the sku; its stock was never introduced, or the claim was given up.
        Err(ExecuteError::Rejected(stock::Rejection::NotIntroduced)) => {
            Err(Held::Short { available: 0 })
        }
        Err(ExecuteError::Rejected(other)) => {
            Err(Held::Failed(Failure::Unreadable(other.to_string())))
        }
        Err(ExecuteError::Changed { .. }) => Err(Held::Failed(Failure::Contended(1))),
        Err(ExecuteError::Failed(failure)) => Err(Held::Failed(failure)),
    }
}

fn outcome(order_id: &str, decoded: &Decoded, position: Option<Position>) -> Option<Outcome> {
    let Event::Order(event) = &decoded.event else { return None };
    debug_assert!(matches!(
        event,
        OrderEvent::Placed(_) | OrderEvent::Refused(_) | OrderEvent::Abandoned(_)
    ));
    let order = OrderResource::evolve(None, order_id, event, &decoded.metadata)?;
    Some(Outcome { order, request_hash: decoded.metadata.request_hash, position })
}

fn lost(order_id: &str) -> Failure {
    Failure::Unreadable(format!("the stream of order {order_id} does not begin with an outcome"))
}
