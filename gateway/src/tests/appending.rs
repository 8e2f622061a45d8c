use bytes::Bytes;
use futures::{StreamExt, stream};
use infra::event_store::MAX_APPEND_BYTES;
use tonic::Code;

use super::{
    raw::framed,
    support::{
        ANY, EXISTS, NONE, all, append_request, at, event, events, fact, forwards, seen, serve,
        soon,
    },
};
use crate::{
    Access,
    messages::{
        append::{
            AppendContent, AppendPosition, AppendReq, AppendResp, Current, CurrentRevision,
            OldCurrent, OldExpected, Success, WasExpected,
        },
        read::FromPosition,
        shared::{AllPosition, Uuid, UuidValue},
    },
};

fn stands(revision: u64, position: u64) -> Success {
    let position = AllPosition { commit_position: position, prepare_position: position };
    Success {
        current_revision: Some(CurrentRevision::Revision(revision)),
        position: Some(AppendPosition::Position(position)),
    }
}

#[tokio::test]
async fn what_is_appended_is_kept_byte_for_byte() {
    let (_served, raw) = serve(Access::Append).await;
    let binary = Bytes::from_static(&[0, 159, 146, 150, 255]);
    let mut sent = event("Späße ✓", binary.clone());
    sent.metadata.insert("content-type".to_owned(), "application/octet-stream".to_owned());
    sent.custom_metadata = Bytes::from_static(b"\xff no JSON");
    let names = ["plain", "a-b-c-d", "$system", "Straße-✓", "-", "1"];
    for (name, position) in names.iter().zip(1..) {
        let written = raw.append(name, NONE, std::slice::from_ref(&sent)).await.success();
        assert_eq!(written, stands(0, position));
    }
    let (contents, _) = raw.read(all(FromPosition::Start(()), false)).await;
    let seen = seen(&contents);
    assert_eq!(seen.len(), names.len());
    for (event, name) in seen.iter().zip(names) {
        assert_eq!(event.stream_identifier.as_ref().unwrap().stream_name, name.as_bytes());
        assert_eq!((&event.id, &event.data), (&sent.id, &binary));
        assert_eq!(event.custom_metadata, sent.custom_metadata);
        assert_eq!(fact(event, "type"), "Späße ✓");
        assert_eq!(fact(event, "content-type"), "application/octet-stream");
        let created: i64 = fact(event, "created").parse().unwrap();
        let now = crate::event::now().as_micros() * 10;
        assert!((now - 600_000_000..=now).contains(&created), "{created} {now}");
    }
}

#[tokio::test]
async fn a_wrong_expected_version_is_told_in_the_body_for_old_clients_and_new() {
    let (_served, raw) = serve(Access::Append).await;
    let revision = raw.append("a", at(0), &events(1)).await.wrong();
    assert_eq!(revision.current, Some(Current::NoStream(())));
    assert_eq!(revision.expected, Some(WasExpected::Revision(0)));
    assert_eq!(revision.old_current, Some(OldCurrent::NoStream(())));
    assert_eq!(revision.old_expected, Some(OldExpected::Revision(0)));
    let exists = raw.append("a", EXISTS, &events(1)).await.wrong();
    assert_eq!(exists.expected, Some(WasExpected::StreamExists(())));
    assert_eq!(exists.old_expected, Some(OldExpected::StreamExists(())));
    raw.append("a", NONE, &events(2)).await.success();
    let none = raw.append("a", NONE, &events(1)).await.wrong();
    assert_eq!(none.current, Some(Current::Revision(1)));
    assert_eq!(none.old_current, Some(OldCurrent::Revision(1)));
    assert_eq!(none.expected, Some(WasExpected::NoStream(())));
    assert_eq!(none.old_expected, Some(OldExpected::Revision(u64::MAX)));
    for revision in [0, 2, u64::MAX, u64::MAX - 1] {
        raw.append("a", at(revision), &events(1)).await.wrong();
    }
    assert_eq!(raw.append("a", at(1), &events(1)).await.success(), stands(2, 3));
    assert_eq!(raw.append("a", EXISTS, &events(1)).await.success(), stands(3, 4));
}

