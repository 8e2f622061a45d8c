use std::mem;

use domain::Decider;
use event_schemas::{DecodeError, Decoded, Revision, StreamName};
use infra::{
    event_store::{Direction, EventStore, ReadError},
    snapshots::{SnapshotAt, Snapshots},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Failure, memory::CommandMemory};
use crate::{aggregate::Aggregate, streams};

/// Events after which a small state is worth a snapshot.
const SNAPSHOT_EVENTS: usize = 1_000;

/// An aggregate's state in memory, as of its stream's last event.
pub(crate) struct Loaded<A: Aggregate> {
    pub(crate) state: A::State,
    pub(crate) memory: CommandMemory,
    pub(crate) last: Option<SnapshotAt>,
    since_snapshot: usize,
}

#[derive(Serialize, Deserialize)]
struct Kept<S, M> {
    state: S,
    memory: M,
}

impl<A: Aggregate> Default for Loaded<A> {
    fn default() -> Self {
        Self {
            state: A::State::default(),
            memory: CommandMemory::default(),
            last: None,
            since_snapshot: 0,
        }
    }
}

impl<A: Aggregate> Loaded<A> {
    /// Folds the next event of the stream in.
    pub(crate) fn apply(&mut self, decoded: &Decoded, revision: Revision, id: Uuid) {
        if let Some(event) = A::event(&decoded.event) {
            self.state = <A as Decider>::evolve(mem::take(&mut self.state), event);
            if A::remembers(event) {
                self.memory.note(&decoded.metadata, revision);
            }
        }
        self.last = Some(SnapshotAt { at: revision, event: id });
        self.since_snapshot += 1;
    }

    /// The revision of the stream's last event.
    pub(crate) fn revision(&self) -> Option<Revision> {
        self.last.map(|last| last.at)
    }

    /// The revision of the next event.
    pub(crate) fn next(&self) -> Revision {
        self.revision().map_or(Revision(0), Revision::next)
    }

    /// The bytes of a snapshot, when one is due: after 1,000 events or a tenth of the state's
    /// entries, whichever is more, so that a state with many entries does not cost its square.
    pub(crate) fn snapshot_due(&mut self, snapshots: &Snapshots, name: &str) -> Option<Vec<u8>> {
        if self.since_snapshot < SNAPSHOT_EVENTS.max(A::entries(&self.state) / 10) {
            return None;
        }
        self.since_snapshot = 0;
        let kept = Kept { state: &self.state, memory: &self.memory };
        let bytes = snapshots.encode(name, A::STATE_VERSION, self.last?, &kept);
        bytes.inspect_err(|error| tracing::warn!(name, %error, "no snapshot was taken")).ok()
    }
}

/// Reads an aggregate: from its snapshot, if that is still a prefix of the stream, and from the
/// events behind it.
///
/// # Errors
/// [`Failure::Unavailable`] if the store cannot be read, [`Failure::Unreadable`] if an event
/// cannot.
pub(crate) async fn load<A: Aggregate>(
    store: &EventStore,
    snapshots: Option<&Snapshots>,
    stream: &StreamName,
) -> Result<Loaded<A>, Failure> {
    let mut page = streams::page(store, stream, Revision(0)).await?;
    let mut loaded = Loaded::default();
    // A stream of one page has no snapshot worth looking for.
    if !page.at_end
        && let Some(snapshots) = snapshots
        && let Some(kept) = from_snapshot(store, snapshots, stream).await?
    {
        loaded = kept;
        page = streams::page(store, stream, loaded.next()).await?;
    }
    loop {
        // The next page comes while this one is folded.
        let last = page.events.last().filter(|_| !page.at_end);
        let ahead = last.map(|last| {
            let (store, stream, from) = (store.clone(), stream.clone(), last.revision.next());
            tokio::spawn(async move { streams::page(&store, &stream, from).await })
        });
        for recorded in &page.events {
            let decoded =
                recorded.decode().map_err(|error| unreadable(stream, recorded.revision, error))?;
            loaded.apply(decoded, recorded.revision, recorded.id);
        }
        page = match ahead {
            Some(ahead) => {
                ahead.await.map_err(|error| Failure::Unavailable(error.to_string()))??
            }
            None => return Ok(loaded),
        };
    }
}

async fn from_snapshot<A: Aggregate>(
    store: &EventStore,
    snapshots: &Snapshots,
    stream: &StreamName,
) -> Result<Option<Loaded<A>>, Failure> {
    let found = snapshots.load::<Kept<A::State, CommandMemory>>(stream.as_str(), A::STATE_VERSION);
    let Some((last, kept)) = found else { return Ok(None) };
    let page = store.read_stream(stream, last.at, Direction::Forwards, 1).await?;
    if page.events.first().is_none_or(|event| event.id != last.event) {
        tracing::warn!(%stream, "a snapshot is not of this stream and is thrown away");
        snapshots.forget(stream.as_str());
        return Ok(None);
    }
    Ok(Some(Loaded { state: kept.state, memory: kept.memory, last: Some(last), since_snapshot: 0 }))
}

pub(crate) fn unreadable(stream: &StreamName, revision: Revision, error: &DecodeError) -> Failure {
    Failure::Unreadable(format!("{stream}@{revision}: {error}"))
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
