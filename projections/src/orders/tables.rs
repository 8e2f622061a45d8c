use infra::read_models::{Column, Index, Schema, Table};

/// Orders and their counts.
pub static SCHEMA: Schema =
    Schema { name: "orders", version: 1, tables: &[&ORDERS, &crate::counts::COUNTS] };

/// An order. `document` is what `GET /v1/orders/{id}` answers, `history` a JSON array of its
/// events; the other columns are there to filter and to sort.
pub static ORDERS: Table = Table {
    name: "orders",
    columns: &[
        Column::text("id"),
        // placed, dispatched, delivered, cancelled, refused or abandoned
        Column::text("status"),
        // Nothing for an abandoned order, whose body is not known.
        Column::text("customer_id").or_null(),
        Column::text("channel").or_null(),
        // Microseconds since 1970; of an abandoned order: when it was abandoned.
        Column::integer("placed_at"),
        // Minor units; 0 for an abandoned order.
        Column::integer("total"),
        Column::document("document"),
        Column::document("history"),
    ],
    key: 1,
    clustered: false,
    // The status stands last in each: what is not listed is skipped within the index.
    // The newest, and the greatest, come first unless somebody asks otherwise; ties by id.
    indexes: &[
        Index { name: "orders_by_time", columns: &["placed_at DESC", "id", "status"] },
        Index { name: "orders_by_total", columns: &["total DESC", "id", "status"] },
        Index {
            name: "orders_by_customer",
            columns: &["customer_id", "placed_at DESC", "id", "status"],
        },
        Index { name: "orders_by_status", columns: &["status", "placed_at DESC", "id"] },
        Index {
            name: "orders_by_channel",
            columns: &["channel", "placed_at DESC", "id", "status"],
        },
    ],
};
