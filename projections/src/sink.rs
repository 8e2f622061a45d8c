use event_schemas::{Decoded, Event, Logged, Metadata, Position};
use infra::{
    event_store::ReadError,
    read_models::{Checkpoint, ReadModelError},
};
use thiserror::Error;
use uuid::Uuid;

use crate::FoldError;

/// Where a projection's batches go. One task owns it; calls may block, its thread is its own.
pub trait Sink: Send + 'static {
    /// The projection's name.
    fn name(&self) -> &'static str;

    /// The categories whose events concern it; of others only the position reaches it.
    fn categories(&self) -> &'static [&'static str];

    /// The checkpoint as it is stored, opening or making the read model first if need be.
    /// `Checkpoint::start` of the store for one that is new. Whatever was cached is dropped.
    fn checkpoint(&mut self) -> impl Future<Output = Result<Checkpoint, SinkError>> + Send;

    /// Applies a batch and moves the checkpoint, all or nothing. When it returns, queries see it.
    fn apply(&mut self, batch: &Batch<'_>) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// What is not as it should be though it is posted, in words; none if all is well.
    fn set_aside(&self) -> Option<String> {
        None
    }

    /// In a rebuild the log goes on without it for a while: there is time for what is to be done
    /// once.
    fn rest(&mut self) -> impl Future<Output = Result<(), SinkError>> + Send {
        async { Ok(()) }
    }

    /// The same projection into a generation of its own, beside the one that is read: what was
    /// begun and left unfinished, or a new one. Nothing is opened yet.
    fn anew(&self) -> Self;

    /// In a rebuild: throws away what is being built and begins anew.
    fn afresh(&mut self) -> impl Future<Output = Result<Checkpoint, SinkError>> + Send;

    /// In a rebuild the log's end is near: what can be done before [`Sink::install`] is done.
    fn prepare(&mut self) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// Ends a rebuild: everything is posted, and this generation takes the place of the one
    /// before, unless that is posted further. Not called in live posting.
    ///
    /// # Errors
    /// [`SinkError::Behind`]
    fn install(&mut self) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// The same, however far the one before is posted.
    fn replace(&mut self) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// The number of the generation that is posted into, if it is known.
    fn generation(&self) -> Option<u64>;
}

/// Events that are posted together.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Where the checkpoint is.
    pub from: Checkpoint,
    /// Where it moves.
    pub to: Checkpoint,
    /// The events of the sink's categories between the two, in the log's order.
    pub events: Vec<Entry<'a>>,
}

/// An event with what its bytes say.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The event as it stands in the log.
    pub logged: &'a Logged,
    /// What it says.
    pub decoded: &'a Decoded,
}

/// Why a batch was not applied.
#[derive(Debug, Error)]
pub enum SinkError {
    /// An event that cannot be folded; nothing was applied.
    #[error(transparent)]
    Poison(#[from] Poison),
    /// The checkpoint was elsewhere; nothing was applied.
    #[error("somebody else moved the checkpoint")]
    Moved,
    /// The generation that is read is posted up to there, further than the one that was to take its
    /// place; nothing was changed.
    #[error("what is read is posted up to position {0} meanwhile")]
    Behind(Position),
    /// Other code posted what is stored: it is read, and posted anew beside that.
    #[error("{reason}")]
    Outdated {
        /// In words.
        reason: String,
        /// Where it was posted up to, and its generation, as far as that can be told.
        shown: (Position, Option<u64>),
    },
    /// What is stored cannot be gone on with: it waits for a rebuild.
    #[error("{0}")]
    Damaged(String),
    /// It will pass: a lock, a full disk, an IO error. The outcome may be unknown.
    #[error("{0}")]
    Unavailable(String),
}

impl SinkError {
    /// Whether trying again may succeed.
    pub(crate) const fn will_pass(&self) -> bool {
        !matches!(self, Self::Poison(_) | Self::Damaged(_))
    }
}

/// An event that a projection cannot get past.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "event {id} ({event_type} at position {position}, stream {stream}) cannot be posted: {reason}"
)]
pub struct Poison {
    /// Where it stands.
    pub position: Position,
    /// Its id.
    pub id: Uuid,
    /// Its type.
    pub event_type: String,
    /// Its stream.
    pub stream: String,
    /// Why not.
    pub reason: String,
}

impl Poison {
    pub(crate) fn new(logged: &Logged, reason: &dyn std::fmt::Display) -> Self {
        Self {
            position: logged.position,
            id: logged.id,
            event_type: logged.event_type.to_string(),
            stream: logged.stream.to_string(),
            reason: reason.to_string(),
        }
    }
}

impl<'a> Entry<'a> {
    /// What the event says.
    pub const fn event(&self) -> &'a Event {
        &self.decoded.event
    }

    /// What it says of itself.
    pub const fn metadata(&self) -> &'a Metadata {
        &self.decoded.metadata
    }

    /// The id of the aggregate, from the stream's name.
    pub fn id(&self) -> &'a str {
        self.logged.recorded.stream.id()
    }

    /// Whether it is its stream's first event: rows named after the aggregate cannot exist yet.
    pub fn is_first(&self) -> bool {
        self.logged.recorded.revision.0 == 0
    }

    /// Its place in its stream. A revision is a count and fits.
    pub fn revision(&self) -> i64 {
        i64::try_from(self.logged.recorded.revision.0).unwrap_or(i64::MAX)
    }

    /// That this event cannot be folded.
    pub fn poison(&self, error: &FoldError) -> Poison {
        Poison::new(self.logged, error)
    }
}

impl From<ReadModelError> for SinkError {
    fn from(error: ReadModelError) -> Self {
        match error {
            ReadModelError::Moved(_) => Self::Moved,
            ReadModelError::Behind { live, .. } => Self::Behind(live),
            ReadModelError::Unavailable(_) | ReadModelError::Missing(_) => {
                Self::Unavailable(error.to_string())
            }
            ReadModelError::OtherVersion(_) => {
                Self::Outdated { reason: error.to_string(), shown: (Position::START, None) }
            }
            ReadModelError::Damaged { .. } | ReadModelError::NewerVersion(_) => {
                Self::Damaged(error.to_string())
            }
        }
    }
}

impl From<ReadError> for SinkError {
    fn from(error: ReadError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
