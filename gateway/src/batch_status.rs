//! Errors of BatchAppend: a `google.rpc.Status` with a detail that clients look at.

use event_schemas::{ExpectedRevision, Revision};
use infra::event_store::MAX_APPEND_BYTES;
use prost::Message;
use tonic::Code;

use crate::{
    failure::Failure,
    messages::batch::{
        BadRequestDetail, DetailCurrent, DetailExpected, RpcStatus, StreamDeletedDetail,
        TooLargeDetail, WrongExpectedVersionDetail,
    },
    names,
};

fn status(code: Code, name: &str, detail: &impl Message) -> RpcStatus {
    let type_url = format!("type.googleapis.com/event_store.client.{name}");
    let details = prost_types::Any { type_url, value: detail.encode_to_vec() };
    RpcStatus { code: code.into(), message: name.to_owned(), details: Some(details) }
}

pub(crate) fn wrong_expected_version(
    actual: Option<Revision>,
    expected: ExpectedRevision,
) -> RpcStatus {
    let current = actual.map_or(DetailCurrent::NoStream(()), |at| DetailCurrent::Revision(at.0));
    let expected = match expected {
        ExpectedRevision::Exact(at) => DetailExpected::Revision(at.0),
        ExpectedRevision::Any => DetailExpected::Any(()),
        ExpectedRevision::StreamExists => DetailExpected::StreamExists(()),
        ExpectedRevision::NoStream => DetailExpected::NoStream(()),
    };
    let detail = WrongExpectedVersionDetail { current: Some(current), expected: Some(expected) };
    status(Code::AlreadyExists, "WrongExpectedVersion", &detail)
}

/// The error of one append; the call goes on.
pub(crate) fn of(failure: &Failure) -> RpcStatus {
    match failure {
        Failure::AccessDenied => status(Code::PermissionDenied, "AccessDenied", &()),
        Failure::StreamDeleted(stream) => {
            let stream_identifier = Some(names::identifier(stream));
            let detail = StreamDeletedDetail { stream_identifier };
            status(Code::NotFound, "StreamDeleted", &detail)
        }
        Failure::TooLarge => {
            let max_append_size = u32::try_from(MAX_APPEND_BYTES).unwrap_or(u32::MAX);
            let detail = TooLargeDetail { max_append_size };
            status(Code::InvalidArgument, "MaximumAppendSizeExceeded", &detail)
        }
        Failure::Deadline | Failure::Unknown(_) => status(Code::DeadlineExceeded, "Timeout", &()),
        Failure::Invalid(_) | Failure::MissingMetadata(_) | Failure::Exhausted(_) => {
            let detail = BadRequestDetail { message: failure.to_string() };
            status(Code::InvalidArgument, "BadRequest", &detail)
        }
        Failure::NotReady
        | Failure::Busy
        | Failure::Unavailable(_)
        | Failure::WrongExpectedVersion { .. } => {
            let type_url = "type.googleapis.com/google.protobuf.Empty".to_owned();
            let details = prost_types::Any { type_url, value: Vec::new() };
            // The real server gives no code here; this one says that a retry may help.
            RpcStatus {
                code: Code::Unavailable.into(),
                message: failure.to_string(),
                details: Some(details),
            }
        }
    }
}
