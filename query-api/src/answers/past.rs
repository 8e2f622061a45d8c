//! What was.

use serde::Serialize;
use utoipa::ToSchema;

use super::{ActorShape, Order, Product, Stock, User};

/// What made it so: the last event of its stream that counts.
#[derive(Serialize, ToSchema)]
pub struct MadeBy {
    revision: u64,
    /// Null on an older EventStoreDB, which does not tell.
    #[schema(required)]
    position: Option<u64>,
    event_id: String,
    #[schema(example = "OrderPlaced")]
    event_type: String,
    #[schema(required, format = DateTime)]
    recorded_at: Option<String>,
    /// Asked for by recorded time: how many events up to then were recorded earlier, by their own
    /// clock, than one before them. Unless it is 0, the time does not cut cleanly.
    clocks_ran_back: u64,
}

/// What somebody did.
#[derive(Serialize, ToSchema)]
pub struct TrailItem {
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    at: String,
    actor: ActorShape,
    /// In plain words.
    #[schema(example = "received 20 units")]
    did: String,
    /// The stream of what it was done to.
    #[schema(example = "stock-mug-red")]
    subject: String,
    position: u64,
    event_id: String,
    #[serde(rename = "type")]
    event_type: String,
    #[schema(value_type = String, format = DateTime)]
    occurred_at: String,
    correlation_id: String,
}

/// An order as it was.
#[derive(Serialize, ToSchema)]
pub struct OrderAsOf {
    #[serde(flatten)]
    order: Order,
    as_of: MadeBy,
}

/// Stock as it was.
#[derive(Serialize, ToSchema)]
pub struct StockAsOf {
    #[serde(flatten)]
    stock: Stock,
    as_of: MadeBy,
}

/// A product as it was.
#[derive(Serialize, ToSchema)]
pub struct ProductAsOf {
    #[serde(flatten)]
    product: Product,
    as_of: MadeBy,
}

/// A user as it was.
#[derive(Serialize, ToSchema)]
pub struct UserAsOf {
    #[serde(flatten)]
    user: User,
    as_of: MadeBy,
}
