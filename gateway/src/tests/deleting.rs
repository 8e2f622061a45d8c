use tonic::Code;

use super::support::{
    ANY, EXISTS, NONE, all, at, backwards, events, forwards, positions, seen, serve,
};
use crate::{
    Access,
    messages::{
        append::CurrentRevision,
        delete::DeletePosition,
        read::{Content, FromPosition, FromRevision},
    },
};

#[tokio::test]
async fn a_deleted_stream_is_none_until_it_begins_anew_behind_its_last_event() {
    let (_served, raw) = serve(Access::All).await;
    raw.append("a", NONE, &events(3)).await.success();
    raw.describe("a", r#"{"$maxCount":100,"mine":[1,2]}"#).await;
    let deleted = raw.delete("Delete", "a", at(2)).await.unwrap();
    let Some(DeletePosition::Position(position)) = deleted.position else { panic!("{deleted:?}") };
    assert_eq!(position.commit_position, 5);
    for options in [forwards("a", 0), backwards("a", FromRevision::End(()))] {
        let (contents, _) = raw.read(options).await;
        assert!(matches!(contents.as_slice(), [Content::StreamNotFound(_)]), "{contents:?}");
    }
    let again = raw.append("a", NONE, &events(2)).await.success();
    assert_eq!(again.current_revision, Some(CurrentRevision::Revision(4)));
    assert_eq!(raw.revisions("a").await, [3, 4]);
    // The log keeps all of it.
    let (contents, _) = raw.read(all(FromPosition::Start(()), false)).await;
    assert_eq!(positions(&contents), [1, 2, 3, 4, 5, 6, 7, 8]);
    // Deleting takes the metadata along, beginning anew only its own end.
    let (contents, _) = raw.read(forwards("$$a", 0)).await;
    let metadata = &seen(&contents)[0];
    assert_eq!((metadata.stream_revision, &metadata.data[..]), (2, &br#"{"$tb":3}"#[..]));
}

#[tokio::test]
async fn what_may_be_appended_to_a_deleted_stream() {
    for (expected, written) in
        [(NONE, true), (ANY, true), (at(2), true), (at(1), false), (at(3), false)]
    {
        let (_served, raw) = serve(Access::All).await;
        raw.append("a", NONE, &events(3)).await.success();
        raw.delete("Delete", "a", ANY).await.unwrap();
        let appended = raw.append("a", expected, &events(1)).await;
        if written {
            appended.success();
            assert_eq!(raw.revisions("a").await, [3], "{expected:?}");
        } else {
            appended.wrong();
            assert!(raw.revisions("a").await.is_empty(), "{expected:?}");
        }
    }
    let (_served, raw) = serve(Access::All).await;
    raw.append("a", NONE, &events(3)).await.success();
    raw.delete("Delete", "a", ANY).await.unwrap();
    let ended = raw.append("a", EXISTS, &events(1)).await.failed();
    assert_eq!(
        (ended.code, ended.trailer("exception")),
        (Code::FailedPrecondition, "stream-deleted")
    );
}

#[tokio::test]
async fn a_repeat_is_known_although_the_stream_was_deleted_since() {
    let (_served, raw) = serve(Access::All).await;
    let first = events(2);
    let written = raw.append("a", NONE, &first).await.success();
    raw.delete("Delete", "a", ANY).await.unwrap();
    assert_eq!(raw.append("a", NONE, &first).await.success(), written);
    assert!(raw.revisions("a").await.is_empty());
}

#[tokio::test]
async fn a_delete_expects_a_revision_as_an_append_does() {
    let (_served, raw) = serve(Access::All).await;
    let wrong = |ended: super::raw::Ended, expected: &str, actual: &str| {
        assert_eq!(ended.code, Code::FailedPrecondition);
        assert_eq!(ended.trailer("exception"), "wrong-expected-version");
        assert_eq!(ended.trailer("stream-name"), "a");
        assert_eq!(ended.trailer("expected-version"), expected);
        assert_eq!(ended.trailer("actual-version"), actual);
        let said = format!(
            "Delete failed due to WrongExpectedVersion. Stream: a, Expected version: {expected}, \
             Actual version: {actual}"
        );
        assert_eq!(ended.message, said);
    };
    // Nothing is there to be deleted.
    for (expected, number) in [(ANY, "-2"), (NONE, "-1"), (EXISTS, "-4"), (at(0), "0")] {
        wrong(raw.delete("Delete", "a", expected).await.unwrap_err(), number, "-1");
    }
    raw.append("a", NONE, &events(2)).await.success();
    wrong(raw.delete("Delete", "a", at(0)).await.unwrap_err(), "0", "1");
    wrong(raw.delete("Delete", "a", NONE).await.unwrap_err(), "-1", "1");
    wrong(raw.delete("Tombstone", "a", at(5)).await.unwrap_err(), "5", "1");
    raw.delete("Delete", "a", at(1)).await.unwrap();
    // Again, in all the ways that the real server lets pass.
    for expected in [at(1), ANY, NONE] {
        raw.delete("Delete", "a", expected).await.unwrap();
    }
    wrong(raw.delete("Delete", "a", at(0)).await.unwrap_err(), "0", "1");
    let ended = raw.delete("Delete", "a", EXISTS).await.unwrap_err();
    assert_eq!(ended.trailer("exception"), "stream-deleted");
    // A stream with metadata alone can be deleted.
    raw.describe("b", "{}").await;
    raw.delete("Delete", "b", EXISTS).await.unwrap();
}

#[tokio::test]
async fn nothing_follows_a_tombstone() {
    let (_served, raw) = serve(Access::All).await;
    raw.append("a", NONE, &events(2)).await.success();
    raw.append("deleted", NONE, &events(1)).await.success();
    raw.delete("Delete", "deleted", ANY).await.unwrap();
    for (stream, expected) in [("a", at(1)), ("never", ANY), ("new", NONE), ("deleted", at(0))] {
        raw.delete("Tombstone", stream, expected).await.unwrap();
        let mut failed = Vec::new();
        for expected in [ANY, NONE, EXISTS, at(1)] {
            failed.push(raw.append(stream, expected, &events(1)).await.failed());
            let metastream = format!("$${stream}");
            failed.push(raw.append(&metastream, expected, &events(1)).await.failed());
            failed.push(raw.delete("Delete", stream, expected).await.unwrap_err());
            failed.push(raw.delete("Tombstone", stream, expected).await.unwrap_err());
        }
        for name in [stream.to_owned(), format!("$${stream}")] {
            failed.push(raw.read(forwards(&name, 0)).await.1);
            failed.push(raw.read(backwards(&name, FromRevision::End(()))).await.1);
        }
        for ended in failed {
            assert_eq!(ended.code, Code::FailedPrecondition, "{ended:?}");
            assert_eq!(ended.trailer("exception"), "stream-deleted");
        }
    }
    let ended = raw.append("a", ANY, &events(1)).await.failed();
    assert_eq!(ended.message, "Event stream 'a' is deleted.");
    assert_eq!(ended.trailer("stream-name"), "a");
    let (contents, _) = raw.read(all(FromPosition::End(()), true)).await;
    let types: Vec<_> = seen(&contents)
        .iter()
        .filter(|event| event.stream_revision == i64::MAX as u64)
        .map(|event| super::support::fact(event, "type"))
        .collect();
    assert_eq!(types, ["$streamDeleted"; 4]);
}

#[tokio::test]
async fn a_name_that_no_header_can_carry_is_left_out_of_the_trailers() {
    let (_served, raw) = serve(Access::All).await;
    raw.delete("Tombstone", "Straße", ANY).await.unwrap();
    let ended = raw.append("Straße", ANY, &events(1)).await.failed();
    assert_eq!(ended.message, "Event stream 'Straße' is deleted.");
    assert_eq!((ended.trailer("exception"), ended.trailer("stream-name")), ("stream-deleted", ""));
}

#[tokio::test]
async fn deleting_takes_more_than_appending() {
    for access in [Access::Read, Access::Append] {
        let (_served, raw) = serve(access).await;
        for method in ["Delete", "Tombstone"] {
            let ended = raw.delete(method, "a", ANY).await.unwrap_err();
            assert_eq!(ended.code, Code::PermissionDenied);
            assert_eq!(ended.trailer("exception"), "access-denied");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_deleted_is_an_invalid_argument() {
    use crate::messages::{
        append::StreamExpectation,
        delete::{DeleteReq, DeleteResp},
    };
    let (_served, raw) = serve(Access::All).await;
    let path = "/event_store.client.streams.Streams/Delete";
    let options =
        |stream_identifier, expected| Some(StreamExpectation { stream_identifier, expected });
    for options in [
        None,
        options(None, Some(ANY)),
        options(super::support::identifier("a"), None),
        options(super::support::identifier("$$a"), Some(ANY)),
    ] {
        let ended = raw.unary::<DeleteResp>(path, &DeleteReq { options }).await.unwrap_err();
        assert_eq!(ended.code, Code::InvalidArgument, "{ended:?}");
    }
}
