use super::support::{
    ANY, EXISTS, NONE, all, at, backwards, events, forwards, positions, revisions, seen, serve,
};
use crate::{
    Access,
    messages::{
        append::{Current, CurrentRevision},
        read::{FromPosition, FromRevision},
    },
};

#[tokio::test]
async fn metadata_hides_from_reads_of_the_stream_alone() {
    let (_served, raw) = serve(Access::All).await;
    raw.append("a", NONE, &events(10)).await.success();
    for (metadata, first) in [
        (r#"{"$maxCount":3}"#, 7),
        (r#"{"$tb":4}"#, 4),
        (r#"{"$tb":4,"$maxCount":3}"#, 7),
        (r#"{"$tb":8,"$maxCount":3}"#, 8),
        (r#"{"$maxAge":3600}"#, 0),
        (r#"{"$acl":{"$r":"nobody"}}"#, 0),
        ("no JSON", 0),
    ] {
        raw.describe("a", metadata).await;
        let expected: Vec<u64> = (first..10).collect();
        assert_eq!(raw.revisions("a").await, expected, "{metadata}");
        let (contents, _) = raw.read(backwards("a", FromRevision::End(()))).await;
        let back: Vec<u64> = expected.into_iter().rev().collect();
        assert_eq!(revisions(&contents), back, "{metadata}");
    }
    let (contents, _) = raw.read(all(FromPosition::Start(()), false)).await;
    assert_eq!(positions(&contents).len(), 17);
    raw.describe("a", r#"{"$maxCount":1}"#).await;
    raw.append("a", at(9), &events(2)).await.success();
    assert_eq!(raw.revisions("a").await, [11]);
}

#[tokio::test]
async fn what_is_older_than_it_may_be_is_not_seen() {
    let (served, raw) = serve(Access::All).await;
    let sent = |seconds: i64| {
        let at = crate::event::now().as_micros() - seconds * 1_000_000;
        let at = event_schemas::Timestamp::from_micros(at).unwrap();
        let event = event_schemas::NewEvent::raw(
            uuid::Uuid::new_v4(),
            "Happened".to_owned(),
            "{}".into(),
            "".into(),
        );
        event.received(event_schemas::Received { at, json: true })
    };
    let stream = event_schemas::StreamName::parse("a").unwrap();
    let any = event_schemas::ExpectedRevision::Any;
    let aged = [9_000, 8_000, 600, 10].map(sent).to_vec();
    served.store.append(stream, any, aged).await.unwrap();
    raw.describe("a", r#"{"$maxAge":3600}"#).await;
    assert_eq!(raw.revisions("a").await, [2, 3]);
    let (contents, _) = raw.read(backwards("a", FromRevision::End(()))).await;
    assert_eq!(revisions(&contents), [3, 2]);
    raw.describe("a", r#"{"$maxAge":5}"#).await;
    assert!(raw.revisions("a").await.is_empty());
}

#[tokio::test]
async fn of_metadata_the_last_is_seen() {
    let (_served, raw) = serve(Access::All).await;
    for n in 0..3 {
        raw.describe("a", &format!("{{\"n\":{n}}}")).await;
    }
    let (contents, _) = raw.read(forwards("$$a", 0)).await;
    let seen = seen(&contents);
    assert_eq!((seen.len(), &seen[0].data[..]), (1, &br#"{"n":2}"#[..]));
    let (contents, _) = raw.read(backwards("$$a", FromRevision::End(())).most(1)).await;
    assert_eq!(revisions(&contents), [2]);
    // Metadata has no metadata.
    let wrong = raw.append("$$$$a", ANY, &events(1)).await.wrong();
    assert_eq!(wrong.current, Some(Current::NoStream(())));
}

#[tokio::test]
async fn metadata_is_written_where_it_is_expected() {
    let (_served, raw) = serve(Access::All).await;
    raw.append("$$a", EXISTS, &events(1)).await.wrong();
    raw.append("$$a", at(0), &events(1)).await.wrong();
    let first = events(1);
    for _ in 0..2 {
        let written = raw.append("$$a", NONE, &first).await.success();
        assert_eq!(written.current_revision, Some(CurrentRevision::Revision(0)));
    }
    raw.append("$$a", NONE, &events(1)).await.wrong();
    raw.append("$$a", EXISTS, &events(1)).await.success();
    let third = raw.append("$$a", at(1), &events(1)).await.success();
    assert_eq!(third.current_revision, Some(CurrentRevision::Revision(2)));
}

#[tokio::test]
async fn a_stream_with_metadata_alone_exists() {
    let (_served, raw) = serve(Access::All).await;
    raw.append("a", EXISTS, &events(1)).await.wrong();
    raw.describe("a", "{}").await;
    assert!(raw.revisions("a").await.is_empty());
    raw.append("a", EXISTS, &events(1)).await.success();
    raw.describe("b", "{}").await;
    raw.append("b", NONE, &events(1)).await.success();
    assert_eq!(raw.revisions("b").await, [0]);
}

#[tokio::test]
async fn metadata_written_to_a_deleted_stream_brings_it_back_without_what_it_held() {
    let (_served, raw) = serve(Access::All).await;
    raw.append("a", NONE, &events(3)).await.success();
    raw.delete("Delete", "a", ANY).await.unwrap();
    let metadata = [super::support::event("$metadata", r#"{"mine":1,"$tb":0}"#)];
    let written = raw.append("$$a", at(0), &metadata).await.success();
    assert_eq!(written.current_revision, Some(CurrentRevision::Revision(1)));
    assert!(raw.revisions("a").await.is_empty());
    let (contents, _) = raw.read(forwards("$$a", 0)).await;
    let told: serde_json::Value = serde_json::from_slice(&seen(&contents)[0].data).unwrap();
    assert_eq!(told, serde_json::json!({ "mine": 1, "$tb": 3 }));
    raw.append("a", at(2), &events(1)).await.success();
    assert_eq!(raw.revisions("a").await, [3]);
    // What the client sent stands where it said, so that a repeat is one.
    assert_eq!(raw.append("$$a", at(0), &metadata).await.success(), written);
}

#[tokio::test]
async fn a_stream_that_is_deleted_while_it_is_appended_to_loses_nothing() {
    let (_served, raw) = serve(Access::All).await;
    let appends = async {
        let mut last = 0;
        for _ in 0..100 {
            let written = raw.append("a", ANY, &events(1)).await.success();
            let Some(CurrentRevision::Revision(at)) = written.current_revision else { panic!() };
            last = at;
        }
        last
    };
    let deletes = async {
        for _ in 0..50 {
            // Before the first append there is nothing to delete.
            let _ = raw.delete("Delete", "a", ANY).await;
        }
    };
    let (last, ()) = tokio::join!(appends, deletes);
    assert_eq!(last, 99);
    raw.append("a", ANY, &events(1)).await.success();
    // Whatever came between: what was appended last is seen.
    assert_eq!(raw.revisions("a").await.last(), Some(&100));
}
