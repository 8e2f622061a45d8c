use std::{
    borrow::Cow,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use uuid::Uuid;

use crate::{
    CATEGORIES, DecodeError, EncodeError, Event, Metadata, Position, Revision, StreamName,
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
    decoded: Option<Arc<Decoded>>,
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
            decoded: Some(Arc::new(Decoded { metadata, event })),
        })
    }

    /// Bytes that somebody else encoded.
    pub fn raw(id: Uuid, event_type: String, data: Bytes, metadata: Bytes) -> Self {
        Self { id, event_type: event_type.into(), data, metadata, decoded: None }
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
        Self { id, stream, revision, event_type, data, metadata, decoded: OnceLock::new() }
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
            decoded,
        }
    }

    /// Whether it stands in one of Daybook's own categories; others' events are skipped.
    pub fn is_ours(&self) -> bool {
        CATEGORIES.contains(&self.stream.category())
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
        if !self.is_ours() {
            return Err(DecodeError::Foreign(category.to_owned()));
        }
        let metadata: Metadata =
            serde_json::from_slice(&self.metadata).map_err(|error| DecodeError::Malformed {
                event_type: self.event_type.to_string(),
                reason: format!("metadata: {error}"),
            })?;
        let event = Event::decode(category, &self.event_type, metadata.schema_version, &self.data)?;
        Ok(Decoded { metadata, event })
    }
}

impl Deref for Logged {
    type Target = Recorded;

    fn deref(&self) -> &Recorded {
        &self.recorded
    }
}
