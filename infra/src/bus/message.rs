//! What a message says, in headers: of the event by CloudEvents' attributes (the NATS protocol
//! binding's binary mode, `ce-*`), of its place in the log by Daybook's own.

use std::str::FromStr;

use async_nats::HeaderMap;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use event_schemas::{Logged, Metadata, Position, Recorded, Revision, StoreId, StreamName};
use percent_encoding::{
    AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode,
};
use std::sync::Arc;
use uuid::Uuid;

const STORE: &str = "Daybook-Store";
const POSITION: &str = "Daybook-Position";
const BEFORE: &str = "Daybook-Before";
const LAST: &str = "Daybook-Last";
const REVISION: &str = "Daybook-Revision";
const METADATA: &str = "Daybook-Metadata";
/// Instead, where a header cannot hold the metadata as it is.
const METADATA_BASE64: &str = "Daybook-Metadata-Base64";
/// `omitted` where the event is too large for the server.
const BODY: &str = "Daybook-Body";

/// JetStream refuses a message whose headers are 64 KiB or more; the client adds the fence to them.
const MAX_HEADERS: usize = 60_000;

/// What CloudEvents' HTTP binding has percent-encoded in a header's value.
const VALUE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');
/// What stands for itself in a subject's token.
const TOKEN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-');

/// A message: an event, and where it stands.
#[derive(Clone, Debug)]
pub struct Message {
    /// The store that it comes from.
    pub store: StoreId,
    /// Where it stands there.
    pub position: Position,
    /// All that lies between this place and `position` concerns nobody.
    pub before: Position,
    /// The last event of Daybook's own categories at or before it, where the sender knew it.
    pub last: Option<(Position, Uuid)>,
    /// The event; `None` if it was too large for the server: it lies in the event store.
    pub event: Option<Logged>,
}

/// The subject of an event's message: the stream's name, the category and the event type, each
/// percent-encoded where it is more than letters, digits, `_` and `-`; an empty one is `%`.
pub fn subject(name: &str, event: &Recorded) -> String {
    let token = |text: &str| match text {
        "" => "%".to_owned(),
        text => utf8_percent_encode(text, TOKEN).to_string(),
    };
    format!("{name}.{}.{}", token(event.stream.category()), token(&event.event_type))
}

impl Message {
    /// The headers and the body. Where the headers would be too long, the event is left out.
    pub(super) fn encode(&self) -> (HeaderMap, Bytes) {
        let whole = self.event.as_ref().map(|event| self.with(event));
        if let Some(whole) = whole.filter(|(headers, _)| length(headers) <= MAX_HEADERS) {
            return whole;
        }
        let mut headers = self.place();
        headers.insert(BODY, "omitted");
        (headers, Bytes::new())
    }

    fn with(&self, event: &Logged) -> (HeaderMap, Bytes) {
        let mut headers = self.place();
        let mut attribute = |name: &str, value: &str| {
            headers.insert(name, utf8_percent_encode(value, VALUE).to_string());
        };
        attribute("ce-specversion", "1.0");
        attribute("ce-id", &event.id.to_string());
        attribute("ce-source", &format!("urn:uuid:{}", self.store));
        attribute("ce-type", &event.event_type);
        attribute("ce-subject", event.stream.as_str());
        if event.received.is_none_or(|received| received.json) {
            attribute("ce-datacontenttype", "application/json");
        }
        if let Some(at) = event.recorded_at() {
            attribute("ce-time", &at.to_string());
        }
        if let Ok(metadata) = serde_json::from_slice::<Metadata>(&event.metadata) {
            facts(&metadata, attribute);
        }
        headers.insert(REVISION, event.revision.to_string());
        match plain(&event.metadata) {
            Some(metadata) => headers.insert(METADATA, metadata),
            None => headers.insert(METADATA_BASE64, STANDARD.encode(&event.metadata)),
        }
        (headers, event.data.clone())
    }

    fn place(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(STORE, self.store.to_string());
        headers.insert(POSITION, self.position.to_string());
        headers.insert(BEFORE, self.before.to_string());
        if let Some((position, id)) = self.last {
            headers.insert(LAST, format!("{position} {id}"));
        }
        headers
    }

