use infra::read_models::{Column, Schema, Table};

/// Users, what they bought, and their counts.
pub static SCHEMA: Schema =
    Schema { name: "users", version: 1, tables: &[&USERS, &USER_ORDERS, &crate::counts::COUNTS] };

/// A user with the sums of all orders that are not cancelled. A row may come of an order before
/// its user is registered: those without `registered_at` are not shown.
pub static USERS: Table = Table {
    name: "users",
    columns: &[
        Column::text("id"),
        // Microseconds since 1970.
        Column::integer("registered_at").or_null(),
        // Base64, sealed with the stream user-ID and the event `personal_event` as associated data.
        Column::text("personal").or_null(),
        Column::text("personal_event").or_null(),
        // Of the stream user-ID: the ETag.
        Column::integer("revision").or_null(),
        Column::integer("orders"),
        Column::integer("units"),
        // Minor units of `currency`.
        Column::integer("revenue"),
        // Nothing before the first order.
        Column::text("currency").or_null(),
    ],
    key: 1,
    clustered: false,
    indexes: &[],
};

/// The orders that count for a user, for the first and the last of them. A cancelled order has no
/// row.
pub static USER_ORDERS: Table = Table {
    name: "user_orders",
    columns: &[
        Column::text("user_id"),
        // Microseconds since 1970.
        Column::integer("placed_at"),
        Column::text("order_id"),
        // Minor units.
        Column::integer("total"),
        Column::text("currency"),
    ],
    key: 3,
    clustered: true,
    indexes: &[],
};
