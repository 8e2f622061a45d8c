use event_schemas::RequestHash;
use uuid::Uuid;

/// What can be asked of a sku's stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Claim the sku for a product.
    Introduce {
        /// The sku.
        sku: String,
        /// The product that is to own it.
        product_id: String,
        /// The command that claims it.
        claim: Uuid,
    },
    /// Claim the sku in place of a claim that was abandoned in its owner's own stream.
    TakeOver {
        /// The command whose claim was abandoned.
        abandoned: Uuid,
        /// The sku.
        sku: String,
        /// The product that is to own it.
        product_id: String,
        /// The command that claims it.
        claim: Uuid,
    },
    /// Give the claim of a command back.
    ReleaseSku {
        /// The command that made the claim.
        claim: Uuid,
    },
    /// Units came in.
    Receive {
        /// How many, 1 or more.
        quantity: i64,
        /// The batch that an import names; it is received once.
        batch: Option<String>,
    },
    /// Correct what is on hand.
    Adjust {
        /// By how much.
        delta: i64,
        /// Why.
        reason: String,
    },
    /// Hold units for an order.
    Reserve {
        /// The order.
        order_id: String,
        /// How many, 1 or more.
        quantity: i64,
        /// The keyed hash of the request that asks.
        request_hash: Option<RequestHash>,
    },
    /// End an order's hold; its units are available again.
    Release {
        /// The order.
        order_id: String,
    },
    /// End an order's hold; its units leave the house.
    Dispatch {
        /// The order.
        order_id: String,
        /// The hold's number: a later hold of the same order is left alone.
        hold: u64,
    },
}
