//! Appends as EventStoreDB decides them on streams that have metadata, may be deleted or ended.
//!
//! A decision rests on a stream and its metadata as they were looked at. What it rests on becomes
//! a condition of the append, so that it is written only if it still holds; if not, it is decided
//! again.

use event_schemas::{ExpectedRevision, NewEvent, Revision, StreamName};
use infra::event_store::{AppendError, Appended, Part, PartsError};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Gateway, event,
    failure::Failure,
    metadata::{self, Known, Looked, look, members},
};

/// How often a stream may move between the look and the append.
pub(crate) const ATTEMPTS: usize = 32;

/// Why events are not appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The stream is elsewhere.
    Wrong {
        actual: Option<Revision>,
    },
    Failed(Failure),
}

impl<F: Into<Failure>> From<F> for Refused {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

/// What came of one attempt.
pub(crate) enum Tried {
    Done(Appended),
    /// The first part's stream is elsewhere.
    Conflict(Option<Revision>),
    /// Another stream is not what it was.
    Moved,
}

pub(crate) async fn attempt(
    gateway: &Gateway,
    first: Part,
    with: Vec<Part>,
) -> Result<Tried, Failure> {
    let stream = first.stream.clone();
    match gateway.store.append_parts(first, with).await {
        Ok(appended) => Ok(Tried::Done(appended)),
        Err(PartsError::First(AppendError::Conflict { actual })) => Ok(Tried::Conflict(actual)),
        Err(PartsError::First(error)) => Err(Failure::of_append(&stream, error)),
        Err(PartsError::Other { .. }) => Ok(Tried::Moved),
    }
}

/// The stream is, or is not there, as it was looked at.
pub(crate) fn at(revision: Option<Revision>) -> ExpectedRevision {
    revision.map_or(ExpectedRevision::NoStream, ExpectedRevision::Exact)
}

/// Appends events.
pub(crate) async fn append(
    gateway: &Gateway,
    stream: &StreamName,
    expected: ExpectedRevision,
    events: Vec<NewEvent>,
) -> Result<Appended, Refused> {
    match stream.original() {
        Some(original) => append_metadata(gateway, stream, &original, expected, events).await,
        None => append_to(gateway, stream, expected, events).await,
    }
}

async fn append_to(
    gateway: &Gateway,
    stream: &StreamName,
    expected: ExpectedRevision,
    events: Vec<NewEvent>,
) -> Result<Appended, Refused> {
    let metastream = stream.metastream()?;
    let part = |expected| Part::append(stream.clone(), expected, events.clone());
    // Most streams have no metadata, and then nothing has to be read.
    let known = gateway.remembered.get(stream).unwrap_or_default();
    if !known.limits.is_deleted() {
        let held = Part::condition(metastream.clone(), at(known.revision));
        match attempt(gateway, part(expected), vec![held]).await? {
            Tried::Done(appended) => return Ok(appended),
            Tried::Conflict(actual) if !depends_on_metadata(expected) => {
                return Err(Refused::Wrong { actual });
            }
            Tried::Conflict(_) | Tried::Moved => {}
        }
    }
    for _ in 0..ATTEMPTS {
        let looked = look(gateway, stream).await?;
        let (meant, with) = if looked.known.limits.is_deleted() {
            if let Some(before) = repeated(gateway, stream, expected, &looked, &events).await? {
                return Ok(before);
            }
            let again = undelete(gateway, &metastream, &looked).await?;
            (on_deleted(stream, expected, looked.head)?, again)
        } else {
            let held = Part::condition(metastream.clone(), at(looked.known.revision));
            (on_existing(expected, &looked), vec![held])
        };
        match attempt(gateway, part(meant), with).await? {
            Tried::Done(appended) => return Ok(appended),
            Tried::Conflict(actual) if meant == expected => return Err(Refused::Wrong { actual }),
            Tried::Conflict(_) | Tried::Moved => {}
        }
    }
    Err(Failure::Busy.into())
}

const fn depends_on_metadata(expected: ExpectedRevision) -> bool {
    matches!(expected, ExpectedRevision::NoStream | ExpectedRevision::StreamExists)
}

/// Where a stream that was deleted has to be: it is none for those who expect none, and its
/// revisions go on.
fn on_deleted(
    stream: &StreamName,
    expected: ExpectedRevision,
    head: Option<Revision>,
) -> Result<ExpectedRevision, Failure> {
    match expected {
        ExpectedRevision::NoStream | ExpectedRevision::Any => Ok(at(head)),
        ExpectedRevision::StreamExists => Err(Failure::StreamDeleted(stream.clone())),
        ExpectedRevision::Exact(_) => Ok(expected),
    }
}

/// A stream without events but with metadata exists.
fn on_existing(expected: ExpectedRevision, looked: &Looked) -> ExpectedRevision {
    match (expected, looked) {
        (
            ExpectedRevision::StreamExists,
            Looked { head: None, known: Known { revision: Some(_), .. } },
        ) => ExpectedRevision::NoStream,
        _ => expected,
    }
}

/// Whether the events stand where they were meant, although the stream was deleted since.
async fn repeated(
    gateway: &Gateway,
    stream: &StreamName,
    expected: ExpectedRevision,
    looked: &Looked,
    events: &[NewEvent],
) -> Result<Option<Appended>, Failure> {
    if expected != ExpectedRevision::NoStream || looked.head.is_none() {
        return Ok(None);
    }
    // The stream has events: what expects none is never written, only recognised.
    let meant = Part::append(stream.clone(), expected, events.to_vec());
    match attempt(gateway, meant, Vec::new()).await? {
        Tried::Done(before) => Ok(Some(before)),
        Tried::Conflict(_) | Tried::Moved => Ok(None),
    }
}

/// Lets a deleted stream begin anew behind its last event: its metadata, with another `$tb`.
async fn undelete(
    gateway: &Gateway,
    metastream: &StreamName,
    looked: &Looked,
) -> Result<Vec<Part>, Failure> {
    let Some(revision) = looked.known.revision else { return Ok(Vec::new()) };
    let raw = metadata::raw(gateway, metastream, revision).await?;
    let event = truncated(&raw, looked.head, Uuid::new_v4());
    let expected = ExpectedRevision::Exact(revision);
    Ok(vec![Part::append(metastream.clone(), expected, event.into_iter().collect())])
}

/// The same metadata, hiding everything up to `head`.
fn truncated(raw: &[u8], head: Option<Revision>, id: Uuid) -> Option<NewEvent> {
    let mut members = members(raw)?;
    members.insert("$tb".to_owned(), json!(head.map_or(0, |head| head.0 + 1)));
    Some(event::own(id, metadata::TYPE, Value::Object(members).to_string()))
}

/// Appends metadata. Written to a deleted stream, it brings the stream back, without what it held.
async fn append_metadata(
    gateway: &Gateway,
    metastream: &StreamName,
    stream: &StreamName,
    expected: ExpectedRevision,
    events: Vec<NewEvent>,
) -> Result<Appended, Refused> {
    if stream.original().is_some() {
        // Metadata has no metadata.
        return Err(Refused::Wrong { actual: None });
    }
    for _ in 0..ATTEMPTS {
        let Looked { head, known } = look(gateway, stream).await?;
        let meant = match (expected, known.revision) {
            (ExpectedRevision::Any, revision) => at(revision),
            (ExpectedRevision::StreamExists, Some(revision)) => ExpectedRevision::Exact(revision),
            _ => expected,
        };
        let mut written = events.clone();
        let mut with = Vec::new();
        if known.limits.is_deleted() {
            // Its id follows from the event before it: a repeat is a repeat.
            let last = events.last().map(|last| (last.data.clone(), last.id));
            let again =
                last.and_then(|(data, id)| truncated(&data, head, Uuid::new_v5(&id, b"undelete")));
            written.extend(again);
            with.push(Part::condition(stream.clone(), at(head)));
        }
        let part = Part::append(metastream.clone(), meant, written);
        match attempt(gateway, part, with).await? {
            Tried::Done(appended) => return Ok(appended),
            Tried::Conflict(actual) if meant == expected => return Err(Refused::Wrong { actual }),
            Tried::Conflict(_) | Tried::Moved => {}
        }
    }
    Err(Failure::Busy.into())
}

/// Whether a stream as it was looked at is where a delete expects it.
pub(crate) fn check(
    stream: &StreamName,
    expected: ExpectedRevision,
    looked: &Looked,
) -> Result<(), Refused> {
    let (head, deleted) = (looked.head, looked.known.limits.is_deleted());
    if head == Some(Revision::TOMBSTONE) {
        return Err(Failure::StreamDeleted(stream.clone()).into());
    }
    let fits = match expected {
        ExpectedRevision::Any => true,
        ExpectedRevision::NoStream => head.is_none() || deleted,
        ExpectedRevision::StreamExists if deleted => {
            return Err(Failure::StreamDeleted(stream.clone()).into());
        }
        ExpectedRevision::StreamExists => head.is_some() || looked.known.revision.is_some(),
        ExpectedRevision::Exact(revision) => head == Some(revision),
    };
    if fits { Ok(()) } else { Err(Refused::Wrong { actual: head }) }
}

/// Checks an append of no events: there is nothing to write.
pub(crate) async fn check_nothing(
    gateway: &Gateway,
    stream: &StreamName,
    expected: ExpectedRevision,
) -> Result<Option<Revision>, Refused> {
    let looked = look(gateway, stream).await?;
    check(stream, expected, &looked)?;
    Ok(looked.head)
}
