use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Currency, Timestamp, codec::events};

events! {
    /// What happens to an order. The first event is its outcome: placed, refused or abandoned.
    OrderEvent in "order" {
        Placed(OrderPlaced) = "OrderPlaced" 1,
        Refused(OrderRefused) = "OrderRefused" 1,
        Abandoned(OrderAbandoned) = "OrderAbandoned" 1,
        Cancelled(OrderCancelled) = "OrderCancelled" 1,
        Dispatched(OrderDispatched) = "OrderDispatched" 1,
        Delivered(OrderDelivered) = "OrderDelivered" 1,
    }
}

/// What was asked for, priced by the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderBody {
    /// Who ordered.
    pub customer_id: String,
    /// When it was ordered: for an import the past's own time.
    pub placed_at: Timestamp,
    /// Where it was ordered.
    pub channel: String,
    /// The currency of every amount in it.
    pub currency: Currency,
    /// 1 to 1,000 lines, each sku once.
    pub lines: Vec<OrderLine>,
    /// The sum of the lines' totals, in minor units.
    pub total: i64,
}

/// One line: what was true of the product when it was sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderLine {
    /// The sku.
    pub sku: String,
    /// The product.
    pub product_id: String,
    /// The product's title then.
    pub title: String,
    /// The variant's title then; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// The product's brand then; may be empty.
    pub brand: String,
    /// The product's department then.
    pub department: String,
    /// The product's category then; may be empty.
    pub category: String,
    /// Units, 1 to 2^31 - 1.
    pub quantity: i64,
    /// Minor units for one unit.
    pub unit_price: i64,
    /// Minor units off the whole line.
    pub discount: i64,
    /// quantity x unit_price - discount, minor units.
    pub total: i64,
}

/// All lines were held and the order stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderPlaced {
    /// The order.
    pub order: OrderBody,
    /// The number of each line's hold, in the order's sequence: no other hold belongs to it.
    pub holds: Vec<u64>,
}

/// Demand that could not be met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderRefused {
    /// The order that was asked for.
    pub order: OrderBody,
    /// The lines that were short, in the order's sequence.
    pub short: Vec<ShortLine>,
}

/// A line that could not be held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShortLine {
    /// The sku.
    pub sku: String,
    /// Units asked for.
    pub requested: i64,
    /// Units that were available.
    pub available: i64,
}

/// Holds without an outcome outlived the reservation timeout: no placing can follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderAbandoned {}

/// A placed order was called off. It carries what it takes back, so that no reader has to
/// remember what was placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderCancelled {
    /// Why.
    pub reason: String,
    /// The order as it was placed.
    pub order: OrderBody,
}

/// All of a placed order left the house.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderDispatched {
    /// Who carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// The carrier's tracking number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
    /// The holds that leave with it, as [`OrderPlaced`] named them.
    pub holds: Vec<LineHold>,
}

/// A hold by its sku and number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineHold {
    /// The sku.
    pub sku: String,
    /// The number of the hold among all that the sku ever had.
    pub hold: u64,
}

/// A dispatched order arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderDelivered {}
