//! The published language of Daybook: the envelope that every event travels in and the events
//! themselves, with a JSON Schema and a golden sample for every version that ever existed.
//!
//! This crate is a leaf and is pure: no IO, no clock, no randomness.

mod access;
mod actor;
mod codec;
pub mod compatibility;
mod email;
mod envelope;
mod metadata;
mod money;
mod names;
mod order;
mod personal;
mod product;
pub mod resource;
pub mod schema;
mod stock;
mod time;
pub mod upcast;
mod user;

pub use access::{AccessEvent, PersonalDataOpened};
pub use actor::{Actor, ActorKind, Proof};
pub use codec::{DecodeError, EncodeError, Event};
pub use email::{EmailClaimed, EmailEvent, EmailReleased};
pub use envelope::{Decoded, Logged, NewEvent, Received, Recorded};
pub use metadata::{Metadata, RequestHash};
pub use money::{Currency, InvalidCurrency, MAX_AMOUNT, Money};
pub use names::{
    ExpectedRevision, InvalidName, LogPosition, Position, Revision, StoreId, StreamName,
};
pub use order::{
    LineHold, OrderAbandoned, OrderBody, OrderCancelled, OrderDelivered, OrderDispatched,
    OrderEvent, OrderLine, OrderPlaced, OrderRefused, ShortLine,
};
pub use personal::{Personal, PersonalData};
pub use product::{
    ClaimAbandoned, ProductCreated, ProductDescribed, ProductEvent, ProductPutOnShelf,
    ProductTakenOffShelf, Variant, VariantAdded, VariantPriced,
};
pub use stock::{
    SkuReleased, StockAdjusted, StockDispatched, StockEvent, StockIntroduced, StockReceived,
    StockReleased, StockReserved,
};
pub use time::{InvalidTimestamp, Timestamp};
pub use user::{UserEvent, UserForgotten, UserRegistered};

/// The categories that Daybook itself writes. What others append elsewhere is kept and skipped.
pub const CATEGORIES: [&str; 6] = ["product", "stock", "user", "email", "order", "access"];
