//! `Streams.Append`: all events of the request or none.

use event_schemas::{ExpectedRevision, Revision, StreamName};
use infra::event_store::{Appended, MAX_APPEND_BYTES};
use tonic::{Code, Status, Streaming};

use crate::{
    Gateway,
    access::Access,
    decide::{self, Refused},
    event,
    failure::Failure,
    messages::{
        append::{
            AppendContent, AppendPosition, AppendReq, AppendResp, AppendResult, Current,
            CurrentRevision, OldCurrent, OldExpected, Success, WasExpected, WrongExpectedVersion,
        },
        shared::AllPosition,
    },
    names,
};

pub(crate) async fn append(
    gateway: &Gateway,
    mut requests: Streaming<AppendReq>,
) -> Result<AppendResp, Failure> {
    let Some(AppendContent::Options(options)) = next(&mut requests).await? else {
        return Err(Failure::Invalid("the first message has to carry the options".to_owned()));
    };
    let stream = names::stream(options.stream_identifier.as_ref())?;
    let expected = names::expected(options.expected)?;
    allowed(gateway, &stream)?;
    let (mut events, mut size) = (Vec::new(), 0);
    while let Some(content) = next(&mut requests).await? {
        let AppendContent::Proposed(proposed) = content else {
            return Err(Failure::Invalid("the options were sent twice".to_owned()));
        };
        let event = event::proposed(proposed)?;
        size += event.size();
        if size > MAX_APPEND_BYTES {
            return Err(Failure::TooLarge);
        }
        events.push(event);
    }
    let written = if events.is_empty() {
        decide::check_nothing(gateway, &stream, expected).await.map(nothing)
    } else {
        decide::append(gateway, &stream, expected, events).await.map(success)
    };
    let result = match written {
        Ok(success) => AppendResult::Success(success),
        Err(Refused::Wrong { actual }) => {
            AppendResult::WrongExpectedVersion(wrong_expected_version(actual, expected))
        }
        Err(Refused::Failed(failure)) => return Err(failure),
    };
    Ok(AppendResp { result: Some(result) })
}

/// Metadata can hide events, so it takes more to write it.
pub(crate) fn allowed(gateway: &Gateway, stream: &StreamName) -> Result<(), Failure> {
    match stream.as_str() {
        "$all" => Err(Failure::AccessDenied),
        name if name.starts_with("$$") => gateway.access.require(Access::All),
        _ => gateway.access.require(Access::Append),
    }
}

async fn next(requests: &mut Streaming<AppendReq>) -> Result<Option<AppendContent>, Failure> {
    match requests.message().await {
        Ok(Some(AppendReq { content: None })) => {
            Err(Failure::Invalid("a message has no content".to_owned()))
        }
        Ok(request) => Ok(request.and_then(|request| request.content)),
        Err(status) => Err(received(&status)),
    }
}

/// Why a request could not be received.
pub(crate) fn received(status: &Status) -> Failure {
    match status.code() {
        // A message over the decoder's limit.
        Code::OutOfRange => Failure::TooLarge,
        Code::ResourceExhausted => {
            Failure::Exhausted("too many bytes of requests are held already")
        }
        _ => Failure::Invalid(status.message().to_owned()),
    }
}

pub(crate) fn success(appended: Appended) -> Success {
    let position = appended.position.0;
    let position = AllPosition { commit_position: position, prepare_position: position };
    Success {
        current_revision: Some(CurrentRevision::Revision(appended.last_revision.0)),
        position: Some(AppendPosition::Position(position)),
    }
}

/// Nothing was to be written, and the stream is where it was expected.
pub(crate) fn nothing(head: Option<Revision>) -> Success {
    let current =
        head.map_or(CurrentRevision::NoStream(()), |head| CurrentRevision::Revision(head.0));
    Success { current_revision: Some(current), position: Some(AppendPosition::NoPosition(())) }
}

fn wrong_expected_version(
    actual: Option<Revision>,
    expected: ExpectedRevision,
) -> WrongExpectedVersion {
    let (old_expected, expected) = match expected {
        ExpectedRevision::Exact(Revision(revision)) => {
            (OldExpected::Revision(revision), WasExpected::Revision(revision))
        }
        ExpectedRevision::Any => (OldExpected::Any(()), WasExpected::Any(())),
        ExpectedRevision::StreamExists => {
            (OldExpected::StreamExists(()), WasExpected::StreamExists(()))
        }
        ExpectedRevision::NoStream => (OldExpected::Revision(u64::MAX), WasExpected::NoStream(())),
    };
    let (old_current, current) = match actual {
        Some(Revision(revision)) => (OldCurrent::Revision(revision), Current::Revision(revision)),
        None => (OldCurrent::NoStream(()), Current::NoStream(())),
    };
    WrongExpectedVersion {
        old_current: Some(old_current),
        old_expected: Some(old_expected),
        current: Some(current),
        expected: Some(expected),
    }
}
