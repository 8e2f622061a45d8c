//! The shapes of the answers, as the OpenAPI document shows them. Most answers are sent as they
//! were posted and never pass through these types; a test holds both in step.

mod audit;
mod catalogue;
mod log;
mod orders;
mod past;
mod users;

use serde::Serialize;
use utoipa::ToSchema;

pub use audit::{InclusionProof, ProvenEvent, TreeHead};
pub use catalogue::{
    FacetCount, Facets, FoundProduct, FoundVariant, Product, SearchResult, Stock, Variant,
};
pub use log::{
    ActorShape, HistoryEvent, LoggedEvent, Projection, ProjectionLag, Projections, RebuildingShape,
    RebuiltShape, SkippedShape,
};
pub use orders::{Cancellation, Dispatch, Order, OrderLine, ShortLine};
pub use past::{MadeBy, OrderAsOf, ProductAsOf, StockAsOf, TrailItem, UserAsOf};
pub use users::{
    OrderBrief, PersonalValues, SalesAsOf, SalesReport, SalesRow, SalesTotal, Summary, User,
    UserExport,
};

/// An amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Money {
    /// Minor units (cents), within ±(2^53-1).
    #[schema(example = 1099)]
    pub amount: i64,
    /// ISO 4217.
    #[schema(value_type = String, example = "USD")]
    pub currency: event_schemas::Currency,
}

impl From<event_schemas::Money> for Money {
    fn from(money: event_schemas::Money) -> Self {
        Self { amount: money.amount, currency: money.currency }
    }
}

macro_rules! pages {
    ($($(#[$doc:meta])* $name:ident of $item:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Serialize, ToSchema)]
            pub struct $name {
                items: Vec<$item>,
                /// The cursor of the next page; null on the last one.
                #[schema(required)]
                next: Option<String>,
            }
        )*
    };
}

pages! {
    /// A page of orders.
    Orders of Order;
    /// A page of stock.
    StockList of Stock;
    /// A page of products.
    Products of Product;
    /// A page of users.
    Users of User;
    /// A page of the log.
    Events of LoggedEvent;
    /// A page of who did what to what.
    Trail of TrailItem;
    /// The events of an order.
    History of HistoryEvent;
}
