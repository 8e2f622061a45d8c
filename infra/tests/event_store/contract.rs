//! The contract. A second engine runs it by one more line at the end: a function that makes an
//! empty store. A store that others write too may hold more than what a test put into it, so the
//! tests look at their own streams and at what follows the head they met.

use std::{future::Future, sync::Arc, time::Duration};

use event_schemas::{ExpectedRevision, Position, Revision, StreamName};
use futures::{FutureExt, future::join_all};
use infra::event_store::{
    AppendError, Direction, EventStore, Filter, MAX_APPEND_BYTES, MAX_PAGE, ReadError,
};

use super::support::{END, LAST, append, event, events, pages, positions, sized, stream};

const SOON: Duration = Duration::from_secs(180);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.expect("this should have happened by now")
}

pub(crate) async fn a_stream_grows_from_revision_0_and_keeps_the_very_bytes(store: EventStore) {
    let stream = stream("thing");
    assert_eq!(store.stream_head(&stream).await, Ok(None));
    let (first, second) = (event("Began"), sized("WentOn", 5_000));
    let appended = store.append(
        stream.clone(),
        ExpectedRevision::NoStream,
        vec![first.clone(), second.clone()],
    );
    let appended = appended.await.unwrap();
    assert_eq!(appended.last_revision, Revision(1));
    assert_eq!(store.stream_head(&stream).await, Ok(Some(Revision(1))));

    let page = store.read_stream(&stream, Revision(0), Direction::Forwards, 10).await.unwrap();
    assert!(page.at_end);
    for (revision, (sent, stands)) in [first, second].iter().zip(&page.events).enumerate() {
        assert_eq!(stands.revision, Revision(revision as u64));
        assert_eq!(
            (stands.id, &stands.stream, &stands.event_type),
            (sent.id, &stream, &sent.event_type)
        );
        assert_eq!((&stands.data, &stands.metadata), (&sent.data, &sent.metadata));
    }
    let logged = store.event_at(appended.position).await.unwrap().unwrap();
    assert_eq!((logged.id, logged.position), (page.events[1].id, appended.position));
}

pub(crate) async fn an_append_demands_what_it_expects(store: EventStore) {
    let stream = stream("thing");
    let try_append = |expected, count| store.append(stream.clone(), expected, events(count));
    let conflict = |actual| Err(AppendError::Conflict { actual });
    let revision = |appended: Result<infra::event_store::Appended, AppendError>| {
        appended.map(|appended| appended.last_revision)
    };

    for expected in [ExpectedRevision::StreamExists, ExpectedRevision::Exact(Revision(0))] {
        assert_eq!(try_append(expected, 1).await, conflict(None));
    }
    assert_eq!(revision(try_append(ExpectedRevision::NoStream, 2).await), Ok(Revision(1)));
    let stands = Some(Revision(1));
    for wrong in [0, 2, u64::MAX] {
        assert_eq!(try_append(ExpectedRevision::Exact(Revision(wrong)), 1).await, conflict(stands));
    }
    assert_eq!(try_append(ExpectedRevision::NoStream, 1).await, conflict(stands));
    let exact = ExpectedRevision::Exact(Revision(1));
    assert_eq!(revision(try_append(exact, 1).await), Ok(Revision(2)));
    assert_eq!(revision(try_append(ExpectedRevision::StreamExists, 1).await), Ok(Revision(3)));
    assert_eq!(revision(try_append(ExpectedRevision::Any, 1).await), Ok(Revision(4)));
    let other = super::support::stream("thing");
    let fresh = store.append(other, ExpectedRevision::Any, events(1)).await;
    assert_eq!(revision(fresh), Ok(Revision(0)));
}

pub(crate) async fn the_same_ids_in_the_same_slots_are_a_repeat(store: EventStore) {
    let stream = stream("thing");
    let batch = events(2);
    let first =
        store.append(stream.clone(), ExpectedRevision::NoStream, batch.clone()).await.unwrap();
    let exact = ExpectedRevision::Exact(Revision(1));
    let later = events(2);
    let second = store.append(stream.clone(), exact, later.clone()).await.unwrap();

    let repeat = |expected, events| store.append(stream.clone(), expected, events);
    assert_eq!(repeat(ExpectedRevision::NoStream, batch.clone()).await, Ok(first));
    assert_eq!(repeat(exact, later.clone()).await, Ok(second));
    let part = repeat(exact, later[..1].to_vec()).await.unwrap();
    assert_eq!(part.last_revision, Revision(2));

    let conflict = Err(AppendError::Conflict { actual: Some(Revision(3)) });
    let moved = ExpectedRevision::Exact(Revision(0));
    assert_eq!(repeat(moved, later.clone()).await, conflict, "another slot");
    let swapped = vec![batch[1].clone(), batch[0].clone()];
    assert_eq!(repeat(ExpectedRevision::NoStream, swapped).await, conflict, "another order");
    let longer = [later.clone(), events(1)].concat();
    assert_eq!(repeat(exact, longer).await, conflict, "one more");
    assert_eq!(store.stream_head(&stream).await, Ok(Some(Revision(3))));
}

