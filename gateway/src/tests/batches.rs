use std::time::{Duration, SystemTime};

use futures::{StreamExt, channel::mpsc, stream};
use infra::event_store::MAX_APPEND_BYTES;
use prost::Message;
use tonic::Code;
use uuid::Uuid;

use super::{
    raw::{Raw, framed},
    support::{ANY, NONE, at, event, events, identifier, serve, soon},
};
use crate::{
    Access,
    messages::{
        append::{AppendPosition, CurrentRevision, Expected, ProposedMessage},
        batch::{
            BatchAppendReq, BatchAppendResp, BatchDeadline, BatchOptions, BatchResult,
            DetailCurrent, DetailExpected, RpcStatus, StreamDeletedDetail, TooLargeDetail,
            WrongExpectedVersionDetail,
        },
        shared,
    },
    names,
};

fn id(n: u128) -> Option<shared::Uuid> {
    Some(names::structured(Uuid::from_u128(n)))
}

fn options(stream: &str, expected: Expected) -> Option<BatchOptions> {
    let stream_identifier = identifier(stream);
    Some(BatchOptions { stream_identifier, expected: Some(expected), deadline: None })
}

fn batch(n: u128, stream: &str, expected: Expected, events: &[ProposedMessage]) -> BatchAppendReq {
    BatchAppendReq {
        correlation_id: id(n),
        options: options(stream, expected),
        proposed_messages: events.to_vec(),
        is_final: true,
    }
}

async fn answers(raw: &Raw, requests: &[BatchAppendReq]) -> Vec<BatchAppendResp> {
    let mut answers = raw.streams("BatchAppend", requests).await;
    let mut all = answers.all::<BatchAppendResp>().await;
    assert_eq!(answers.end().await.code, Code::Ok);
    all.sort_by_key(|answer| names::uuid(answer.correlation_id.as_ref()).unwrap());
    all
}

async fn error(raw: &Raw, request: BatchAppendReq) -> RpcStatus {
    let answers = answers(raw, &[request]).await;
    match answers.as_slice() {
        [BatchAppendResp { result: Some(BatchResult::Error(error)), .. }] => error.clone(),
        other => panic!("no error: {other:?}"),
    }
}

fn detail<D: Message + Default>(error: &RpcStatus, name: &str) -> D {
    let details = error.details.as_ref().unwrap();
    assert_eq!(details.type_url, format!("type.googleapis.com/event_store.client.{name}"));
    D::decode(&details.value[..]).unwrap()
}

#[tokio::test]
async fn each_append_is_answered_and_those_to_one_stream_stand_in_order() {
    let (_served, raw) = serve(Access::Append).await;
    let requests: Vec<_> = (0..500).map(|n| batch(n, "a", ANY, &events(2))).collect();
    let answers = soon(answers(&raw, &requests)).await;
    assert_eq!(answers.len(), 500);
    for (answer, n) in answers.iter().zip(0..) {
        let Some(BatchResult::Success(success)) = answer.result else { panic!("{answer:?}") };
        assert_eq!(success.current_revision, Some(CurrentRevision::Revision(2 * n + 1)));
        let Some(AppendPosition::Position(at)) = success.position else { panic!("{answer:?}") };
        assert_eq!(at.commit_position, 2 * n + 2);
        assert_eq!(answer.stream_identifier, identifier("a"));
    }
}

#[tokio::test]
async fn an_append_may_come_in_parts_among_others() {
    let (_served, raw) = serve(Access::Append).await;
    let part = |n, options, count, is_final| BatchAppendReq {
        correlation_id: id(n),
        options,
        proposed_messages: events(count),
        is_final,
    };
    let requests = [
        part(1, options("a", NONE), 2, false),
        part(2, options("b", NONE), 1, false),
        part(1, None, 3, false),
        part(2, None, 0, true),
        part(1, None, 1, true),
        // Nobody said to which stream.
        part(3, None, 1, true),
    ];
    assert_eq!(answers(&raw, &requests).await.len(), 2);
    assert_eq!(raw.revisions("a").await.len(), 6);
    assert_eq!(raw.revisions("b").await.len(), 1);
}

#[tokio::test]
async fn answers_come_while_the_client_goes_on() {
    let (_served, raw) = serve(Access::Append).await;
    let (say, said) = mpsc::unbounded();
    let mut answers = raw.call("BatchAppend", &[], said).await;
    for n in 0..3 {
        say.unbounded_send(framed(&batch(n, "a", ANY, &events(1)))).unwrap();
        let answer: BatchAppendResp = soon(answers.next()).await.unwrap();
        assert_eq!(answer.correlation_id, id(n));
    }
    drop(say);
    assert!(soon(answers.next::<BatchAppendResp>()).await.is_none());
    assert_eq!(answers.end().await.code, Code::Ok);
}