#[tokio::test]
async fn a_repeat_is_the_success_that_it_was() {
    let (_served, raw) = serve(Access::Append).await;
    let first = events(2);
    for expected in [NONE, ANY, NONE] {
        assert_eq!(raw.append("a", expected, &first).await.success(), stands(1, 2));
    }
    let second = events(1);
    for expected in [at(1), at(1), EXISTS] {
        assert_eq!(raw.append("a", expected, &second).await.success(), stands(2, 3));
    }
    // Some of it is new.
    let mixed = [first[1].clone(), event("Other", "{}")];
    raw.append("a", at(0), &mixed).await.wrong();
    raw.append("a", ANY, &mixed).await.wrong();
    assert_eq!(raw.revisions("a").await, [0, 1, 2]);
}

#[tokio::test]
async fn an_append_of_nothing_tells_where_the_stream_is() {
    let (_served, raw) = serve(Access::Append).await;
    for expected in [ANY, NONE] {
        let nothing = raw.append("a", expected, &[]).await.success();
        assert_eq!(nothing.current_revision, Some(CurrentRevision::NoStream(())));
        assert_eq!(nothing.position, Some(AppendPosition::NoPosition(())));
    }
    raw.append("a", at(0), &[]).await.wrong();
    raw.append("a", ANY, &events(3)).await.success();
    let nothing = raw.append("a", at(2), &[]).await.success();
    assert_eq!(nothing.current_revision, Some(CurrentRevision::Revision(2)));
}

#[tokio::test]
async fn an_append_has_at_most_a_mebibyte() {
    let (_served, raw) = serve(Access::Append).await;
    let fixed = "Large".len() + 16;
    let fits = event("Large", vec![b'x'; MAX_APPEND_BYTES - fixed]);
    raw.append("fits", ANY, &[fits]).await.success();
    let half = vec![b'x'; MAX_APPEND_BYTES / 2];
    let one = |bytes: usize| vec![event("Large", vec![b'x'; bytes])];
    for too_large in [
        one(MAX_APPEND_BYTES + 1 - fixed),
        one(MAX_APPEND_BYTES + 1),
        // More than the decoder takes.
        one(9 << 20),
        vec![event("Large", half.clone()), event("Large", half)],
    ] {
        let ended = raw.append("large", ANY, &too_large).await.failed();
        assert_eq!(ended.code, Code::InvalidArgument);
        assert_eq!(ended.message, "Maximum Append Size of 1048576 Exceeded.");
        assert_eq!(ended.trailer("exception"), "maximum-append-size-exceeded");
        assert_eq!(ended.trailer("maximum-append-size"), "1048576");
    }
    assert_eq!(raw.revisions("fits").await, [0]);
    assert_eq!(raw.revisions("large").await, [0; 0]);
}

