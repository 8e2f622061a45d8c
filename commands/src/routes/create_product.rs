use std::collections::BTreeMap;

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use domain::{
    Decider,
    product::{self, MAX_ATTRIBUTES, Product},
};
use event_schemas::{
    Event, Money, Position, Revision, StreamName, Variant, resource::ProductResource,
};
use http::StatusCode;
use infra::http::{
    Caller, Faults, Fields, Json, Problem, ProblemKind, UNPROCESSABLE, member_pointer, text_of,
};
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use crate::{
    Commands,
    claims::NotClaimed,
    context::Context,
    doubled,
    executor::{ExecuteError, Failure},
    http::{Answer, JSON, price, read},
    openapi::money,
    problems::{ALREADY_EXISTS, CLAIM_LOST, SKU_TAKEN, changed, failed, key_reused, unexpected},
    streams,
};

/// How long a command waits until the catalogue has its event. (In one process: microseconds.)
const CATALOGUE: std::time::Duration = std::time::Duration::from_secs(5);

/// A product as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewProduct {
    /// The product's id.
    pub id: String,
    /// What customers see.
    pub title: String,
    /// The brand; may be empty.
    pub brand: String,
    /// The department.
    pub department: String,
    /// The category; may be empty.
    pub category: String,
    /// Further facts by name.
    pub attributes: BTreeMap<String, String>,
    /// Whether it can be ordered.
    pub on_shelf: bool,
    /// What can be ordered; may be none yet.
    pub variants: Vec<Variant>,
}

/// A product to be made.
#[derive(Serialize, ToSchema)]
#[schema(as = CreateProduct)]
pub struct ProductBody {
    /// Neither `search` nor `live`.
    #[schema(pattern = "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$")]
    id: String,
    #[schema(min_length = 1, max_length = 200)]
    title: String,
    #[schema(max_length = 64)]
    brand: Option<String>,
    #[schema(min_length = 1, max_length = 64)]
    department: String,
    #[schema(max_length = 64)]
    category: Option<String>,
    /// Further facts by name: at most 32, names of 1 to 64 characters, values of at most 200.
    attributes: Option<BTreeMap<String, String>>,
    /// `on_shelf`, which it is unless given, or `off_shelf`.
    status: Option<String>,
    #[schema(max_items = 1000)]
    variants: Vec<VariantBody>,
}

/// A variant to be made.
#[derive(Serialize, ToSchema)]
#[schema(as = AddVariant)]
pub struct VariantBody {
    /// Neither `search` nor `live`.
    #[schema(pattern = "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$")]
    sku: String,
    #[schema(max_length = 200)]
    title: Option<String>,
    /// 0 or more.
    #[schema(schema_with = money)]
    price: Money,
}

/// What making a product may be refused with.
pub(crate) static PROBLEMS: &[&ProblemKind] =
    &[&ALREADY_EXISTS, &SKU_TAKEN, &CLAIM_LOST, &UNPROCESSABLE];

/// A product after a command.
#[derive(Clone, Debug)]
pub struct ProductAfter {
    /// The product.
    pub product: ProductResource,
    /// The revision of its stream.
    pub revision: Revision,
    /// A position at or behind the command's events; `None` if it appended none now.
    pub position: Option<Position>,
    /// Whether the command came before.
    pub replayed: bool,
}

