//! Orders.

use serde::Serialize;
use utoipa::ToSchema;

use super::Money;

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