#[tokio::test]
async fn errors_are_told_with_the_details_that_clients_look_at() {
    let (_served, raw) = serve(Access::All).await;
    raw.append("a", NONE, &events(2)).await.success();
    raw.append("gone", NONE, &events(1)).await.success();
    raw.delete("Tombstone", "gone", ANY).await.unwrap();

    let wrong = error(&raw, batch(1, "a", at(7), &events(1))).await;
    assert_eq!((wrong.code, wrong.message.as_str()), (6, "WrongExpectedVersion"));
    let told: WrongExpectedVersionDetail = detail(&wrong, "WrongExpectedVersion");
    assert_eq!(told.current, Some(DetailCurrent::Revision(1)));
    assert_eq!(told.expected, Some(DetailExpected::Revision(7)));
    let wrong = error(&raw, batch(1, "b", Expected::StreamExists(()), &events(1))).await;
    let told: WrongExpectedVersionDetail = detail(&wrong, "WrongExpectedVersion");
    assert_eq!(told.current, Some(DetailCurrent::NoStream(())));
    assert_eq!(told.expected, Some(DetailExpected::StreamExists(())));

    let deleted = error(&raw, batch(1, "gone", ANY, &events(1))).await;
    assert_eq!((deleted.code, deleted.message.as_str()), (5, "StreamDeleted"));
    let told: StreamDeletedDetail = detail(&deleted, "StreamDeleted");
    assert_eq!(told.stream_identifier, identifier("gone"));

    let large = [event("Large", vec![b'x'; MAX_APPEND_BYTES + 1])];
    let too_large = error(&raw, batch(1, "a", ANY, &large)).await;
    assert_eq!((too_large.code, too_large.message.as_str()), (3, "MaximumAppendSizeExceeded"));
    let told: TooLargeDetail = detail(&too_large, "MaximumAppendSizeExceeded");
    assert_eq!(told.max_append_size, 1_048_576);

    let bad = error(&raw, batch(1, "a", ANY, &[event("", "{}")])).await;
    assert_eq!((bad.code, bad.message.as_str()), (3, "BadRequest"));
    let mut nameless = batch(1, "a", ANY, &events(1));
    nameless.options.as_mut().unwrap().stream_identifier = None;
    assert_eq!(error(&raw, nameless).await.message, "BadRequest");
    let denied = error(&raw, batch(1, "$all", ANY, &events(1))).await;
    assert_eq!((denied.code, denied.message.as_str()), (7, "AccessDenied"));
    assert_eq!(raw.revisions("a").await, [0, 1]);
}

#[tokio::test]
async fn an_append_whose_time_is_over_is_not_made() {
    let (_served, raw) = serve(Access::Append).await;
    let until = |deadline| {
        let mut request = batch(1, "a", ANY, &events(1));
        request.options.as_mut().unwrap().deadline = Some(deadline);
        request
    };
    let past = SystemTime::now() - Duration::from_secs(1);
    for deadline in [
        BatchDeadline::After(prost_types::Duration { seconds: 0, nanos: 0 }),
        BatchDeadline::After(prost_types::Duration { seconds: -1, nanos: 0 }),
        BatchDeadline::At(past.into()),
    ] {
        let timeout = error(&raw, until(deadline)).await;
        assert_eq!((timeout.code, timeout.message.as_str()), (4, "Timeout"));
    }
    assert!(raw.revisions("a").await.is_empty());
    let future = SystemTime::now() + Duration::from_secs(60);
    for deadline in [
        BatchDeadline::After(prost_types::Duration { seconds: 60, nanos: 0 }),
        BatchDeadline::After(prost_types::Duration { seconds: i64::MAX, nanos: 0 }),
        BatchDeadline::At(future.into()),
    ] {
        let answers = answers(&raw, &[until(deadline)]).await;
        assert!(matches!(answers[0].result, Some(BatchResult::Success(_))), "{answers:?}");
    }
}

#[tokio::test]
async fn who_may_only_read_is_denied() {
    let (_served, raw) = serve(Access::Read).await;
    let denied = error(&raw, batch(1, "a", ANY, &events(1))).await;
    assert_eq!((denied.code, denied.message.as_str()), (7, "AccessDenied"));
}

#[tokio::test]
async fn a_batch_without_an_id_ends_the_call() {
    let (_served, raw) = serve(Access::Append).await;
    let mut request = batch(1, "a", ANY, &events(1));
    request.correlation_id = None;
    let ended = raw.streams("BatchAppend", &[request]).await.end().await;
    assert_eq!(ended.code, Code::InvalidArgument);
}

#[tokio::test]
async fn appends_that_are_never_ended_are_bounded() {
    let (_served, raw) = serve(Access::Append).await;
    let open = |n| BatchAppendReq { is_final: false, ..batch(n, "a", ANY, &[]) };
    let requests: Vec<_> = (0..257).map(|n| framed(&open(n))).collect();
    let said = stream::iter(requests).chain(stream::pending());
    let mut answers = raw.call("BatchAppend", &[], said).await;
    let answer: BatchAppendResp = soon(answers.next()).await.unwrap();
    assert_eq!(answer.correlation_id, id(256));
    assert!(matches!(answer.result, Some(BatchResult::Error(_))), "{answer:?}");
}
