//! Proofs from the stored tree. The head that a proof is for is given; the tree reaches as far.

use std::{io, sync::Arc};

use event_schemas::{Position, Recorded, Revision, StreamName};
use infra::event_store::{Direction, EventStore, ReadError};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    document::{EventDocument, EventName, ProofDocument, VERSION},
    hash::of_event,
    head::SignedHead,
    keeper::blocking,
    stored::StoredTree,
};

/// Why there is no proof.
#[derive(Debug, Error)]
pub enum ProveError {
    /// There is no such stream.
    #[error("there is no stream {0}")]
    NoStream(StreamName),
    /// The stream is shorter.
    #[error("{stream} has no event {revision}: its last is {last}")]
    NoRevision {
        /// The stream.
        stream: StreamName,
        /// What was asked for.
        revision: Revision,
        /// The stream's last revision.
        last: Revision,
    },
    /// The tree has no such event.
    #[error(
        "no event that a signed head covers has this id or place; an event is signed within a second"
    )]
    NotSigned,
    /// The event is not what it was when it was signed.
    #[error("the event at position {0} is not what was signed: `daybook audit verify` says more")]
    Different(Position),
    /// A head does not fit the tree.
    #[error("the head over {0} events is not of this log: `daybook audit verify` says more")]
    Foreign(u64),
    /// The log.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The tree.
    #[error("the audit tree cannot be read: {0}")]
    Tree(#[from] io::Error),
}

/// Proves that the event is in the log that the head was signed over.
///
/// # Errors
/// [`ProveError`]
pub async fn prove(
    store: &EventStore,
    tree: &StoredTree,
    head: &SignedHead,
    name: &EventName,
) -> Result<ProofDocument, ProveError> {
    let (index, event) = match name {
        EventName::Id(id) => {
            let (index, position) = find(tree, *id, 0).await?.ok_or(ProveError::NotSigned)?;
            let event = store.event_at(position).await?.filter(|event| event.id == *id);
            let event = event.ok_or(ProveError::Different(position))?.recorded;
            if of_event(&event) != tree.leaf(index)? {
                return Err(ProveError::Different(position));
            }
            (index, event)
        }
        EventName::Place(stream, revision) => {
            let event = in_stream(store, stream, *revision).await?;
            (leaf_of(tree, &event).await?, event)
        }
    };
    if index >= head.size {
        return Err(ProveError::NotSigned);
    }
    is_of(tree, head)?;
    Ok(ProofDocument::InclusionProof {
        version: VERSION,
        event: EventDocument::of(&event),
        index,
        path: tree.inclusion(index, head.size)?,
        head: head.clone(),
    })
}

/// Proves that the log of the one head goes on from that of the other, in whichever order they are
/// given.
///
/// # Errors
/// [`ProveError`]
pub fn consistent(
    tree: &StoredTree,
    heads: (SignedHead, SignedHead),
) -> Result<ProofDocument, ProveError> {
    let (old, new) = if heads.0.size <= heads.1.size { heads } else { (heads.1, heads.0) };
    is_of(tree, &old)?;
    is_of(tree, &new)?;
    let path = tree.consistency(old.size, new.size)?;
    Ok(ProofDocument::ConsistencyProof { version: VERSION, old, new, path })
}

fn is_of(tree: &StoredTree, head: &SignedHead) -> Result<(), ProveError> {
    let fits = head.size <= tree.size() && tree.root(head.size)? == head.root;
    if fits { Ok(()) } else { Err(ProveError::Foreign(head.size)) }
}

/// An event by its stream.
async fn in_stream(
    store: &EventStore,
    stream: &StreamName,
    revision: Revision,
) -> Result<Arc<Recorded>, ProveError> {
    let page = store.read_stream(stream, revision, Direction::Forwards, 1).await?;
    match page.events.into_iter().find(|event| event.revision == revision) {
        Some(event) => Ok(event),
        None => Err(match store.stream_head(stream).await? {
            Some(last) => ProveError::NoRevision { stream: stream.clone(), revision, last },
            None => ProveError::NoStream(stream.clone()),
        }),
    }
}

/// The leaf of an event. Others may have given one id to several events.
async fn leaf_of(tree: &StoredTree, event: &Recorded) -> Result<u64, ProveError> {
    let (mut from, mut known) = (0, None);
    while let Some((index, position)) = find(tree, event.id, from).await? {
        if tree.leaf(index)? == of_event(event) {
            return Ok(index);
        }
        known = known.or(Some(position));
        from = index + 1;
    }
    Err(known.map_or(ProveError::NotSigned, ProveError::Different))
}

async fn find(tree: &StoredTree, id: Uuid, from: u64) -> io::Result<Option<(u64, Position)>> {
    let tree = tree.clone();
    blocking(move || tree.find(id, from)).await
}
