use event_schemas::MAX_AMOUNT;
use thiserror::Error;

use super::{MAX_LINES, MAX_QUANTITY, Status};

/// Why an order refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// There is no such order.
    #[error("there is no such order")]
    NotFound,
    /// The order has its outcome, and has only one.
    #[error("the order has its outcome already: it is {status}")]
    HasOutcome {
        /// What became of it.
        status: Status,
    },
    /// The order's status does not allow it.
    #[error("the order is {status}; this is possible only while it is {}", list(allowed))]
    Status {
        /// The order's status.
        status: Status,
        /// The statuses that allow it.
        allowed: &'static [Status],
    },
    /// No line, or too many.
    #[error("an order has 1 to {MAX_LINES} lines, not {count}")]
    LineCount {
        /// How many it has.
        count: usize,
    },
    /// Two lines with one sku.
    #[error("the sku {sku} stands in two lines; put them together into one")]
    SkuTwice {
        /// The sku.
        sku: String,
    },
    /// A quantity out of bounds.
    #[error("a quantity is 1 to {MAX_QUANTITY}, and that of {sku} is {quantity}")]
    Quantity {
        /// The line's sku.
        sku: String,
        /// What was asked for.
        quantity: i64,
    },
    /// A line without a hold.
    #[error("an order is placed with one hold a line")]
    Unheld,
    /// An amount that a number of the contract cannot say.
    #[error("an amount of the order goes beyond {MAX_AMOUNT} minor units; split the order")]
    Overflow,
    /// A total that is not the sum of what it totals.
    #[error("a total of the order is not the sum of its parts")]
    Totals,
}

fn list(statuses: &[Status]) -> String {
    statuses.iter().map(Status::as_str).collect::<Vec<_>>().join(" or ")
}
