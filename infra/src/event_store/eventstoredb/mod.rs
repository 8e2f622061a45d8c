//! EventStoreDB and KurrentDB, over the official Rust client. The client's seven defects are worked
//! around here: TCP_NODELAY (`nodelay`), the connection that never comes back and the cluster in
//! which it stays with a dead node (`connection`), deadlines (`trouble`), the subscription that
//! spins (`follow`), times cut to seconds (never used); an append to several streams at once is
//! never needed.

mod append;
mod connection;
mod follow;
mod identity;
mod read;
mod trouble;
mod url;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use event_schemas::{ExpectedRevision, Logged, NewEvent, Position, Revision, StoreId, StreamName};
use tokio::{
    sync::{Notify, OnceCell, Semaphore, TryAcquireError},
    time::{Instant, timeout},
};
use uuid::Uuid;

use self::{connection::Connection, follow::Follower, identity::Identity, trouble::Trouble};
use super::{
    AppendError, Appended, Direction, Filter, LogPage, MAX_PAGE, OpenError, PageSize, ReadError,
    StreamPage,
};

pub(super) use identity::STORE_STREAM;
pub use url::{EventStoreDbUrl, InvalidUrl};

/// Appends that may wait.
const QUEUE_APPENDS: u32 = 32_768;
/// Bytes of events that may wait.
const QUEUE_BYTES: usize = 64 << 20;
/// Appends under way at once: a server allows 100 calls on one connection, and reads need some.
const AT_ONCE: u32 = 80;
/// How long closing waits for them: an unreachable server would keep them until their deadline.
const FINISH: Duration = Duration::from_secs(3);

/// An event store on a server. Cheap to clone; [`EventStoreDb::close`] ends it for all clones.
#[derive(Clone, Debug)]
pub struct EventStoreDb(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connection: Connection,
    id: StoreId,
    read_only: bool,
    /// A permit for each append that waits or is under way.
    queue: Semaphore,
    queued_bytes: AtomicUsize,
    under_way: Semaphore,
    /// Tells the follower that there is something to read.
    appended: Arc<Notify>,
    follower: OnceCell<Follower>,
    /// The last revision of the stream that holds the store's id, as of the last look at it.
    identity_at: Mutex<Option<Revision>>,
}

impl EventStoreDb {
    /// Opens the store that the server holds; makes one of a server that holds none, unless it is
    /// to be read only.
    ///
    /// # Errors
    /// [`OpenError::Unreachable`] if no node can be reached for the time of one deadline;
    /// [`OpenError::NotFounded`] if there is no store to read.
    pub(super) async fn open(url: EventStoreDbUrl, read_only: bool) -> Result<Self, OpenError> {
        let connection = Connection::start(url.clone());
        let opened = find_or_found(&connection, read_only).await;
        let identity =
            opened.inspect_err(|_| connection.close()).map_err(|trouble| match trouble {
                Trouble::NotFound => OpenError::NotFounded(url.to_string()),
                trouble => OpenError::Unreachable(trouble.to_string()),
            })?;
        connection.note(|known| known.id = Some(identity.id));
        Ok(Self(Arc::new(Shared {
            connection,
            id: identity.id,
            read_only,
            queue: Semaphore::new(QUEUE_APPENDS as usize),
            queued_bytes: AtomicUsize::new(0),
            under_way: Semaphore::new(AT_ONCE as usize),
            appended: Arc::default(),
            follower: OnceCell::new(),
            identity_at: Mutex::default(),
        })))
    }

    pub(super) fn id(&self) -> StoreId {
        self.0.id
    }

    pub(super) async fn key_fingerprint(&self) -> Result<Option<String>, ReadError> {
        Ok(self.identity().await?.fingerprint)
    }