/// Why a product is not made or changed.
#[derive(Debug, Error)]
pub enum ProductError {
    /// The same key came with another payload.
    #[error("the same key came with another payload before")]
    KeyReused,
    /// `If-Match` does not hold.
    #[error("it was changed meanwhile")]
    Changed(Option<Revision>),
    /// The sku belongs to another product.
    #[error("the sku {0:?} belongs to another product")]
    SkuTaken(String),
    /// The product refuses.
    #[error(transparent)]
    Rejected(#[from] product::Rejection),
    /// An engine was in the way.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<NotClaimed> for ProductError {
    fn from(error: NotClaimed) -> Self {
        match error {
            NotClaimed::Taken(sku) => Self::SkuTaken(sku),
            NotClaimed::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl From<ExecuteError<product::Rejection>> for ProductError {
    fn from(error: ExecuteError<product::Rejection>) -> Self {
        match error {
            ExecuteError::KeyReused => Self::KeyReused,
            ExecuteError::Changed { revision } => Self::Changed(revision),
            ExecuteError::Rejected(rejection) => Self::Rejected(rejection),
            ExecuteError::Failed(failure) => Self::Failed(failure),
        }
    }
}

/// Claims the skus, then makes the product.
///
/// # Errors
/// [`ProductError`]
pub async fn create_product(
    commands: &Commands,
    asked: NewProduct,
    context: Context,
) -> Result<ProductAfter, ProductError> {
    let id = asked.id.clone();
    if let Some(before) = before(commands, &id, &context).await? {
        return Ok(before);
    }
    if exists(commands, &id).await? {
        return Err(product::Rejection::AlreadyExists.into());
    }
    let skus: Vec<String> = asked.variants.iter().map(|variant| variant.sku.clone()).collect();
    let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
    commands.claim_skus(&id, &skus, &context).await?;
    let command = product::Command::Create {
        command_id: context.command_id(),
        product_id: asked.id,
        title: asked.title,
        brand: asked.brand,
        department: asked.department,
        category: asked.category,
        attributes: asked.attributes,
        on_shelf: asked.on_shelf,
        variants: asked.variants,
    };
    match commands.0.products.execute(&id, command, context.clone()).await {
        Ok(executed) => {
            after(commands, &id, executed.revision, executed.position, executed.replayed).await
        }
        Err(error @ ExecuteError::Rejected(_)) => {
            commands.give_back(&id, &skus, &context).await?;
            Err(error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// The answer of a command that came before.
pub(crate) async fn before(
    commands: &Commands,
    id: &str,
    context: &Context,
) -> Result<Option<ProductAfter>, ProductError> {
    let stream = StreamName::new(Product::CATEGORY, id);
    let store = &commands.0.engines.store;
    match streams::repeated(store, &stream, context.command_id()).await? {
        None => Ok(None),
        Some((_, hash)) if hash != context.request_hash() => Err(ProductError::KeyReused),
        Some((revision, _)) => after(commands, id, Some(revision), None, true).await.map(Some),
    }
}

async fn exists(commands: &Commands, id: &str) -> Result<bool, Failure> {
    let stream = StreamName::new(Product::CATEGORY, id);
    let store = &commands.0.engines.store;
    let created = |created, decoded: &event_schemas::Decoded| {
        created || matches!(&decoded.event, Event::Product(event_schemas::ProductEvent::Created(_)))
    };
    streams::fold_until(store, &stream, Revision(u64::MAX), false, created).await
}

/// The product as a command left it. An append is in the catalogue before it is answered.
pub(crate) async fn after(
    commands: &Commands,
    id: &str,
    revision: Option<Revision>,
    position: Option<Position>,
    replayed: bool,
) -> Result<ProductAfter, ProductError> {
    if let Some(position) = position {
        commands.catalogue_at(position, CATALOGUE).await?;
    }
    let stream = StreamName::new(Product::CATEGORY, id);
    let revision = revision.unwrap_or(Revision(u64::MAX));
    let fold = |product, decoded: &event_schemas::Decoded| match &decoded.event {
        Event::Product(event) => ProductResource::evolve(product, event),
        _ => product,
    };
    let product =
        streams::fold_until(&commands.0.engines.store, &stream, revision, None, fold).await?;
    let product = product.ok_or(product::Rejection::NotFound)?;
    Ok(ProductAfter { product, revision, position, replayed })
}

/// Make a product
///
/// Its variants can be ordered as soon as they have stock. A sku belongs to one product of the shop.
#[utoipa::path(
    post, path = "/v1/products", tag = "products", operation_id = "create_product",
    request_body(content = ProductBody, description = "The product", example = json!({
        "id": "mug", "title": "Mug", "brand": "Acme", "department": "HOME", "category": "CUPS",
        "attributes": { "package_size": "22 LB" },
        "variants": [{
            "sku": "mug-red", "title": "Red, 300 ml", "price": { "amount": 1099, "currency": "USD" }
        }]
    })),
    responses(
        (status = 201, description = "The product", body = ref("#/components/schemas/Product"),
            headers(("Location" = String, description = "Where it is to be found"),
                ("ETag" = String, description = "Its revision, quoted: what If-Match compares with"))),
    )
)]
pub(crate) async fn route(
    State(commands): State<Commands>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let mut incoming = read(caller, request, JSON).await?;
    let asked = incoming.parse(|fields, rules| parse(fields, rules, &commands))?;
    let (context, _entered) = incoming.enter(&commands, &asked)?;
    let made = create_product(&commands, asked, context).await.map_err(problem)?;
    let location = format!("/v1/products/{}", made.product.id);
    answer(StatusCode::CREATED, made, Some(location))
}

/// The answer of every command that makes or changes a product.
pub(crate) fn answer(
    status: StatusCode,
    after: ProductAfter,
    location: Option<String>,
) -> Result<Response, Problem> {
    let answer = Answer::of(status, &after.product)?;
    Ok(Answer {
        location,
        position: after.position,
        replayed: after.replayed,
        revision: Some(after.revision),
        ..answer
    }
    .into_response())
}

fn parse(fields: &mut Fields<'_>, rules: &mut Faults, commands: &Commands) -> Option<NewProduct> {
    let id = product_id(fields);
    let title = fields.text("title", 1..=200);
    let brand = fields.optional_text("brand", 0..=64);
    let department = fields.text("department", 1..=64);
    let category = fields.optional_text("category", 0..=64);
    let attributes = match fields.take("attributes") {
        Some(json) => attributes(json, fields.faults()),
        None => BTreeMap::new(),
    };
    let status = fields.optional_text("status", 0..=64);
    let on_shelf = match status.as_deref() {
        None | Some("on_shelf") => true,
        Some("off_shelf") => false,
        Some(_) => {
            fields.fault("status", "must be on_shelf or off_shelf");
            false
        }
    };
    let items = fields.array("variants", 0..=1_000).unwrap_or_default();
    let mut variants = Vec::new();
    for (pointer, json) in items {
        let mut object = Fields::new(json, pointer, fields.faults());
        variants.extend(variant(&mut object, rules, commands));
        object.finish();
    }
    for at in doubled(variants.iter().map(|variant: &Variant| variant.sku.as_str())) {
        let detail = "this sku stands in another variant too; a sku is unique";
        fields.faults().pointer(format!("#/variants/{at}/sku"), detail);
    }
    Some(NewProduct {
        id: id?,
        title: title?,
        brand: brand.unwrap_or_default(),
        department: department?,
        category: category.unwrap_or_default(),
        attributes,
        on_shelf,
        variants,
    })
}

fn product_id(fields: &mut Fields<'_>) -> Option<String> {
    let id = fields.id("id")?;
    if RESERVED.contains(&id.as_str()) {
        fields.fault("id", format!("{id:?} is a path of its own; choose another id"));
    }
    Some(id)
}

/// Ids that would hide behind a fixed path segment.
pub(crate) const RESERVED: [&str; 2] = ["search", "live"];

/// The members of one variant.
pub(crate) fn variant(
    object: &mut Fields<'_>,
    rules: &mut Faults,
    commands: &Commands,
) -> Option<Variant> {
    let sku = object.id("sku").filter(|sku| {
        let free = !RESERVED.contains(&sku.as_str());
        if !free {
            object.fault("sku", format!("{sku:?} is a path of its own; choose another sku"));
        }
        free
    });
    let title = object.optional_text("title", 0..=200);
    let price = price(object, "price", commands.currency(), rules);
    Some(Variant { sku: sku?, title: title.unwrap_or_default(), price: price? })
}

fn attributes(json: Json, faults: &mut Faults) -> BTreeMap<String, String> {
    let mut object = Fields::new(json, "#/attributes", faults);
    let members = object.rest();
    let mut found = BTreeMap::new();
    if members.len() > MAX_ATTRIBUTES {
        let detail =
            format!("has {} members; it must have at most {MAX_ATTRIBUTES}", members.len());
        faults.pointer("#/attributes", detail);
        return found;
    }
    for (name, json) in members {
        let pointer = member_pointer("#/attributes", &name);
        attribute_name(&name, &pointer, faults);
        if let Some(value) = text_of(json, &pointer, 0..=200, faults) {
            found.insert(name, value);
        }
    }
    found
}

/// The name of an attribute is 1 to 64 characters, none of them a control character.
pub(crate) fn attribute_name(name: &str, pointer: &str, faults: &mut Faults) {
    let fits = (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if !fits {
        faults.pointer(pointer, "the name of an attribute is 1 to 64 characters");
    }
}

/// The problem of every command on products.
pub(crate) fn problem(error: ProductError) -> Problem {
    match error {
        ProductError::KeyReused => key_reused(),
        ProductError::Changed(revision) => changed(revision),
        ProductError::SkuTaken(sku) => {
            let detail = format!("The sku {sku:?} belongs to another product. Choose another sku.");
            Problem::new(&SKU_TAKEN, detail).with("sku", sku)
        }
        ProductError::Failed(failure) => failed(&failure),
        ProductError::Rejected(rejection) => rejected(rejection),
    }
}

fn rejected(rejection: product::Rejection) -> Problem {
    let detail = rejection.to_string();
    match rejection {
        product::Rejection::NotFound => {
            Problem::new(&infra::http::NOT_FOUND, "There is no product with this id.")
        }
        product::Rejection::UnknownVariant { sku } => Problem::new(
            &infra::http::NOT_FOUND,
            format!("The product has no variant with the sku {sku:?}."),
        ),
        product::Rejection::AlreadyExists => Problem::new(
            &ALREADY_EXISTS,
            "There is a product with this id already. Choose another id, or PATCH the one there is.",
        ),
        product::Rejection::VariantExists { sku } => Problem::new(
            &SKU_TAKEN,
            format!("The product has a variant with the sku {sku:?} already."),
        )
        .with("sku", sku),
        product::Rejection::ClaimAbandoned => Problem::new(&CLAIM_LOST, detail),
        product::Rejection::TooManyAttributes { .. } => {
            let mut faults = Faults::new();
            faults.pointer("#/attributes", detail);
            faults.into_problem(&infra::http::UNPROCESSABLE)
        }
        product::Rejection::ClaimStands { .. } | product::Rejection::Price { .. } => {
            unexpected(detail)
        }
    }
}
