//! What the gateway asks of the embedded engine: appends of several parts, tombstones, and notes of
//! what other programs' clients sent.

use event_schemas::{
    ExpectedRevision, NewEvent, Position, Received, Revision, StreamName, Timestamp,
};
use infra::event_store::{
    AppendError, Appended, Direction, EventStore, Filter, PageSize, Part, PartsError,
    SqliteEventStore, SqliteOptions,
};
use rusqlite::Connection;

use super::{
    sqlite::make,
    support::{END, append, event, events, sized, stream},
};

fn embedded(store: &EventStore) -> &SqliteEventStore {
    let EventStore::Sqlite(store) = store else { panic!("not embedded") };
    store
}

fn sent(json: bool) -> NewEvent {
    let at = Timestamp::from_micros(1_700_000_000_123_456).unwrap();
    event("Sent").received(Received { at, json })
}

fn stands(revision: u64, position: u64) -> Appended {
    Appended { last_revision: Revision(revision), position: Position(position) }
}

async fn heads(store: &EventStore, one: &StreamName, other: &StreamName) -> [Option<u64>; 2] {
    embedded(store).heads([one, other]).await.unwrap().map(|head| head.map(|head| head.0))
}

#[tokio::test]
async fn all_parts_are_written_or_none() {
    let (store, _folder) = make().await;
    let (one, other) = (stream("one"), stream("other"));
    let none = ExpectedRevision::NoStream;
    let written = embedded(&store)
        .append_parts(
            Part::append(one.clone(), none, events(2)),
            vec![Part::append(other.clone(), none, events(3))],
        )
        .await;
    assert_eq!(written, Ok(stands(1, 2)));
    assert_eq!(heads(&store, &one, &other).await, [Some(1), Some(2)]);

    let at = |revision| ExpectedRevision::Exact(Revision(revision));
    let first = |expected| Part::append(one.clone(), expected, events(1));
    for (part, actual) in [
        (Part::condition(other.clone(), none), Some(2)),
        (Part::append(other.clone(), at(1), events(1)), Some(2)),
        (Part::condition(stream("none"), ExpectedRevision::StreamExists), None),
    ] {
        let refused = embedded(&store).append_parts(first(at(1)), vec![part]).await;
        assert_eq!(refused, Err(PartsError::Other { actual: actual.map(Revision) }));
    }
    let kept = vec![Part::append(other.clone(), at(2), events(1))];
    let refused = embedded(&store).append_parts(first(at(5)), kept).await;
    let conflict = AppendError::Conflict { actual: Some(Revision(1)) };
    assert_eq!(refused, Err(PartsError::First(conflict)));
    assert_eq!(heads(&store, &one, &other).await, [Some(1), Some(2)]);

    let held = vec![Part::condition(other.clone(), at(2))];
    let written = embedded(&store).append_parts(first(at(1)), held).await;
    assert_eq!(written, Ok(stands(2, 6)));
    assert_eq!(heads(&store, &one, &other).await, [Some(2), Some(2)]);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_repeat_is_told_so_whatever_else_has_changed() {
    let (store, _folder) = make().await;
    let (one, other) = (stream("one"), stream("other"));
    let none = ExpectedRevision::NoStream;
    let first = Part::append(one.clone(), none, events(2));
    let with = || vec![Part::condition(other.clone(), none)];
    let written = embedded(&store).append_parts(first.clone(), with()).await.unwrap();
    append(&store, &other, events(1)).await.unwrap();
    assert_eq!(embedded(&store).append_parts(first, with()).await, Ok(written));
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_others_sent_is_known_again_although_any_revision_was_expected() {
    let (store, _folder) = make().await;
    let stream = stream("thing");
    let any = ExpectedRevision::Any;
    let both = vec![sent(true), sent(true)];
    let written = store.append(stream.clone(), any, both.clone()).await;
    assert_eq!(written, Ok(stands(1, 2)));
    append(&store, &stream, events(1)).await.unwrap();
    assert_eq!(store.append(stream.clone(), any, both.clone()).await, Ok(stands(1, 2)));
    let exists = ExpectedRevision::StreamExists;
    assert_eq!(store.append(stream.clone(), exists, both.clone()).await, Ok(stands(1, 2)));
    // A part of it with something new is no repeat.
    let mixed = vec![both[0].clone(), sent(true)];
    let refused = store.append(stream.clone(), any, mixed).await;
    assert_eq!(refused, Err(AppendError::Conflict { actual: Some(Revision(2)) }));
    // Nor is it one in another stream.
    let elsewhere = super::support::stream("thing");
    assert_eq!(store.append(elsewhere, any, both).await, Ok(stands(1, 5)));
    store.close().await.unwrap();
}

#[tokio::test]
async fn nothing_follows_a_tombstone_and_nothing_before_it_is_lost() {
    let (store, folder) = make().await;
    let gone = StreamName::parse("gone-1").unwrap();
    append(&store, &gone, events(2)).await.unwrap();
    let end = Part::end(gone.clone(), ExpectedRevision::Exact(Revision(1)), sent(true));
    let ended = embedded(&store).append_parts(end, Vec::new()).await;
    assert_eq!(ended, Ok(Appended { last_revision: Revision::TOMBSTONE, position: Position(3) }));
    for reopened in [false, true] {
        let store = if reopened {
            store.close().await.unwrap();
            let options = SqliteOptions::new(folder.path().join("events.sqlite"));
            EventStore::open_sqlite(options).await.unwrap()
        } else {
            store.clone()
        };
        for expected in [
            ExpectedRevision::Any,
            ExpectedRevision::NoStream,
            ExpectedRevision::StreamExists,
            ExpectedRevision::Exact(Revision(1)),
            ExpectedRevision::Exact(Revision::TOMBSTONE),
            ExpectedRevision::Exact(Revision(u64::MAX)),
        ] {
            for stream in [gone.clone(), gone.metastream().unwrap()] {
                let refused = store.append(stream, expected, events(1)).await;
                assert_eq!(refused, Err(AppendError::StreamDeleted), "{expected:?}");
            }
        }
        assert_eq!(store.stream_head(&gone).await, Ok(Some(Revision::TOMBSTONE)));
        let log =
            store.read_log(Position::START, Direction::Forwards, &Filter::all(), 10).await.unwrap();
        assert_eq!(log.events.len(), 3);
        assert_eq!(log.events[2].revision, Revision::TOMBSTONE);
        if reopened {
            store.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn revisions_that_no_stream_has_are_conflicts() {
    let (store, _folder) = make().await;
    let stream = stream("thing");
    append(&store, &stream, events(1)).await.unwrap();
    for revision in [u64::MAX, u64::MAX - 1, i64::MAX as u64, i64::MAX as u64 - 1, 1] {
        let expected = ExpectedRevision::Exact(Revision(revision));
        let refused = store.append(stream.clone(), expected, events(2)).await;
        assert_eq!(refused, Err(AppendError::Conflict { actual: Some(Revision(0)) }));
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn notes_are_kept_in_memory_and_on_the_disk() {
    let (store, _folder) = make().await;
    let stream = stream("thing");
    let all = vec![sent(true), sent(false), event("Own")];
    let notes: Vec<_> = all.iter().map(|event| event.received).collect();
    append(&store, &stream, all).await.unwrap();
    let live = store.subscribe(Position::START, Filter::all()).next().await.unwrap();
    let read = store.read_log(END, Direction::Backwards, &Filter::all(), 10).await.unwrap();
    let of = |events: &[event_schemas::Logged]| {
        events.iter().map(|event| event.received).collect::<Vec<_>>()
    };
    assert_eq!(of(&live.events), notes);
    assert_eq!(of(&read.events), notes.into_iter().rev().collect::<Vec<_>>());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_page_of_a_stream_ends_with_the_event_that_fills_it() {
    let (store, _folder) = make().await;
    let stream = stream("thing");
    append(&store, &stream, (0..5).map(|_| sized("Happened", 1_000)).collect()).await.unwrap();
    let embedded = embedded(&store);
    let most = PageSize { events: 10, bytes: 2_500 };
    let page = embedded.stream_page(&stream, Revision(1), Direction::Forwards, most).await.unwrap();
    let positions: Vec<_> = page.events.iter().map(|event| event.position.0).collect();
    assert_eq!((positions, page.at_end), (vec![2, 3, 4], false));
    let page = embedded
        .log_page(
            Position::START,
            Direction::Forwards,
            &Filter::all(),
            PageSize { bytes: 1, ..most },
        )
        .await
        .unwrap();
    assert_eq!((page.events.len(), page.at_end), (1, false));
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_store_of_the_first_format_is_read_as_it_is_and_written_with_notes() {
    let (store, folder) = make().await;
    let stream = stream("thing");
    append(&store, &stream, events(2)).await.unwrap();
    store.close().await.unwrap();
    let path = folder.path().join("events.sqlite");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(
        "ALTER TABLE events DROP COLUMN json; ALTER TABLE events DROP COLUMN received_at;
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);

    let reader = EventStore::read_sqlite(&path).await.unwrap();
    let page = reader.read_stream(&stream, Revision(0), Direction::Forwards, 10).await.unwrap();
    assert_eq!(page.events.len(), 2);

    let store = EventStore::open_sqlite(SqliteOptions::new(&path)).await.unwrap();
    append(&store, &stream, vec![sent(false)]).await.unwrap();
    let page = store.read_stream(&stream, Revision(0), Direction::Forwards, 10).await.unwrap();
    let notes: Vec<_> = page.events.iter().map(|event| event.received.is_some()).collect();
    assert_eq!(notes, [false, false, true]);
    // Who began to read before goes on without the notes.
    let page = reader.read_stream(&stream, Revision(0), Direction::Forwards, 10).await.unwrap();
    assert_eq!(page.events.len(), 3);
    reader.close().await.unwrap();
    store.close().await.unwrap();
}
