use serde::{Deserialize, Serialize};

use crate::StockEvent;

/// What `GET /v1/stock/{sku}` answers, in units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockResource {
    /// The sku.
    pub sku: String,
    /// In the house.
    pub on_hand: i64,
    /// Held for orders.
    pub reserved: i64,
    /// on_hand - reserved
    pub available: i64,
}

impl StockResource {
    /// The stock after one more event; `None` where no product has the sku. What an event changed is
    /// added up, so that events may also be taken in the order in which they happened: imported
    /// history happened before the sku was introduced.
    pub fn evolve(before: Option<Self>, sku: &str, event: &StockEvent) -> Option<Self> {
        let Self { on_hand, reserved, .. } = before.unwrap_or_else(|| Self::of(sku, 0, 0));
        // Sums that a decider has bounded: they cannot wrap.
        let add = |on: i64, held: i64| {
            Some(Self::of(sku, on_hand.saturating_add(on), reserved.saturating_add(held)))
        };
        match event {
            StockEvent::SkuReleased(_) => None,
            StockEvent::Introduced(_) => add(0, 0),
            StockEvent::Received(event) => add(event.quantity, 0),
            StockEvent::Adjusted(event) => add(event.delta, 0),
            StockEvent::Reserved(event) => add(0, event.quantity),
            StockEvent::Released(event) => add(0, -event.quantity),
            StockEvent::Dispatched(event) => add(-event.quantity, -event.quantity),
        }
    }

    /// On hand and reserved after the event, where it says so: then nothing before it is needed.
    pub const fn counted(event: &StockEvent) -> Option<(i64, i64)> {
        match event {
            StockEvent::Introduced(_) | StockEvent::SkuReleased(_) => None,
            StockEvent::Received(event) => Some((event.on_hand, event.reserved)),
            StockEvent::Adjusted(event) => Some((event.on_hand, event.reserved)),
            StockEvent::Reserved(event) => Some((event.on_hand, event.reserved)),
            StockEvent::Released(event) => Some((event.on_hand, event.reserved)),
            StockEvent::Dispatched(event) => Some((event.on_hand, event.reserved)),
        }
    }

    /// The stock of a sku.
    pub fn of(sku: &str, on_hand: i64, reserved: i64) -> Self {
        let available = on_hand.saturating_sub(reserved);
        Self { sku: sku.to_owned(), on_hand, reserved, available }
    }
}
