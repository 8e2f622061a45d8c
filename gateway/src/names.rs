//! Names and ids as they come over the wire.

use event_schemas::{ExpectedRevision, Revision, StreamName};
use uuid::Uuid;

use crate::{
    failure::Failure,
    messages::{
        append::Expected,
        shared::{self, StreamIdentifier, StructuredUuid, UuidValue},
    },
};

/// The stream that a request names.
pub(crate) fn stream(identifier: Option<&StreamIdentifier>) -> Result<StreamName, Failure> {
    let name = identifier.map_or(&[][..], |identifier| &identifier.stream_name);
    let text = std::str::from_utf8(name)
        .map_err(|_| Failure::Invalid("the stream's name is not UTF-8".to_owned()))?;
    Ok(StreamName::parse(text)?)
}

pub(crate) fn identifier(stream: &StreamName) -> StreamIdentifier {
    StreamIdentifier { stream_name: stream.as_str().to_owned().into() }
}

/// An id in either of its shapes.
pub(crate) fn uuid(id: Option<&shared::Uuid>) -> Result<Uuid, Failure> {
    match id.and_then(|id| id.value.as_ref()) {
        Some(UuidValue::Structured(id)) => Ok(Uuid::from_u64_pair(
            id.most_significant_bits.cast_unsigned(),
            id.least_significant_bits.cast_unsigned(),
        )),
        Some(UuidValue::String(text)) => {
            Uuid::try_parse(text).map_err(|_| Failure::Invalid(format!("{text:?} is no UUID")))
        }
        None => Err(Failure::missing("id")),
    }
}

pub(crate) fn structured(id: Uuid) -> shared::Uuid {
    let (most, least) = id.as_u64_pair();
    let value = UuidValue::Structured(StructuredUuid {
        most_significant_bits: most.cast_signed(),
        least_significant_bits: least.cast_signed(),
    });
    shared::Uuid { value: Some(value) }
}

pub(crate) fn text(id: Uuid) -> shared::Uuid {
    shared::Uuid { value: Some(UuidValue::String(id.to_string())) }
}

/// Where a request expects its stream to be.
pub(crate) fn expected(expected: Option<Expected>) -> Result<ExpectedRevision, Failure> {
    match expected {
        Some(Expected::Revision(revision)) => Ok(ExpectedRevision::Exact(Revision(revision))),
        Some(Expected::NoStream(())) => Ok(ExpectedRevision::NoStream),
        Some(Expected::Any(())) => Ok(ExpectedRevision::Any),
        Some(Expected::StreamExists(())) => Ok(ExpectedRevision::StreamExists),
        None => Err(Failure::missing("expected_stream_revision")),
    }
}
