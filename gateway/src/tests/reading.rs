use tonic::Code;

use super::support::{
    ANY, NONE, Served, all, backwards, event, events, fact, forwards, identifier, position,
    positions, revisions, seen, serve, soon,
};
use crate::{
    Access,
    messages::read::{
        Content, ControlOption, Expression, FilterBy, FilterOptions, Filtered, FromPosition,
        FromRevision, Options, ReadReq, Window,
    },
    tests::raw::Raw,
};

const START: FromPosition = FromPosition::Start(());
const END: FromPosition = FromPosition::End(());

async fn filled() -> (Served, Raw) {
    let (served, raw) = serve(Access::All).await;
    for (stream, count) in [("a-1", 3), ("b-1", 2), ("a-2", 5)] {
        raw.append(stream, NONE, &events(count)).await.success();
    }
    (served, raw)
}

#[tokio::test]
async fn a_stream_is_read_from_a_revision_on_in_both_directions() {
    let (_served, raw) = filled().await;
    let read = async |options| {
        let (contents, ended) = raw.read(options).await;
        assert_eq!(ended.code, Code::Ok);
        revisions(&contents)
    };
    assert_eq!(read(forwards("a-2", 0)).await, [0, 1, 2, 3, 4]);
    assert_eq!(read(forwards("a-2", 2)).await, [2, 3, 4]);
    assert_eq!(read(forwards("a-2", 1).most(2)).await, [1, 2]);
    assert_eq!(read(forwards("a-2", 5)).await, [0; 0]);
    assert_eq!(read(forwards("a-2", u64::MAX)).await, [0; 0]);
    assert_eq!(read(forwards("a-2", 0).most(0)).await, [0; 0]);
    assert_eq!(read(backwards("a-2", FromRevision::End(()))).await, [4, 3, 2, 1, 0]);
    assert_eq!(read(backwards("a-2", FromRevision::Revision(2))).await, [2, 1, 0]);
    assert_eq!(read(backwards("a-2", FromRevision::Revision(9))).await, [4, 3, 2, 1, 0]);
    assert_eq!(read(backwards("a-2", FromRevision::End(())).most(2)).await, [4, 3]);
    assert_eq!(read(backwards("a-2", FromRevision::Start(()))).await, [0]);
}

#[tokio::test]
async fn events_of_a_stream_tell_their_place_in_the_log() {
    let (_served, raw) = filled().await;
    let (contents, _) = raw.read(forwards("a-2", 0)).await;
    assert_eq!(positions(&contents), [6, 7, 8, 9, 10]);
}

#[tokio::test]
async fn all_is_read_from_a_position_on_forwards_and_from_before_it_backwards() {
    let (_served, raw) = filled().await;
    let read = async |options| {
        let (contents, ended) = raw.read(options).await;
        assert_eq!(ended.code, Code::Ok);
        positions(&contents)
    };
    let whole: Vec<u64> = (1..=10).collect();
    let back: Vec<u64> = (1..=10).rev().collect();
    assert_eq!(read(all(START, false)).await, whole);
    assert_eq!(read(all(position(0), false)).await, whole);
    assert_eq!(read(all(position(8), false)).await, [8, 9, 10]);
    assert_eq!(read(all(position(8), false).most(2)).await, [8, 9]);
    assert_eq!(read(all(position(11), false)).await, [0; 0]);
    assert_eq!(read(all(END, false)).await, [0; 0]);
    assert_eq!(read(all(END, true)).await, back);
    assert_eq!(read(all(position(4), true)).await, [3, 2, 1]);
    assert_eq!(read(all(position(99), true).most(2)).await, [10, 9]);
    assert_eq!(read(all(START, true)).await, [0; 0]);
}

#[tokio::test]
async fn what_is_not_there_is_told_in_the_body() {
    let (_served, raw) = filled().await;
    // System projections do not run here, and their streams are none.
    for stream in ["none", "$ce-a", "$et-Happened", "$$a-1", "$$$$a-1", "$all"] {
        for options in [forwards(stream, 0), backwards(stream, FromRevision::End(()))] {
            let (contents, ended) = raw.read(options).await;
            assert_eq!(ended.code, Code::Ok);
            let [Content::StreamNotFound(not_found)] = contents.as_slice() else {
                panic!("{stream}: {contents:?}");
            };
            assert_eq!(not_found.stream_identifier, identifier(stream));
        }
    }
}

