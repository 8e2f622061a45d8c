use axum::{
    extract::{Path, Request, State},
    response::Response,
};
use domain::{order::MAX_QUANTITY, stock};
use infra::http::{Caller, Problem, ProblemKind, UNPROCESSABLE};
use serde::Serialize;
use utoipa::ToSchema;

use super::change_stock::{StockAfter, StockError, answer, change_stock, problem};
use crate::{
    Commands,
    context::Context,
    http::{JSON, read},
    problems::BELOW_ZERO,
};

/// A correction of what is on hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AdjustStock {
    /// By how much, not 0, within +-(2^31 - 1).
    #[schema(minimum = -2147483647, maximum = 2147483647)]
    pub delta: i64,
    /// Why.
    #[schema(min_length = 1, max_length = 200)]
    pub reason: String,
}

/// What it may be refused with.
pub(crate) static PROBLEMS: &[&ProblemKind] = &[&BELOW_ZERO, &UNPROCESSABLE];

/// Corrects the stock of a sku that a product has.
///
/// # Errors
/// [`StockError`]
pub async fn adjust_stock(
    commands: &Commands,
    sku: &str,
    asked: AdjustStock,
    context: Context,
) -> Result<StockAfter, StockError> {
    let command = stock::Command::Adjust { delta: asked.delta, reason: asked.reason };
    change_stock(commands, sku, command, context).await
}

/// Correct what is on hand
///
/// Units that are reserved for orders cannot be taken away.
#[utoipa::path(
    post, path = "/v1/stock/{sku}/adjustments", tag = "stock", operation_id = "adjust_stock",
    params(("sku" = String, Path, description = "A sku that a product has")),
    request_body(content = AdjustStock, description = "By how much, and why", example = json!({ "delta": -3, "reason": "breakage" })),
    responses(
        (status = 201, description = "The sku's numbers", body = ref("#/components/schemas/Stock"),
            headers(("Location" = String, description = "Where it is to be found"))),
    )
)]
pub(crate) async fn route(
    State(commands): State<Commands>,
    Path(sku): Path<String>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let mut incoming = read(caller, request, JSON).await?;
    let asked = incoming.parse(|fields, _| {
        let delta = fields.integer("delta", -MAX_QUANTITY..=MAX_QUANTITY);
        if delta == Some(0) {
            fields.fault("delta", "must not be 0: nothing would change");
        }
        let reason = fields.text("reason", 1..=200);
        Some(AdjustStock { delta: delta?, reason: reason? })
    })?;
    let (context, _entered) = incoming.enter(&commands, &asked)?;
    let adjusted = adjust_stock(&commands, &sku, asked, context).await;
    answer(adjusted.map_err(|error| problem(error, "delta"))?)
}
