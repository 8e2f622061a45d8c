use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use domain::{
    Decider,
    order::{self, MAX_LINES, MAX_QUANTITY, price_lines},
    user::User,
};
use event_schemas::{
    Money, OrderBody, OrderLine, Revision, StreamName, UserEvent,
    resource::{OrderLineResource, OrderResource, OrderStatus},
};
use http::StatusCode;
use infra::http::{At, Caller, Fault, Faults, Fields, Problem, ProblemKind, UNPROCESSABLE};
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use crate::{
    Commands, Offer,
    context::Context,
    doubled,
    executor::Failure,
    http::{Answer, JSON, LoggedAt, at_pointer, money_of, read},
    openapi::money,
    outcome::{NoOutcome, Outcome},
    problems::{
        INSUFFICIENT_STOCK, OFF_SHELF, ORDER_ABANDONED, PRICE_CHANGED, UNKNOWN_CUSTOMER,
        UNKNOWN_SKU, failed, key_reused, unexpected,
    },
    streams,
};

/// An order as it is asked for: priced by the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlaceOrder {
    /// Who orders; a user.
    #[schema(pattern = "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$")]
    pub customer_id: String,
    /// Where it is ordered.
    #[schema(pattern = "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$")]
    pub channel: String,
    /// 1 to 1,000 lines, each sku once.
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Vec<WantedLine>,
    /// What the customer was shown; if it costs something else, nothing is done.
    #[schema(schema_with = money, required = false)]
    pub expected_total: Option<Money>,
}

/// What is wanted of one sku.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct WantedLine {
    /// The sku.
    #[schema(pattern = "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$")]
    pub sku: String,
    /// Units, 1 to 2^31 - 1.
    #[schema(minimum = 1, maximum = 2147483647)]
    pub quantity: i64,
}

/// What it may be refused with.
pub(crate) static PROBLEMS: &[&ProblemKind] = &[
    &INSUFFICIENT_STOCK,
    &PRICE_CHANGED,
    &ORDER_ABANDONED,
    &UNKNOWN_SKU,
    &OFF_SHELF,
    &UNKNOWN_CUSTOMER,
    &UNPROCESSABLE,
];

/// A placed or refused order, and whether that is an answer given before.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The order's outcome.
    pub outcome: Outcome,
    /// Whether the request came before.
    pub replayed: bool,
}