pub(crate) async fn what_is_too_large_or_empty_is_refused(store: EventStore) {
    let stream = stream("thing");
    assert_eq!(append(&store, &stream, vec![]).await, Err(AppendError::NoEvents));
    let room = MAX_APPEND_BYTES - sized("Happened", 0).size();
    let size = MAX_APPEND_BYTES + 1;
    let refused = append(&store, &stream, vec![sized("Happened", room + 1)]).await;
    assert_eq!(refused, Err(AppendError::TooLarge { size }));
    assert_eq!(store.stream_head(&stream).await, Ok(None));
    append(&store, &stream, vec![sized("Happened", room)]).await.unwrap();
    let page = store.read_stream(&stream, Revision(0), Direction::Forwards, 1).await.unwrap();
    assert!(page.events[0].data.len() > room);
}

pub(crate) async fn a_conflict_harms_nobody_else(store: EventStore) {
    let taken = stream("thing");
    append(&store, &taken, events(1)).await.unwrap();
    let attempts = (0..200).map(|n| {
        let stream = if n % 2 == 0 { taken.clone() } else { stream("thing") };
        store.append(stream, ExpectedRevision::NoStream, events(3))
    });
    for (n, outcome) in join_all(attempts).await.into_iter().enumerate() {
        if n % 2 == 0 {
            assert_eq!(outcome, Err(AppendError::Conflict { actual: Some(Revision(0)) }));
        } else {
            assert_eq!(outcome.unwrap().last_revision, Revision(2));
        }
    }
}

pub(crate) async fn of_many_at_one_slot_exactly_one_wins(store: EventStore) {
    let stream = stream("thing");
    let race = (0..50).map(|_| {
        let (store, stream) = (store.clone(), stream.clone());
        tokio::spawn(
            async move { store.append(stream, ExpectedRevision::NoStream, events(1)).await },
        )
    });
    let outcomes = join_all(race).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.as_ref().unwrap().is_ok()).count(), 1);
    assert_eq!(store.stream_head(&stream).await, Ok(Some(Revision(0))));
}

pub(crate) async fn a_stream_is_read_in_pages_both_ways(store: EventStore) {
    let stream = stream("thing");
    append(&store, &stream, events(25)).await.unwrap();
    let read = |from, direction, limit| {
        let (store, stream) = (store.clone(), stream.clone());
        async move {
            let page = store.read_stream(&stream, Revision(from), direction, limit).await.unwrap();
            (page.events.iter().map(|event| event.revision.0).collect::<Vec<_>>(), page.at_end)
        }
    };
    let forwards = Direction::Forwards;
    assert_eq!(read(0, forwards, 10).await, ((0..10).collect(), false));
    assert_eq!(read(10, forwards, 15).await, ((10..25).collect(), true), "exactly to the end");
    assert_eq!(read(24, forwards, 10).await, (vec![24], true));
    assert_eq!(read(25, forwards, 10).await, (vec![], true));
    assert_eq!(read(0, forwards, 2_000).await, ((0..25).collect(), true));
    let backwards = Direction::Backwards;
    assert_eq!(read(u64::MAX, backwards, 10).await, ((15..25).rev().collect(), false));
    assert_eq!(read(14, backwards, 15).await, ((0..15).rev().collect(), true));
    assert_eq!(read(0, backwards, 10).await, (vec![0], true));
    assert_eq!(read(3, backwards, 2).await, (vec![3, 2], false));
    let nowhere = super::support::stream("nothing");
    let page = store.read_stream(&nowhere, LAST, Direction::Backwards, 10).await.unwrap();
    assert!(page.events.is_empty() && page.at_end);
}

