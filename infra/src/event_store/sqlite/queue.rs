//! The way to the writer: a queue bounded in number and bytes.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use event_schemas::NewEvent;
use tokio::sync::{mpsc, oneshot};

use super::SqliteOptions;
use crate::event_store::{AppendError, Appended, MAX_APPEND_BYTES, Part, PartsError};

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    Append(Append),
    SetKeyFingerprint(String, oneshot::Sender<Result<(), AppendError>>),
    /// A checkpoint beside the writer is through.
    Checkpointed,
    /// Tells when everything before it is done.
    Drained(oneshot::Sender<()>),
    Close(oneshot::Sender<Result<(), String>>),
}

#[derive(Debug)]
pub(super) struct Append {
    pub(super) first: Part,
    /// What happens or has to hold at the same time.
    pub(super) with: Vec<Part>,
    /// Bytes.
    pub(super) size: usize,
    done: oneshot::Sender<Outcome>,
}

pub(super) type Outcome = Result<Appended, PartsError>;

/// The way to the writer.
#[derive(Debug)]
pub(super) struct WriterHandle {
    queue: mpsc::Sender<Job>,
    waiting: Arc<AtomicUsize>,
    max_waiting: usize,
    closing: AtomicBool,
}

impl Append {
    /// All parts, the first one first.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        std::iter::once(&self.first).chain(&self.with)
    }

    /// Tells the caller; one that stopped waiting is not told.
    pub(super) fn answer(self, outcome: Outcome) {
        let _ = self.done.send(outcome);
    }
}

impl WriterHandle {
    /// The handle, and the queue's other end with the count of bytes that wait in it.
    pub(super) fn new(options: &SqliteOptions) -> (Self, mpsc::Receiver<Job>, Arc<AtomicUsize>) {
        let (queue, jobs) = mpsc::channel(options.queue_appends);
        let waiting = Arc::new(AtomicUsize::new(0));
        let (max_waiting, closing) = (options.queue_bytes, AtomicBool::new(false));
        (Self { queue, waiting: waiting.clone(), max_waiting, closing }, jobs, waiting)
    }

    /// For whoever reports to the writer without keeping it alive.
    pub(super) fn downgrade(&self) -> mpsc::WeakSender<Job> {
        self.queue.downgrade()
    }

    pub(super) async fn append(&self, first: Part, with: Vec<Part>) -> Outcome {
        let size = |part: &Part| part.events.iter().map(NewEvent::size).sum::<usize>();
        if first.events.is_empty() {
            return Err(AppendError::NoEvents.into());
        }
        if size(&first) > MAX_APPEND_BYTES {
            return Err(AppendError::TooLarge { size: size(&first) }.into());
        }
        let size = size(&first) + with.iter().map(size).sum::<usize>();
        if self.closing.load(Ordering::Acquire) {
            return Err(AppendError::Closed.into());
        }
        let (done, answer) = oneshot::channel();
        let append = Append { first, with, size, done };
        if self.waiting.fetch_add(size, Ordering::Relaxed) + size > self.max_waiting {
            self.waiting.fetch_sub(size, Ordering::Relaxed);
            return Err(AppendError::Busy.into());
        }
        self.queue.try_send(Job::Append(append)).map_err(|refused| {
            self.waiting.fetch_sub(size, Ordering::Relaxed);
            match refused {
                mpsc::error::TrySendError::Full(_) => AppendError::Busy,
                mpsc::error::TrySendError::Closed(_) => AppendError::Closed,
            }
        })?;
        answer.await.unwrap_or_else(|_| Err(gone().into()))
    }

    pub(super) async fn set_key_fingerprint(&self, fingerprint: String) -> Result<(), AppendError> {
        let (done, answer) = oneshot::channel();
        let job = Job::SetKeyFingerprint(fingerprint, done);
        self.queue.send(job).await.map_err(|_| AppendError::Closed)?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Takes no more appends and waits for those that it took.
    pub(super) async fn drain(&self) {
        self.closing.store(true, Ordering::Release);
        let (done, drained) = oneshot::channel();
        // A writer that is gone has nothing left to do.
        if self.queue.send(Job::Drained(done)).await.is_ok() {
            let _ = drained.await;
        }
    }

    pub(super) async fn close(&self) -> Result<(), String> {
        let (done, closed) = oneshot::channel();
        let _ = self.queue.send(Job::Close(done)).await;
        closed.await.unwrap_or_else(|_| Err("its writer is gone".to_owned()))
    }
}

/// The writer thread ended (it panicked) with the append in its hands.
fn gone() -> AppendError {
    AppendError::Unknown("the event store's writer is gone".to_owned())
}