#[tokio::test]
async fn who_may_only_read_is_denied_and_metadata_needs_all() {
    for (access, stream, allowed) in [
        (Access::Read, "a", false),
        (Access::Append, "a", true),
        (Access::Append, "$a", true),
        (Access::Append, "$$a", false),
        (Access::All, "$$a", true),
        (Access::All, "$all", false),
    ] {
        let (_served, raw) = serve(access).await;
        let written = raw.append(stream, ANY, &events(1)).await;
        if allowed {
            written.success();
            continue;
        }
        let ended = written.failed();
        assert_eq!((ended.code, ended.message.as_str()), (Code::PermissionDenied, "Access Denied"));
        assert_eq!(ended.trailer("exception"), "access-denied");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_an_invalid_argument() {
    let (_served, raw) = serve(Access::All).await;
    let without = |name: &str| {
        let mut event = event("Happened", "{}");
        event.metadata.remove(name);
        append_request("a", ANY, &[event])
    };
    let mut no_id = event("Happened", "{}");
    no_id.id = None;
    let mut bad_id = event("Happened", "{}");
    bad_id.id = Some(Uuid { value: Some(UuidValue::String("123e4567".to_owned())) });
    let request = |events: &[_]| append_request("a", ANY, events);
    let twice = [request(&[]), request(&[])].concat();
    let empty = [request(&[]), vec![AppendReq { content: None }]].concat();
    let named = |name: &'static [u8]| {
        let mut request = request(&events(1));
        let Some(AppendContent::Options(options)) = &mut request[0].content else { unreachable!() };
        options.stream_identifier.as_mut().unwrap().stream_name = name.into();
        request
    };
    let mut unexpected = request(&events(1));
    let Some(AppendContent::Options(options)) = &mut unexpected[0].content else { unreachable!() };
    options.expected = None;
    for (request, said) in [
        (without("type"), "'type' is missing"),
        (without("content-type"), "'content-type' is missing"),
        (request(&[event("", "{}")]), "an event's type"),
        (request(&[event(&"x".repeat(1_001), "{}")]), "an event's type"),
        (request(&[no_id]), "'id'"),
        (request(&[bad_id]), "\"123e4567\" is no UUID"),
        (request(&events(1))[1..].to_vec(), "has to carry the options"),
        (Vec::new(), "has to carry the options"),
        (twice, "sent twice"),
        (empty, "no content"),
        (named(b""), "a stream's name"),
        (named(b"\xff\xfe"), "not UTF-8"),
        (named(b"a\0b"), "a stream's name"),
        (named(&[b'x'; 999]), "a stream's name"),
        (unexpected, "'expected_stream_revision'"),
    ] {
        let ended = raw.streams("Append", &request).await.end().await;
        assert_eq!(ended.code, Code::InvalidArgument, "{said}: {ended:?}");
        assert!(ended.message.contains(said), "{said}: {ended:?}");
    }
    let ended = raw.streams("Append", &without("type")).await.end().await;
    assert_eq!(ended.trailer("exception"), "missing-required-metadata-property");
    assert_eq!(ended.trailer("required-metadata-properties"), "type,content-type");
    let (contents, _) = raw.read(all(FromPosition::Start(()), false)).await;
    assert!(contents.is_empty(), "{contents:?}");
}

#[tokio::test]
async fn an_append_that_does_not_end_is_ended_by_its_deadline() {
    let (_served, raw) = serve(Access::Append).await;
    let begun: Vec<_> = append_request("a", ANY, &events(1)).iter().map(framed).collect();
    let said = stream::iter(begun).chain(stream::pending());
    let answers = soon(raw.call("Append", &[("grpc-timeout", "50m")], said)).await;
    let ended = soon(answers.end()).await;
    assert_eq!((ended.code, ended.message.as_str()), (Code::DeadlineExceeded, "Deadline Exceeded"));
    let (contents, _) = raw.read(forwards("a", 0)).await;
    assert!(seen(&contents).is_empty());
}

#[tokio::test]
async fn a_closed_store_is_unavailable() {
    let (served, raw) = serve(Access::Append).await;
    served.store.close().await.unwrap();
    let ended = raw.append("a", ANY, &events(1)).await.failed();
    assert_eq!(ended.code, Code::Unavailable);
    let (_, ended) = raw.read(forwards("a", 0)).await;
    assert_eq!(ended.code, Code::Unavailable);
}

#[tokio::test]
async fn appends_side_by_side_all_come_to_stand() {
    let (_served, raw) = serve(Access::Append).await;
    let appends = (0..200).map(|n| {
        let raw = raw.clone();
        async move { raw.append(&format!("s-{}", n % 5), ANY, &events(3)).await.success() }
    });
    soon(futures::future::join_all(appends)).await;
    for n in 0..5 {
        let expected: Vec<_> = (0..120).collect();
        assert_eq!(raw.revisions(&format!("s-{n}")).await, expected);
    }
}

#[tokio::test]
async fn ids_may_come_as_text() {
    let (_served, raw) = serve(Access::Append).await;
    let mut sent = event("Happened", "{}");
    let id = "6f1c1e9a-2c53-4b60-9d0c-0a1b2c3d4e5f";
    sent.id = Some(Uuid { value: Some(UuidValue::String(id.to_owned())) });
    raw.append("a", ANY, &[sent]).await.success();
    let mut options = forwards("a", 0);
    let (structured, _) = raw.read(options.clone()).await;
    let parsed = crate::names::uuid(seen(&structured)[0].id.as_ref()).unwrap();
    assert_eq!(parsed.to_string(), id);
    let shape = Some(crate::messages::read::UuidShape::String(()));
    options.uuid_option = Some(crate::messages::read::UuidOption { shape });
    let (text, _) = raw.read(options).await;
    let text = seen(&text)[0].id.clone().unwrap().value;
    assert_eq!(text, Some(UuidValue::String(id.to_owned())));
}

#[tokio::test]
async fn no_answer_is_lost_when_the_client_says_all_at_once() {
    let (_served, raw) = serve(Access::Append).await;
    let answers = raw.streams("Append", &append_request("a", ANY, &events(1))).await;
    assert!(answers.only::<AppendResp>().await.is_ok());
}
