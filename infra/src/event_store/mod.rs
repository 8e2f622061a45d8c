//! The port to the event store: append with an expected revision, read a stream or the whole log,
//! subscribe to it. The port is an enum of engines; what all of them owe their callers is stated
//! once, in the contract suite.

mod eventstoredb;
mod recent;
mod sqlite;
mod subscription;
mod values;

use std::path::Path;

use event_schemas::{
    ExpectedRevision, Logged, NewEvent, Position, Recorded, Revision, StoreId, StreamName,
};

pub use eventstoredb::{EventStoreDb, EventStoreDbUrl, InvalidUrl};
pub use sqlite::{FillError, Filled, Filling, SqliteEventStore, SqliteOptions};
pub use subscription::Subscription;
pub use values::{
    AppendError, Appended, Direction, Filter, IndexCheck, LogPage, MAX_APPEND_BYTES, MAX_PAGE,
    OpenError, PageSize, Part, PartsError, ReadError, Slice, StreamPage,
};

/// An event store, by the engine that keeps it. Cheap to clone.
#[derive(Clone, Debug)]
pub enum EventStore {
    /// One SQLite file with a single writer.
    Sqlite(SqliteEventStore),
    /// EventStoreDB or KurrentDB, a node or a cluster.
    EventStoreDb(EventStoreDb),
}

impl EventStore {
    /// Opens a store for writing, makes it if there is none, and takes the writer's lock.
    ///
    /// # Errors
    /// [`OpenError`]
    pub async fn open_sqlite(options: SqliteOptions) -> Result<Self, OpenError> {
        SqliteEventStore::open(options).await.map(Self::Sqlite)
    }

    /// Opens a store for reading only, also beside the process that writes it.
    ///
    /// # Errors
    /// [`OpenError`]
    pub async fn read_sqlite(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        SqliteEventStore::open_read_only(path.as_ref().to_owned()).await.map(Self::Sqlite)
    }

    /// Opens the store on a server, for writing as others do too; makes one of a server that holds
    /// none.
    ///
    /// # Errors
    /// [`OpenError`]
    pub async fn open_eventstoredb(url: EventStoreDbUrl) -> Result<Self, OpenError> {
        EventStoreDb::open(url, false).await.map(Self::EventStoreDb)
    }

    /// Opens the store on a server for reading only.
    ///
    /// # Errors
    /// [`OpenError`]
    pub async fn read_eventstoredb(url: EventStoreDbUrl) -> Result<Self, OpenError> {
        EventStoreDb::open(url, true).await.map(Self::EventStoreDb)
    }

    /// The store's id: positions mean nothing in another store.
    pub fn id(&self) -> StoreId {
        match self {
            Self::Sqlite(store) => store.id(),
            Self::EventStoreDb(store) => store.id(),
        }
    }

    /// Whether others than this process's own executor may append: then a state in memory may be
    /// behind the store.
    pub fn others_may_write(&self) -> bool {
        match self {
            Self::Sqlite(store) => store.others_may_write(),
            Self::EventStoreDb(_) => true,
        }
    }

    /// From now on others may append through this process: to be said before the first of them
    /// can.
    pub fn let_others_write(&self) {
        match self {
            Self::Sqlite(store) => store.let_others_write(),
            // They may anyway.
            Self::EventStoreDb(_) => {}
        }
    }

