use infra::read_models::{ReadModelError, Schema};
use thiserror::Error;

use crate::{Entry, Working};

/// A pure fold over working rows. `Default` is the empty working set.
pub trait Projection: Default + Send + 'static {
    /// Name, code version and tables.
    const SCHEMA: &'static Schema;
    /// The categories whose events it folds.
    const CATEGORIES: &'static [&'static str];

    /// Asks for the rows that `fold` will touch for this event. A row that was not asked for is
    /// one that cannot exist yet.
    fn touch(&mut self, entry: Entry<'_>);

    /// Folds the event into the rows. Depends on nothing but the event and the rows touched.
    ///
    /// # Errors
    /// [`FoldError`]: the projection stops before this event.
    fn fold(&mut self, entry: Entry<'_>) -> Result<(), FoldError>;

    /// The working rows of each table.
    fn tables(&mut self) -> Vec<&mut dyn Working>;
}

/// Why an event cannot be folded.
#[derive(Debug, Error)]
pub enum FoldError {
    /// A sum left the range of 64 bits.
    #[error("the sum of {0} does not fit into 64 bits")]
    Overflow(&'static str),
    /// An event speaks of what no event before it brought into being.
    #[error("{0} is not known from any event before this one")]
    Unknown(String),
    /// Amounts of two currencies cannot be added.
    #[error("amounts in {found} cannot be added to amounts in {known}")]
    Currency {
        /// The currency of the event.
        found: String,
        /// The currency of the row.
        known: String,
    },
    /// A row is not as it was written.
    #[error("a row cannot be read: {0}")]
    Row(String),
}

impl From<serde_json::Error> for FoldError {
    fn from(error: serde_json::Error) -> Self {
        Self::Row(error.to_string())
    }
}

impl From<ReadModelError> for FoldError {
    fn from(error: ReadModelError) -> Self {
        Self::Row(error.to_string())
    }
}

/// Adds `part`, `times` times, to a sum of `what`.
pub(crate) fn add(
    sum: &mut i64,
    times: i64,
    part: i64,
    what: &'static str,
) -> Result<(), FoldError> {
    let after = times.checked_mul(part).and_then(|part| sum.checked_add(part));
    *sum = after.ok_or(FoldError::Overflow(what))?;
    Ok(())
}
