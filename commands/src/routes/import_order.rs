use domain::{
    Decider,
    order::{self, price_lines},
    user::{self, User},
};
use event_schemas::{OrderBody, RequestHash, Timestamp};
use serde::Serialize;
use thiserror::Error;

use super::place_order::{NotPlaced, Settled, WantedLine, priced, settled};
use crate::{
    Commands,
    context::Context,
    executor::{ExecuteError, Failure},
};

/// An order of the past: its price and its time are the past's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportOrder {
    /// The order's id: the file's.
    pub id: String,
    /// The customer; registered with the first valid order.
    pub customer_id: String,
    /// Where it was ordered.
    pub channel: String,
    /// When it was ordered.
    pub placed_at: Timestamp,
    /// 1 to 1,000 lines, each sku once.
    pub lines: Vec<ImportLine>,
}

/// A line of an order of the past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportLine {
    /// The sku.
    pub sku: String,
    /// Units, 1 to 2^31 - 1.
    pub quantity: i64,
    /// Minor units for one unit.
    pub unit_price: i64,
    /// Minor units off the whole line.
    pub discount: i64,
}

/// Why an order of the past does not come in.
#[derive(Debug, Error)]
pub enum NotImported {
    /// There is an order with this id and other content.
    #[error("there is an order with this id and other content")]
    KeyReused,
    /// No product has this sku.
    #[error("no product has the sku {0:?}")]
    UnknownSku(String),
    /// It may not be written as it is.
    #[error(transparent)]
    Rejected(#[from] order::Rejection),
    /// An engine was in the way.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Brings in an order of the past. Met again with the same content, it gives the first outcome.
///
/// # Errors
/// [`NotImported`]
pub async fn import_order(
    commands: &Commands,
    asked: ImportOrder,
    request_hash: RequestHash,
) -> Result<Settled, NotImported> {
    let context = Context::import("orders", &asked.id, request_hash, Some(asked.placed_at));
    if let Some(outcome) = commands.outcome_of(&asked.id).await? {
        return known(settled(outcome, &context, true));
    }
    let order = match priced_by_the_past(commands, &asked) {
        Err(NotImported::UnknownSku(_)) if !commands.catalogue_is_current().await? => {
            priced_by_the_past(commands, &asked)?
        }
        priced => priced?,
    };
    register_customer(commands, &asked, request_hash).await?;
    let outcome = commands.settle(&asked.id, order, &context).await.map_err(NotPlaced::from);
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return known(Err(error)),
    };
    let replayed = outcome.position.is_none();
    known(settled(outcome, &context, replayed))
}

fn priced_by_the_past(commands: &Commands, asked: &ImportOrder) -> Result<OrderBody, NotImported> {
    commands.catalogue_goes_on()?;
    let mut lines = Vec::with_capacity(asked.lines.len());
    for line in &asked.lines {
        let offer = commands.catalogue().offer(&line.sku);
        let offer = offer.ok_or_else(|| NotImported::UnknownSku(line.sku.clone()))?;
        let wanted = WantedLine { sku: line.sku.clone(), quantity: line.quantity };
        lines.push(priced(&wanted, &offer, line.unit_price, line.discount));
    }
    let total = price_lines(&mut lines)?;
    Ok(OrderBody {
        customer_id: asked.customer_id.clone(),
        placed_at: asked.placed_at,
        channel: asked.channel.clone(),
        currency: commands.currency(),
        lines,
        total,
    })
}

/// A customer comes without `personal`, named by the file. One who is there already is left alone.
async fn register_customer(
    commands: &Commands,
    asked: &ImportOrder,
    request_hash: RequestHash,
) -> Result<(), Failure> {
    let id = &asked.customer_id;
    if commands.is_user(id).await? {
        return Ok(());
    }
    let context = Context::import("customers", id, request_hash, Some(asked.placed_at));
    let command = user::Command::Register {
        command_id: context.command_id(),
        user_id: id.clone(),
        personal: None,
        claim: None,
    };
    match commands.0.users.execute(id, command, context).await {
        // With another order's hash the command is the same all the same: the customer is there.
        Ok(_)
        | Err(ExecuteError::KeyReused)
        | Err(ExecuteError::Rejected(user::Rejection::AlreadyExists)) => {
            commands.note_user(id);
            Ok(())
        }
        Err(ExecuteError::Failed(failure)) => Err(failure),
        Err(ExecuteError::Rejected(rejection)) => {
            Err(Failure::Unreadable(format!("{}-{id}: {rejection}", User::CATEGORY)))
        }
        Err(ExecuteError::Changed { .. }) => Err(Failure::Contended(1)),
    }
}

fn known(settled: Result<Settled, NotPlaced>) -> Result<Settled, NotImported> {
    settled.map_err(|error| match error {
        NotPlaced::Rejected(rejection) => NotImported::Rejected(rejection),
        NotPlaced::Failed(failure) => NotImported::Failed(failure),
        NotPlaced::KeyReused
        | NotPlaced::Abandoned
        | NotPlaced::UnknownSku(_)
        | NotPlaced::OffShelf(_)
        | NotPlaced::UnknownCustomer(_)
        | NotPlaced::PriceChanged(_) => NotImported::KeyReused,
    })
}
