//! The directory of an index: made, opened, and told from others.

use std::{fs, io, path::Path};

use event_schemas::{Position, StoreId};
use serde::{Deserialize, Serialize};
use tantivy::{
    Index, IndexWriter, TantivyError, directory::error::LockError, indexer::IndexWriterOptions,
    merge_policy::LogMergePolicy,
};
use uuid::Uuid;

use super::{
    fields::{self, Fields},
    text,
};
use crate::{
    fingerprint::Fingerprint,
    read_models::{Checkpoint, Skipped},
    search::{Schema, SearchError, words},
};

/// What tells a directory's index as one of ours.
const FORMAT: &str = "daybook-search";
/// What the writer gathers before it writes a segment.
const WRITER_BYTES: usize = 20_000_000;
/// So many segments of like size are merged into one: every query looks into each.
const SEGMENTS_MERGED: usize = 4;
/// Segments with a larger part of deleted documents are merged.
const MOST_DELETED: f32 = 0.3;

/// The payload of a commit.
#[derive(Serialize, Deserialize)]
pub(super) struct Payload {
    format: String,
    schema: Fingerprint,
    checkpoint: Option<Place>,
}

/// A [`Checkpoint`] as it is stored.
#[derive(Serialize, Deserialize)]
struct Place {
    store: StoreId,
    position: Position,
    last: Option<(Position, Uuid)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<Skipped>,
}

impl Payload {
    pub(super) fn new(schema: &Schema, checkpoint: Option<&Checkpoint>) -> Self {
        let place = |checkpoint: &Checkpoint| {
            let Checkpoint { store, position, last, skipped } = checkpoint.clone();
            Place { store, position, last, skipped }
        };
        Self {
            format: FORMAT.to_owned(),
            schema: schema.fingerprint(),
            checkpoint: checkpoint.map(place),
        }
    }

    pub(super) fn checkpoint(self) -> Option<Checkpoint> {
        let Place { store, position, last, skipped } = self.checkpoint?;
        Some(Checkpoint { store, position, last, skipped })
    }

    pub(super) fn encode(&self) -> Result<String, SearchError> {
        serde_json::to_string(self).map_err(|error| SearchError::Unavailable(error.to_string()))
    }
}

pub(super) fn open(dir: &Path) -> tantivy::Result<Index> {
    let index = Index::open_in_dir(dir)?;
    index.tokenizers().register(text::ANALYZER, words::analyzer());
    Ok(index)
}

pub(super) fn writer(index: &Index, dir: &Path) -> Result<IndexWriter, SearchError> {
    let options = IndexWriterOptions::builder()
        .memory_budget_per_thread(WRITER_BYTES)
        .num_worker_threads(1)
        .num_merge_threads(1)
        .build();
    let writer = index.writer_with_options(options).map_err(|error| match error {
        TantivyError::LockFailure(LockError::LockBusy, _) => {
            SearchError::Locked(dir.display().to_string())
        }
        error => error.into(),
    })?;
    let mut policy = LogMergePolicy::default();
    policy.set_min_num_segments(SEGMENTS_MERGED);
    policy.set_del_docs_ratio_before_merge(MOST_DELETED);
    writer.set_merge_policy(Box::new(policy));
    Ok(writer)
}

pub(super) fn open_or_make(dir: &Path, fields: &Fields) -> Result<Index, SearchError> {
    fs::create_dir_all(dir)?;
    if dir.join("meta.json").exists() {
        let index = open(dir)?;
        if fits(&index, fields)? == Fit::Same {
            return Ok(index);
        }
        // Held while the files go: nobody else may be writing to them.
        let lock = writer(&index, dir)?;
        remove_files(dir)?;
        drop(lock);
    } else if fs::read_dir(dir)?.next().is_some() {
        return Err(SearchError::Foreign(dir.display().to_string()));
    }
    let builder = Index::builder().schema(fields.engine.clone()).settings(fields::settings());
    let index = builder.create_in_dir(dir)?;
    let mut first = writer(&index, dir)?;
    let mut commit = first.prepare_commit()?;
    commit.set_payload(&Payload::new(&fields.schema, None).encode()?);
    commit.commit()?;
    drop(first);
    open(dir).map_err(SearchError::from)
}

/// What an index has in common with a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Same,
    /// The fields: it can be searched.
    Fields {
        by_newer: bool,
    },
    Nothing,
}

/// Whether the index is of this schema. One that is not ours is refused.
pub(super) fn fits(index: &Index, fields: &Fields) -> Result<Fit, SearchError> {
    let payload = payload(index)?
        .filter(|payload| payload.format == FORMAT)
        .ok_or_else(|| SearchError::Foreign("the search directory".to_owned()))?;
    let (own, found) = (fields.schema.fingerprint(), payload.schema);
    Ok(match index.schema() == fields.engine && own.reads(&found) {
        true if found == own => Fit::Same,
        true => Fit::Fields { by_newer: found.is_newer_than(&own) },
        false => Fit::Nothing,
    })
}

pub(super) fn payload(index: &Index) -> Result<Option<Payload>, SearchError> {
    let stored = index.load_metas()?.payload;
    Ok(stored.and_then(|payload| serde_json::from_str(&payload).ok()))
}

/// Removes the files that the engine made; a search index can always be posted anew.
fn remove_files(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
