use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Currency, Metadata, Money, OrderBody, OrderEvent, OrderLine, ShortLine, Timestamp};

/// What `GET /v1/orders/{id}` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderResource {
    /// The order's id.
    pub id: String,
    /// Where it stands.
    pub status: OrderStatus,
    /// Who ordered; an abandoned order never came to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// Where it was ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// When it was ordered; of an abandoned order when it was given up.
    pub placed_at: Timestamp,
    /// The lines, in the order given.
    pub lines: Vec<OrderLineResource>,
    /// The sum of the lines' totals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
    /// Of a refused order, the lines that were short.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub short: Vec<ShortLine>,
    /// Of a cancelled order, why and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation: Option<CancellationResource>,
    /// Of a dispatched order, how and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatch: Option<DispatchResource>,
    /// When it was delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// All lines are held for it.
    Placed,
    /// It left the house.
    Dispatched,
    /// It arrived.
    Delivered,
    /// It was called off.
    Cancelled,
    /// A line was short.
    Refused,
    /// It never came to an outcome.
    Abandoned,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLineResource {
    /// The sku.
    pub sku: String,
    /// The product.
    pub product_id: String,
    /// The product's title when it was sold.
    pub title: String,
    /// The variant's title when it was sold; may be empty.
    pub variant: String,
    /// Units.
    pub quantity: i64,
    /// The price of one unit.
    pub unit_price: Money,
    /// What is taken off the whole line.
    pub discount: Money,
    /// quantity x unit_price - discount.
    pub total: Money,
}

/// Why and when an order was cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancellationResource {
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// How and when an order was dispatched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispatchResource {
    /// Who carries it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// The carrier's tracking number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl OrderStatus {
    /// As it stands in JSON and in query strings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Dispatched => "dispatched",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
            Self::Abandoned => "abandoned",
        }
    }
}

impl fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl OrderResource {
    /// The order after one more event; `None` before its first.
    pub fn evolve(
        before: Option<Self>,
        id: &str,
        event: &OrderEvent,
        metadata: &Metadata,
    ) -> Option<Self> {
        let at = metadata.occurred_at;
        match event {
            OrderEvent::Placed(placed) => {
                Some(Self::asked_for(id, OrderStatus::Placed, &placed.order))
            }
            OrderEvent::Refused(refused) => {
                let order = Self::asked_for(id, OrderStatus::Refused, &refused.order);
                Some(Self { short: refused.short.clone(), ..order })
            }
            OrderEvent::Abandoned(_) => Some(Self {
                id: id.to_owned(),
                status: OrderStatus::Abandoned,
                customer_id: None,
                channel: None,
                placed_at: at,
                lines: Vec::new(),
                total: None,
                short: Vec::new(),
                cancellation: None,
                dispatch: None,
                delivered_at: None,
            }),
            OrderEvent::Cancelled(cancelled) => before.map(|order| Self {
                status: OrderStatus::Cancelled,
                cancellation: Some(CancellationResource { reason: cancelled.reason.clone(), at }),
                ..order
            }),
            OrderEvent::Dispatched(dispatched) => before.map(|order| Self {
                status: OrderStatus::Dispatched,
                dispatch: Some(DispatchResource {
                    carrier: dispatched.carrier.clone(),
                    tracking: dispatched.tracking.clone(),
                    at,
                }),
                ..order
            }),
            OrderEvent::Delivered(_) => before.map(|order| Self {
                status: OrderStatus::Delivered,
                delivered_at: Some(at),
                ..order
            }),
        }
    }

    fn asked_for(id: &str, status: OrderStatus, order: &OrderBody) -> Self {
        Self {
            id: id.to_owned(),
            status,
            customer_id: Some(order.customer_id.clone()),
            channel: Some(order.channel.clone()),
            placed_at: order.placed_at,
            lines: order
                .lines
                .iter()
                .map(|line| OrderLineResource::of(line, order.currency))
                .collect(),
            total: Some(order.currency.money(order.total)),
            short: Vec::new(),
            cancellation: None,
            dispatch: None,
            delivered_at: None,
        }
    }
}

impl OrderLineResource {
    /// The line of an order in its currency.
    pub fn of(line: &OrderLine, currency: Currency) -> Self {
        Self {
            sku: line.sku.clone(),
            product_id: line.product_id.clone(),
            title: line.title.clone(),
            variant: line.variant.clone(),
            quantity: line.quantity,
            unit_price: currency.money(line.unit_price),
            discount: currency.money(line.discount),
            total: currency.money(line.total),
        }
    }
}
