use std::fmt;

use event_schemas::{LineHold, OrderBody, OrderEvent, ShortLine};
use serde::{Deserialize, Serialize};

/// An order as its events left it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// `None` until the order has its outcome.
    pub status: Option<Status>,
    /// What was asked for; an abandoned order has none.
    pub order: Option<OrderBody>,
    /// The number of each line's hold, in the order's sequence, once it was placed.
    pub holds: Vec<u64>,
    /// The lines that a refused order was short of.
    pub short: Vec<ShortLine>,
}

impl State {
    /// Each line's hold by its sku.
    pub(super) fn line_holds(&self) -> Vec<LineHold> {
        let lines = self.order.iter().flat_map(|order| &order.lines);
        lines
            .zip(&self.holds)
            .map(|(line, hold)| LineHold { sku: line.sku.clone(), hold: *hold })
            .collect()
    }
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All lines are held.
    Placed,
    /// Some lines could not be held.
    Refused,
    /// It was left without an outcome for too long.
    Abandoned,
    /// It was called off.
    Cancelled,
    /// It left the house.
    Dispatched,
    /// It arrived.
    Delivered,
}

impl Status {
    /// The word of the contract.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Refused => "refused",
            Self::Abandoned => "abandoned",
            Self::Cancelled => "cancelled",
            Self::Dispatched => "dispatched",
            Self::Delivered => "delivered",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

pub(super) fn evolve(state: State, event: &OrderEvent) -> State {
    match event {
        OrderEvent::Placed(event) => State {
            status: Some(Status::Placed),
            order: Some(event.order.clone()),
            holds: event.holds.clone(),
            short: Vec::new(),
        },
        OrderEvent::Refused(event) => State {
            status: Some(Status::Refused),
            order: Some(event.order.clone()),
            holds: Vec::new(),
            short: event.short.clone(),
        },
        OrderEvent::Abandoned(_) => State { status: Some(Status::Abandoned), ..state },
        OrderEvent::Cancelled(_) => State { status: Some(Status::Cancelled), ..state },
        OrderEvent::Dispatched(_) => State { status: Some(Status::Dispatched), ..state },
        OrderEvent::Delivered(_) => State { status: Some(Status::Delivered), ..state },
    }
}
