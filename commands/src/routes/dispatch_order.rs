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

/// How an order leaves the house.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DispatchOrder {
    /// Who carries it.
    #[schema(nullable = false, min_length = 1, max_length = 200)]
    pub carrier: Option<String>,
    /// The tracking number of the carrier.
    #[schema(nullable = false, min_length = 1, max_length = 200)]
    pub tracking: Option<String>,
}

/// Dispatches all of a placed order.
///
/// # Errors
/// [`OrderError`]
pub async fn dispatch_order(
    commands: &Commands,
    id: &str,
    asked: DispatchOrder,
    context: Context,
) -> Result<OrderAfter, OrderError> {
    let command = order::Command::Dispatch { carrier: asked.carrier, tracking: asked.tracking };
    change_order(commands, id, command, context).await
}

/// Dispatch all of a placed order
#[utoipa::path(
    post, path = "/v1/orders/{id}/dispatch", tag = "orders", operation_id = "dispatch_order",
    params(("id" = String, Path, description = "The order's id")),
    request_body(content = DispatchOrder, description = "How; may be empty", example = json!({ "carrier": "ACME Post", "tracking": "1Z999" })),
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
        let carrier = fields.optional_text("carrier", 1..=200);
        let tracking = fields.optional_text("tracking", 1..=200);
        Some(DispatchOrder { carrier, tracking })
    })?;
    let (context, _entered) = incoming.enter(&commands, &asked)?;
    answer(dispatch_order(&commands, &id, asked, context).await.map_err(problem)?)
}
