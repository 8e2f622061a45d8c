//! `daybook status`: what is there, read beside a running server.

use anyhow::Context;
use infra::read_models::{ReadModelError, ReadModels};
use projections::{ProjectionStatus, read_status};
use serde_json::{Map, Value, json};

use crate::{
    cli::Format,
    engines,
    failure::Failure,
    output::{self, Table},
    settings::{EventStoreUrl, Settings},
};

/// What is counted, and the read model that counts it.
const COUNTS: [(&str, &infra::read_models::Schema); 6] = [
    ("products", &projections::products::SCHEMA),
    ("skus", &projections::products::SCHEMA),
    ("users", &projections::users::SCHEMA),
    ("orders", &projections::orders::SCHEMA),
    ("order_lines", &projections::orders::SCHEMA),
    ("units", &projections::orders::SCHEMA),
];

/// Prints the store, the projections and the counts.
pub(crate) async fn run(settings: &Settings, format: Format) -> Result<(), Failure> {
    let store = engines::event_store_to_read(settings).await?;
    let models = engines::read_models_to_read(settings).await?;
    let head = store.head().await.context("the event store cannot be read")?;
    let events = store.event_count().await.context("the event store cannot be read")?;
    let engine = match &settings.event_store {
        EventStoreUrl::Sqlite(_) => "sqlite",
        EventStoreUrl::EventStoreDb(_) => "eventstoredb",
    };
    let mut projections =
        read_status(&store, &models).await.context("the event store cannot be read")?;
    projections.push(engines::search_status(settings, &store).await?);
    let mut counts = Map::new();
    for (name, schema) in COUNTS {
        counts.insert(name.to_owned(), count(&models, schema, name).await?.into());
    }
    let holds = match commands::import_holds(&store, settings.snapshots()).await {
        // Behind an event that this Daybook cannot read nobody counts them; all else is told.
        Err(commands::Failure::Unreadable(_)) => None,
        holds => Some(holds.context("the event store cannot be read")?),
    };
    let status = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "store": { "id": store.id(), "engine": engine, "head": head, "events": events },
        "projections": projections,
        "counts": counts,
        "import_holds": holds,
    });
    match format {
        Format::Json => output::json(&status),
        Format::Table => table(&status, &projections),
    }
}

/// Null where nothing has been posted yet.
async fn count(
    models: &ReadModels,
    schema: &'static infra::read_models::Schema,
    name: &str,
) -> Result<Option<i64>, Failure> {
    let mut snapshot = match models.reader(schema).snapshot().await {
        Ok(snapshot) => snapshot,
        Err(ReadModelError::Missing(_)) => return Ok(Some(0)),
        // Its state says why.
        Err(_) => return Ok(None),
    };
    let rows = snapshot.query("SELECT value FROM counts WHERE name = ?", &[name.into()]).await;
    let mut rows = rows.context("the counts cannot be read")?;
    match rows.first_mut() {
        Some(row) => Ok(Some(row.integer(0).context("the counts cannot be read")?)),
        None => Ok(Some(0)),
    }
}

fn table(status: &Value, projections: &[ProjectionStatus]) -> Result<(), Failure> {
    let mut table = Table::new(&["what", "value"]);
    let mut row = |what: String, value: &Value| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        table.row(vec![what, value]);
    };
    row("version".to_owned(), &status["version"]);
    for member in ["id", "engine", "head", "events"] {
        row(format!("store {member}"), &status["store"][member]);
    }
    for (name, _) in COUNTS {
        row(name.to_owned(), &status["counts"][name]);
    }
    row("orders of imports that wait to be run again".to_owned(), &status["import_holds"]);
    for projection in projections {
        let state = serde_json::to_value(projection.state).unwrap_or_default();
        let mut text = format!(
            "{} at {} of {}",
            state.as_str().unwrap_or_default(),
            projection.position,
            projection.head
        );
        if let Some(error) = &projection.error {
            text.push_str(": ");
            text.push_str(error);
        }
        for skipped in &projection.skipped {
            text.push_str(&format!("; passed over {skipped}"));
        }
        row(format!("projection {}", projection.name), &text.into());
    }
    table.print()
}
