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

/// A delivery has nothing to say but that it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliverOrder {}

/// Notes that a dispatched order arrived.
///
/// # Errors
/// [`OrderError`]
pub async fn deliver_order(
    commands: &Commands,
    id: &str,
    asked: DeliverOrder,
    context: Context,
) -> Result<OrderAfter, OrderError> {
    let DeliverOrder {} = asked;
    let command = order::Command::Deliver;
    change_order(commands, id, command, context).await
}

/// `POST /v1/orders/{id}/delivery`
pub(crate) async fn route(
    State(commands): State<Commands>,
    Path(id): Path<String>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let mut incoming = read(caller, request, JSON).await?;
    let asked = incoming.parse(|fields, _| {
        let _ = fields;
        Some(DeliverOrder {})
    })?;
    let (context, _entered) = incoming.enter(&commands, &asked)?;
    answer(deliver_order(&commands, &id, asked, context).await.map_err(problem)?)
}
