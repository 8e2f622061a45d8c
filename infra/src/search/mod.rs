//! Search: documents found by words, narrowed by filters, counted by facets.
//!
//! What is indexed is described as data ([`Schema`]); the engine stands behind [`SearchIndex`].
//! Documents and the checkpoint that they belong to are committed together, and what was
//! committed is visible to every query that begins afterwards.

mod document;
mod query;
mod schema;
mod tantivy;

use std::path::PathBuf;

pub use self::{
    document::{Change, Document, Found},
    query::{Cursor, Facet, FacetCount, Key, Page, Query, Sort},
    schema::{Schema, TextField},
    tantivy::TantivyIndex,
};
use crate::read_models::Checkpoint;

/// Why an index cannot do what it was asked to do.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// Another process writes to the index.
    #[error("the search index {0} is in use by another process")]
    Locked(String),
    /// The directory holds other things.
    #[error("{0} is not empty and holds no search index of Daybook: choose another directory")]
    Foreign(String),
    /// There is no index yet.
    #[error("{0} holds no search index")]
    Missing(String),
    /// The index was opened for reading only.
    #[error("the search index is open for reading only")]
    ReadOnly,
    /// The index was closed.
    #[error("the search index is closed")]
    Closed,
    /// The checkpoint is not the one that the commit builds on: read it before deciding anything.
    #[error("the search index stands at another checkpoint than the commit builds on")]
    Moved {
        /// Where it stands.
        found: Option<Checkpoint>,
    },
    /// The schema has no such field, or not of that kind.
    #[error("the search index has no {kind} {name:?}")]
    NoSuchField {
        /// What was looked for.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The engine failed; it may succeed later.
    #[error("the search index failed: {0}")]
    Unavailable(String),
}

/// The port to a search engine.
#[derive(Clone)]
pub enum SearchIndex {
    /// A tantivy index in a directory.
    Tantivy(TantivyIndex),
}

impl SearchIndex {
    /// Opens or makes an index in `dir`, to read and to write. An index of another schema is
    /// emptied: it has no checkpoint then and is to be posted anew.
    ///
    /// # Errors
    /// [`SearchError::Locked`], [`SearchError::Foreign`], [`SearchError::Unavailable`].
    pub async fn open_tantivy(dir: PathBuf, schema: Schema) -> Result<Self, SearchError> {
        TantivyIndex::open(dir, schema).await.map(Self::Tantivy)
    }

    /// Opens an index for reading, also beside a process that writes to it.
    ///
    /// # Errors
    /// [`SearchError::Missing`], also for an index of another schema;
    /// [`SearchError::Unavailable`].
    pub async fn read_tantivy(dir: PathBuf, schema: Schema) -> Result<Self, SearchError> {
        TantivyIndex::read(dir, schema).await.map(Self::Tantivy)
    }

    /// How far the index is posted; `None` if nothing ever was.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        match self {
            Self::Tantivy(index) => index.checkpoint(),
        }
    }

    /// The committed documents that have one of these ids.
    ///
    /// # Errors
    /// [`SearchError::Unavailable`].
    pub async fn by_id(&self, ids: Vec<String>) -> Result<Vec<Found>, SearchError> {
        match self {
            Self::Tantivy(index) => index.by_id(ids).await,
        }
    }

    /// The committed documents that have one of these values in a keyword field, each once.
    ///
    /// # Errors
    /// [`SearchError::NoSuchField`], [`SearchError::Unavailable`].
    pub async fn by_keyword(
        &self,
        field: &'static str,
        values: Vec<String>,
    ) -> Result<Vec<Found>, SearchError> {
        match self {
            Self::Tantivy(index) => index.by_keyword(field, values).await,
        }
    }

    /// Applies changes and moves the checkpoint from `before` to `after`, in one transaction. When
    /// it returns, queries see all of it.
    ///
    /// With no changes only the checkpoint moves; it may be stored later than it is reported,
    /// because posting the same stretch again changes nothing.
    ///
    /// # Errors
    /// [`SearchError::Moved`] if the index does not stand at `before`: nothing was changed.
    /// [`SearchError::Unavailable`]: the outcome is unknown, ask for the checkpoint first.
    /// [`SearchError::ReadOnly`], [`SearchError::Closed`], [`SearchError::NoSuchField`].
    pub async fn commit(
        &self,
        before: Option<Checkpoint>,
        changes: Vec<Change>,
        after: Checkpoint,
    ) -> Result<(), SearchError> {
        match self {
            Self::Tantivy(index) => index.commit(before, changes, after).await,
        }
    }

    /// Takes every document and the checkpoint away.
    ///
    /// # Errors
    /// As [`SearchIndex::commit`].
    pub async fn clear(&self) -> Result<(), SearchError> {
        match self {
            Self::Tantivy(index) => index.clear().await,
        }
    }

    /// Finds documents.
    ///
    /// # Errors
    /// [`SearchError::NoSuchField`], [`SearchError::Unavailable`].
    pub async fn query(&self, query: Query) -> Result<Page, SearchError> {
        match self {
            Self::Tantivy(index) => index.query(query).await,
        }
    }

    /// Stores the checkpoint, ends background work and frees the lock. Reading goes on.
    ///
    /// # Errors
    /// [`SearchError::Unavailable`].
    pub async fn close(&self) -> Result<(), SearchError> {
        match self {
            Self::Tantivy(index) => index.close().await,
        }
    }
}
