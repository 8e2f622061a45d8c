//! Search: documents found by words, narrowed by filters, counted by facets.
//!
//! What is indexed is described as data ([`Schema`]); the engine stands behind [`SearchIndex`].
//! What was committed is visible to every query that begins afterwards, and the checkpoint never
//! tells of more than that.

mod document;
mod elasticsearch;
mod query;
mod schema;
mod tantivy;
mod words;

use std::path::PathBuf;

use event_schemas::Position;

pub use self::{
    document::{Change, Document, Found},
    elasticsearch::{ElasticsearchIndex, ElasticsearchUrl, InvalidElasticsearchUrl},
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
    /// The place holds other things.
    #[error("{0} is not empty and holds no search index of Daybook: choose another place")]
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
    /// Other code has posted the index: it is searched, and posted anew beside that.
    #[error("the search index was posted by another version of Daybook")]
    OtherVersion {
        /// How far it is posted.
        found: Option<Checkpoint>,
    },
    /// Newer code has.
    #[error(
        "the search index was posted by a newer version of Daybook: start that one, or run `daybook \
         rebuild search` to go back"
    )]
    NewerVersion,
    /// The generation that is searched is posted further than the one that was to take its place:
    /// somebody may have been shown that. Nothing was changed.
    #[error("the search index is posted up to position {0} meanwhile")]
    Behind(Position),
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
    /// An index of an Elasticsearch.
    Elasticsearch(ElasticsearchIndex),
}

impl SearchIndex {
    /// Opens or makes an index in `dir`, to read and to write. One of other fields is emptied: it has
    /// no checkpoint then and is to be posted anew.
    ///
    /// # Errors
    /// [`SearchError::Locked`], [`SearchError::Foreign`], [`SearchError::Unavailable`].
    pub async fn open_tantivy(dir: PathBuf, schema: Schema) -> Result<Self, SearchError> {
        TantivyIndex::open(dir, schema).await.map(Self::Tantivy)
    }

    /// Opens an index for reading, also beside a process that writes to it.
    ///
    /// # Errors
    /// [`SearchError::Missing`], also for an index of other fields;
    /// [`SearchError::Unavailable`].
    pub async fn read_tantivy(dir: PathBuf, schema: Schema) -> Result<Self, SearchError> {
        TantivyIndex::read(dir, schema).await.map(Self::Tantivy)
    }

    /// An index of an Elasticsearch, to read and to write. The server is not asked before there is
    /// something to do, so it may be away: [`SearchIndex::checkpoint`] makes the index if there is
    /// none, or a new one in the place of one of other fields.
    ///
    /// `kind` is what the documents are, in the plural: it is a part of the index's name.
    ///
    /// # Errors
    /// [`SearchError::Unavailable`] if this machine cannot make connections.
    pub fn open_elasticsearch(
        url: &ElasticsearchUrl,
        kind: &str,
        schema: Schema,
    ) -> Result<Self, SearchError> {
        ElasticsearchIndex::open(url, kind, schema).map(Self::Elasticsearch)
    }

    /// The same, for reading only.
    ///
    /// # Errors
    /// As [`SearchIndex::open_elasticsearch`].
    pub fn read_elasticsearch(
        url: &ElasticsearchUrl,
        kind: &str,
        schema: Schema,
    ) -> Result<Self, SearchError> {
        ElasticsearchIndex::read(url, kind, schema).map(Self::Elasticsearch)
    }

    /// How far the index is posted; `None` if nothing ever was. Who writes reads it before the
    /// first commit and after one that failed.
    ///
    /// # Errors
    /// To who writes, [`SearchError::OtherVersion`] or [`SearchError::NewerVersion`] if it is to be
    /// posted anew; [`SearchError::Missing`], [`SearchError::Foreign`], [`SearchError::Unavailable`].
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>, SearchError> {
        match self {
            Self::Tantivy(index) => index.checkpoint(),
            Self::Elasticsearch(index) => index.checkpoint().await,
        }
    }

    /// What the engine would not take, as far as this process knows: documents that are not found
    /// as they should be, though they are posted. `None` if there are none.
    pub fn set_aside(&self) -> Option<String> {
        match self {
            Self::Tantivy(_) => None,
            Self::Elasticsearch(index) => index.set_aside(),
        }
    }

    /// The documents that have one of these ids, as they were committed or later.
    ///
    /// # Errors
    /// [`SearchError::Unavailable`].
    pub async fn by_id(&self, ids: Vec<String>) -> Result<Vec<Found>, SearchError> {
        match self {
            Self::Tantivy(index) => index.by_id(ids).await,
            Self::Elasticsearch(index) => index.by_id(ids).await,
        }
    }

