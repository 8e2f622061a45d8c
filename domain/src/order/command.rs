use event_schemas::{OrderBody, ShortLine};

/// What can be asked of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Place it: every line is held.
    Place {
        /// The order's id.
        order_id: String,
        /// What was asked for, priced.
        order: OrderBody,
        /// The number of each line's hold, in the order's sequence.
        holds: Vec<u64>,
    },
    /// Refuse it: some lines could not be held.
    Refuse {
        /// The order's id.
        order_id: String,
        /// What was asked for, priced.
        order: OrderBody,
        /// The lines that were short.
        short: Vec<ShortLine>,
    },
    /// Rule out that it is ever placed: its holds were left without an outcome for too long.
    Abandon,
    /// Call it off.
    Cancel {
        /// Why.
        reason: String,
    },
    /// All of it left the house.
    Dispatch {
        /// Who carries it.
        carrier: Option<String>,
        /// The carrier's tracking number.
        tracking: Option<String>,
    },
    /// It arrived.
    Deliver,
}
