//! Bringing an export into an empty store, byte for byte, in its order.

use std::{collections::HashMap, path::Path};

use event_schemas::{ExpectedRevision, NewEvent, Position, Revision, StreamName};
use infra::event_store::{AppendError, Direction, EventStore, Filter, Part, PartsError, ReadError};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::{
    check::{self, CheckError},
    document::EventDocument,
    export::Manifest,
};

/// What one append holds at most.
const APPEND_BYTES: usize = 512 << 10;
const APPEND_EVENTS: usize = 500;
/// Events that are read ahead.
const AHEAD: usize = 2_000;

/// Why an export was not brought in.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// It is not what was exported.
    #[error(transparent)]
    Export(#[from] CheckError),
    /// It is not the log from its beginning.
    #[error(
        "the export begins with event number {0} of the log: only one that begins with the first \
         can be restored"
    )]
    Part(u64),
    /// The store holds events.
    #[error(
        "the event store is not empty (it holds {0}): name another with --data or --event-store"
    )]
    NotEmpty(String),
    /// Somebody else wrote into the store meanwhile.
    #[error("somebody else writes the event store: {0}; empty it and begin again")]
    Written(String),
    /// The store cannot hold an event as it was.
    #[error("event number {index} cannot stand where it stood: {why}")]
    Impossible {
        /// Its number.
        index: u64,
        /// Why.
        why: String,
    },
    /// The log.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An append.
    #[error("event number {index} could not be written: {error}; empty the store and begin again")]
    Append {
        /// The number of the first event that was not.
        index: u64,
        /// Why.
        error: AppendError,
    },
    /// No thread.
    #[error("the export cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

/// Appends every event of an export that was checked before. `progress` is told how many there are.
///
/// # Errors
/// [`RestoreError`]
pub async fn restore(
    store: &EventStore,
    dir: &Path,
    manifest: &Manifest,
    mut progress: impl FnMut(u64),
) -> Result<(), RestoreError> {
    if manifest.begin > 0 {
        return Err(RestoreError::Part(manifest.begin));
    }
    is_empty(store).await?;
    let (give, mut events) = mpsc::channel::<Result<EventDocument, RestoreError>>(AHEAD);
    let (dir, manifest) = (dir.to_owned(), manifest.clone());
    std::thread::Builder::new().name("restore".to_owned()).spawn(move || {
        let checked = check::check(&dir, &manifest, None, |index, event| {
            let gone = || RestoreError::Impossible { index, why: "nobody takes it".to_owned() };
            give.blocking_send(Ok(event)).map_err(|_| gone())
        });
        if let Err(error) = checked {
            let _ = give.blocking_send(Err(error));
        }
    })?;
    let (mut batch, mut next) = (Batch::default(), 0);
    while let Some(event) = events.recv().await {
        if batch.add(next, &event?)? {
            batch.append(store).await?;
            progress(next + 1);
        }
        next += 1;
    }
    batch.append(store).await?;
    progress(next);
    Ok(())
}

/// What belongs to the store itself does not count.
async fn is_empty(store: &EventStore) -> Result<(), RestoreError> {
    let mut from = Position::START;
    loop {
        let page = store.read_log(from, Direction::Forwards, &Filter::all(), 100).await?;
        if let Some(event) = page.events.iter().find(|event| !EventStore::is_bookkeeping(event)) {
            let event = format!("{} {}@{}", event.event_type, event.stream, event.revision);
            return Err(RestoreError::NotEmpty(event));
        }
        if page.at_end {
            return Ok(());
        }
        from = page.scanned_to;
    }
}

/// Events that directly follow each other in the log, cut where the stream changes.
#[derive(Default)]
struct Batch {
    runs: Vec<Run>,
    events: usize,
    bytes: usize,
    first: u64,
    heads: HashMap<StreamName, Revision>,
}

struct Run {
    stream: StreamName,
    expected: ExpectedRevision,
    events: Vec<NewEvent>,
}

impl Batch {
    /// Adds an event; true if the batch is to be appended now.
    fn add(&mut self, index: u64, document: &EventDocument) -> Result<bool, RestoreError> {
        let event = document.event().map_err(CheckError::from)?;
        let stream = &document.stream;
        let head = self.heads.get(stream).copied();
        let next = head.map_or(0, |head| head.0 + 1);
        if document.revision != next {
            let why = format!(
                "{stream} goes on at revision {next}, and it had {}: events of the server's own \
                 stood between them, or it was cut off before",
                document.revision
            );
            return Err(RestoreError::Impossible { index, why });
        }
        if self.runs.is_empty() {
            self.first = index;
        }
        self.events += 1;
        self.bytes += event.size();
        match self.runs.last_mut() {
            Some(run) if run.stream == *stream => run.events.push(event),
            _ => {
                let expected = head.map_or(ExpectedRevision::NoStream, ExpectedRevision::Exact);
                self.runs.push(Run { stream: stream.clone(), expected, events: vec![event] });
            }
        }
        self.heads.insert(stream.clone(), Revision(next));
        Ok(self.events >= APPEND_EVENTS || self.bytes >= APPEND_BYTES)
    }

    async fn append(&mut self, store: &EventStore) -> Result<(), RestoreError> {
        let index = self.first;
        let failed = |error| match error {
            AppendError::Conflict { .. } | AppendError::StreamDeleted => {
                RestoreError::Written(error.to_string())
            }
            error => RestoreError::Append { index, error },
        };
        let runs = std::mem::take(&mut self.runs);
        (self.events, self.bytes) = (0, 0);
        let EventStore::Sqlite(sqlite) = store else {
            for Run { stream, expected, events } in runs {
                store.append(stream, expected, events).await.map_err(failed)?;
            }
            return Ok(());
        };
        // Of each stream one part at a time: a part is decided on what stood before the append.
        let mut parts: Vec<Part> = Vec::new();
        for Run { stream, expected, events } in runs {
            if parts.iter().any(|part| part.stream == stream) {
                append_parts(sqlite, std::mem::take(&mut parts)).await.map_err(failed)?;
            }
            parts.push(Part::append(stream, expected, events));
        }
        append_parts(sqlite, parts).await.map_err(failed)
    }
}

async fn append_parts(
    store: &infra::event_store::SqliteEventStore,
    parts: Vec<Part>,
) -> Result<(), AppendError> {
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else { return Ok(()) };
    match store.append_parts(first, parts.collect()).await {
        Ok(_) => Ok(()),
        Err(PartsError::First(error)) => Err(error),
        Err(PartsError::Other { actual }) => Err(AppendError::Conflict { actual }),
    }
}
