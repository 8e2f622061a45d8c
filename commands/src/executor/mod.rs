//! The executor: commands for one aggregate meet in one mailbox. Whoever finds the mailbox idle
//! starts a task that drains it: each command is decided on the state that the ones before it
//! left, and all resulting events go into one append. State that is not yet durable is never
//! answered from.

mod attempt;
mod batch;
mod loaded;
mod memory;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use event_schemas::{Decoded, Position, Revision, StreamName};
use infra::{event_store::EventStore, http::EntityTags, keys::KeyStore, snapshots::Snapshots};
use thiserror::Error;
use tokio::sync::oneshot;

pub(crate) use attempt::Attempt;
pub(crate) use batch::{append, failure};
use loaded::Loaded;
pub(crate) use loaded::unreadable;

use crate::{aggregate::Aggregate, context::Context, generations::Generations};

/// How many commands may wait for one aggregate before the next is told to come again.
const MAILBOX: usize = 16_384;
const SHARDS: usize = 16;

/// What the executors of all aggregates share.
#[derive(Clone)]
pub(crate) struct Engines {
    pub(crate) store: EventStore,
    pub(crate) keys: KeyStore,
    pub(crate) snapshots: Option<Snapshots>,
}

/// Decides the commands of one kind of aggregate. Cheap to clone.
pub(crate) struct Executor<A: Aggregate> {
    engines: Arc<Engines>,
    shards: Arc<[Shard<A>; SHARDS]>,
    hasher: RandomState,
}

type Shard<A> = Mutex<Generations<Arc<str>, Arc<Mailbox<A>>>>;

impl<A: Aggregate> Clone for Executor<A> {
    fn clone(&self) -> Self {
        Self {
            engines: self.engines.clone(),
            shards: self.shards.clone(),
            hasher: self.hasher.clone(),
        }
    }
}

struct Mailbox<A: Aggregate> {
    id: Arc<str>,
    queue: Mutex<Queue<A>>,
}

struct Queue<A: Aggregate> {
    waiting: VecDeque<Message<A>>,
    /// The state, while no task owns it.
    loaded: Option<Loaded<A>>,
    running: bool,
}

/// A command on its way to a decision.
struct Message<A: Aggregate> {
    command: A::Command,
    context: Context,
    /// The revisions that the caller is content with.
    only_at: Option<EntityTags>,
    reply: oneshot::Sender<Result<Executed<A>, ExecuteError<A::Rejection>>>,
}

/// What came of a command that was not refused.
pub(crate) struct Executed<A: Aggregate> {
    /// The events that it appended; none if there was nothing to do or if it is a repeat.
    pub(crate) events: Vec<Arc<Decoded>>,
    /// The revision of its last event; of the stream, if it never had one.
    pub(crate) revision: Option<Revision>,
    /// A position at or behind its last event; a repeat has none.
    pub(crate) position: Option<Position>,
    /// Whether the command had been executed before.
    pub(crate) replayed: bool,
    /// The state after it.
    pub(crate) view: A::View,
}

/// Why a command had no effect, or none that is known.
#[derive(Debug, Error)]
pub(crate) enum ExecuteError<R> {
    /// The aggregate refused.
    #[error("refused")]
    Rejected(R),
    /// The command's id is remembered with another payload.
    #[error("the same idempotency key came with another payload before")]
    KeyReused,
    /// The stream is at another revision than the caller demands.
    #[error("it was changed meanwhile")]
    Changed {
        /// Its revision.
        revision: Option<Revision>,
    },
    /// Something else than the domain was in the way.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// What is in the way of any command.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Failure {
    /// A queue is full.
    #[error("too many commands are waiting")]
    Busy,
    /// There is no room on the disk; nothing was written.
    #[error("the store has no room: {0}")]
    Full(String),
    /// The append may or may not have happened.
    #[error("it is not known whether the events were written: {0}")]
    Unknown(String),
    /// Others wrote to the aggregate again and again.
    #[error("other writers were faster {0} times in a row")]
    Contended(usize),
    /// An event cannot be written or read.
    #[error("{0}")]
    Unreadable(String),
    /// An event would be over 512 KiB.
    #[error("an event of {size} bytes is over the limit of 524288")]
    TooLarge {
        /// Bytes.
        size: usize,
    },
    /// An engine cannot be reached.
    #[error("{0}")]
    Unavailable(String),
}

