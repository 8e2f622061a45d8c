//! Users, and what they and all together bought.

use serde::Serialize;
use utoipa::ToSchema;

use super::{LoggedEvent, Money, Order};

/// A user.
#[derive(Serialize, ToSchema)]
pub struct User {
    #[schema(example = "u1")]
    id: String,
    /// Null for an imported customer and for a user who was forgotten.
    #[schema(required)]
    personal: Option<PersonalValues>,
    #[schema(value_type = String, format = DateTime)]
    registered_at: String,
}

/// The personal values of a user.
#[derive(Serialize, ToSchema)]
#[schema(as = Personal)]
pub struct PersonalValues {
    #[schema(example = "Ada")]
    name: Option<String>,
    #[schema(example = "ada@example.com")]
    email: Option<String>,
}

/// All that is known of a person.
#[derive(Serialize, ToSchema)]
pub struct UserExport {
    user: User,
    /// Every order of theirs, the newest first; also what was refused.
    orders: Vec<Order>,
    /// Every event of theirs, the oldest first, with what is personal opened; null if the person was
    /// forgotten.
    events: Vec<LoggedEvent>,
    /// Who opened what is personal, whenever, this time included.
    openings: Vec<LoggedEvent>,
}

/// What a user bought; cancelled orders count nowhere.
#[derive(Serialize, ToSchema)]
pub struct Summary {
    /// The user's id.
    pub id: String,
    /// How many orders.
    pub orders: i64,
    /// How many units.
    pub units: i64,
    /// The sum of their totals.
    pub revenue: Money,
    /// The first of them.
    #[schema(required)]
    pub first_order: Option<OrderBrief>,
    /// The last of them.
    #[schema(required)]
    pub last_order: Option<OrderBrief>,
}

/// An order in short.
#[derive(Serialize, ToSchema)]
pub struct OrderBrief {
    /// Its id.
    pub id: String,
    /// When it was ordered.
    #[schema(value_type = String, format = DateTime)]
    pub placed_at: String,
    /// What it came to.
    pub total: Money,
}

/// Sums of sales.
#[derive(Serialize, ToSchema)]
pub struct SalesReport {
    items: Vec<SalesRow>,
    total: SalesTotal,
    /// Of a report of the past.
    as_of: Option<SalesAsOf>,
}

/// The moment of a report of the past.
#[derive(Serialize, ToSchema)]
pub struct SalesAsOf {
    /// The last place of the log that counts.
    position: u64,
    /// How many events up to there were recorded earlier, by their own clock, than one before them.
    /// Unless it is 0, the time does not cut cleanly.
    clocks_ran_back: u64,
}

/// The sales of one interval, under one key.
#[derive(Serialize, ToSchema)]
pub struct SalesRow {
    /// When the interval begins; null for `interval=none`.
    #[schema(required, format = DateTime, example = "2026-11-21T05:00:00.000000Z")]
    start: Option<String>,
    /// The department, brand, channel, sku or customer; null for `by=none`.
    #[schema(required, example = "HOME")]
    key: Option<String>,
    #[schema(example = 12)]
    orders: i64,
    #[schema(example = 40)]
    units: i64,
    revenue: Money,
}

/// The sales of the whole range, with what `limit` cut.
#[derive(Serialize, ToSchema)]
pub struct SalesTotal {
    orders: i64,
    units: i64,
    revenue: Money,
}
