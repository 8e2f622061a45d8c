use std::{
    borrow::Cow,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use uuid::Uuid;

use crate::{
    CATEGORIES, DecodeError, EncodeError, Event, Metadata, Position, Revision, StreamName,
    Timestamp, codec,
};

/// An event on its way into a store.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The event's id: a store takes an append with the same ids in the same slots for a repeat.
    pub id: Uuid,
    /// The event type's name.
    pub event_type: Cow<'static, str>,
    /// JSON.
    pub data: Bytes,
    /// JSON.
    pub metadata: Bytes,
    /// What is noted beside it, where another program's client sent it.
    pub received: Option<Received>,
    decoded: Option<Arc<Decoded>>,
}

/// What a store notes of an event that another program's client sent. Daybook's own events need no
/// such note: they are JSON, and their metadata tells when they were recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// When it came.
    pub at: Timestamp,
    /// Whether its data was said to be JSON.
    pub json: bool,
}

/// An event as a store holds it.
#[derive(Debug)]
pub struct Recorded {
    /// The event's id.
    pub id: Uuid,
    /// The stream it stands in.
    pub stream: StreamName,
    /// Its place in the stream.
    pub revision: Revision,
    /// The event type's name.
    pub event_type: Cow<'static, str>,
    /// The data, exactly as stored.
    pub data: Bytes,
    /// The metadata, exactly as stored.
    pub metadata: Bytes,
    /// What is noted beside it, where another program's client sent it.
    pub received: Option<Received>,
    decoded: OnceLock<Result<Arc<Decoded>, DecodeError>>,
}

/// An event met in the log, with its place in it. (Read from a stream, an event of an older
/// EventStoreDB has no usable position.)
#[derive(Clone, Debug)]
pub struct Logged {
    /// Its place in the store.
    pub position: Position,
    /// The event.
    pub recorded: Arc<Recorded>,
}

/// What the bytes of one of Daybook's own events say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The metadata.
    pub metadata: Metadata,
    /// The event.
    pub event: Event,
}

impl NewEvent {
    /// Encodes an event. `metadata.schema_version` is set to the version written.
    ///
    /// # Errors
    /// If the event holds personal data that is not sealed.
    pub fn new(id: Uuid, event: Event, mut metadata: Metadata) -> Result<Self, EncodeError> {
        metadata.schema_version = event.schema_version();
        let encoded = serde_json::to_vec(&metadata)
            .map_err(|source| EncodeError { event_type: event.type_name(), source })?;
        Ok(Self {
            id,
            event_type: event.type_name().into(),
            data: event.encode()?.into(),
            metadata: encoded.into(),
            received: None,
            decoded: Some(Arc::new(Decoded { metadata, event })),
        })
    }

    /// Bytes that somebody else encoded.
    pub fn raw(id: Uuid, event_type: String, data: Bytes, metadata: Bytes) -> Self {
        Self { id, event_type: event_type.into(), data, metadata, received: None, decoded: None }
    }

    /// The same, with a note of how it came.
    pub fn received(self, received: Received) -> Self {
        Self { received: Some(received), ..self }
    }

    /// The event, where it is one of Daybook's own.
    pub fn decoded(&self) -> Option<&Decoded> {
        self.decoded.as_deref()
    }

    /// The same, to keep when the event is given to a store.
    pub fn shared(&self) -> Option<Arc<Decoded>> {
        self.decoded.clone()
    }

    /// The bytes that a store has to keep for it.
    pub fn size(&self) -> usize {
        self.event_type.len() + self.data.len() + self.metadata.len() + 16
    }
}

impl Recorded {
    /// An event as it was read.
    pub fn new(
        id: Uuid,
        stream: StreamName,
        revision: Revision,
        event_type: Cow<'static, str>,
        data: Bytes,
        metadata: Bytes,
    ) -> Self {
        let (received, decoded) = (None, OnceLock::new());
        Self { id, stream, revision, event_type, data, metadata, received, decoded }
    }

    /// An event as it was just written; what is known of it need not be parsed again.
    pub fn written(event: NewEvent, stream: StreamName, revision: Revision) -> Self {
        let decoded = OnceLock::new();
        if let Some(known) = event.decoded {
            let _ = decoded.set(Ok(known));
        }
        Self {
            id: event.id,
            stream,
            revision,
            event_type: event.event_type,
            data: event.data,
            metadata: event.metadata,
            received: event.received,
            decoded,
        }
    }

    /// Whether it stands in one of Daybook's own categories and is not the store's own; others'
    /// events are skipped.
    pub fn is_ours(&self) -> bool {
        CATEGORIES.contains(&self.stream.category()) && !self.is_systems()
    }

    /// Whether it is of those that EventStoreDB itself writes, into any stream: a tombstone, a
    /// stream's metadata, a link.
    pub fn is_systems(&self) -> bool {
        self.event_type.starts_with('$')
    }

