//! An event as the protocol tells it.

use std::borrow::Cow;

use bytes::Bytes;
use event_schemas::{Position, Recorded};
use uuid::Uuid;

use crate::{
    messages::{
        read::{Content, EventPosition, ReadEvent, ReadResp, RecordedEvent, UuidOption, UuidShape},
        shared::{self, Entry},
    },
    names,
};

/// How a client wants ids.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids(fn(Uuid) -> shared::Uuid);

impl Ids {
    pub(crate) fn asked(option: UuidOption) -> Self {
        match option.shape {
            Some(UuidShape::String(())) => Self(names::text),
            _ => Self(names::structured),
        }
    }
}

/// The answer that carries one event. In a stream an event's place is its revision, so only `$all`
/// gives the position beside the event too.
pub(crate) fn answer(event: &Recorded, position: Position, ids: Ids, in_all: bool) -> ReadResp {
    let recorded = RecordedEvent {
        id: Some(ids.0(event.id)),
        stream_identifier: Some(names::identifier(&event.stream)),
        stream_revision: event.revision.0,
        prepare_position: position.0,
        commit_position: position.0,
        metadata: facts(event),
        custom_metadata: event.metadata.clone(),
        data: event.data.clone(),
    };
    let position = if in_all {
        EventPosition::CommitPosition(position.0)
    } else {
        EventPosition::NoPosition(())
    };
    let event = ReadEvent { event: Some(recorded), link: None, position: Some(position) };
    ReadResp { content: Some(Content::Event(event)) }
}

fn facts(event: &Recorded) -> Vec<Entry> {
    let entry = |key: &'static str, value| Entry { key: Bytes::from_static(key.as_bytes()), value };
    let event_type = match &event.event_type {
        Cow::Borrowed(known) => Bytes::from_static(known.as_bytes()),
        Cow::Owned(other) => Bytes::copy_from_slice(other.as_bytes()),
    };
    vec![
        entry("type", event_type),
        entry("created", created(event).to_string().into()),
        entry("content-type", Bytes::from_static(b"application/json")),
    ]
}

/// When an event was written, in ticks (100 ns) since the Unix epoch.
fn created(event: &Recorded) -> i64 {
    event.decode().map_or(0, |decoded| decoded.metadata.recorded_at.as_micros() * 10)
}
