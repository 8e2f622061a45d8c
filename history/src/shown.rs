use event_schemas::{Actor, Logged, Metadata, Position, Recorded, Revision, StreamName, Timestamp};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

/// An event as the outside sees it, over HTTP and from the command line alike. Personal values stay
/// sealed.
#[derive(Serialize)]
pub struct Shown<'a> {
    id: Uuid,
    position: Option<Position>,
    stream: &'a StreamName,
    revision: Revision,
    #[serde(rename = "type")]
    event_type: &'a str,
    schema_version: Option<u32>,
    occurred_at: Option<Timestamp>,
    recorded_at: Option<Timestamp>,
    actor: Option<&'a Actor>,
    command_id: Option<Uuid>,
    correlation_id: Option<&'a str>,
    causation_id: Option<Uuid>,
    data: Data<'a>,
}

/// What others append need not be JSON.
pub(crate) enum Data<'a> {
    Json(&'a RawValue),
    Text(&'a str),
    Bytes,
}

/// What the event says of itself; `None` if it is not one of Daybook's own.
pub fn metadata(recorded: &Recorded) -> Option<Metadata> {
    serde_json::from_slice(&recorded.metadata).ok()
}

impl<'a> Shown<'a> {
    /// An event with its metadata, where that is Daybook's own.
    pub fn new(logged: &'a Logged, metadata: Option<&'a Metadata>) -> Self {
        Self::of_stream(&logged.recorded, Some(logged.position), metadata)
    }

    /// An event read from its stream: an older EventStoreDB does not tell its place in the log.
    pub fn of_stream(
        recorded: &'a Recorded,
        position: Option<Position>,
        metadata: Option<&'a Metadata>,
    ) -> Self {
        Self {
            id: recorded.id,
            position,
            stream: &recorded.stream,
            revision: recorded.revision,
            event_type: &recorded.event_type,
            schema_version: metadata.map(|metadata| metadata.schema_version),
            occurred_at: metadata.map(|metadata| metadata.occurred_at),
            recorded_at: metadata.map(|metadata| metadata.recorded_at),
            actor: metadata.map(|metadata| &metadata.actor),
            command_id: metadata.map(|metadata| metadata.command_id),
            correlation_id: metadata.map(|metadata| metadata.correlation_id.as_str()),
            causation_id: metadata.map(|metadata| metadata.causation_id),
            data: Data::of(recorded),
        }
    }
}

impl<'a> Data<'a> {
    pub(crate) fn of(recorded: &'a Recorded) -> Self {
        match (serde_json::from_slice(&recorded.data), std::str::from_utf8(&recorded.data)) {
            (Ok(json), _) => Self::Json(json),
            (Err(_), Ok(text)) => Self::Text(text),
            (Err(_), Err(_)) => Self::Bytes,
        }
    }
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Json(json) => json.serialize(serializer),
            Self::Text(text) => text.serialize(serializer),
            Self::Bytes => serializer.serialize_none(),
        }
    }
}