#[tokio::test]
async fn where_a_stream_begins_and_ends_is_told_to_those_who_understand_it() {
    let (_served, raw) = serve(Access::All).await;
    raw.append("a", NONE, &events(50)).await.success();
    let told = async |options: Options| {
        let (contents, _) = raw.read(options).await;
        let (mut first, mut last) = (None, None);
        for content in &contents {
            match content {
                Content::FirstStreamPosition(at) => first = Some(*at),
                Content::LastStreamPosition(at) => last = Some(*at),
                _ => {}
            }
        }
        (first, last, revisions(&contents).len())
    };
    let end = || backwards("a", FromRevision::End(()));
    assert_eq!(told(forwards("a", 0)).await, (None, Some(49), 50));
    assert_eq!(told(forwards("a", 10).most(5)).await, (None, Some(49), 5));
    assert_eq!(told(end()).await, (None, Some(49), 50));
    assert_eq!(told(forwards("a", 50)).await, (None, Some(49), 0));
    assert_eq!(told(forwards("a", 60)).await, (Some(50), Some(49), 0));
    raw.describe("a", r#"{"$tb":40}"#).await;
    // So many events the real server looks at first: 32, or what was asked for.
    assert_eq!(told(forwards("a", 0)).await, (Some(40), Some(49), 10));
    assert_eq!(told(forwards("a", 8).most(32)).await, (Some(40), Some(49), 10));
    assert_eq!(told(forwards("a", 9).most(32)).await, (None, Some(49), 10));
    assert_eq!(told(forwards("a", 36).most(4)).await, (Some(40), Some(49), 4));
    assert_eq!(told(forwards("a", 40)).await, (None, Some(49), 10));
    assert_eq!(told(end()).await, (None, Some(49), 10));
    raw.describe("a", r#"{"$tb":50}"#).await;
    assert_eq!(told(forwards("a", 30)).await, (Some(50), Some(49), 0));
    assert_eq!(told(end()).await, (None, Some(49), 0));
    let mut old = forwards("a", 0);
    old.control_option = Some(ControlOption { compatibility: 0 });
    assert_eq!(told(old).await, (None, None, 0));
}

#[tokio::test]
async fn what_makes_no_sense_is_an_invalid_argument() {
    let (_served, raw) = filled().await;
    let filtered = |by, window, multiplier| {
        Some(Filtered::Filter(FilterOptions {
            by,
            window,
            checkpoint_interval_multiplier: multiplier,
        }))
    };
    let types = |regex: &str| {
        Some(FilterBy::EventType(Expression { regex: regex.to_owned(), prefix: Vec::new() }))
    };
    let window = Some(Window::Max(10));
    let all = || all(START, false);
    let stream = || forwards("a-1", 0);
    for options in [
        Options { what: None, ..stream() },
        Options { count: None, ..stream() },
        Options { uuid_option: None, ..stream() },
        Options { read_direction: 2, ..stream() },
        Options { filter: filtered(types("a"), window, 1), ..stream() },
        backwards("a-1", FromRevision::End(())).subscribe(),
        Options { read_direction: 1, ..all() }.subscribe(),
        Options { filter: filtered(None, window, 1), ..all() },
        Options { filter: filtered(types("a"), None, 1), ..all() },
        Options { filter: filtered(types("a"), Some(Window::Max(0)), 1), ..all() },
        Options { filter: filtered(types("a"), window, 0), ..all() }.subscribe(),
        Options { filter: filtered(types("("), window, 1), ..all() },
        Options { filter: filtered(types("((a{1000}){1000}){1000}"), window, 1), ..all() },
        Options { filter: filtered(types(&"a".repeat(5_000)), window, 1), ..all() },
        Options { filter: filtered(types(r"(a+)\1"), window, 1), ..all() }.subscribe(),
    ] {
        let said = format!("{options:?}");
        let (contents, ended) = raw.read(options).await;
        assert_eq!((contents.len(), ended.code), (0, Code::InvalidArgument), "{said} {ended:?}");
    }
    let nothing = raw.streams("Read", &[ReadReq { options: None }]).await.end().await;
    assert_eq!(nothing.code, Code::InvalidArgument);
}

fn filter(by: FilterBy) -> Option<Filtered> {
    let window = Some(Window::Max(7));
    Some(Filtered::Filter(FilterOptions {
        by: Some(by),
        window,
        checkpoint_interval_multiplier: 1,
    }))
}

fn prefixes(prefixes: &[&str]) -> Expression {
    let prefix = prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
    Expression { regex: String::new(), prefix }
}

fn regex(regex: &str) -> Expression {
    Expression { regex: regex.to_owned(), prefix: Vec::new() }
}

#[tokio::test]
async fn all_is_filtered_by_stream_and_by_type() {
    let (_served, raw) = serve(Access::All).await;
    for (stream, event_type) in [
        ("order-1", "Placed"),
        ("order-2", "Placed"),
        ("stock-1", "Reserved"),
        ("order-1", "Dispatched"),
        ("$system", "$metadata"),
        ("storder-1", "Replaced"),
    ] {
        raw.append(stream, ANY, &[event(event_type, "{}")]).await.success();
    }
    let read = async |by: FilterBy, backwards| {
        let from = if backwards { END } else { START };
        let (contents, _) = raw.read(Options { filter: filter(by), ..all(from, backwards) }).await;
        positions(&contents)
    };
    use FilterBy::{EventType, Stream};
    assert_eq!(read(Stream(prefixes(&["order-"])), false).await, [1, 2, 4]);
    assert_eq!(read(Stream(prefixes(&["order-", "stock-"])), true).await, [4, 3, 2, 1]);
    assert_eq!(read(Stream(prefixes(&[])), false).await, [0; 0]);
    assert_eq!(read(Stream(regex("order-1")), false).await, [1, 4, 6]);
    assert_eq!(read(EventType(prefixes(&["P", "D"])), false).await, [1, 2, 4]);
    assert_eq!(read(EventType(regex(r"^[^\$].*")), false).await, [1, 2, 3, 4, 6]);
    assert_eq!(read(EventType(regex(r"^(?!(\$.+$|Placed$))")), false).await, [3, 4, 6]);
    assert_eq!(read(EventType(regex("laced")), true).await, [6, 2, 1]);
    let some = Options { filter: filter(Stream(prefixes(&["order-"]))), ..all(START, false) };
    let (contents, _) = raw.read(some.most(2)).await;
    assert_eq!(positions(&contents), [1, 2]);
}

#[tokio::test]
async fn what_was_a_day_books_own_tells_when_it_was_recorded() {
    let (served, raw) = serve(Access::Read).await;
    let metadata = r#"{"schema_version":1,"recorded_at":"2026-11-21T09:15:00.123456Z"}"#;
    let event = event_schemas::NewEvent::raw(
        uuid::Uuid::new_v4(),
        "Placed".to_owned(),
        "{}".into(),
        metadata.into(),
    );
    let stream = event_schemas::StreamName::new("order", "1");
    let any = event_schemas::ExpectedRevision::Any;
    served.store.append(stream, any, vec![event]).await.unwrap();
    let (contents, _) = raw.read(forwards("order-1", 0)).await;
    let event = &seen(&contents)[0];
    assert_eq!(fact(event, "created"), "17952525001234560");
    assert_eq!(fact(event, "content-type"), "application/json");
    assert_eq!(event.custom_metadata, metadata);
}

#[tokio::test]
async fn a_read_of_many_pages_is_whole() {
    let (_served, raw) = serve(Access::All).await;
    for _ in 0..12 {
        raw.append("a", ANY, &events(1_000)).await.success();
    }
    let whole: Vec<u64> = (0..12_000).collect();
    let back: Vec<u64> = (0..12_000).rev().collect();
    assert_eq!(raw.revisions("a").await, whole);
    let (contents, _) = raw.read(backwards("a", FromRevision::End(()))).await;
    assert_eq!(revisions(&contents), back);
    let (contents, _) = raw.read(all(START, false)).await;
    assert_eq!(revisions(&contents), whole);
    let (contents, _) = raw.read(all(END, true).most(11_000)).await;
    assert_eq!(revisions(&contents), back[..11_000]);
}

#[tokio::test]
async fn a_subscription_is_ended_by_its_deadline() {
    let (_served, raw) = serve(Access::Read).await;
    let request = ReadReq { options: Some(forwards("b", 0).subscribe()) };
    let said = futures::stream::iter([super::raw::framed(&request)]);
    let answers = raw.call("Read", &[("grpc-timeout", "30m")], said).await;
    let ended = soon(answers.end()).await;
    assert_eq!(ended.code, Code::DeadlineExceeded);
}
