//! The search for products: one document a product, in a search index.
//!
//! A stock event concerns a document only if its sku was available before it and is not after it,
//! or the other way round. The event itself says so; of all others only the position is posted.

mod document;
mod sink;

pub use document::{BRAND, CATEGORY, DEPARTMENT, IN_STOCK, ON_SHELF, PRICE, SKU, TITLE, schema};
pub use sink::SearchSink;

use event_schemas::Position;
use infra::{
    event_store::{EventStore, ReadError},
    read_models::Checkpoint,
    search::{SearchError, SearchIndex},
};

use crate::{ProjectionState, ProjectionStatus, divergence};

/// The projection's name.
pub const NAME: &str = "search";

/// How an index is doing, read from outside of the process that posts it.
///
/// # Errors
/// If the store cannot be read.
pub async fn read_status(
    store: &EventStore,
    index: Result<&SearchIndex, &SearchError>,
) -> Result<ProjectionStatus, ReadError> {
    let (checkpoint, error) = match index {
        Ok(index) => match index.checkpoint().await {
            Ok(checkpoint) => (checkpoint, index.set_aside()),
            Err(error) => (None, Some(error.to_string())),
        },
        Err(SearchError::Missing(_)) => (None, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let checkpoint = checkpoint.unwrap_or_else(|| Checkpoint::start(store.id()));
    let head = store.head().await?;
    let position: Position = checkpoint.position;
    let (state, error) = match divergence(store, &checkpoint, head).await? {
        Some(reason) => (ProjectionState::Diverged, Some(reason)),
        None if position >= head => (ProjectionState::Live, error),
        None => (ProjectionState::CatchingUp, error),
    };
    let status = ProjectionStatus::of(store, NAME, position, state, error).await?;
    Ok(ProjectionStatus { skipped: checkpoint.skipped, ..status })
}
