use axum::{
    extract::{Path, Request, State},
    response::Response,
};
use domain::product;
use event_schemas::Money;
use http::StatusCode;
use infra::http::{
    CHANGED_MEANWHILE, Caller, EntityTags, Faults, Problem, ProblemKind, UNPROCESSABLE, if_match,
};

use super::create_product::{ProductAfter, ProductError, after, answer, before, problem};
use crate::{
    Commands,
    context::Context,
    http::{JSON, money_of, read},
};

/// What it may be refused with.
pub(crate) static PROBLEMS: &[&ProblemKind] = &[&CHANGED_MEANWHILE, &UNPROCESSABLE];

/// Sets the price of a variant. What changes nothing appends nothing.
///
/// # Errors
/// [`ProductError`]
pub async fn set_price(
    commands: &Commands,
    id: &str,
    sku: &str,
    price: Money,
    only_at: Option<EntityTags>,
    context: Context,
) -> Result<ProductAfter, ProductError> {
    if let Some(before) = before(commands, id, &context).await? {
        return Ok(before);
    }
    let command = product::Command::Price { sku: sku.to_owned(), price };
    let executed = commands.0.products.execute_at(id, command, context, only_at).await?;
    after(commands, id, executed.revision, executed.position, executed.replayed).await
}

/// Set the price of a variant
#[utoipa::path(
    put, path = "/v1/products/{id}/variants/{sku}/price", tag = "products",
    operation_id = "set_price",
    params(
        ("id" = String, Path, description = "The product's id"),
        ("sku" = String, Path, description = "The variant's sku"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the product must still have, quoted", example = "*"),
    ),
    request_body(
        content = ref("#/components/schemas/Money"),
        description = "The price of one unit, 0 or more",
        example = json!({ "amount": 999, "currency": "USD" }),
    ),
    responses(
        (status = 200, description = "The whole product", body = ref("#/components/schemas/Product"),
            headers(("ETag" = String, description = "Its revision, quoted: what If-Match compares with"))),
    )
)]
pub(crate) async fn route(
    State(commands): State<Commands>,
    Path((id, sku)): Path<(String, String)>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let mut incoming = read(caller, request, JSON).await?;
    let mut faults = Faults::new();
    let only_at = if_match(&incoming.headers, &mut faults);
    faults.check()?;
    let price = incoming.parse(|fields, rules| {
        let price = money_of(fields, "#", commands.currency(), rules)?;
        if price.amount < 0 {
            rules.pointer("#/amount", "a price is 0 or more");
        }
        Some(price)
    })?;
    let (context, _entered) = incoming.enter(&commands, &price)?;
    let priced = set_price(&commands, &id, &sku, price, only_at, context).await;
    answer(StatusCode::OK, priced.map_err(problem)?, None)
}