pub(crate) async fn no_page_is_longer_than_the_limit(store: EventStore) {
    let (before, stream) = (store.head().await.unwrap(), stream("thing"));
    append(&store, &stream, events(MAX_PAGE + 1)).await.unwrap();
    let page =
        store.read_stream(&stream, Revision(0), Direction::Forwards, usize::MAX).await.unwrap();
    assert_eq!((page.events.len(), page.at_end), (MAX_PAGE, false));
    let page =
        store.read_log(before, Direction::Forwards, &Filter::all(), usize::MAX).await.unwrap();
    assert_eq!((page.events.len(), page.at_end), (MAX_PAGE, false));
}

pub(crate) async fn pages_of_large_events_are_shorter_and_none_is_lost(store: EventStore) {
    let (before, stream) = (store.head().await.unwrap(), stream("thing"));
    for _ in 0..24 {
        append(&store, &stream, vec![sized("Happened", 500_000)]).await.unwrap();
    }
    let (mut revisions, mut at_end) = (Vec::new(), false);
    while !at_end {
        let from = Revision(revisions.len() as u64);
        let page = store.read_stream(&stream, from, Direction::Forwards, MAX_PAGE).await.unwrap();
        assert!(!page.events.is_empty());
        revisions.extend(page.events.iter().map(|event| event.revision.0));
        at_end = page.at_end;
    }
    assert_eq!(revisions, (0..24).collect::<Vec<_>>());
    let read = pages(&store, before, Direction::Forwards, &Filter::all(), MAX_PAGE).await;
    assert!(read.len() > 1);
    let of_mine = read.iter().flat_map(|page| &page.events).filter(|event| event.stream == stream);
    assert_eq!(of_mine.count(), 24);
}