    /// The fingerprint of the key store that belongs to this store; `None` until it is set.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn key_fingerprint(&self) -> Result<Option<String>, ReadError> {
        match self {
            Self::Sqlite(store) => store.key_fingerprint().await,
            Self::EventStoreDb(store) => store.key_fingerprint().await,
        }
    }

    /// Notes, durably, which key store belongs to this store.
    ///
    /// # Errors
    /// [`AppendError`], never a conflict.
    pub async fn set_key_fingerprint(&self, fingerprint: &str) -> Result<(), AppendError> {
        match self {
            Self::Sqlite(store) => store.set_key_fingerprint(fingerprint).await,
            Self::EventStoreDb(store) => store.set_key_fingerprint(fingerprint).await,
        }
    }

    /// Appends all events or none. Answered once they are durable and every read and subscription
    /// of this process sees them. With `NoStream` and `Exact`, events whose ids already stand in
    /// the very slots asked for are a repeat, and answered as the success that it was.
    ///
    /// A caller that stops waiting does not undo the append.
    ///
    /// # Errors
    /// [`AppendError`]; only after [`AppendError::Unknown`] may the events stand in the store.
    pub async fn append(
        &self,
        stream: StreamName,
        expected: ExpectedRevision,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        match self {
            Self::Sqlite(store) => {
                let first = Part::append(stream, expected, events);
                let appended = store.append_parts(first, Vec::new()).await;
                appended.map_err(|error| match error {
                    PartsError::First(error) => error,
                    PartsError::Other { actual } => AppendError::Conflict { actual },
                })
            }
            Self::EventStoreDb(store) => store.append(stream, expected, events).await,
        }
    }

    /// A page of a stream, from `from` on (inclusive); backwards, `Revision(u64::MAX)` is the end.
    /// `limit` is cut to [`MAX_PAGE`]; a page of large events is shorter: only `at_end` tells
    /// whether there is more. A stream that does not exist is empty.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<StreamPage, ReadError> {
        match self {
            Self::Sqlite(store) => {
                let most = PageSize::events(limit);
                let Slice { events, at_end } =
                    store.stream_page(stream, from, direction, most).await?;
                let each = |logged: Logged| (logged.recorded, Some(logged.position));
                let (events, places) = events.into_iter().map(each).unzip();
                Ok(StreamPage { events, places, at_end })
            }
            Self::EventStoreDb(store) => store.read_stream(stream, from, direction, limit).await,
        }
    }

    /// The revision of a stream's last event; `None` where there is no such stream.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn stream_head(&self, stream: &StreamName) -> Result<Option<Revision>, ReadError> {
        match self {
            Self::Sqlite(store) => store.stream_head(stream).await,
            Self::EventStoreDb(store) => store.stream_head(stream).await,
        }
    }

    /// A page of the log beyond `from` (exclusive); backwards, `Position(u64::MAX)` is the end.
    /// `limit` is cut to [`MAX_PAGE`]; a page of large events is shorter, also one without events
    /// may be followed by more: go on from `scanned_to` until `at_end`.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn read_log(
        &self,
        from: Position,
        direction: Direction,
        filter: &Filter,
        limit: usize,
    ) -> Result<LogPage, ReadError> {
        match self {
            Self::Sqlite(store) => {
                store.log_page(from, direction, filter, PageSize::events(limit)).await
            }
            Self::EventStoreDb(store) => store.read_log(from, direction, filter, limit).await,
        }
    }

    /// The position of the newest event, [`Position::START`] when there is none.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn head(&self) -> Result<Position, ReadError> {
        match self {
            Self::Sqlite(store) => store.head().await,
            Self::EventStoreDb(store) => store.head().await,
        }
    }

    /// The event at exactly this position.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn event_at(&self, position: Position) -> Result<Option<Logged>, ReadError> {
        match self {
            Self::Sqlite(store) => store.event_at(position).await,
            Self::EventStoreDb(store) => store.event_at(position).await,
        }
    }

    /// Where to read the log from so that the event at `position` is the first: reading begins
    /// behind the place that it is given. `None` where no event stands at `position`, and that
    /// matters to the store.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn place_before(&self, position: Position) -> Result<Option<Position>, ReadError> {
        match self {
            Self::Sqlite(_) => Ok(Some(SqliteEventStore::place_before(position))),
            Self::EventStoreDb(store) => store.place_before(position).await,
        }
    }

    /// How many events there are; `None` where the store does not count them.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn event_count(&self) -> Result<Option<u64>, ReadError> {
        match self {
            Self::Sqlite(store) => store.event_count().await.map(Some),
            Self::EventStoreDb(_) => Ok(None),
        }
    }

    /// Whether an event is the store's own and no fact of the shop's: those that EventStoreDB
    /// itself writes, and those that say which store this is. It stays behind when a log moves to
    /// another store.
    pub fn is_bookkeeping(event: &Recorded) -> bool {
        event.is_systems()
            || event.stream.as_str().starts_with('$')
            || event.stream.as_str() == eventstoredb::STORE_STREAM
    }

    /// Holds the ways by which events are found against the log itself: the embedded store's
    /// indexes. A server's are its own.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn check_indexes(&self) -> Result<IndexCheck, ReadError> {
        match self {
            Self::Sqlite(store) => store.check_indexes().await,
            Self::EventStoreDb(_) => Ok(IndexCheck::Sound),
        }
    }

    /// Whether a server says that it was scavenged: events that had been deleted are gone from it
    /// then. `None` where it does not tell.
    pub async fn was_scavenged(&self) -> Option<bool> {
        let Self::EventStoreDb(_) = self else { return Some(false) };
        let scavenges = StreamName::parse("$scavenges").ok()?;
        let page = self.read_stream(&scavenges, Revision(0), Direction::Forwards, 1).await;
        page.ok().map(|page| !page.events.is_empty())
    }

    /// Waits until the store turns out not to hold any more what it held, because the server was
    /// restored from a backup or its log changed, and says what is missing: whatever is in memory
    /// is of no use then. A store that only this process can change never does.
    pub async fn replaced(&self) -> String {
        match self {
            Self::Sqlite(_) => std::future::pending().await,
            Self::EventStoreDb(store) => store.replaced().await,
        }
    }

    /// All events beyond `after` that pass the filter: first those that are there, then each as
    /// it comes.
    pub fn subscribe(&self, after: Position, filter: Filter) -> Subscription {
        Subscription::new(self.clone(), after, filter)
    }

    /// Finishes what waits, then refuses everything, leaves nothing but the store's own file, and
    /// frees the lock. Closing twice is closing once.
    ///
    /// # Errors
    /// If the file could not be brought to rest; no event is lost by that.
    pub async fn close(&self) -> Result<(), ReadError> {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::EventStoreDb(store) => {
                store.close().await;
                Ok(())
            }
        }
    }
}
