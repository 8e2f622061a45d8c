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

/// Why an order is called off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CancelOrder {
    /// Why.
    #[schema(min_length = 1, max_length = 200)]
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

/// Cancel a placed order
///
/// What it held can be ordered again.
#[utoipa::path(
    post, path = "/v1/orders/{id}/cancellation", tag = "orders", operation_id = "cancel_order",
    params(("id" = String, Path, description = "The order's id")),
    request_body(content = CancelOrder, description = "Why", example = json!({ "reason": "ordered by mistake" })),
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
        let reason = fields.text("reason", 1..=200)?;
        Some(CancelOrder { reason })
    })?;
    let (context, _entered) = incoming.enter(&commands, &asked)?;
    answer(cancel_order(&commands, &id, asked, context).await.map_err(problem)?)
}
