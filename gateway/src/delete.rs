//! `Streams.Delete` and `Streams.Tombstone`.

use event_schemas::{ExpectedRevision, StreamName};
use infra::event_store::{Appended, Part};
use serde_json::json;
use uuid::Uuid;

use crate::{
    Gateway,
    access::Access,
    decide::{ATTEMPTS, Refused, Tried, at, attempt, check},
    event,
    failure::Failure,
    messages::{
        append::StreamExpectation,
        delete::{DeletePosition, DeleteReq, DeleteResp},
        shared::AllPosition,
    },
    metadata::{self, look},
    names,
};

pub(crate) async fn delete(gateway: &Gateway, request: DeleteReq) -> Result<DeleteResp, Failure> {
    let (stream, expected) = asked(gateway, request)?;
    answer(hide(gateway, &stream, expected).await, stream, expected)
}

pub(crate) async fn tombstone(
    gateway: &Gateway,
    request: DeleteReq,
) -> Result<DeleteResp, Failure> {
    let (stream, expected) = asked(gateway, request)?;
    answer(end(gateway, &stream, expected).await, stream, expected)
}

fn asked(gateway: &Gateway, request: DeleteReq) -> Result<(StreamName, ExpectedRevision), Failure> {
    let StreamExpectation { stream_identifier, expected } =
        request.options.ok_or_else(|| Failure::missing("options"))?;
    let expected = names::expected(expected)?;
    let stream = names::stream(stream_identifier.as_ref())?;
    gateway.access.require(Access::All)?;
    if stream.original().is_some() {
        return Err(Failure::Invalid("a stream of metadata goes with its stream".to_owned()));
    }
    Ok((stream, expected))
}

fn answer(
    written: Result<Appended, Refused>,
    stream: StreamName,
    expected: ExpectedRevision,
) -> Result<DeleteResp, Failure> {
    match written {
        Ok(Appended { position, .. }) => {
            let position =
                AllPosition { commit_position: position.0, prepare_position: position.0 };
            Ok(DeleteResp { position: Some(DeletePosition::Position(position)) })
        }
        Err(Refused::Wrong { actual }) => {
            Err(Failure::WrongExpectedVersion { stream, expected, actual })
        }
        Err(Refused::Failed(failure)) => Err(failure),
    }
}

/// Deletes a stream: metadata hides what it holds, and appends may follow.
async fn hide(
    gateway: &Gateway,
    stream: &StreamName,
    expected: ExpectedRevision,
) -> Result<Appended, Refused> {
    let metastream = stream.metastream()?;
    for _ in 0..ATTEMPTS {
        let looked = look(gateway, stream).await?;
        check(stream, expected, &looked)?;
        if looked.head.is_none() && looked.known.revision.is_none() {
            return Err(Refused::Wrong { actual: None });
        }
        let data = json!({ "$tb": metadata::DELETED }).to_string();
        let event = event::own(Uuid::new_v4(), metadata::TYPE, data);
        let part = Part::append(metastream.clone(), at(looked.known.revision), vec![event]);
        let held = Part::condition(stream.clone(), at(looked.head));
        if let Tried::Done(appended) = attempt(gateway, part, vec![held]).await? {
            return Ok(appended);
        }
    }
    Err(Failure::Busy.into())
}

/// Ends a stream for good.
async fn end(
    gateway: &Gateway,
    stream: &StreamName,
    expected: ExpectedRevision,
) -> Result<Appended, Refused> {
    let metastream = stream.metastream()?;
    for _ in 0..ATTEMPTS {
        let looked = look(gateway, stream).await?;
        check(stream, expected, &looked)?;
        let event = event::own(Uuid::new_v4(), "$streamDeleted", String::new());
        let part = Part::end(stream.clone(), at(looked.head), event);
        let held = Part::condition(metastream.clone(), at(looked.known.revision));
        if let Tried::Done(appended) = attempt(gateway, part, vec![held]).await? {
            return Ok(appended);
        }
    }
    Err(Failure::Busy.into())
}
