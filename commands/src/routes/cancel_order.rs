use axum::{
    extract::{Path, Request, State},
    response::Response,
};
use domain::order;
use infra::http::{Caller, Problem};
use serde::Serialize;

use super::change_order::{OrderAfter, OrderError, answer, change_order, problem};
use crate::{
    Commands,
    context::Context,
    http::{JSON, read},
};

/// Why an order is called off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CancelOrder {
    /// Why.
    pub reason: String,
}

/// Cancels a placed order and releases its holds.
///
/// # Errors
/// [`OrderError`]
pub async fn cancel_order(
    commands: &Commands,
    id: &str,
    asked: CancelOrder,
    context: Context,
) -> Result<OrderAfter, OrderError> {
    let command = order::Command::Cancel { reason: asked.reason };
    change_order(commands, id, command, context).await
}

/// `POST /v1/orders/{id}/cancellation`
pub(crate) async fn route(
    State(commands): State<Commands>,
    Path(id): Path<String>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let mut incoming = read(caller, request, JSON).await?;
    let asked = incoming.parse(|fields, _| {
        let reason = fields.text("reason", 1..=200)?;
        Some(CancelOrder { reason })
    })?;
    let (context, _entered) = incoming.enter(&commands, &asked)?;
    answer(cancel_order(&commands, &id, asked, context).await.map_err(problem)?)
}
