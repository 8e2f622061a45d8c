use std::collections::BTreeMap;

use axum::{
    extract::{Path, Request, State},
    response::Response,
};
use domain::product::{self, AttributesPatch, Change};
use http::StatusCode;
use infra::http::{
    Caller, EntityTags, Faults, Fields, Json, Problem, if_match, member_pointer, text_of,
};
use serde::Serialize;

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
    pub attributes: Option<Option<BTreeMap<String, Option<String>>>>,
    /// Whether it can be ordered.
    pub on_shelf: Option<bool>,
}

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

/// `PATCH /v1/products/{id}`
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
