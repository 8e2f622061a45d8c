//! Events as the protocol tells them.

use std::{
    borrow::Cow,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use event_schemas::{Logged, NewEvent, Received, Timestamp};
use uuid::Uuid;

use crate::{
    failure::Failure,
    messages::{
        append::ProposedMessage,
        read::{Content, EventPosition, ReadEvent, ReadResp, RecordedEvent, UuidOption, UuidShape},
        shared::{self, Entry},
    },
    names,
};

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

/// What a read or a subscription tells next.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Event(Logged),
    Other(Content),
}

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

    pub(crate) fn answer(self, told: Told) -> ReadResp {
        let content = match told {
            Told::Event(event) => Content::Event(Box::new(self.event(&event))),
            Told::Other(content) => content,
        };
        ReadResp { content: Some(content) }
    }

    fn event(self, event: &Logged) -> ReadEvent {
        let position = event.position.0;
        let recorded = RecordedEvent {
            id: Some(self.0(event.id)),
            stream_identifier: Some(names::identifier(&event.stream)),
            stream_revision: event.revision.0,
            prepare_position: position,
            commit_position: position,
            metadata: facts(event),
            custom_metadata: event.metadata.clone(),
            data: event.data.clone(),
        };
        let position = Some(EventPosition::CommitPosition(position));
        ReadEvent { event: Some(recorded), link: None, position }
    }
}

/// What the server itself says of an event.
fn facts(event: &Logged) -> Vec<Entry> {
    let entry = |key: &'static str, value| Entry { key: Bytes::from_static(key.as_bytes()), value };
    let event_type = match &event.event_type {
        Cow::Borrowed(known) => Bytes::from_static(known.as_bytes()),
        Cow::Owned(other) => Bytes::copy_from_slice(other.as_bytes()),
    };
    let json = event.received.is_none_or(|received| received.json);
    let content_type = if json { JSON } else { BYTES };
    // In ticks (100 ns) since the Unix epoch.
    let created = event.recorded_at().map_or(0, |at| at.as_micros() * 10);
    vec![
        entry("type", event_type),
        entry("created", created.to_string().into()),
        entry("content-type", Bytes::from_static(content_type.as_bytes())),
    ]
}

/// An event as a client proposes it.
pub(crate) fn proposed(mut proposed: ProposedMessage) -> Result<NewEvent, Failure> {
    let id = names::uuid(proposed.id.as_ref())?;
    let mut fact = |name| proposed.metadata.remove(name).ok_or(Failure::MissingMetadata(name));
    let (event_type, content_type) = (fact("type")?, fact("content-type")?);
    if event_type.is_empty() || event_type.len() > 1_000 {
        return Err(Failure::Invalid("an event's type is 1 to 1,000 bytes long".to_owned()));
    }
    let event = NewEvent::raw(id, event_type, proposed.data, proposed.custom_metadata);
    Ok(event.received(Received { at: now(), json: content_type == JSON }))
}

/// An event that the gateway itself writes.
pub(crate) fn own(id: Uuid, event_type: &str, data: String) -> NewEvent {
    let event = NewEvent::raw(id, event_type.to_owned(), data.into(), Bytes::new());
    event.received(Received { at: now(), json: true })
}

pub(crate) fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::saturating(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}

/// The time of day, as the protocol tells it.
pub(crate) fn time_of_day() -> prost_types::Timestamp {
    let micros = now().as_micros();
    prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0),
    }
}
