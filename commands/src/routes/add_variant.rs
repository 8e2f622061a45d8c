use axum::{
    extract::{Path, Request, State},
    response::Response,
};
use domain::product;
use event_schemas::Variant;
use http::StatusCode;
use infra::http::{Caller, Problem, ProblemKind, UNPROCESSABLE};

use super::create_product::{
    ProductAfter, ProductError, VariantBody, after, answer, before, problem, variant,
};
use crate::{
    Commands,
    context::Context,
    executor::ExecuteError,
    http::{JSON, read},
    problems::{CLAIM_LOST, SKU_TAKEN},
};

/// What it may be refused with.
pub(crate) static PROBLEMS: &[&ProblemKind] = &[&SKU_TAKEN, &CLAIM_LOST, &UNPROCESSABLE];

/// Claims the sku, then adds the variant.
///
/// # Errors
/// [`ProductError`]
pub async fn add_variant(
    commands: &Commands,
    id: &str,
    asked: Variant,
    context: Context,
) -> Result<ProductAfter, ProductError> {
    if let Some(before) = before(commands, id, &context).await? {
        return Ok(before);
    }
    // Without the product there is nothing to claim for.
    after(commands, id, None, None, false).await?;
    let sku = asked.sku.clone();
    commands.claim_skus(id, &[&sku], &context).await?;
    let command = product::Command::AddVariant { command_id: context.command_id(), variant: asked };
    match commands.0.products.execute(id, command, context.clone()).await {
        Ok(executed) => {
            after(commands, id, executed.revision, executed.position, executed.replayed).await
        }
        Err(error @ ExecuteError::Rejected(_)) => {
            commands.give_back(id, &[&sku], &context).await?;
            Err(error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Add a variant to a product
#[utoipa::path(
    post, path = "/v1/products/{id}/variants", tag = "products", operation_id = "add_variant",
    params(("id" = String, Path, description = "The product's id")),
    request_body(content = VariantBody, description = "The variant", example = json!({
        "sku": "mug-blue", "title": "Blue, 300 ml", "price": { "amount": 1199, "currency": "USD" }
    })),
    responses(
        (status = 201, description = "The whole product", body = ref("#/components/schemas/Product"),
            headers(("Location" = String, description = "Where it is to be found"),
                ("ETag" = String, description = "Its revision, quoted: what If-Match compares with"))),
    )
)]
pub(crate) async fn route(
    State(commands): State<Commands>,
    Path(id): Path<String>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let mut incoming = read(caller, request, JSON).await?;
    let asked = incoming.parse(|fields, rules| variant(fields, rules, &commands))?;
    let (context, _entered) = incoming.enter(&commands, &asked)?;
    let added = add_variant(&commands, &id, asked, context).await.map_err(problem)?;
    let location = format!("/v1/products/{}", added.product.id);
    answer(StatusCode::CREATED, added, Some(location))
}
