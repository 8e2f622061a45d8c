use infra::read_models::{Column, Index, Schema, Table};

/// Products and their counts.
pub static SCHEMA: Schema =
    Schema { name: "products", version: 1, tables: &[&PRODUCTS, &crate::counts::COUNTS] };

/// A product. `document` is what `GET /v1/products/{id}` answers; the other columns are there to
/// filter and to sort.
pub static PRODUCTS: Table = Table {
    name: "products",
    columns: &[
        Column::text("id"),
        Column::text("title"),
        Column::text("brand"),
        Column::text("department"),
        Column::text("category"),
        // on_shelf or off_shelf
        Column::text("status"),
        // Of the stream product-ID: the ETag.
        Column::integer("revision"),
        Column::document("document"),
    ],
    key: 1,
    clustered: false,
    indexes: &[
        Index { name: "products_by_title", columns: &["title", "id", "status"] },
        Index { name: "products_by_department", columns: &["department", "title", "id"] },
        Index { name: "products_by_brand", columns: &["brand", "title", "id"] },
        Index { name: "products_by_category", columns: &["category", "title", "id"] },
    ],
};
