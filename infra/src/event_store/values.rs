use std::{path::PathBuf, sync::Arc};

use event_schemas::{ExpectedRevision, Logged, NewEvent, Position, Recorded, Revision, StreamName};
use thiserror::Error;

/// The most events that one page holds.
pub const MAX_PAGE: usize = 1_000;

/// The most bytes that one append may hold.
pub const MAX_APPEND_BYTES: usize = 1_048_576;

/// Where an append came to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The revision of its last event.
    pub last_revision: Revision,
    /// The position of its last event.
    pub position: Position,
}

/// A page of a stream.
#[derive(Clone, Debug)]
pub struct StreamPage {
    /// The events, in the order asked for.
    pub events: Vec<Arc<Recorded>>,
    /// Where each of them stands in the log; `None` from an older EventStoreDB, which does not tell
    /// when a stream is read.
    pub places: Vec<Option<Position>>,
    /// Whether nothing lay beyond the page when it was read.
    pub at_end: bool,
}

/// A page of a stream, with the events' places in the log.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The events, in the order asked for.
    pub events: Vec<Logged>,
    /// Whether nothing lay beyond the page when it was read.
    pub at_end: bool,
}

/// A page of the log.
#[derive(Clone, Debug)]
pub struct LogPage {
    /// The events that pass the filter, in the order asked for.
    pub events: Vec<Logged>,
    /// Up to here, inclusive, every event has been looked at: go on from here.
    pub scanned_to: Position,
    /// Whether nothing lay beyond `scanned_to` when it was read.
    pub at_end: bool,
}

/// What came of a look at the indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexCheck {
    /// Every index leads to every event, and to nothing else.
    Sound,
    /// The entry of the event here is not in its place.
    Lost(Position),
    /// An index does not hold what the log does.
    Surplus,
}

/// How much a page may hold; it holds one event at least, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize {
    /// At most so many events; [`MAX_PAGE`] is the most.
    pub events: usize,
    /// It ends with the event that makes it so many bytes of data and metadata.
    pub bytes: usize,
}

impl PageSize {
    /// A page for a reader in this process.
    pub const fn events(events: usize) -> Self {
        Self { events, bytes: 4 << 20 }
    }
}

/// What one append to several streams does to one of them.
#[derive(Clone, Debug)]
pub struct Part {
    /// The stream.
    pub stream: StreamName,
    /// Where it has to be.
    pub expected: ExpectedRevision,
    /// What is appended; with nothing it is a condition and no more.
    pub events: Vec<NewEvent>,
    /// Whether the one event ends the stream for good, at [`Revision::TOMBSTONE`].
    pub ends_stream: bool,
}

impl Part {
    /// Appends these.
    pub const fn append(
        stream: StreamName,
        expected: ExpectedRevision,
        events: Vec<NewEvent>,
    ) -> Self {
        Self { stream, expected, events, ends_stream: false }
    }

    /// Appends nothing: the stream has to be where it is expected.
    pub const fn condition(stream: StreamName, expected: ExpectedRevision) -> Self {
        Self::append(stream, expected, Vec::new())
    }

    /// Ends the stream with this event.
    pub fn end(stream: StreamName, expected: ExpectedRevision, tombstone: NewEvent) -> Self {
        Self { ends_stream: true, ..Self::append(stream, expected, vec![tombstone]) }
    }
}

/// Why an append to several streams failed. Nothing was written, unless it is
/// [`AppendError::Unknown`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PartsError {
    /// Because of the first part, or of all.
    #[error(transparent)]
    First(#[from] AppendError),
    /// Another part's stream is not where it was expected.
    #[error("another stream is not where it was expected")]
    Other {
        /// Its last revision, `None` where it has no event.
        actual: Option<Revision>,
    },
}

/// Which way to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From older to newer.
    Forwards,
    /// From newer to older.
    Backwards,
}

/// Which events of the log are wanted: those of any of the categories (all if there are none
/// named) and of any of the types (likewise), of one stream if it is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Categories of streams.
    pub categories: Vec<String>,
    /// Event types.
    pub types: Vec<String>,
    /// The only stream.
    pub stream: Option<StreamName>,
}

impl Filter {
    /// Everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// Every event of these categories.
    pub fn categories<S: Into<String>>(categories: impl IntoIterator<Item = S>) -> Self {
        Self { categories: categories.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Whether nothing is left out.
    pub fn is_all(&self) -> bool {
        self.categories.is_empty() && self.types.is_empty() && self.stream.is_none()
    }

    /// Whether an event passes.
    pub fn matches(&self, event: &Recorded) -> bool {
        self.stream.as_ref().is_none_or(|stream| *stream == event.stream)
            && self.matches_kind(event.stream.category(), &event.event_type)
    }

    /// Whether events of this category and type may pass.
    pub(super) fn matches_kind(&self, category: &str, event_type: &str) -> bool {
        let among = |names: &[String], name| names.is_empty() || names.iter().any(|n| n == name);
        among(&self.categories, category) && among(&self.types, event_type)
    }
}

/// Why a store cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process writes it.
    #[error(
        "the event store is in use by {}: stop that process first",
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The process, where its id could be read.
        pid: Option<u32>,
    },
    /// A newer Daybook wrote it.
    #[error(
        "the event store has format {found}, this version of Daybook knows up to {known}: use the newer version"
    )]
    NewerVersion {
        /// The format found.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// The file is something else.
    #[error("{} is no Daybook event store: name another file", .0.display())]
    NotAStore(PathBuf),
    /// There is no file to read.
    #[error("there is no event store at {}", .0.display())]
    Missing(PathBuf),
    /// The file or its folder cannot be used.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// No server can be reached, or none that can be gone on with.
    #[error("the event store cannot be opened: {0}")]
    Unreachable(String),
    /// The server holds no store of Daybook's.
    #[error("{0} holds no Daybook event store yet: `daybook serve` makes one")]
    NotFounded(String),
    /// SQLite cannot use the file.
    #[error("the event store cannot be opened: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// Why an append failed. Unless it says otherwise, nothing was written.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AppendError {
    /// The stream is not at the expected revision.
    #[error("the stream is at {}, not where it was expected", actual.map_or_else(|| "no event".to_owned(), |revision| format!("revision {revision}")))]
    Conflict {
        /// Its last revision, `None` where it has no event.
        actual: Option<Revision>,
    },
    /// The stream was ended for good by another program's client: nothing follows a tombstone.
    #[error("the stream was deleted for good")]
    StreamDeleted,
    /// More than [`MAX_APPEND_BYTES`] at once.
    #[error("an append of {size} bytes is over the limit of {MAX_APPEND_BYTES}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// There was nothing to append.
    #[error("an append needs at least one event")]
    NoEvents,
    /// The disk is full; it works again as soon as there is room.
    #[error("the event store's disk is full, make room on it: {0}")]
    Full(String),
    /// Too much waits already; try again later.
    #[error("the event store's queue is full")]
    Busy,
    /// The events may stand in the store or not: read the stream to find out.
    #[error("the outcome of the append is unknown: {0}")]
    Unknown(String),
    /// The store was opened for reading only.
    #[error("the event store was opened for reading only")]
    ReadOnly,
    /// The store was closed.
    #[error("the event store is closed")]
    Closed,
    /// The store cannot be written at the moment.
    #[error("the event store cannot be written: {0}")]
    Unavailable(String),
}

/// Why a read failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    /// The store was closed.
    #[error("the event store is closed")]
    Closed,
    /// The store cannot be read at the moment.
    #[error("the event store cannot be read: {0}")]
    Unavailable(String),
}
