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
};

/// Units that came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReceiveStock {
    /// How many, 1 to 2^31 - 1.
    #[schema(minimum = 1, maximum = 2147483647)]
    pub quantity: i64,
    /// The batch that an import names: it is received once.
    #[schema(ignore)]
    pub batch: Option<String>,
}

/// What it may be refused with.
pub(crate) static PROBLEMS: &[&ProblemKind] = &[&UNPROCESSABLE];

/// Receives units of a sku that a product has.
///
/// # Errors
/// [`StockError`]
pub async fn receive_stock(
    commands: &Commands,
    sku: &str,
    asked: ReceiveStock,
    context: Context,
) -> Result<StockAfter, StockError> {
    let command = stock::Command::Receive { quantity: asked.quantity, batch: asked.batch };
    change_stock(commands, sku, command, context).await
}

/// Receive units of a sku
#[utoipa::path(
    post, path = "/v1/stock/{sku}/receipts", tag = "stock", operation_id = "receive_stock",
    params(("sku" = String, Path, description = "A sku that a product has")),
    request_body(content = ReceiveStock, description = "How many", example = json!({ "quantity": 20 })),
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
        let quantity = fields.integer("quantity", 1..=MAX_QUANTITY)?;
        Some(ReceiveStock { quantity, batch: None })
    })?;
    let (context, _entered) = incoming.enter(&commands, &asked)?;
    let received = receive_stock(&commands, &sku, asked, context).await;
    answer(received.map_err(|error| problem(error, "quantity"))?)
}
