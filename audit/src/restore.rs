//! Bringing an export into an empty store, byte for byte, in its order. What was cut short is gone on
//! with.

use std::{collections::HashMap, path::Path};

use event_schemas::{ExpectedRevision, Logged, NewEvent, Position, Revision, StreamName};
use infra::event_store::{
    AppendError, Direction, EventStore, Filter, MAX_PAGE, Part, PartsError, ReadError,
};
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
    /// The store holds events, and not those that the export begins with.
    #[error(
        "the event store is not empty, and what it holds is no beginning of this export: there is \
         {0}; name another with --data or --event-store"
    )]
    NotEmpty(String),
    /// Somebody else wrote into the store meanwhile.
    #[error("somebody else writes the event store: {0}; begin again with an empty one")]
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
    #[error("event number {index} could not be written: {error}; run it again to go on")]
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

/// Appends every event of an export that was checked before. Into a store that holds what the export
/// begins with, the rest of them. `progress` is told how many there are.
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
    let mut standing = Standing::of(store);
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
        let event = event?;
        let stands = standing.next().await?;
        if let Some(stands) = &stands {
            let same = EventDocument::of(stands).leaf().map_err(CheckError::from)?
                == event.leaf().map_err(CheckError::from)?;
            if !same {
                return Err(not_empty(stands));
            }
            batch.note(&event.stream, event.revision);
        } else if batch.add(next, &event)? {
            batch.append(store).await?;
        }
        next += 1;
        if next.is_multiple_of(APPEND_EVENTS as u64) {
            progress(next);
        }
    }
    if let Some(stands) = standing.next().await? {
        return Err(not_empty(&stands));
    }
    batch.append(store).await?;
    progress(next);
    Ok(())
}

fn not_empty(stands: &Logged) -> RestoreError {
    let Logged { recorded, .. } = stands;
    let event = format!("{} {}@{}", recorded.event_type, recorded.stream, recorded.revision);
    RestoreError::NotEmpty(event)
}

/// What the store holds before anything is appended. What belongs to the store itself does not count.
struct Standing<'a> {
    store: &'a EventStore,
    page: std::vec::IntoIter<Logged>,
    from: Position,
    at_end: bool,
}

impl<'a> Standing<'a> {
    fn of(store: &'a EventStore) -> Self {
        Self { store, page: Vec::new().into_iter(), from: Position::START, at_end: false }
    }

    async fn next(&mut self) -> Result<Option<Logged>, RestoreError> {
        loop {
            if let Some(event) = self.page.find(|event| !EventStore::is_bookkeeping(event)) {
                return Ok(Some(event));
            }
            if self.at_end {
                return Ok(None);
            }
            let every = Filter::all();
            let page =
                self.store.read_log(self.from, Direction::Forwards, &every, MAX_PAGE).await?;
            (self.from, self.at_end) = (page.scanned_to, page.at_end);
            self.page = page.events.into_iter();
        }
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
    /// Notes an event that stands in the store.
    fn note(&mut self, stream: &StreamName, revision: u64) {
        self.heads.insert(stream.clone(), Revision(revision));
    }

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
        self.note(stream, next);
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
