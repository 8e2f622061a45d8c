use event_schemas::MAX_AMOUNT;
use thiserror::Error;

use super::MAX_ATTRIBUTES;

/// Why a product refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// There is no such product.
    #[error("there is no such product")]
    NotFound,
    /// The product was created by another command.
    #[error("there is a product with this id already")]
    AlreadyExists,
    /// Another command took the skus over: this one came too late. A new request is needed.
    #[error("the request took too long and its skus were given up; send it again with a new key")]
    ClaimAbandoned,
    /// The claim was fulfilled: the product has the sku.
    #[error("the product has the sku {sku}")]
    ClaimStands {
        /// The sku.
        sku: String,
    },
    /// The product has a variant with this sku, or is to have two.
    #[error("the product has a variant with the sku {sku} already")]
    VariantExists {
        /// The sku.
        sku: String,
    },
    /// The product has no variant with this sku.
    #[error("the product has no variant with the sku {sku}")]
    UnknownVariant {
        /// The sku.
        sku: String,
    },
    /// A price below 0 or above what a number of the contract can say.
    #[error("a price is 0 to {MAX_AMOUNT} minor units, and that of {sku} is {amount}")]
    Price {
        /// The variant's sku.
        sku: String,
        /// The price in minor units.
        amount: i64,
    },
    /// More attributes than a product may have.
    #[error("a product has at most {MAX_ATTRIBUTES} attributes, and this would make {count}")]
    TooManyAttributes {
        /// How many there would be.
        count: usize,
    },
}
