use infra::read_models::{Column, ReadModelError, ReadModels, Row, Schema};

/// Every row of every table of a read model, ordered by key: two that were posted from the same
/// events are equal.
///
/// # Errors
/// If the read model cannot be read.
pub async fn dump(
    models: &ReadModels,
    schema: &'static Schema,
) -> Result<Vec<(&'static str, Vec<Row>)>, ReadModelError> {
    let mut snapshot = models.reader(schema).snapshot().await?;
    let mut tables = Vec::new();
    for table in schema.tables {
        let names = |columns: &[Column]| {
            columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
        };
        let (all, key) = (names(table.columns), names(table.key_columns()));
        let sql = format!("SELECT {all} FROM {} ORDER BY {key}", table.name);
        tables.push((table.name, snapshot.scan(&sql, Vec::new()).await?));
    }
    Ok(tables)
}
