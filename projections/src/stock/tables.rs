use infra::read_models::{Column, Index, Schema, Table};

/// Stock, a row a sku.
pub static SCHEMA: Schema = Schema { name: "stock", version: 1, tables: &[&STOCK] };

/// The stock of a sku.
pub static STOCK: Table = Table {
    name: "stock",
    columns: &[
        Column::text("sku"),
        // The product that owns the sku.
        Column::text("product_id"),
        // Units.
        Column::integer("on_hand"),
        Column::integer("reserved"),
        // on_hand - reserved
        Column::integer("available"),
        // Of the stream stock-SKU.
        Column::integer("revision"),
        // 1 while no product owns the sku: its claim was released.
        Column::integer("hidden"),
    ],
    key: 1,
    clustered: true,
    indexes: &[Index { name: "stock_by_available", columns: &["available", "sku", "hidden"] }],
};