/// Why an order is neither placed nor refused for want of stock.
#[derive(Debug, Error)]
pub enum NotPlaced {
    /// The same key came with another payload.
    #[error("the same key came with another payload before")]
    KeyReused,
    /// It was abandoned under this key.
    #[error("the order was abandoned")]
    Abandoned,
    /// No product has these lines' skus.
    #[error("no product has the sku of line {0:?}")]
    UnknownSku(Vec<usize>),
    /// These lines' products are off the shelf.
    #[error("the product of line {0:?} is off the shelf")]
    OffShelf(Vec<usize>),
    /// There is no such user.
    #[error("there is no user {0:?}")]
    UnknownCustomer(String),
    /// It costs something else than expected.
    #[error("it costs something else than expected")]
    PriceChanged(Box<OrderBody>),
    /// It may not be written as it is.
    #[error(transparent)]
    Rejected(#[from] order::Rejection),
    /// An engine was in the way.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<NoOutcome> for NotPlaced {
    fn from(error: NoOutcome) -> Self {
        match error {
            NoOutcome::KeyReused => Self::KeyReused,
            NoOutcome::Rejected(rejection) => Self::Rejected(rejection),
            NoOutcome::Failed(failure) => Self::Failed(failure),
        }
    }
}

/// Places an order. Its id is its command's, so a retry meets the same streams.
///
/// # Errors
/// [`NotPlaced`]
pub async fn place_order(
    commands: &Commands,
    asked: PlaceOrder,
    context: Context,
) -> Result<Settled, NotPlaced> {
    let patience = commands.0.settings.reservation_timeout / 2;
    let late = || Failure::Unknown("the order took too long".to_owned());
    let placed = tokio::time::timeout(patience, place(commands, asked, context)).await;
    placed.unwrap_or_else(|_| Err(late().into()))
}

async fn place(
    commands: &Commands,
    asked: PlaceOrder,
    context: Context,
) -> Result<Settled, NotPlaced> {
    let order_id = context.command_id().to_string();
    if let Some(outcome) = commands.outcome_of(&order_id).await? {
        return settled(outcome, &context, true);
    }
    let order = price(commands, &asked, &context).await?;
    if asked.expected_total.is_some_and(|expected| expected.amount != order.total) {
        return Err(NotPlaced::PriceChanged(Box::new(order)));
    }
    if !commands.is_user(&asked.customer_id).await? {
        return Err(NotPlaced::UnknownCustomer(asked.customer_id));
    }
    let outcome = commands.settle(&order_id, order, &context).await?;
    // Without a position, another handler with the same key was first.
    let replayed = outcome.position.is_none();
    settled(outcome, &context, replayed)
}

/// What an outcome answers to a request.
pub(crate) fn settled(
    outcome: Outcome,
    context: &Context,
    replayed: bool,
) -> Result<Settled, NotPlaced> {
    match outcome.order.status {
        OrderStatus::Abandoned => Err(NotPlaced::Abandoned),
        _ if outcome.request_hash != context.request_hash() => Err(NotPlaced::KeyReused),
        _ => Ok(Settled { outcome, replayed }),
    }
}

async fn price(
    commands: &Commands,
    asked: &PlaceOrder,
    context: &Context,
) -> Result<OrderBody, NotPlaced> {
    commands.catalogue_goes_on()?;
    let offers = match offers(commands, asked) {
        Err(_) if !commands.catalogue_is_current().await? => offers(commands, asked)?,
        known => known?,
    };
    let wanted = asked.lines.iter().zip(offers);
    let mut lines: Vec<OrderLine> =
        wanted.map(|(line, offer)| priced(line, &offer, offer.price.amount, 0)).collect();
    let total = price_lines(&mut lines)?;
    Ok(OrderBody {
        customer_id: asked.customer_id.clone(),
        placed_at: context.occurred_at(),
        channel: asked.channel.clone(),
        currency: commands.currency(),
        lines,
        total,
    })
}

fn offers(commands: &Commands, asked: &PlaceOrder) -> Result<Vec<Offer>, NotPlaced> {
    let found: Vec<_> =
        asked.lines.iter().map(|line| commands.catalogue().offer(&line.sku)).collect();
    let lines = |wrong: fn(&Option<Offer>) -> bool| -> Vec<usize> {
        let numbered = found.iter().enumerate();
        numbered.filter(|(_, offer)| wrong(offer)).map(|(at, _)| at).collect()
    };
    let unknown = lines(Option::is_none);
    if !unknown.is_empty() {
        return Err(NotPlaced::UnknownSku(unknown));
    }
    let off_shelf = lines(|offer| offer.as_ref().is_some_and(|offer| !offer.on_shelf));
    if !off_shelf.is_empty() {
        return Err(NotPlaced::OffShelf(off_shelf));
    }
    Ok(found.into_iter().flatten().collect())
}

/// A line with what is true of the product now. Its total is set by [`price_lines`].
pub(crate) fn priced(
    line: &WantedLine,
    offer: &Offer,
    unit_price: i64,
    discount: i64,
) -> OrderLine {
    OrderLine {
        sku: line.sku.clone(),
        product_id: offer.product_id.to_string(),
        title: offer.title.to_string(),
        variant: offer.variant.to_string(),
        brand: offer.brand.to_string(),
        department: offer.department.to_string(),
        category: offer.category.to_string(),
        quantity: line.quantity,
        unit_price,
        discount,
        total: 0,
    }
}

impl Commands {
    /// Whether a user is registered, by the user's own stream.
    pub(crate) async fn is_user(&self, id: &str) -> Result<bool, Failure> {
        if self.is_known_user(id) {
            return Ok(true);
        }
        let stream = StreamName::new(User::CATEGORY, id);
        let registered = streams::fold_until(
            &self.0.engines.store,
            &stream,
            Revision(u64::MAX),
            false,
            |registered, decoded| {
                let event = &decoded.event;
                registered || matches!(event, event_schemas::Event::User(UserEvent::Registered(_)))
            },
        )
        .await?;
        if registered {
            self.note_user(id);
        }
        Ok(registered)
    }
}

/// Place an order
///
/// The server prices it, holds every line, and places it, or refuses it as a whole.
#[utoipa::path(
    post, path = "/v1/orders", tag = "orders", operation_id = "place_order",
    request_body(content = PlaceOrder, description = "The order", example = json!({
        "customer_id": "u1", "channel": "web", "lines": [{ "sku": "mug-red", "quantity": 2 }],
        "expected_total": { "amount": 2198, "currency": "USD" }
    })),
    responses(
        (status = 201, description = "The order", body = ref("#/components/schemas/Order"),
            headers(("Location" = String, description = "Where it is to be found"))),
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
    match place_order(&commands, asked.clone(), context).await {
        Ok(Settled { outcome, replayed }) => answer(&outcome, replayed),
        Err(error) => Err(problem(error, &asked)),
    }
}

fn parse(fields: &mut Fields<'_>, rules: &mut Faults, commands: &Commands) -> Option<PlaceOrder> {
    let customer_id = fields.id("customer_id");
    let channel = fields.id("channel");
    let items = fields.array("lines", 1..=MAX_LINES);
    let expected_total = fields.optional_object("expected_total").map(|mut object| {
        let found = money_of(&mut object, "#/expected_total", commands.currency(), rules);
        object.finish();
        found
    });
    let mut lines = Vec::new();
    for (pointer, json) in items.unwrap_or_default() {
        let mut line = Fields::new(json, pointer, fields.faults());
        let sku = line.id("sku");
        let quantity = line.integer("quantity", 1..=MAX_QUANTITY);
        line.finish();
        // An empty sku stands for one with a fault, so that the lines keep their numbers.
        lines.push(WantedLine { sku: sku.unwrap_or_default(), quantity: quantity.unwrap_or(0) });
    }
    for at in doubled(lines.iter().map(|line| line.sku.as_str())) {
        if !lines[at].sku.is_empty() {
            let detail = "this sku stands in another line too; put them together into one";
            fields.faults().pointer(format!("#/lines/{at}/sku"), detail);
        }
    }
    Some(PlaceOrder {
        customer_id: customer_id?,
        channel: channel?,
        lines,
        expected_total: match expected_total {
            Some(found) => Some(found?),
            None => None,
        },
    })
}

fn answer(outcome: &Outcome, replayed: bool) -> Result<Response, Problem> {
    let order = &outcome.order;
    if order.status == OrderStatus::Refused {
        let mut response = short(order).into_response();
        if replayed {
            let value = http::HeaderValue::from_static("true");
            response.headers_mut().insert(&infra::http::IDEMPOTENCY_REPLAYED, value);
        }
        response.extensions_mut().insert(LoggedAt(outcome.position));
        return Ok(response);
    }
    let answer = Answer::of(StatusCode::CREATED, order)?;
    Ok(Answer {
        location: Some(format!("/v1/orders/{}", order.id)),
        position: outcome.position,
        replayed,
        ..answer
    }
    .into_response())
}

fn short(order: &OrderResource) -> Problem {
    let skus: Vec<&str> = order.short.iter().map(|line| line.sku.as_str()).take(5).collect();
    let detail = format!(
        "There is not enough of {}. Order less, or again later, with a new Idempotency-Key.",
        skus.join(", ")
    );
    let short = serde_json::to_value(&order.short).unwrap_or_default();
    Problem::new(&INSUFFICIENT_STOCK, detail)
        .with("short", short)
        .with("order_id", order.id.clone())
}

fn problem(error: NotPlaced, asked: &PlaceOrder) -> Problem {
    let at_lines = |lines: Vec<usize>, what: &str| -> Vec<Fault> {
        let fault = |at: usize| {
            let sku = asked.lines.get(at).map_or("", |line| line.sku.as_str());
            at_pointer(format!("#/lines/{at}/sku"), format!("{sku:?} {what}"))
        };
        lines.into_iter().map(fault).collect()
    };
    match error {
        NotPlaced::KeyReused => key_reused(),
        NotPlaced::Abandoned => Problem::new(
            &ORDER_ABANDONED,
            "The order was given up because it took too long. Order again with a new Idempotency-Key.",
        ),
        NotPlaced::UnknownSku(lines) => {
            Problem::new(&UNKNOWN_SKU, "No product has the sku of the lines that `errors` names.")
                .errors(at_lines(lines, "is no product's sku"))
        }
        NotPlaced::OffShelf(lines) => Problem::new(
            &OFF_SHELF,
            "The products of the lines that `errors` names cannot be ordered now.",
        )
        .errors(at_lines(lines, "is off the shelf")),
        NotPlaced::UnknownCustomer(id) => {
            let detail = format!("There is no user {id:?}. Register one with POST /v1/users.");
            let at = At::Pointer("#/customer_id".to_owned());
            Problem::new(&UNKNOWN_CUSTOMER, detail.clone()).errors([Fault { detail, at }])
        }
        NotPlaced::PriceChanged(order) => {
            let lines: Vec<serde_json::Value> = order
                .lines
                .iter()
                .map(|line| OrderLineResource::of(line, order.currency))
                .filter_map(|line| serde_json::to_value(line).ok())
                .collect();
            let total = serde_json::to_value(order.currency.money(order.total));
            Problem::new(
                &PRICE_CHANGED,
                "The order costs something else than `expected_total`. Nothing was done; look at `total` and send it again.",
            )
            .with("lines", lines)
            .with("total", total.unwrap_or_default())
        }
        NotPlaced::Rejected(rejection @ order::Rejection::Overflow) => infra::http::Faults::new()
            .into_problem(&infra::http::UNPROCESSABLE)
            .errors([at_pointer("#/lines".to_owned(), rejection.to_string())]),
        NotPlaced::Rejected(rejection) => unexpected(rejection),
        NotPlaced::Failed(failure) => failed(&failure),
    }
}
