//! One append within the transaction: what its parts meet, and the rows that come of them.

use std::{mem, sync::Arc};

use event_schemas::{ExpectedRevision, Logged, NewEvent, Position, Recorded, Revision, StreamName};
use rusqlite::{Connection, Result};

use super::{
    queue::{Append, Outcome},
    row::{self, EventRow},
    state::{State, slot},
};
use crate::event_store::{AppendError, Appended, Part, PartsError};

/// What came of one append within the transaction.
pub(super) enum Decided {
    /// Its events are in, from this position on; each part's from this revision.
    Written(Position, Revision, Vec<Revision>),
    Answer(Outcome),
}

/// What one part meets in its stream.
enum Met {
    /// It can be written, from this revision on.
    Fits(Revision),
    /// It was written before.
    Repeat(Appended),
    /// The stream is elsewhere.
    Conflict(Option<Revision>),
    /// The stream was ended for good.
    Deleted,
}

/// Some of the events were appended before, and not all.
struct InPart;

/// Looks at every part before any is written.
pub(super) fn decide(
    connection: &Connection,
    state: &mut State,
    append: &Append,
) -> Result<Decided> {
    let Append { first, with, .. } = append;
    let answer = |outcome| Ok(Decided::Answer(outcome));
    let revision = match meet(connection, state, first)? {
        Met::Fits(revision) => revision,
        Met::Repeat(before) => return answer(Ok(before)),
        Met::Conflict(actual) => return answer(Err(AppendError::Conflict { actual }.into())),
        Met::Deleted => return answer(Err(AppendError::StreamDeleted.into())),
    };
    let mut others = Vec::with_capacity(with.len());
    for part in with {
        match meet(connection, state, part)? {
            Met::Fits(revision) => others.push(revision),
            Met::Repeat(Appended { last_revision: actual, .. }) => {
                return answer(Err(PartsError::Other { actual: Some(actual) }));
            }
            Met::Conflict(actual) => return answer(Err(PartsError::Other { actual })),
            Met::Deleted => {
                let actual = Some(Revision::TOMBSTONE);
                return answer(Err(PartsError::Other { actual }));
            }
        }
    }
    let position = insert(connection, state, first, revision)?;
    for (part, revision) in with.iter().zip(&others) {
        insert(connection, state, part, *revision)?;
    }
    Ok(Decided::Written(position, revision, others))
}

fn meet(connection: &Connection, state: &mut State, part: &Part) -> Result<Met> {
    let Part { stream, expected, events, ends_stream } = part;
    let head = state.stream_head(connection, stream)?;
    if head == Some(Revision::TOMBSTONE) || is_metadata_of_deleted(connection, state, stream)? {
        return Ok(Met::Deleted);
    }
    // The slot that the first event was meant for, where the caller named one.
    let (fits, meant) = match *expected {
        ExpectedRevision::NoStream => (head.is_none(), Some(Revision(0))),
        ExpectedRevision::StreamExists => (head.is_some(), None),
        ExpectedRevision::Exact(revision) => {
            (head == Some(revision), revision.0.checked_add(1).map(Revision))
        }
        ExpectedRevision::Any => (true, None),
    };
    if fits && meant.is_none() {
        match find_anywhere(state, stream, events) {
            Some(Ok(repeat)) => return Ok(Met::Repeat(repeat)),
            Some(Err(InPart)) => return Ok(Met::Conflict(head)),
            None => {}
        }
    }
    if fits {
        let next = head.map_or(Revision(0), Revision::next);
        return Ok(Met::Fits(if *ends_stream { Revision::TOMBSTONE } else { next }));
    }
    let repeat = match (meant, head) {
        (Some(meant), Some(head)) if meant <= head => {
            find_repeat(connection, stream, head, meant, events)?
        }
        _ => None,
    };
    Ok(repeat.map_or(Met::Conflict(head), Met::Repeat))
}

/// Nothing is said any more of a stream that was ended for good.
fn is_metadata_of_deleted(
    connection: &Connection,
    state: &mut State,
    stream: &StreamName,
) -> Result<bool> {
    let Some(original) = stream.original() else { return Ok(false) };
    let head = state.stream_head(connection, &original)?;
    Ok(head == Some(Revision::TOMBSTONE))
}

/// Whether the very same events stand in the very slots they were meant for.
fn find_repeat(
    connection: &Connection,
    stream: &StreamName,
    head: Revision,
    meant: Revision,
    events: &[NewEvent],
) -> Result<Option<Appended>> {
    let mut found = None;
    for (event, revision) in events.iter().zip(meant.0..) {
        let revision = Revision(revision);
        if head < revision {
            return Ok(None);
        }
        let (position, id) = slot(connection, stream, revision)?;
        if id != event.id {
            return Ok(None);
        }
        found = Some(Appended { last_revision: revision, position });
    }
    Ok(found)
}

/// Whether other programs' clients appended the very same events to the stream before, as far
/// as that is remembered.
fn find_anywhere(
    state: &State,
    stream: &StreamName,
    events: &[NewEvent],
) -> Option<std::result::Result<Appended, InPart>> {
    let stands = |event: &NewEvent| {
        event.received.and_then(|_| state.stands(event.id)).filter(|(at, _)| at == stream)
    };
    let (_, mut last) = *stands(events.first()?)?;
    for event in &events[1..] {
        match stands(event) {
            Some((_, at)) => last = *at,
            None => return Some(Err(InPart)),
        }
    }
    Some(Ok(last))
}

/// Inserts a part's events and answers the first one's position.
fn insert(
    connection: &Connection,
    state: &mut State,
    part: &Part,
    first: Revision,
) -> Result<Position> {
    let Part { stream, events, .. } = part;
    let start = Position(state.head.0 + 1);
    let mut insert = connection.prepare_cached(row::INSERT)?;
    let mut last = None;
    for (event, at) in events.iter().zip(first.0..) {
        let revision = Revision(at);
        last = Some(revision);
        let kind = state.kinds.intern(connection, stream.category(), &event.event_type)?;
        state.head.0 += 1;
        let row = EventRow {
            position: state.head.0,
            stream,
            revision,
            kind,
            id: event.id,
            data: &event.data,
            metadata: &event.metadata,
            received: event.received,
        };
        row.write(&mut insert)?;
        if event.received.is_some() {
            let at = Appended { last_revision: revision, position: state.head };
            state.note(event.id, stream.clone(), at);
        }
    }
    if let Some(last) = last {
        state.set_stream_head(stream.clone(), last);
    }
    Ok(start)
}

/// Turns an append's events into what they have become, and answers where the first part's stand.
pub(super) fn record(
    append: &mut Append,
    start: Position,
    first: Revision,
    others: Vec<Revision>,
    written: &mut Vec<Logged>,
) -> Appended {
    let mut next = start;
    let appended = record_part(&mut append.first, first, &mut next, written);
    for (part, revision) in append.with.iter_mut().zip(others) {
        record_part(part, revision, &mut next, written);
    }
    appended
}

fn record_part(
    part: &mut Part,
    first: Revision,
    next: &mut Position,
    written: &mut Vec<Logged>,
) -> Appended {
    let mut appended = Appended { last_revision: first, position: *next };
    for (event, revision) in mem::take(&mut part.events).into_iter().zip(first.0..) {
        appended = Appended { last_revision: Revision(revision), position: *next };
        let recorded = Recorded::written(event, part.stream.clone(), appended.last_revision);
        written.push(Logged { position: *next, recorded: Arc::new(recorded) });
        next.0 += 1;
    }
    appended
}
