use std::collections::HashMap;

use event_schemas::{RequestHash, StockEvent};
use serde::{Deserialize, Serialize};

use crate::Claim;

/// The stock of a sku. `on_hand >= reserved >= 0`, and `reserved` is the sum of the holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The claim of the sku; the owner is a product.
    pub(super) claim: Option<Claim>,
    /// Units in the house.
    pub(super) on_hand: i64,
    /// Units of them that are held for orders.
    pub(super) reserved: i64,
    /// The open holds by order; an order has one at most.
    pub(super) holds: HashMap<String, Hold>,
    /// The number of the newest hold, 0 before the first.
    pub(super) last_hold: u64,
    /// What each batch was received with, for ever.
    pub(super) batches: HashMap<String, i64>,
}

/// Units held for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// How many.
    pub quantity: i64,
    /// Its number among all holds that the sku ever had, from 1.
    pub number: u64,
    /// The keyed hash of the request that asked for it.
    pub request_hash: Option<RequestHash>,
}

impl State {
    /// The claim of the sku; the owner is a product.
    pub const fn claim(&self) -> Option<&Claim> {
        self.claim.as_ref()
    }

    /// Units in the house.
    pub const fn on_hand(&self) -> i64 {
        self.on_hand
    }

    /// Units of them that are held for orders.
    pub const fn reserved(&self) -> i64 {
        self.reserved
    }

    /// Units on hand that are not reserved.
    pub const fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }

    /// The order's open hold.
    pub fn hold(&self, order_id: &str) -> Option<&Hold> {
        self.holds.get(order_id)
    }

    /// The open holds by order.
    pub const fn holds(&self) -> &HashMap<String, Hold> {
        &self.holds
    }

    /// How many entries it has: what a snapshot of it costs.
    pub fn entries(&self) -> usize {
        self.holds.len() + self.batches.len()
    }
}

pub(super) fn evolve(mut state: State, event: &StockEvent) -> State {
    match event {
        StockEvent::Introduced(event) => {
            state.claim = Some(Claim { owner: event.product_id.clone(), command: event.claim });
        }
        StockEvent::SkuReleased(_) => state.claim = None,
        StockEvent::Received(event) => {
            (state.on_hand, state.reserved) = (event.on_hand, event.reserved);
            if let Some(batch) = &event.batch {
                state.batches.insert(batch.clone(), event.quantity);
            }
        }
        StockEvent::Reserved(event) => {
            (state.on_hand, state.reserved) = (event.on_hand, event.reserved);
            let hold = Hold {
                quantity: event.quantity,
                number: event.hold,
                request_hash: event.request_hash,
            };
            state.holds.insert(event.order_id.clone(), hold);
            state.last_hold = event.hold;
        }
        StockEvent::Released(event) => {
            (state.on_hand, state.reserved) = (event.on_hand, event.reserved);
            state.holds.remove(&event.order_id);
        }
        StockEvent::Dispatched(event) => {
            (state.on_hand, state.reserved) = (event.on_hand, event.reserved);
            state.holds.remove(&event.order_id);
        }
        StockEvent::Adjusted(event) => {
            (state.on_hand, state.reserved) = (event.on_hand, event.reserved);
        }
    }
    state
}
