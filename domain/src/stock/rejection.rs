use event_schemas::MAX_AMOUNT;
use thiserror::Error;
use uuid::Uuid;

/// Why stock refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// No product has the sku.
    #[error("no product has this sku")]
    NotIntroduced,
    /// Another claim stands.
    #[error("the product {product_id} has this sku")]
    SkuTaken {
        /// The product that has it.
        product_id: String,
        /// The command that claimed it.
        claim: Uuid,
    },
    /// A quantity that is not 1 or more.
    #[error("a quantity is 1 or more, not {quantity}")]
    Quantity {
        /// What was asked for.
        quantity: i64,
    },
    /// More on hand than a number of the contract can say.
    #[error("no more than {MAX_AMOUNT} units can be on hand, and {on_hand} are")]
    TooMany {
        /// Units on hand.
        on_hand: i64,
    },
    /// More would be taken away than is available.
    #[error("only {available} units are available to take away")]
    BelowZero {
        /// Units that are on hand and not reserved.
        available: i64,
    },
    /// The batch was received with another quantity.
    #[error("the batch {batch} was received already, with {received} units")]
    BatchReused {
        /// The batch.
        batch: String,
        /// The quantity that it was received with.
        received: i64,
    },
    /// Fewer units are available than the order asks for.
    #[error("only {available} units are available")]
    Short {
        /// Units that are on hand and not reserved.
        available: i64,
    },
    /// The order holds units of this sku by another request.
    #[error("the order holds units of this sku by another request with the same key")]
    KeyReused,
}
