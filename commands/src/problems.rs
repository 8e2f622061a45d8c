//! The problems of the command side, as people read them, and what leads to each.

use infra::http::{
    At, CHANGED_MEANWHILE, Fault, IDEMPOTENCY_KEY_REUSED, OUTCOME_UNKNOWN, OVERLOADED, Problem,
    ProblemKind, STORAGE_FULL, TOO_LARGE, UNAVAILABLE,
};

use crate::{executor::Failure, http::at_pointer};

macro_rules! kinds {
    ($($name:ident = $slug:literal $status:literal $title:literal $explanation:literal;)*) => {
        $(
            #[doc = concat!("`", $slug, "`: ", $title, ".")]
            pub(crate) static $name: ProblemKind = ProblemKind {
                name: $slug, status: $status, title: $title, explanation: $explanation,
            };
        )*

        /// Every kind of problem of the command side.
        pub static KINDS: &[&ProblemKind] = &[$(&$name),*];
    };
}

kinds! {
    ALREADY_EXISTS = "already-exists" 409 "It exists already"
        "There is a thing with this id already, made by another request. Choose another id, or change the one that there is.";
    SKU_TAKEN = "sku-taken" 409 "The sku belongs to another product"
        "A sku belongs to one product of the shop. `sku` names the one that is taken. Choose another, or add the variant to the product that has it.";
    EMAIL_TAKEN = "email-taken" 409 "The e-mail address belongs to another user"
        "An e-mail address belongs to one user. Use another address, or the user that has it.";
    CLAIM_LOST = "claim-lost" 409 "The request took too long"
        "Before it was done, another request took over the sku or the e-mail address that it had claimed, or it lost a race for one. Nothing was made, and nothing can be under this Idempotency-Key: send it again with a new key.";
    INSUFFICIENT_STOCK = "insufficient-stock" 409 "There is not enough in stock"
        "`short` lists the lines that could not be held, with what was asked for and what was available then. Nothing is held. The answer is remembered under this Idempotency-Key; order less, or again later, with a new key.";
    PRICE_CHANGED = "price-changed" 409 "The price is another one"
        "`expected_total` is not what the order costs now; `lines` and `total` say what it does. Nothing is held and nothing is remembered: send the order again with the new total, the key may be the same.";
    ORDER_STATE = "order-state" 409 "The order's status does not allow it"
        "`order_status` is where the order stands, `allowed` the statuses that allow what was asked for.";
    ORDER_ABANDONED = "order-abandoned" 409 "The order was given up"
        "The request took so long that its holds were released, and the order can never be placed under this Idempotency-Key. Order again with a new key.";
    UNKNOWN_SKU = "unknown-sku" 422 "No product has this sku"
        "`errors` names the lines whose sku no product has.";
    OFF_SHELF = "off-shelf" 422 "The product cannot be ordered now"
        "`errors` names the lines whose product is off the shelf.";
    UNKNOWN_CUSTOMER = "unknown-customer" 422 "There is no such customer"
        "`customer_id` names no user. Register the user first with POST /v1/users.";
    BELOW_ZERO = "below-zero" 422 "Stock would go below zero"
        "The adjustment takes away more than is available. Units that are reserved for orders cannot be taken away.";
}

/// A failure of an engine, as the caller is told.
pub(crate) fn failed(failure: &Failure) -> Problem {
    match failure {
        Failure::Busy => Problem::new(
            &OVERLOADED,
            "Too many commands are waiting. Send the request again in a second, with the same key.",
        )
        .retry_after(1),
        Failure::Contended(_) => Problem::new(
            &OVERLOADED,
            "Others changed the same thing again and again. Send the request again, with the same key.",
        )
        .retry_after(1),
        Failure::Full(reason) => Problem::new(
            &STORAGE_FULL,
            "There is no room on the server's disk. Nothing was done; send the request again later, with the same key.",
        )
        .retry_after(5)
        .because(reason),
        Failure::Unknown(reason) => Problem::new(
            &OUTCOME_UNKNOWN,
            "It is not known whether it was done. Send the very same request again with the same key to find out.",
        )
        .retry_after(1)
        .because(reason),
        Failure::Unavailable(reason) => Problem::new(
            &UNAVAILABLE,
            "A part of the server does not answer. Send the request again, with the same key.",
        )
        .retry_after(2)
        .because(reason),
        Failure::TooLarge { size } => Problem::new(
            &TOO_LARGE,
            format!("What would be recorded has {size} bytes; at most 524288 can be kept. Send less at once."),
        )
        .errors([at_pointer("#".to_owned(), "send less at once")]),
        Failure::Unreadable(reason) => Problem::new(
            &UNAVAILABLE,
            format!(
                "What is recorded of it cannot be read: {reason}. Nothing was done. If a newer version of Daybook wrote it, start that one."
            ),
        )
        .retry_after(60)
        .because(reason),
    }
}

/// The same key came with another payload.
pub(crate) fn key_reused() -> Problem {
    let detail =
        "This Idempotency-Key came with another body before. Use a new key for a new request.";
    let at = At::Header("Idempotency-Key");
    Problem::new(&IDEMPOTENCY_KEY_REUSED, detail).errors([Fault { detail: detail.to_owned(), at }])
}

/// `If-Match` does not hold.
pub(crate) fn changed(revision: Option<event_schemas::Revision>) -> Problem {
    let now = revision.map_or_else(|| "gone".to_owned(), |revision| format!("\"{revision}\""));
    Problem::new(
        &CHANGED_MEANWHILE,
        format!(
            "The ETag is {now} now. GET it again, decide again, and send the new ETag in If-Match."
        ),
    )
}

/// A rule that the routes check before the domain does.
pub(crate) fn unexpected(rejection: impl std::fmt::Display) -> Problem {
    Problem::internal(format!("an unexpected rejection: {rejection}"))
}
