//! The pure part of the reservation watch: what is owed for one order.
//!
//! The watch feeds it the stock and order events that concern the order, in the log's sequence.
//! When an order that was forgotten is met again by a late hold, the events of its own stream
//! may be fed at any time: what the outcome says names its holds by number, so that it does not
//! matter where it stands in the log.

use std::collections::BTreeMap;

use event_schemas::{Event, OrderEvent, StockEvent};
use serde::{Deserialize, Serialize};

/// The open holds and the outcome of one order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reservation {
    holds: Holds,
    outcome: Option<Outcome>,
}

/// Hold numbers by sku. An order has at most one open hold of a sku, and numbers rise.
type Holds = BTreeMap<String, u64>;

/// What became of the order, as far as its holds are concerned.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Outcome {
    /// Refused, abandoned or cancelled: no hold may stand.
    Void,
    /// These holds stand, no other.
    Placed(Holds),
    /// These holds leave the house, no other may stand.
    Dispatched(Holds),
}

/// A command that somebody has to give to the stock of a sku.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owed {
    /// The order's hold is to be released.
    Release {
        /// The sku.
        sku: String,
        /// The newest hold known to be open; 0 for whichever is.
        hold: u64,
    },
    /// The order's hold leaves the house.
    Dispatch {
        /// The sku.
        sku: String,
        /// The hold's number.
        hold: u64,
    },
}

/// The order that an event concerns; `stream_id` is the id of the stream that it stands in.
pub fn order_of<'a>(stream_id: &'a str, event: &'a Event) -> Option<&'a str> {
    match event {
        Event::Order(_) => Some(stream_id),
        Event::Stock(StockEvent::Reserved(event)) => Some(&event.order_id),
        Event::Stock(StockEvent::Released(event)) => Some(&event.order_id),
        Event::Stock(StockEvent::Dispatched(event)) => Some(&event.order_id),
        Event::Stock(
            StockEvent::Introduced(_)
            | StockEvent::SkuReleased(_)
            | StockEvent::Received(_)
            | StockEvent::Adjusted(_),
        )
        | Event::Product(_)
        | Event::User(_)
        | Event::Email(_)
        | Event::Access(_) => None,
    }
}

impl Reservation {
    /// Takes in an event that concerns this order (see [`order_of`]); others change nothing.
    pub fn evolve(&mut self, stream_id: &str, event: &Event) {
        match event {
            Event::Order(event) => self.on_order(event),
            Event::Stock(StockEvent::Reserved(event)) => {
                self.holds.insert(stream_id.to_owned(), event.hold);
            }
            Event::Stock(StockEvent::Released(event)) => self.end(stream_id, event.hold),
            Event::Stock(StockEvent::Dispatched(event)) => self.end(stream_id, event.hold),
            Event::Stock(
                StockEvent::Introduced(_)
                | StockEvent::SkuReleased(_)
                | StockEvent::Received(_)
                | StockEvent::Adjusted(_),
            )
            | Event::Product(_)
            | Event::User(_)
            | Event::Email(_)
            | Event::Access(_) => {}
        }
    }

    /// What is to be done now, by sku.
    pub fn owed(&self) -> Vec<Owed> {
        self.iter_owed().collect()
    }

    /// What was owed has been done, or there was nothing left to do.
    pub fn done(&mut self, owed: &Owed) {
        match owed {
            Owed::Release { sku, hold } | Owed::Dispatch { sku, hold } => self.end(sku, *hold),
        }
    }

    /// Nothing is owed, nor can be without a further event: it may be forgotten. (So may a placed
    /// order: its cancellation names the lines, and its dispatch the holds.)
    pub fn is_settled(&self) -> bool {
        !self.is_orphan() && self.iter_owed().next().is_none()
    }

    /// It has holds and no outcome.
    pub fn is_orphan(&self) -> bool {
        self.outcome.is_none() && !self.holds.is_empty()
    }

    fn on_order(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Placed(event) => {
                let skus = event.order.lines.iter().map(|line| line.sku.clone());
                self.outcome =
                    Some(Outcome::Placed(skus.zip(event.holds.iter().copied()).collect()));
            }
            OrderEvent::Refused(_) | OrderEvent::Abandoned(_) => self.outcome = Some(Outcome::Void),
            OrderEvent::Cancelled(event) => {
                self.outcome = Some(Outcome::Void);
                for line in &event.order.lines {
                    self.holds.entry(line.sku.clone()).or_insert(0);
                }
            }
            OrderEvent::Dispatched(event) => {
                let leaving = event.holds.iter().map(|line| (line.sku.clone(), line.hold));
                let leaving: Holds = leaving.collect();
                for (sku, hold) in &leaving {
                    self.holds.entry(sku.clone()).or_insert(*hold);
                }
                self.outcome = Some(Outcome::Dispatched(leaving));
            }
            OrderEvent::Delivered(_) => {}
        }
    }

    /// The end of a hold is the end of all before it.
    fn end(&mut self, sku: &str, number: u64) {
        if self.holds.get(sku).is_some_and(|open| *open <= number) {
            self.holds.remove(sku);
        }
    }

    fn iter_owed(&self) -> impl Iterator<Item = Owed> {
        let outcome = self.outcome.iter();
        outcome.flat_map(|outcome| {
            self.holds.iter().filter_map(|(sku, hold)| owed(outcome, sku, *hold))
        })
    }
}

fn owed(outcome: &Outcome, sku: &str, hold: u64) -> Option<Owed> {
    match outcome {
        Outcome::Placed(standing) if standing.get(sku) == Some(&hold) => None,
        Outcome::Dispatched(leaving) if leaving.get(sku) == Some(&hold) => {
            Some(Owed::Dispatch { sku: sku.to_owned(), hold })
        }
        Outcome::Void | Outcome::Placed(_) | Outcome::Dispatched(_) => {
            Some(Owed::Release { sku: sku.to_owned(), hold })
        }
    }
}
