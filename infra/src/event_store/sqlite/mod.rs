//! The embedded engine: one SQLite file in WAL mode, one writer thread, a few connections that
//! read.

mod checkpoint;
mod failure;
mod fill;
mod indexes;
mod kinds;
mod open;
mod parts;
mod queue;
mod reader;
mod row;
mod state;
mod writer;
#[cfg(test)]
mod writer_tests;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use event_schemas::{Logged, Position, Revision, StoreId, StreamName};
use tokio::sync::OnceCell;

pub use fill::{FillError, Filled, Filling};

use self::{
    indexes::Walk,
    open::Opened,
    queue::WriterHandle,
    reader::{Readers, clamp},
    writer::Writer,
};
use super::{
    AppendError, Appended, Direction, Filter, IndexCheck, LogPage, MAX_PAGE, OpenError, PageSize,
    Part, PartsError, ReadError, Slice, recent::Recent,
};

/// How often a store that another process writes is looked at for news: across processes SQLite
/// tells nobody.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Where the store is and how much it may hold in memory.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The store's file; `.lock` beside it is the writer's lock.
    pub path: PathBuf,
    /// Appends that may wait for the writer.
    pub queue_appends: usize,
    /// Bytes of events that may wait for the writer.
    pub queue_bytes: usize,
    /// Events that may be written in one transaction.
    pub group_events: usize,
    /// Bytes of events that may be written in one transaction.
    pub group_bytes: usize,
    /// The newest events held in memory for subscriptions.
    pub recent_events: usize,
    /// The bytes of data and metadata held in memory for subscriptions.
    pub recent_bytes: usize,
    /// The writer's page cache in KiB.
    pub cache_kib: u32,
    /// Connections that read.
    pub readers: u32,
    /// Errors that the next commits shall meet, by SQLite's extended code.
    #[cfg(test)]
    faults: writer::Faults,
}

impl SqliteOptions {
    /// A store at this path, for the load of one busy shop.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            queue_appends: 32_768,
            queue_bytes: 64 << 20,
            group_events: 2_048,
            group_bytes: 4 << 20,
            recent_events: 20_000,
            recent_bytes: 16 << 20,
            cache_kib: 16 << 10,
            readers: 4,
            #[cfg(test)]
            faults: writer::Faults::default(),
        }
    }
}

/// The embedded event store. Cheap to clone; [`SqliteEventStore::close`] ends it for all clones.
#[derive(Clone, Debug)]
pub struct SqliteEventStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    id: StoreId,
    readers: Arc<Readers>,
    /// `None` in a store opened for reading only.
    writing: Option<Writing>,
    /// Whether others append through this process.
    others_write: AtomicBool,
    closed: OnceCell<Result<(), ReadError>>,
}

#[derive(Debug)]
struct Writing {
    writer: WriterHandle,
    recent: Arc<Recent>,
}

impl SqliteEventStore {
    pub(super) async fn open(options: SqliteOptions) -> Result<Self, OpenError> {
        blocking(move || {
            let Opened { connection, lock, id, state } = open::for_writing(&options)?;
            let recent =
                Arc::new(Recent::new(state.head, options.recent_events, options.recent_bytes));
            let readers = Arc::new(Readers::new(options.path.clone(), options.readers)?);
            let writer = Writer::start(&options, connection, lock, state, recent.clone())?;
            let writing = Some(Writing { writer, recent });
            Ok(Self::new(id, readers, writing))
        })
        .await
    }

    pub(super) async fn open_read_only(path: PathBuf) -> Result<Self, OpenError> {
        blocking(move || {
            let id = open::for_reading(&path)?;
            let readers = Arc::new(Readers::new(path, 2)?);
            Ok(Self::new(id, readers, None))
        })
        .await
    }

    fn new(id: StoreId, readers: Arc<Readers>, writing: Option<Writing>) -> Self {
        let (others_write, closed) = (AtomicBool::new(false), OnceCell::new());
        Self(Arc::new(Shared { id, readers, writing, others_write, closed }))
    }

    pub(super) fn id(&self) -> StoreId {
        self.0.id
    }

    pub(super) fn others_may_write(&self) -> bool {
        self.0.writing.is_none() || self.0.others_write.load(Ordering::Acquire)
    }

    pub(super) fn let_others_write(&self) {
        self.0.others_write.store(true, Ordering::Release);
    }

    pub(super) async fn key_fingerprint(&self) -> Result<Option<String>, ReadError> {
        self.0.readers.point(|reader| reader.key_fingerprint()).await
    }

    pub(super) async fn set_key_fingerprint(&self, fingerprint: &str) -> Result<(), AppendError> {
        let writing = self.0.writing.as_ref().ok_or(AppendError::ReadOnly)?;
        writing.writer.set_key_fingerprint(fingerprint.to_owned()).await
    }