    /// The first to note one wins: whoever meant to be first and was not is told.
    pub(super) async fn set_key_fingerprint(&self, fingerprint: &str) -> Result<(), AppendError> {
        let unavailable = |error: ReadError| AppendError::Unavailable(error.to_string());
        let at = *self.identity_at();
        let at = match at {
            Some(at) => at,
            None => self.identity().await.map_err(unavailable)?.revision,
        };
        let noting = vec![identity::noting(fingerprint)];
        match self.append(identity::stream(), ExpectedRevision::Exact(at), noting).await {
            Ok(appended) => {
                *self.identity_at() = Some(appended.last_revision);
                Ok(())
            }
            Err(AppendError::Conflict { .. }) => {
                match self.key_fingerprint().await.map_err(unavailable)? {
                    Some(noted) if noted == fingerprint => Ok(()),
                    noted => Err(AppendError::Unavailable(format!(
                        "another process has just noted the key store {}",
                        noted.unwrap_or_default()
                    ))),
                }
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn append(
        &self,
        stream: StreamName,
        expected: ExpectedRevision,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        let shared = &self.0;
        if shared.read_only {
            return Err(AppendError::ReadOnly);
        }
        if events.is_empty() {
            return Err(AppendError::NoEvents);
        }
        if let Some(size) = append::too_large(&events) {
            return Err(AppendError::TooLarge { size });
        }
        let _place = shared.queue.try_acquire().map_err(|full| match full {
            TryAcquireError::NoPermits => AppendError::Busy,
            TryAcquireError::Closed => AppendError::Closed,
        })?;
        let _room = Room::take(&shared.queued_bytes, events.iter().map(NewEvent::size).sum())?;
        let turn = timeout(shared.connection.deadline(), shared.under_way.acquire()).await;
        let _turn = turn.map_err(|_| AppendError::Busy)?.map_err(|_| AppendError::Closed)?;
        let appended = append::append(&shared.connection, &stream, expected, &events).await?;
        shared.appended.notify_one();
        Ok(appended)
    }

    pub(super) async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<StreamPage, ReadError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let read = |node: Arc<connection::Node>| async move {
            node.stream_page(stream, from, direction, limit).await
        };
        self.0.connection.read(read).await
    }

    pub(super) async fn stream_head(
        &self,
        stream: &StreamName,
    ) -> Result<Option<Revision>, ReadError> {
        self.0.connection.read(|node| async move { node.stream_head(stream).await }).await
    }

    pub(super) async fn read_log(
        &self,
        from: Position,
        direction: Direction,
        filter: &Filter,
        limit: usize,
    ) -> Result<LogPage, ReadError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let read = |node: Arc<connection::Node>| async move {
            node.log_page(from, direction, filter, limit).await
        };
        self.0.connection.read(read).await
    }

    pub(super) async fn head(&self) -> Result<Position, ReadError> {
        self.0.connection.read(|node| async move { node.head().await }).await
    }

    pub(super) async fn event_at(&self, position: Position) -> Result<Option<Logged>, ReadError> {
        self.0.connection.read(|node| async move { node.event_at(position).await }).await
    }

    pub(super) async fn place_before(
        &self,
        position: Position,
    ) -> Result<Option<Position>, ReadError> {
        self.0.connection.read(|node| async move { node.place_before(position).await }).await
    }

    /// Waits until something lies beyond `after` and reads it.
    pub(super) async fn page_beyond(
        &self,
        after: Position,
        filter: &Filter,
    ) -> Result<LogPage, ReadError> {
        let recent = &self.0.follower.get_or_try_init(|| Follower::start(&self.0)).await?.recent;
        recent.wait_beyond(after).await?;
        match recent.page(after, filter, PageSize::events(MAX_PAGE)) {
            Some(page) => Ok(page),
            None => self.read_log(after, Direction::Forwards, filter, MAX_PAGE).await,
        }
    }

    /// Waits until the server turns out not to hold any more what it held, and says what.
    pub(super) async fn replaced(&self) -> String {
        self.0.connection.replaced().await
    }

    pub(super) async fn close(&self) {
        let shared = &self.0;
        shared.queue.close();
        let _ = timeout(FINISH, shared.under_way.acquire_many(AT_ONCE)).await.is_ok();
        shared.under_way.close();
        if let Some(follower) = shared.follower.get() {
            follower.recent.close();
        }
        shared.connection.close();
    }

    async fn identity(&self) -> Result<Identity, ReadError> {
        let read = |node: Arc<connection::Node>| async move { identity::read(&node).await };
        let gone = || ReadError::Unavailable("the store's id is gone".to_owned());
        let identity = self.0.connection.read(read).await?.ok_or_else(gone)?;
        *self.identity_at() = Some(identity.revision);
        Ok(identity)
    }

    fn identity_at(&self) -> std::sync::MutexGuard<'_, Option<Revision>> {
        self.0.identity_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads who the store is, or makes it somebody.
async fn find_or_found(connection: &Connection, read_only: bool) -> Result<Identity, Trouble> {
    let until = Instant::now() + connection.deadline();
    loop {
        let trouble = match connection.node(until).await {
            Ok(node) => {
                let found = match identity::read(&node).await {
                    Ok(Some(identity)) => return Ok(identity),
                    Ok(None) if read_only => return Err(Trouble::NotFound),
                    Ok(None) => found(connection).await,
                    Err(trouble) => Err(trouble),
                };
                match found {
                    // Whoever was first, it is read there.
                    Ok(()) => continue,
                    Err(trouble) => {
                        connection.report(&node, &trouble);
                        trouble
                    }
                }
            }
            Err(trouble) => trouble,
        };
        if !trouble.is_of_the_connection() || Instant::now() >= until {
            return Err(trouble);
        }
    }
}

async fn found(connection: &Connection) -> Result<(), Trouble> {
    let (expected, event) = identity::founding(StoreId(Uuid::new_v4()));
    match append::append(connection, &identity::stream(), expected, &[event]).await {
        Ok(_) | Err(AppendError::Conflict { .. }) => Ok(()),
        Err(error) => Err(Trouble::Refused(error.to_string())),
    }
}

/// Bytes of one append among those that wait.
struct Room<'a>(&'a AtomicUsize, usize);

impl<'a> Room<'a> {
    fn take(all: &'a AtomicUsize, size: usize) -> Result<Self, AppendError> {
        let room = Self(all, size);
        if all.fetch_add(size, Ordering::Relaxed) + size > QUEUE_BYTES {
            return Err(AppendError::Busy);
        }
        Ok(room)
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}
