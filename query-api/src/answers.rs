//! The shapes of the answers, as the OpenAPI document shows them. Most answers are sent as they
//! were posted and never pass through these types; a test holds both in step.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// An amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Money {
    /// Minor units (cents), within ±(2^53-1).
    #[schema(example = 1099)]
    pub amount: i64,
    /// ISO 4217.
    #[schema(value_type = String, example = "USD")]
    pub currency: event_schemas::Currency,
}

impl From<event_schemas::Money> for Money {
    fn from(money: event_schemas::Money) -> Self {
        Self { amount: money.amount, currency: money.currency }
    }
}

/// An order.
#[derive(Serialize, ToSchema)]
pub struct Order {
    #[schema(example = "4b6a3c1e-5a43-5d6c-9d8e-0f1f7ce1a2b3")]
    id: String,
    /// `placed`, `dispatched`, `delivered`, `cancelled`, `refused` or `abandoned`.
    #[schema(example = "placed")]
    status: String,
    /// Of all but an abandoned order.
    #[schema(example = "u1")]
    customer_id: Option<String>,
    /// Of all but an abandoned order.
    #[schema(example = "web")]
    channel: Option<String>,
    /// Of an abandoned order: when it was given up.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T09:15:00.123456Z")]
    placed_at: String,
    lines: Vec<OrderLine>,
    /// Of all but an abandoned order.
    total: Option<Money>,
    /// Of a refused order: the lines that were short.
    #[schema(required = false)]
    short: Vec<ShortLine>,
    /// Of a cancelled order.
    cancellation: Option<Cancellation>,
    /// Of a dispatched or delivered order.
    dispatch: Option<Dispatch>,
    /// Of a delivered order.
    #[schema(value_type = Option<String>, format = DateTime)]
    delivered_at: Option<String>,
}

/// A line of an order, with what was true of the product when it was sold.
#[derive(Serialize, ToSchema)]
pub struct OrderLine {
    #[schema(example = "mug-red")]
    sku: String,
    #[schema(example = "mug")]
    product_id: String,
    #[schema(example = "Mug")]
    title: String,
    /// The variant's title; may be empty.
    #[schema(example = "Red, 300 ml")]
    variant: String,
    #[schema(minimum = 1, example = 2)]
    quantity: i64,
    unit_price: Money,
    /// Off the whole line.
    discount: Money,
    /// quantity x unit_price - discount
    total: Money,
}

/// A line that was short.
#[derive(Serialize, ToSchema)]
pub struct ShortLine {
    sku: String,
    /// Units asked for.
    requested: i64,
    /// Units that were available.
    available: i64,
}

/// Why and when an order was cancelled.
#[derive(Serialize, ToSchema)]
pub struct Cancellation {
    reason: String,
    #[schema(value_type = String, format = DateTime)]
    at: String,
}

/// How and when an order was dispatched.
#[derive(Serialize, ToSchema)]
pub struct Dispatch {
    carrier: Option<String>,
    tracking: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    at: String,
}

/// The stock of a sku, in units.
#[derive(Serialize, ToSchema)]
pub struct Stock {
    #[schema(example = "mug-red")]
    sku: String,
    #[schema(example = 20)]
    on_hand: i64,
    /// Held for orders.
    #[schema(example = 2)]
    reserved: i64,
    /// on_hand - reserved
    #[schema(example = 18)]
    available: i64,
}

/// A product.
#[derive(Serialize, ToSchema)]
pub struct Product {
    #[schema(example = "mug")]
    id: String,
    #[schema(example = "Mug")]
    title: String,
    /// May be empty.
    #[schema(example = "Acme")]
    brand: String,
    #[schema(example = "HOME")]
    department: String,
    /// May be empty.
    #[schema(example = "CUPS")]
    category: String,
    /// Further facts by name.
    attributes: BTreeMap<String, String>,
    /// `on_shelf` or `off_shelf`.
    #[schema(example = "on_shelf")]
    status: String,
    variants: Vec<Variant>,
}

/// What can be ordered of a product.
#[derive(Serialize, ToSchema)]
pub struct Variant {
    #[schema(example = "mug-red")]
    sku: String,
    /// May be empty.
    #[schema(example = "Red, 300 ml")]
    title: String,
    price: Money,
}

/// A user.
#[derive(Serialize, ToSchema)]
pub struct User {
    #[schema(example = "u1")]
    id: String,
    /// Null for an imported customer and for a user who was forgotten.
    #[schema(required)]
    personal: Option<PersonalValues>,
    #[schema(value_type = String, format = DateTime)]
    registered_at: String,
}

/// The personal values of a user.
#[derive(Serialize, ToSchema)]
#[schema(as = Personal)]
pub struct PersonalValues {
    #[schema(example = "Ada")]
    name: Option<String>,
    #[schema(example = "ada@example.com")]
    email: Option<String>,
}

/// What a user bought; cancelled orders count nowhere.
#[derive(Serialize, ToSchema)]
pub struct Summary {
    /// The user's id.
    pub id: String,
    /// How many orders.
    pub orders: i64,
    /// How many units.
    pub units: i64,
    /// The sum of their totals.
    pub revenue: Money,
    /// The first of them.
    #[schema(required)]
    pub first_order: Option<OrderBrief>,
    /// The last of them.
    #[schema(required)]
    pub last_order: Option<OrderBrief>,
}

/// An order in short.
#[derive(Serialize, ToSchema)]
pub struct OrderBrief {
    /// Its id.
    pub id: String,
    /// When it was ordered.
    #[schema(value_type = String, format = DateTime)]
    pub placed_at: String,
    /// What it came to.
    pub total: Money,
}

