use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use crate::{Actor, Timestamp, codec::Text};

/// What every event says of itself beside its data. Event id and type stand beside it in the
/// store; `$correlationId` and `$causationId` are EventStoreDB's reserved names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Metadata {
    /// The version of the event type's schema, from 1.
    pub schema_version: u32,
    /// When it happened: the past's own time for imports.
    pub occurred_at: Timestamp,
    /// When the command node wrote it, never the server's time.
    pub recorded_at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// The command that it came of.
    pub command_id: Uuid,
    /// The keyed hash of the command's parsed body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<RequestHash>,
    /// What it belongs to, over all that came of one request.
    #[serde(rename = "$correlationId")]
    pub correlation_id: String,
    /// What caused it: a command's or an event's id.
    #[serde(rename = "$causationId")]
    pub causation_id: Uuid,
    /// The trace context of the request (W3C Trace Context), where one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// The first 16 bytes of a keyed hash (HMAC-SHA-256) of a request, in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestHash(pub [u8; 16]);

impl fmt::Display for RequestHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for RequestHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for RequestHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RequestHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        let invalid = || de::Error::custom("a request hash is 32 hexadecimal digits");
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        // Read with each event, and two halves are read faster than 128 bits at once.
        let (high, low) = text.split_at(16);
        let half = |part| u64::from_str_radix(part, 16).map_err(|_| invalid());
        let number = u128::from(half(high)?) << 64 | u128::from(half(low)?);
        Ok(Self(number.to_be_bytes()))
    }
}

impl JsonSchema for RequestHash {
    fn schema_name() -> Cow<'static, str> {
        "RequestHash".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]{32}$" })
    }
}
