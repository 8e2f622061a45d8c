use base64::{Engine, engine::general_purpose::STANDARD};
use event_schemas::{Logged, Metadata, Position, RequestHash, Revision, StoreId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::shown::Data;

/// An event as a CloudEvent (1.0, JSON format). The attributes are those of the messages on the bus,
/// with the place in the log as two more extensions.
#[derive(Serialize)]
pub struct CloudEvent<'a> {
    specversion: &'static str,
    id: Uuid,
    source: String,
    #[serde(rename = "type")]
    event_type: &'a str,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<&'static str>,
    position: Position,
    revision: Revision,
    #[serde(flatten)]
    facts: Option<Facts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

#[derive(Serialize)]
struct Facts<'a> {
    schemaversion: u32,
    occurredat: Timestamp,
    actorid: &'a str,
    actorkind: &'static str,
    actorproof: &'static str,
    commandid: Uuid,
    correlationid: &'a str,
    causationid: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    requesthash: Option<RequestHash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
}

impl<'a> CloudEvent<'a> {
    /// An event of this store with its metadata, where that is Daybook's own.
    pub fn new(store: StoreId, logged: &'a Logged, metadata: Option<&'a Metadata>) -> Self {
        let recorded = &logged.recorded;
        let (datacontenttype, data, data_base64) = match Data::of(recorded) {
            Data::Bytes => (None, None, Some(STANDARD.encode(&recorded.data))),
            data @ Data::Text(_) => (Some("text/plain"), Some(data), None),
            data @ Data::Json(_) => (Some("application/json"), Some(data), None),
        };
        Self {
            specversion: "1.0",
            id: recorded.id,
            source: format!("urn:uuid:{store}"),
            event_type: &recorded.event_type,
            subject: recorded.stream.as_str(),
            time: recorded.recorded_at(),
            datacontenttype,
            position: logged.position,
            revision: recorded.revision,
            facts: metadata.map(Facts::new),
            data,
            data_base64,
        }
    }
}

impl<'a> Facts<'a> {
    fn new(metadata: &'a Metadata) -> Self {
        Self {
            schemaversion: metadata.schema_version,
            occurredat: metadata.occurred_at,
            actorid: &metadata.actor.id,
            actorkind: metadata.actor.kind.as_str(),
            actorproof: metadata.actor.proof.as_str(),
            commandid: metadata.command_id,
            correlationid: &metadata.correlation_id,
            causationid: metadata.causation_id,
            requesthash: metadata.request_hash,
            traceparent: metadata.traceparent.as_deref(),
        }
    }
}
