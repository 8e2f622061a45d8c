use std::collections::BTreeMap;

use axum::{
    extract::{Path, Request, State},
    response::Response,
};
use domain::product::{self, AttributesPatch, Change};
use http::StatusCode;
use infra::http::{
    CHANGED_MEANWHILE, Caller, EntityTags, Faults, Fields, Json, Problem, ProblemKind,
    UNPROCESSABLE, if_match, member_pointer, text_of,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::create_product::{
    ProductAfter, ProductError, after, answer, attribute_name, before, problem,
};
use crate::{
    Commands,
    context::Context,
    http::{MERGE_PATCH, read},
};

/// What a merge patch (RFC 7396) asks for; `None` leaves a part as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProductPatch {
    /// What customers see.
    pub title: Option<String>,
    /// The brand; empty takes it away.
    pub brand: Option<String>,
    /// The department.
    pub department: Option<String>,
    /// The category; empty takes it away.
    pub category: Option<String>,
    /// Attributes to set, and with no value to take away; `null` takes all away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Option<BTreeMap<String, Option<String>>>>,
    /// Whether it can be ordered.
    pub on_shelf: Option<bool>,
}

/// A merge patch (RFC 7396) of a product.
#[derive(Serialize, ToSchema)]
#[schema(as = ChangeProduct)]
pub struct PatchBody {
    #[schema(nullable = false, min_length = 1, max_length = 200)]
    title: Option<String>,
    /// `null` takes it away.
    #[schema(max_length = 64)]
    brand: Option<String>,
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    department: Option<String>,
    /// `null` takes it away.
    #[schema(max_length = 64)]
    category: Option<String>,
    /// Sets those that have a value and takes away those that are `null`; `null` takes all away.
    attributes: Option<BTreeMap<String, Option<String>>>,
    /// `on_shelf` or `off_shelf`.
    #[schema(nullable = false)]
    status: Option<String>,
}

/// What it may be refused with.
pub(crate) static PROBLEMS: &[&ProblemKind] = &[&CHANGED_MEANWHILE, &UNPROCESSABLE];

/// Changes a product. What changes nothing appends nothing.
///
/// # Errors
/// [`ProductError`]
pub async fn change_product(
    commands: &Commands,
    id: &str,
    asked: ProductPatch,
    only_at: Option<EntityTags>,
    context: Context,
) -> Result<ProductAfter, ProductError> {
    if let Some(before) = before(commands, id, &context).await? {
        return Ok(before);
    }
    let attributes = asked.attributes.map(|patch| match patch {
        Some(patch) => AttributesPatch::Merge(patch),
        None => AttributesPatch::Clear,
    });
    let command = product::Command::Change(Change {
        title: asked.title,
        brand: asked.brand,
        department: asked.department,
        category: asked.category,
        attributes,
        on_shelf: asked.on_shelf,
    });
    let executed = commands.0.products.execute_at(id, command, context, only_at).await?;
    after(commands, id, executed.revision, executed.position, executed.replayed).await
}

/// Change a product
///
/// A merge patch (RFC 7396): what it does not name stays, and what changes nothing leaves no event.
#[utoipa::path(
    patch, path = "/v1/products/{id}", tag = "products", operation_id = "change_product",
    params(
        ("id" = String, Path, description = "The product's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the product must still have, quoted", example = "*"),
    ),
    request_body(description = "The changes", content(
        (PatchBody = "application/merge-patch+json", example = json!({
            "title": "Big mug", "brand": null, "attributes": { "package_size": null, "colour": "red" }
        })),
        (PatchBody = "application/json", example = json!({ "status": "off_shelf" })),
    )),
    responses(
        (status = 200, description = "The whole product", body = ref("#/components/schemas/Product"),
            headers(("ETag" = String, description = "Its revision, quoted: what If-Match compares with"))),
    )
)]
pub(crate) async fn route(
    State(commands): State<Commands>,
    Path(id): Path<String>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let mut incoming = read(caller, request, MERGE_PATCH).await?;
    let mut faults = Faults::new();
    let only_at = if_match(&incoming.headers, &mut faults);
    faults.check()?;
    let asked = incoming.parse(|fields, _| Some(parse(fields)))?;
    let (context, _entered) = incoming.enter(&commands, &asked)?;
    let changed = change_product(&commands, &id, asked, only_at, context).await;
    answer(StatusCode::OK, changed.map_err(problem)?, None)
}

fn parse(fields: &mut Fields<'_>) -> ProductPatch {
    let title = fields.optional_text("title", 1..=200);
    let brand = removable(fields, "brand");
    let department = fields.optional_text("department", 1..=64);
    let category = removable(fields, "category");
    let attributes = match fields.take("attributes") {
        None => None,
        Some(Json::Null) => Some(None),
        Some(json) => Some(Some(attributes(json, fields.faults()))),
    };
    let on_shelf =
        fields.optional_text("status", 0..=64).and_then(|status| match status.as_str() {
            "on_shelf" => Some(true),
            "off_shelf" => Some(false),
            _ => {
                fields.fault("status", "must be on_shelf or off_shelf");
                None
            }
        });
    ProductPatch { title, brand, department, category, attributes, on_shelf }
}

/// A text that `null` takes away.
fn removable(fields: &mut Fields<'_>, name: &'static str) -> Option<String> {
    let pointer = fields.pointer_of(name);
    match fields.take(name)? {
        Json::Null => Some(String::new()),
        json => text_of(json, &pointer, 0..=64, fields.faults()),
    }
}

fn attributes(json: Json, faults: &mut Faults) -> BTreeMap<String, Option<String>> {
    let members = Fields::new(json, "#/attributes", faults).rest();
    let mut patch = BTreeMap::new();
    for (name, json) in members {
        let pointer = member_pointer("#/attributes", &name);
        attribute_name(&name, &pointer, faults);
        match json {
            Json::Null => {
                patch.insert(name, None);
            }
            json => {
                if let Some(value) = text_of(json, &pointer, 0..=200, faults) {
                    patch.insert(name, Some(value));
                }
            }
        }
    }
    patch
}