    /// Appends all parts or none, and answers where the first part's events stand; where those
    /// stand already (see [`EventStore::append`](super::EventStore::append)), nothing else is
    /// looked at. Conditions on streams, and what is said of a stream in another, can so be kept
    /// true.
    ///
    /// # Errors
    /// [`PartsError`]
    pub async fn append_parts(&self, first: Part, with: Vec<Part>) -> Result<Appended, PartsError> {
        let writing = self.0.writing.as_ref().ok_or(AppendError::ReadOnly)?;
        writing.writer.append(first, with).await
    }

    /// A page of a stream, from `from` on (inclusive), with the events' places in the log.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn stream_page(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        most: PageSize,
    ) -> Result<Slice, ReadError> {
        let (stream, most) = (stream.clone(), bounded(most));
        let read = move |reader: &mut reader::Reader| reader.stream(&stream, from, direction, most);
        self.0.readers.page(most.events, read).await
    }

    /// The last revisions of two streams at one moment; `None` where there is no such stream.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn heads(
        &self,
        streams: [&StreamName; 2],
    ) -> Result<[Option<Revision>; 2], ReadError> {
        self.0.readers.point(|reader| reader.heads(streams)).await
    }

    pub(super) async fn stream_head(
        &self,
        stream: &StreamName,
    ) -> Result<Option<Revision>, ReadError> {
        self.0.readers.point(|reader| state::stream_head(&reader.connection, stream)).await
    }

    /// A page of the log beyond `from` (exclusive).
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn log_page(
        &self,
        from: Position,
        direction: Direction,
        filter: &Filter,
        most: PageSize,
    ) -> Result<LogPage, ReadError> {
        let (filter, most) = (filter.clone(), bounded(most));
        let read = move |reader: &mut reader::Reader| reader.log(from, direction, &filter, most);
        self.0.readers.page(most.events, read).await
    }

    /// The position of the newest event.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn head(&self) -> Result<Position, ReadError> {
        match &self.0.writing {
            Some(writing) => writing.recent.head().ok_or(ReadError::Closed),
            None => self.0.readers.point(|reader| state::head(&reader.connection)).await,
        }
    }

    pub(super) async fn event_at(&self, position: Position) -> Result<Option<Logged>, ReadError> {
        self.0.readers.point(move |reader| reader.event_at(position)).await
    }

    pub(super) async fn check_indexes(&self) -> Result<IndexCheck, ReadError> {
        let mut walk = Walk::begin();
        loop {
            match self.0.readers.page(MAX_PAGE, |reader| reader.walk(walk)).await? {
                Ok(on) => walk = on,
                Err(found) => return Ok(found),
            }
        }
    }

    /// No event is ever taken away and no position left out: the head is the count.
    pub(super) async fn event_count(&self) -> Result<u64, ReadError> {
        self.head().await.map(|head| head.0)
    }

    /// Positions have no gaps.
    pub(super) fn place_before(position: Position) -> Position {
        Position(position.0.saturating_sub(1))
    }

    /// Waits until something lies beyond `after` and reads it. May be dropped while it waits.
    pub(super) async fn page_beyond(
        &self,
        after: Position,
        filter: &Filter,
        most: PageSize,
    ) -> Result<LogPage, ReadError> {
        match self.recent_beyond(after, filter, most).await? {
            Some(page) => Ok(page),
            None => self.log_page(after, Direction::Forwards, filter, most).await,
        }
    }

    /// Waits until something lies beyond `after` and answers it as far as it is held in memory;
    /// `None` where it is not. May be dropped while it waits.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn recent_beyond(
        &self,
        after: Position,
        filter: &Filter,
        most: PageSize,
    ) -> Result<Option<LogPage>, ReadError> {
        let Some(Writing { recent, .. }) = &self.0.writing else {
            // Who only reads holds nothing, and is not told either.
            return self.look_beyond(after, filter, most).await.map(Some);
        };
        recent.wait_beyond(after).await?;
        Ok(recent.page(after, filter, most))
    }

    async fn look_beyond(
        &self,
        after: Position,
        filter: &Filter,
        most: PageSize,
    ) -> Result<LogPage, ReadError> {
        loop {
            let page = self.log_page(after, Direction::Forwards, filter, most).await?;
            if page.scanned_to > after {
                return Ok(page);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    pub(super) async fn close(&self) -> Result<(), ReadError> {
        let close = || async {
            let Some(writing) = &self.0.writing else {
                self.0.readers.close().await;
                return Ok(());
            };
            writing.writer.drain().await;
            writing.recent.close();
            // SQLite lets go of the WAL only when no other connection is open.
            self.0.readers.close().await;
            writing.writer.close().await.map_err(ReadError::Unavailable)
        };
        self.0.closed.get_or_init(close).await.clone()
    }
}

fn bounded(most: PageSize) -> PageSize {
    PageSize { events: most.events.clamp(1, MAX_PAGE), ..most }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
