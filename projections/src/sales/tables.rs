use infra::read_models::{Column, Schema, Table};

/// Sales.
pub static SCHEMA: Schema = Schema { name: "sales", version: 1, tables: &[&SALES] };

/// What was sold in a quarter of an hour, by the order's `placed_at`. An order counts once under
/// each key that it touches; a cancelled order counts nowhere, and what is left without orders
/// has no row.
pub static SALES: Table = Table {
    name: "sales",
    columns: &[
        // See `Dimension`.
        Column::integer("dimension"),
        // The beginning of the quarter hour, seconds since 1970, UTC.
        Column::integer("bucket"),
        // The department, brand, ...; empty for the dimension `none`.
        Column::text("item"),
        Column::integer("orders"),
        Column::integer("units"),
        // Minor units of `currency`.
        Column::integer("revenue"),
        Column::text("currency"),
    ],
    key: 3,
    clustered: true,
    indexes: &[],
};