    /// When it was recorded, found without reading all of the JSON: as it was noted, else as the
    /// metadata of Daybook's own events says. `None` where neither tells.
    pub fn recorded_at(&self) -> Option<Timestamp> {
        if let Some(received) = self.received {
            return Some(received.at);
        }
        if let Some(Ok(known)) = self.decoded.get() {
            return Some(known.metadata.recorded_at);
        }
        const MEMBER: &[u8] = b"\"recorded_at\":\"";
        let at = self.metadata.windows(MEMBER.len()).position(|part| part == MEMBER)?;
        let value = &self.metadata[at + MEMBER.len()..];
        let end = value.iter().position(|byte| *byte == b'"')?;
        std::str::from_utf8(&value[..end]).ok()?.parse().ok()
    }

    /// What the bytes say, parsed at most once however many readers ask.
    ///
    /// # Errors
    /// [`DecodeError`], the same each time.
    pub fn decode(&self) -> Result<&Decoded, &DecodeError> {
        self.decoded.get_or_init(|| self.parse().map(Arc::new)).as_ref().map(Arc::as_ref)
    }

    fn parse(&self) -> Result<Decoded, DecodeError> {
        let category = self.stream.category();
        if self.is_systems() {
            return Err(DecodeError::System(self.event_type.to_string()));
        }
        if !self.is_ours() {
            return Err(DecodeError::Foreign(category.to_owned()));
        }
        let metadata = codec::from_json::<Metadata>(&self.metadata);
        let metadata = metadata.map_err(|error| self.unreadable(&error))?;
        let event = Event::decode(category, &self.event_type, metadata.schema_version, &self.data)?;
        Ok(Decoded { metadata, event })
    }

    /// Why it cannot be read, whose metadata is none of Daybook's: its type says more.
    fn unreadable(&self, error: &serde_json::Error) -> DecodeError {
        match Event::decode(self.stream.category(), &self.event_type, 1, b"") {
            Err(DecodeError::UnknownType { category, event_type, .. }) => {
                DecodeError::UnknownType { category, event_type, version: None }
            }
            _ => DecodeError::Malformed {
                event_type: self.event_type.to_string(),
                reason: format!("metadata: {error}"),
            },
        }
    }
}

impl Deref for Logged {
    type Target = Recorded;

    fn deref(&self) -> &Recorded {
        &self.recorded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Actor, ActorKind, OrderDelivered, OrderEvent, Proof};

    fn recorded(stream: &str, event: NewEvent) -> Recorded {
        Recorded::written(event, StreamName::parse(stream).unwrap(), Revision(0))
    }

    fn raw(event_type: &str, metadata: &str) -> NewEvent {
        let metadata = Bytes::copy_from_slice(metadata.as_bytes());
        NewEvent::raw(Uuid::nil(), event_type.to_owned(), "{}".into(), metadata)
    }

    #[test]
    fn when_it_was_recorded_is_found_without_reading_all_of_it() {
        let recorded_at: Timestamp = "2026-11-21T09:15:00.123456Z".parse().unwrap();
        let metadata = Metadata {
            schema_version: 1,
            occurred_at: Timestamp::from_micros(1).unwrap(),
            recorded_at,
            actor: Actor { id: "a".to_owned(), kind: ActorKind::User, proof: Proof::None },
            command_id: Uuid::nil(),
            request_hash: None,
            correlation_id: "c".to_owned(),
            causation_id: Uuid::nil(),
            traceparent: None,
        };
        let event = OrderEvent::from(OrderDelivered {});
        let ours = NewEvent::new(Uuid::nil(), event.into(), metadata).unwrap();
        let bytes = NewEvent::raw(
            Uuid::nil(),
            "OrderDelivered".to_owned(),
            ours.data.clone(),
            ours.metadata.clone(),
        );
        let noted = Received { at: Timestamp::from_micros(7).unwrap(), json: false };
        assert_eq!(recorded("order-1", ours.clone()).recorded_at(), Some(recorded_at));
        assert_eq!(recorded("order-1", bytes).recorded_at(), Some(recorded_at));
        assert_eq!(recorded("order-1", ours.received(noted)).recorded_at(), Some(noted.at));
        for metadata in ["", "{}", "{\"recorded_at\":\"", "{\"recorded_at\":\"soon\"}"] {
            assert_eq!(recorded("order-1", raw("Lost", metadata)).recorded_at(), None);
        }
    }

    #[test]
    fn what_is_unknown_is_said_to_be_so_whatever_its_metadata() {
        let unknown = recorded("order-1", raw("OrderLost", "no JSON"));
        assert!(matches!(unknown.decode(), Err(DecodeError::UnknownType { version: None, .. })));
        let known = recorded("order-1", raw("OrderDelivered", "no JSON"));
        assert!(matches!(known.decode(), Err(DecodeError::Malformed { .. })));
    }

    #[test]
    fn what_the_store_itself_writes_is_not_ours() {
        let tombstone = recorded("order-1", raw("$streamDeleted", ""));
        assert!(!tombstone.is_ours());
        let system = DecodeError::System("$streamDeleted".to_owned());
        assert_eq!(tombstone.decode().unwrap_err(), &system);
        assert!(recorded("order-1", raw("Lost", "")).is_ours());
        let foreign = recorded("$$order-1", raw("Lost", ""));
        assert!(!foreign.is_ours());
        assert_eq!(foreign.decode().unwrap_err(), &DecodeError::Foreign("$$order".to_owned()));
    }
}