impl<A: Aggregate> Executor<A> {
    /// `resident` is about how many aggregates stay in memory at most.
    pub(crate) fn new(engines: Arc<Engines>, resident: usize) -> Self {
        let shard = || Mutex::new(Generations::new(resident / SHARDS / 2));
        Self {
            engines,
            shards: Arc::new(std::array::from_fn(|_| shard())),
            hasher: RandomState::new(),
        }
    }

    /// Decides a command and appends its events. The command is carried out even if the caller
    /// goes away.
    ///
    /// # Errors
    /// [`ExecuteError`].
    pub(crate) async fn execute(
        &self,
        id: &str,
        command: A::Command,
        context: Context,
    ) -> Result<Executed<A>, ExecuteError<A::Rejection>> {
        self.execute_at(id, command, context, None).await
    }

    /// The same, if the stream is at one of the revisions `only_at`.
    ///
    /// # Errors
    /// [`ExecuteError`].
    pub(crate) async fn execute_at(
        &self,
        id: &str,
        command: A::Command,
        context: Context,
        only_at: Option<EntityTags>,
    ) -> Result<Executed<A>, ExecuteError<A::Rejection>> {
        let mailbox = self.mailbox(id);
        let (reply, answer) = oneshot::channel();
        let start = {
            let mut queue = lock(&mailbox.queue);
            if queue.waiting.len() >= MAILBOX {
                return Err(Failure::Busy.into());
            }
            queue.waiting.push_back(Message { command, context, only_at, reply });
            !mem::replace(&mut queue.running, true)
        };
        if start {
            tokio::spawn(run(self.engines.clone(), Owner(mailbox)));
        }
        // The sender is dropped unanswered only if the task panicked.
        let lost = || Failure::Unknown("the command's task ended".to_owned());
        answer.await.unwrap_or_else(|_| Err(lost().into()))
    }

    /// Lets idle aggregates leave: what was not used since the last call but one.
    pub(crate) fn age(&self) {
        for shard in self.shards.iter() {
            lock(shard).age(is_busy);
        }
    }

    /// How many aggregates are in memory.
    pub(crate) fn resident(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn mailbox(&self, id: &str) -> Arc<Mailbox<A>> {
        let hash = self.hasher.hash_one(id);
        let shard = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        let mut mailboxes = lock(&self.shards[shard]);
        if let Some(mailbox) = mailboxes.get(id) {
            return mailbox.clone();
        }
        let id: Arc<str> = id.into();
        let queue = Queue { waiting: VecDeque::new(), loaded: None, running: false };
        let mailbox = Arc::new(Mailbox { id: id.clone(), queue: Mutex::new(queue) });
        mailboxes.insert(id, mailbox.clone(), is_busy);
        mailbox
    }
}

/// Whether anybody but the cache has the mailbox: its task, or somebody about to put a command
/// into it. (It is handed out under the cache's lock only.) There must never be two of one stream.
fn is_busy<A: Aggregate>(mailbox: &Arc<Mailbox<A>>) -> bool {
    Arc::strong_count(mailbox) > 1
}

/// Nothing that these locks guard is left half done by a panic: they are held for pushes and swaps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to drain a mailbox. If the task panics, the state is dropped and those who wait are
/// answered by their closed channels.
struct Owner<A: Aggregate>(Arc<Mailbox<A>>);

impl<A: Aggregate> Drop for Owner<A> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut queue = lock(&self.0.queue);
            queue.waiting.clear();
            queue.running = false;
        }
    }
}

async fn run<A: Aggregate>(engines: Arc<Engines>, owner: Owner<A>) {
    let mailbox = &owner.0;
    let stream = StreamName::new(A::CATEGORY, &mailbox.id);
    let mut loaded = lock(&mailbox.queue).loaded.take();
    loop {
        let waiting = {
            let mut queue = lock(&mailbox.queue);
            if queue.waiting.is_empty() {
                queue.loaded = loaded;
                queue.running = false;
                return;
            }
            mem::take(&mut queue.waiting)
        };
        batch::decide(&engines, &stream, &mut loaded, waiting).await;
        if let (Some(loaded), Some(snapshots)) = (&mut loaded, &engines.snapshots)
            && let Some(bytes) = loaded.snapshot_due(snapshots, stream.as_str())
        {
            let (snapshots, name) = (snapshots.clone(), stream.clone());
            tokio::task::spawn_blocking(move || snapshots.write(name.as_str(), &bytes));
        }
    }
}