    /// The documents that have one of these values in a keyword field, each once.
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
            Self::Elasticsearch(index) => index.by_keyword(field, values).await,
        }
    }

    /// Applies changes and moves the checkpoint from `before` to `after`. When it returns, queries
    /// see all of it.
    ///
    /// Of several changes of one document the last counts. An engine without transactions may
    /// keep a part of a commit that failed; [`Found::position`] tells what.
    ///
    /// With no changes only the checkpoint moves; it may be stored later than it is reported,
    /// because posting the same stretch again changes nothing.
    ///
    /// # Errors
    /// [`SearchError::Moved`] if the index does not stand at `before`: the checkpoint was not
    /// moved. [`SearchError::Unavailable`]: the outcome is unknown, ask for the checkpoint first.
    /// [`SearchError::ReadOnly`], [`SearchError::Closed`], [`SearchError::NoSuchField`].
    pub async fn commit(
        &self,
        before: Option<Checkpoint>,
        changes: Vec<Change>,
        after: Checkpoint,
    ) -> Result<(), SearchError> {
        match self {
            Self::Tantivy(index) => index.commit(before, changes, after).await,
            Self::Elasticsearch(index) => index.commit(before, changes, after).await,
        }
    }

    /// An empty index without a checkpoint, to be posted from the start. It takes this one's place
    /// by [`SearchIndex::install`].
    ///
    /// # Errors
    /// As [`SearchIndex::commit`].
    pub async fn anew(&self) -> Result<Self, SearchError> {
        match self {
            Self::Tantivy(index) => index.anew().await.map(Self::Tantivy),
            Self::Elasticsearch(index) => index.anew().await.map(Self::Elasticsearch),
        }
    }

    /// An index that was begun by [`SearchIndex::anew`] and left unfinished, if there is one of this
    /// schema.
    ///
    /// # Errors
    /// As [`SearchIndex::commit`].
    pub async fn unfinished(&self) -> Result<Option<Self>, SearchError> {
        match self {
            Self::Tantivy(index) => Ok(index.unfinished().await?.map(Self::Tantivy)),
            Self::Elasticsearch(index) => Ok(index.unfinished().await?.map(Self::Elasticsearch)),
        }
    }

    /// Puts an index made by [`SearchIndex::anew`] in its place: queries see it from now on, and
    /// whoever writes to the one before meets [`SearchError::Moved`] or
    /// [`SearchError::Unavailable`] and then goes on in this one. That one stays until
    /// [`SearchIndex::drop_old`] or the next switch.
    ///
    /// # Errors
    /// [`SearchError::Behind`] if the one before is posted further, [`SearchError::Unavailable`].
    pub async fn install(&self) -> Result<(), SearchError> {
        match self {
            Self::Tantivy(index) => index.install(true).await,
            Self::Elasticsearch(index) => index.install(true).await,
        }
    }

    /// The same, however far the one before is posted.
    ///
    /// # Errors
    /// [`SearchError::Unavailable`].
    pub async fn replace(&self) -> Result<(), SearchError> {
        match self {
            Self::Tantivy(index) => index.install(false).await,
            Self::Elasticsearch(index) => index.install(false).await,
        }
    }

    /// Removes the generations that were replaced. Returns how many there were.
    ///
    /// # Errors
    /// [`SearchError::Unavailable`].
    pub async fn drop_old(&self) -> Result<usize, SearchError> {
        match self {
            Self::Tantivy(index) => index.drop_old().await,
            Self::Elasticsearch(index) => index.drop_old().await,
        }
    }

    /// The number of this generation, if it is known.
    pub fn generation(&self) -> Option<u64> {
        match self {
            Self::Tantivy(index) => Some(index.generation()),
            Self::Elasticsearch(index) => index.generation(),
        }
    }

    /// Finds documents.
    ///
    /// # Errors
    /// [`SearchError::NoSuchField`], [`SearchError::Missing`], [`SearchError::Unavailable`].
    pub async fn query(&self, query: Query) -> Result<Page, SearchError> {
        match self {
            Self::Tantivy(index) => index.query(query).await,
            Self::Elasticsearch(index) => index.query(query).await,
        }
    }

    /// Stores the checkpoint, ends background work and frees the lock. Reading goes on.
    ///
    /// # Errors
    /// [`SearchError::Unavailable`].
    pub async fn close(&self) -> Result<(), SearchError> {
        match self {
            Self::Tantivy(index) => index.close().await,
            Self::Elasticsearch(index) => {
                index.close().await;
                Ok(())
            }
        }
    }
}
