//! `Streams.Append`: all events of the request or none.

use event_schemas::{ExpectedRevision, NewEvent, Revision};
use infra::event_store::{AppendError, Appended, MAX_APPEND_BYTES};
use tonic::{Code, Status, Streaming};

use crate::{
    Gateway,
    access::Access,
    failure,
    messages::{
        append::{
            AppendContent, AppendPosition, AppendReq, AppendResp, AppendResult, Current,
            CurrentRevision, OldCurrent, OldExpected, ProposedMessage, Success, WasExpected,
            WrongExpectedVersion,
        },
        shared::AllPosition,
    },
    names,
};

pub(crate) async fn append(
    gateway: &Gateway,
    mut requests: Streaming<AppendReq>,
) -> Result<AppendResp, Status> {
    let first = next(&mut requests).await?;
    let Some(AppendContent::Options(options)) = first else {
        return Err(Status::invalid_argument("the first message has to carry the options"));
    };
    let stream = names::stream(options.stream_identifier.as_ref())?;
    let expected = names::expected(options.expected)?;
    gateway.access.require(Access::Append)?;
    let (mut events, mut size) = (Vec::new(), 0);
    while let Some(content) = next(&mut requests).await? {
        let AppendContent::Proposed(proposed) = content else {
            return Err(Status::invalid_argument("the options were sent twice"));
        };
        let event = new_event(proposed)?;
        size += event.size();
        if size > MAX_APPEND_BYTES {
            return Err(failure::too_large());
        }
        events.push(event);
    }
    let result = match gateway.store.append(stream, expected, events).await {
        Ok(appended) => AppendResult::Success(success(appended)),
        Err(AppendError::Conflict { actual }) => {
            AppendResult::WrongExpectedVersion(wrong_expected_version(actual, expected))
        }
        Err(error) => return Err(failure::append(&error)),
    };
    Ok(AppendResp { result: Some(result) })
}

async fn next(requests: &mut Streaming<AppendReq>) -> Result<Option<AppendContent>, Status> {
    match requests.message().await {
        Ok(Some(AppendReq { content: None })) => Err(Status::invalid_argument("an empty message")),
        Ok(request) => Ok(request.and_then(|request| request.content)),
        // A message over the decoder's limit.
        Err(status) if status.code() == Code::OutOfRange => Err(failure::too_large()),
        Err(status) => Err(status),
    }
}

/// An event as a client proposes it.
pub(crate) fn new_event(mut proposed: ProposedMessage) -> Result<NewEvent, Status> {
    let id = names::uuid(proposed.id.as_ref())?;
    let mut fact =
        |name| proposed.metadata.remove(name).ok_or_else(|| failure::missing_metadata(name));
    let (event_type, _content_type) = (fact("type")?, fact("content-type")?);
    Ok(NewEvent::raw(id, event_type, proposed.data, proposed.custom_metadata))
}

pub(crate) fn success(appended: Appended) -> Success {
    let position = appended.position.0;
    let position = AllPosition { commit_position: position, prepare_position: position };
    Success {
        current_revision: Some(CurrentRevision::Revision(appended.last_revision.0)),
        position: Some(AppendPosition::Position(position)),
    }
}

fn wrong_expected_version(
    actual: Option<Revision>,
    expected: ExpectedRevision,
) -> WrongExpectedVersion {
    let (old_expected, expected) = match expected {
        ExpectedRevision::Exact(Revision(revision)) => {
            (Some(OldExpected::Revision(revision)), WasExpected::Revision(revision))
        }
        ExpectedRevision::Any => (Some(OldExpected::Any(())), WasExpected::Any(())),
        ExpectedRevision::StreamExists => {
            (Some(OldExpected::StreamExists(())), WasExpected::StreamExists(()))
        }
        ExpectedRevision::NoStream => (None, WasExpected::NoStream(())),
    };
    let (old_current, current) = match actual {
        Some(Revision(revision)) => (OldCurrent::Revision(revision), Current::Revision(revision)),
        None => (OldCurrent::NoStream(()), Current::NoStream(())),
    };
    WrongExpectedVersion {
        old_current: Some(old_current),
        old_expected,
        current: Some(current),
        expected: Some(expected),
    }
}