/// Sums of sales.
#[derive(Serialize, ToSchema)]
pub struct SalesReport {
    items: Vec<SalesRow>,
    total: SalesTotal,
}

/// The sales of one interval, under one key.
#[derive(Serialize, ToSchema)]
pub struct SalesRow {
    /// When the interval begins; null for `interval=none`.
    #[schema(required, format = DateTime, example = "2026-11-21T05:00:00.000000Z")]
    start: Option<String>,
    /// The department, brand, channel, sku or customer; null for `by=none`.
    #[schema(required, example = "HOME")]
    key: Option<String>,
    #[schema(example = 12)]
    orders: i64,
    #[schema(example = 40)]
    units: i64,
    revenue: Money,
}

/// The sales of the whole range, with what `limit` cut.
#[derive(Serialize, ToSchema)]
pub struct SalesTotal {
    orders: i64,
    units: i64,
    revenue: Money,
}

/// A product as a search finds it.
#[derive(Serialize, ToSchema)]
pub struct FoundProduct {
    id: String,
    title: String,
    brand: String,
    department: String,
    category: String,
    /// The lowest of its variants.
    #[schema(required)]
    price: Option<Money>,
    /// Whether a unit of any variant is available.
    in_stock: bool,
    variants: Vec<FoundVariant>,
}

/// A variant as a search finds it.
#[derive(Serialize, ToSchema)]
pub struct FoundVariant {
    sku: String,
    title: String,
    price: Money,
    /// Whether a unit of it is available.
    in_stock: bool,
}

/// What a search found.
#[derive(Serialize, ToSchema)]
pub struct SearchResult {
    items: Vec<FoundProduct>,
    /// How many products match, exactly.
    total: u64,
    facets: Facets,
    /// The cursor of the next page.
    #[schema(required)]
    next: Option<String>,
}

/// The most frequent values, at most 20 each. The counts of a facet ignore its own filter.
#[derive(Serialize, ToSchema)]
pub struct Facets {
    department: Vec<FacetCount>,
    brand: Vec<FacetCount>,
    category: Vec<FacetCount>,
}

/// How many of the products found have a value.
#[derive(Serialize, ToSchema)]
pub struct FacetCount {
    key: String,
    count: u64,
}

/// An event as it stands in the log; personal values stay sealed.
#[derive(Serialize, ToSchema)]
pub struct LoggedEvent {
    id: String,
    position: u64,
    stream: String,
    revision: u64,
    #[serde(rename = "type")]
    #[schema(example = "OrderPlaced")]
    event_type: String,
    /// This and the rest of its metadata are null for an event that is not Daybook's own.
    #[schema(required, example = 1)]
    schema_version: Option<u32>,
    /// When it happened.
    #[schema(required, format = DateTime)]
    occurred_at: Option<String>,
    /// When it was written.
    #[schema(required, format = DateTime)]
    recorded_at: Option<String>,
    #[schema(required)]
    actor: Option<ActorShape>,
    #[schema(required)]
    command_id: Option<String>,
    #[schema(required)]
    correlation_id: Option<String>,
    #[schema(required)]
    causation_id: Option<String>,
    /// Null if it is no JSON.
    #[schema(value_type = Object)]
    data: (),
}

/// Who acted.
#[derive(Serialize, ToSchema)]
#[schema(as = Actor)]
pub struct ActorShape {
    id: String,
    /// `user`, `service`, `system` or `import`.
    kind: String,
    /// `none`, `header`, `token` or `key`.
    proof: String,
}

/// An event of an order.
#[derive(Serialize, ToSchema)]
pub struct HistoryEvent {
    id: String,
    position: u64,
    revision: u64,
    #[serde(rename = "type")]
    #[schema(example = "OrderPlaced")]
    event_type: String,
    #[schema(value_type = String, format = DateTime)]
    occurred_at: String,
    #[schema(value_type = String, format = DateTime)]
    recorded_at: String,
    actor: ActorShape,
    #[schema(value_type = Object)]
    data: (),
}

/// How a projection is doing.
#[derive(Serialize, ToSchema)]
pub struct Projection {
    #[schema(example = "orders")]
    name: String,
    /// The last place that it has posted.
    position: u64,
    /// The store's last place.
    head: u64,
    /// `live`, `catching-up`, `rebuilding`, `stopped` or `diverged`.
    #[schema(example = "live")]
    state: String,
    lag: ProjectionLag,
    /// Why it stopped, or what it is trying again after.
    #[schema(required)]
    error: Option<String>,
}

/// How far behind a projection is.
#[derive(Serialize, ToSchema)]
pub struct ProjectionLag {
    /// 0 exactly when the head is posted; null if it cannot be counted.
    #[schema(required)]
    events: Option<u64>,
    /// The age of the oldest event that is not posted.
    #[schema(required)]
    seconds: Option<f64>,
}

macro_rules! pages {
    ($($(#[$doc:meta])* $name:ident of $item:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Serialize, ToSchema)]
            pub struct $name {
                items: Vec<$item>,
                /// The cursor of the next page; null on the last one.
                #[schema(required)]
                next: Option<String>,
            }
        )*
    };
}

pages! {
    /// A page of orders.
    Orders of Order;
    /// A page of stock.
    StockList of Stock;
    /// A page of products.
    Products of Product;
    /// A page of users.
    Users of User;
    /// A page of the log.
    Events of LoggedEvent;
    /// The events of an order.
    History of HistoryEvent;
}

/// Every projection.
#[derive(Serialize, ToSchema)]
pub struct Projections {
    items: Vec<Projection>,
}