    /// What a message says; `None` if it is none of Daybook's.
    pub(super) fn decode(headers: &HeaderMap, body: Bytes) -> Option<Self> {
        let text = |name: &str| headers.get(name).map(|value| value.as_str());
        let position = |name: &str| number(text(name)?).map(Position);
        let last = || {
            let (position, id) = text(LAST)?.split_once(' ')?;
            Some((Position(number(position)?), id.parse().ok()?))
        };
        let place = Self {
            store: StoreId(text(STORE)?.parse().ok()?),
            position: position(POSITION)?,
            before: position(BEFORE)?,
            last: last(),
            event: None,
        };
        if text(BODY).is_some() {
            return Some(place);
        }
        let attribute = |name: &str| percent_decode_str(text(name)?).decode_utf8().ok();
        let recorded = Recorded::new(
            attribute("ce-id")?.parse().ok()?,
            StreamName::parse(&attribute("ce-subject")?).ok()?,
            Revision(number(text(REVISION)?)?),
            attribute("ce-type")?.into_owned().into(),
            body,
            match text(METADATA) {
                Some(metadata) => Bytes::copy_from_slice(metadata.as_bytes()),
                None => STANDARD.decode(text(METADATA_BASE64)?).ok()?.into(),
            },
        );
        let event = Logged { position: place.position, recorded: Arc::new(recorded) };
        Some(Self { event: Some(event), ..place })
    }
}

/// The rest of the envelope, as extension attributes: lower case letters and digits, as CloudEvents
/// has them.
fn facts(metadata: &Metadata, mut attribute: impl FnMut(&str, &str)) {
    attribute("ce-schemaversion", &metadata.schema_version.to_string());
    attribute("ce-occurredat", &metadata.occurred_at.to_string());
    attribute("ce-actorid", &metadata.actor.id);
    attribute("ce-actorkind", metadata.actor.kind.as_str());
    attribute("ce-actorproof", metadata.actor.proof.as_str());
    attribute("ce-commandid", &metadata.command_id.to_string());
    attribute("ce-correlationid", &metadata.correlation_id);
    attribute("ce-causationid", &metadata.causation_id.to_string());
    if let Some(hash) = metadata.request_hash {
        attribute("ce-requesthash", &hash.to_string());
    }
    // CloudEvents' distributed tracing extension.
    if let Some(traceparent) = &metadata.traceparent {
        attribute("ce-traceparent", traceparent);
    }
}

/// The bytes that headers take: a name, a colon, a space, the value and a line end each.
fn length(headers: &HeaderMap) -> usize {
    let each = headers.iter().flat_map(|(name, values)| values.iter().map(move |one| (name, one)));
    each.map(|(name, value)| name.to_string().len() + value.as_str().len() + 4).sum()
}

/// The bytes as a header gives them back unchanged: visible ASCII, and no space at either end.
fn plain(bytes: &[u8]) -> Option<&str> {
    let ends = [bytes.first(), bytes.last()];
    let visible = bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
    (visible && ends.iter().all(|end| end.is_some_and(|byte| *byte != b' ')))
        .then(|| std::str::from_utf8(bytes).ok())?
}

fn number(text: &str) -> Option<u64> {
    u64::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(metadata: &[u8]) -> Message {
        let recorded = Recorded::new(
            Uuid::from_u128(1),
            StreamName::new("order", "1"),
            Revision(0),
            "Happened".into(),
            Bytes::from_static(b"{}"),
            Bytes::copy_from_slice(metadata),
        );
        let (position, before) = (Position(2), Position(1));
        let event = Some(Logged { position, recorded: Arc::new(recorded) });
        Message { store: StoreId(Uuid::from_u128(2)), position, before, last: None, event }
    }

    #[test]
    fn metadata_comes_back_byte_for_byte() {
        for (metadata, plainly) in [
            (&b"{\"actor\":{\"id\":\"a b\"},\"n\":1}"[..], true),
            (b"{\"id\":\"zo\xc3\xab\"}", false),
            (b"{}\r\nDaybook-Store: another", false),
            (b" {}", false),
            (b"{} ", false),
            (b"\xff\x00", false),
            (b"", false),
        ] {
            let (headers, body) = message(metadata).encode();
            assert_eq!(headers.get(METADATA).is_some(), plainly, "{metadata:?}");
            let event = Message::decode(&headers, body).unwrap().event.unwrap();
            assert_eq!(event.metadata, metadata);
        }
    }

    #[test]
    fn an_event_whose_headers_the_server_would_refuse_is_left_out() {
        for (length, whole) in [(50_000, true), (70_000, false)] {
            let (headers, body) = message(&vec![b'x'; length]).encode();
            assert_eq!(headers.get(BODY).is_none(), whole);
            assert!(super::length(&headers) <= MAX_HEADERS);
            let message = Message::decode(&headers, body).unwrap();
            assert_eq!(message.event.is_some(), whole);
            assert_eq!((message.position, message.before), (Position(2), Position(1)));
        }
    }
}
