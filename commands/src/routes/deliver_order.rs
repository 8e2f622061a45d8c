use axum::{
    extract::{Path, Request, State},
    response::Response,
};
use domain::order;
use infra::http::{Caller, Problem};
use serde::Serialize;
use utoipa::ToSchema;

use super::change_order::{OrderAfter, OrderError, answer, change_order, problem};
use crate::{
    Commands,
    context::Context,
    http::{JSON, read},
};

/// A delivery has nothing to say but that it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
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

/// Note that a dispatched order arrived
#[utoipa::path(
    post, path = "/v1/orders/{id}/delivery", tag = "orders", operation_id = "deliver_order",
    params(("id" = String, Path, description = "The order's id")),
    request_body(content = DeliverOrder, description = "Nothing but an empty object", example = json!({})),
    responses(
        (status = 200, description = "The whole order", body = ref("#/components/schemas/Order")),
    )
)]
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