pub(crate) async fn the_log_is_in_the_order_of_acknowledgement(store: EventStore) {
    let before = store.head().await.unwrap();
    let mut acknowledged = Vec::new();
    for _ in 0..30 {
        acknowledged.push(append(&store, &stream("thing"), events(1)).await.unwrap().position.0);
    }
    assert!(acknowledged.is_sorted_by(|a, b| a < b));
    assert_eq!(store.head().await, Ok(Position(acknowledged[29])));
    let forwards = pages(&store, before, Direction::Forwards, &Filter::all(), 7).await;
    assert_eq!(positions(&forwards), acknowledged);
    assert_eq!(forwards.last().unwrap().scanned_to, Position(acknowledged[29]));
    let backwards = pages(&store, END, Direction::Backwards, &Filter::all(), 7).await;
    assert_eq!(positions(&backwards)[..30], acknowledged.iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(backwards.last().unwrap().scanned_to, Position::START);
    let beyond = Position(acknowledged[29]);
    let page = store.read_log(beyond, Direction::Forwards, &Filter::all(), 7).await.unwrap();
    assert_eq!((page.events.len(), page.scanned_to, page.at_end), (0, beyond, true));
    assert!(store.event_at(Position(acknowledged[29] + 1)).await.unwrap().is_none());
    assert!(store.event_at(Position::START).await.unwrap().is_none());
}

/// Every filter answers what a plain read, filtered afterwards, answers.
pub(crate) async fn a_filter_leaves_out_and_never_loses(store: EventStore) {
    let before = store.head().await.unwrap();
    let streams: Vec<StreamName> = ["apple", "pear", "plum"].map(stream).into();
    for n in 0..60 {
        let kind = ["Grew", "Ripened", "Fell"][n / 3 % 3];
        append(&store, &streams[n % 3], vec![event(kind)]).await.unwrap();
    }
    append(&store, &streams[1], vec![event("Rotted")]).await.unwrap();
    append(&store, &streams[0], events(1)).await.unwrap();
    let everything = pages(&store, before, Direction::Forwards, &Filter::all(), MAX_PAGE).await;
    let head = store.head().await.unwrap();

    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let pear = Some(streams[1].clone());
    for (categories, types, stream) in [
        (names(&["apple"]), vec![], None),
        (names(&["apple", "plum"]), vec![], None),
        (vec![], names(&["Fell"]), None),
        (vec![], names(&["Rotted"]), None),
        (names(&["plum", "pear"]), names(&["Grew", "Rotted", "Never"]), None),
        (names(&["plum"]), names(&["Rotted"]), None),
        (names(&["nothing"]), vec![], None),
        (vec![], vec![], pear.clone()),
        (vec![], names(&["Rotted", "Fell"]), pear.clone()),
        (names(&["plum"]), vec![], pear),
        (vec![], vec![], Some(StreamName::new("pear", "that never was"))),
    ] {
        let filter = Filter { categories, types, stream };
        let mut expected: Vec<u64> = everything
            .iter()
            .flat_map(|page| &page.events)
            .filter(|event| filter.matches(event))
            .map(|event| event.position.0)
            .collect();
        for limit in [1, 4, MAX_PAGE] {
            let read = pages(&store, before, Direction::Forwards, &filter, limit).await;
            assert_eq!(positions(&read), expected, "{filter:?} {limit}");
            assert!(read.last().unwrap().scanned_to >= head, "{filter:?} {limit}");
        }
        expected.reverse();
        let read = pages(&store, END, Direction::Backwards, &filter, 4).await;
        let mine = positions(&read).into_iter().filter(|&position| position > before.0);
        assert_eq!(mine.collect::<Vec<_>>(), expected, "{filter:?} backwards");
    }
}

pub(crate) async fn a_subscription_catches_up_and_goes_on_live(store: EventStore) {
    let (before, stream) = (store.head().await.unwrap(), stream("thing"));
    append(&store, &stream, events(2_500)).await.unwrap();
    let mut subscription = store.subscribe(before, Filter::all());
    let live = {
        let (store, stream) = (store.clone(), stream.clone());
        tokio::spawn(async move {
            for _ in 0..500 {
                append(&store, &stream, events(1)).await.unwrap();
            }
        })
    };
    let mut seen = Vec::new();
    while seen.len() < 3_000 {
        let page = soon(subscription.next()).await.unwrap();
        assert!(page.events.len() <= MAX_PAGE);
        assert!(page.events.last().is_none_or(|last| last.position <= page.scanned_to));
        seen.extend(page.events.iter().map(|event| event.revision.0));
    }
    assert_eq!(seen, (0..3_000).collect::<Vec<_>>());
    live.await.unwrap();
    assert!(subscription.next().now_or_never().is_none(), "nothing more: it waits");
}

pub(crate) async fn a_subscription_moves_over_what_its_filter_leaves_out(store: EventStore) {
    let head = store.head().await.unwrap();
    let mut subscription = store.subscribe(head, Filter::categories(["wanted"]));
    let skipped = append(&store, &stream("other"), events(3)).await.unwrap();
    let mut scanned_to = head;
    while scanned_to < skipped.position {
        let page = soon(subscription.next()).await.unwrap();
        assert!(page.events.is_empty());
        assert!(page.scanned_to > scanned_to);
        scanned_to = page.scanned_to;
    }
    let wanted = append(&store, &stream("wanted"), events(1)).await.unwrap();
    let page = soon(subscription.next()).await.unwrap();
    assert_eq!(page.events.iter().map(|e| e.position).collect::<Vec<_>>(), [wanted.position]);
}

pub(crate) async fn a_subscription_given_up_while_waiting_loses_nothing(store: EventStore) {
    let head = store.head().await.unwrap();
    let mut subscription = store.subscribe(head, Filter::all());
    let mut seen = Vec::new();
    for n in 1..=50 {
        let _ = subscription.next().now_or_never().map(|page| seen.extend(page.unwrap().events));
        append(&store, &stream("thing"), events(n % 3 + 1)).await.unwrap();
        let _ = subscription.next().now_or_never().map(|page| seen.extend(page.unwrap().events));
    }
    let all = pages(&store, head, Direction::Forwards, &Filter::all(), MAX_PAGE).await;
    while seen.len() < positions(&all).len() {
        seen.extend(soon(subscription.next()).await.unwrap().events);
    }
    assert_eq!(seen.iter().map(|e| e.position.0).collect::<Vec<_>>(), positions(&all));
}

pub(crate) async fn what_is_acknowledged_is_seen_at_once(store: EventStore) {
    let stream = stream("thing");
    for n in 0..100 {
        let mut subscription = store.subscribe(store.head().await.unwrap(), Filter::all());
        let appended = append(&store, &stream, events(1)).await.unwrap();
        assert_eq!(store.stream_head(&stream).await, Ok(Some(Revision(n))));
        assert_eq!(store.head().await, Ok(appended.position));
        let logged = store.event_at(appended.position).await.unwrap().unwrap();
        assert_eq!((&logged.stream, logged.revision), (&stream, Revision(n)));
        if !store.others_may_write() {
            let page = subscription.next().now_or_never().expect("it is there already").unwrap();
            assert_eq!(page.scanned_to, appended.position);
        }
    }
}

pub(crate) async fn events_are_counted(store: EventStore) {
    // A store that cannot count says so, always.
    let before = store.event_count().await.unwrap();
    append(&store, &stream("thing"), events(7)).await.unwrap();
    append(&store, &stream("other"), events(1)).await.unwrap();
    assert_eq!(store.event_count().await, Ok(before.map(|before| before + 8)));
}

pub(crate) async fn many_appenders_leave_streams_whole(store: EventStore) {
    let before = store.head().await.unwrap();
    let streams: Arc<Vec<StreamName>> = Arc::new((0..8).map(|_| stream("thing")).collect());
    let appenders = (0..16).map(|appender| {
        let (store, streams) = (store.clone(), streams.clone());
        tokio::spawn(async move {
            for n in 0..60 {
                let (stream, batch) = (&streams[(appender * 7 + n) % 8], events(n % 4 + 1));
                loop {
                    let expected = match store.stream_head(stream).await.unwrap() {
                        Some(head) => ExpectedRevision::Exact(head),
                        None => ExpectedRevision::NoStream,
                    };
                    match store.append(stream.clone(), expected, batch.clone()).await {
                        Err(AppendError::Conflict { .. }) => {}
                        done => {
                            done.unwrap();
                            break;
                        }
                    }
                }
            }
        })
    });
    for done in join_all(appenders).await {
        done.unwrap();
    }
    let read = pages(&store, before, Direction::Forwards, &Filter::all(), 100).await;
    assert!(positions(&read).is_sorted_by(|a, b| a < b));
    let mut total = 0;
    for stream in streams.iter() {
        let mine =
            read.iter().flat_map(|page| &page.events).filter(|event| event.stream == *stream);
        let revisions: Vec<_> = mine.map(|event| event.revision.0).collect();
        assert_eq!(revisions, (0..revisions.len() as u64).collect::<Vec<_>>());
        total += revisions.len();
    }
    assert_eq!(total, 16 * 60 * 5 / 2);
}

pub(crate) async fn the_key_stores_fingerprint_is_kept(store: EventStore) {
    store.set_key_fingerprint("0123abcd").await.unwrap();
    assert_eq!(store.key_fingerprint().await, Ok(Some("0123abcd".to_owned())));
}

pub(crate) async fn closing_finishes_what_waits_and_refuses_the_rest(store: EventStore) {
    let mut subscription = store.subscribe(store.head().await.unwrap(), Filter::all());
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { append(&store, &stream("thing"), events(2)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let (first, second) = tokio::join!(store.close(), store.close());
    assert_eq!((first, second), (Ok(()), Ok(())));
    for outcome in join_all(waiting).await {
        let outcome = outcome.unwrap();
        assert!(outcome.is_ok() || outcome == Err(AppendError::Closed), "{outcome:?}");
    }
    assert_eq!(append(&store, &stream("thing"), events(1)).await, Err(AppendError::Closed));
    assert_eq!(store.stream_head(&stream("thing")).await, Err(ReadError::Closed));
    assert_eq!(store.head().await, Err(ReadError::Closed));
    assert_eq!(soon(subscription.next()).await.unwrap_err(), ReadError::Closed);
}

/// Runs every statement of the contract on stores that `make` makes, one each.
macro_rules! event_store_contract {
    ($engine:ident, $make:path, [$($statement:ident),* $(,)?]) => {
        mod $engine {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $statement() {
                // The guard keeps the store's place until the statement is through.
                let (store, _place) = $make().await;
                super::$statement(store).await;
            })*
        }
    };
    ($engine:ident, $make:path) => {
        event_store_contract!($engine, $make, [
            a_stream_grows_from_revision_0_and_keeps_the_very_bytes,
            an_append_demands_what_it_expects,
            the_same_ids_in_the_same_slots_are_a_repeat,
            what_is_too_large_or_empty_is_refused,
            a_conflict_harms_nobody_else,
            of_many_at_one_slot_exactly_one_wins,
            a_stream_is_read_in_pages_both_ways,
            no_page_is_longer_than_the_limit,
            pages_of_large_events_are_shorter_and_none_is_lost,
            the_log_is_in_the_order_of_acknowledgement,
            a_filter_leaves_out_and_never_loses,
            a_subscription_catches_up_and_goes_on_live,
            a_subscription_moves_over_what_its_filter_leaves_out,
            a_subscription_given_up_while_waiting_loses_nothing,
            what_is_acknowledged_is_seen_at_once,
            events_are_counted,
            many_appenders_leave_streams_whole,
            the_key_stores_fingerprint_is_kept,
            closing_finishes_what_waits_and_refuses_the_rest,
        ]);
    };
}

event_store_contract!(sqlite, crate::sqlite::make);
event_store_contract!(eventstoredb, crate::eventstoredb::make);
