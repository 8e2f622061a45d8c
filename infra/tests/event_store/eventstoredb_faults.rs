//! The official client's defects, and what stands against each; servers that go away, freeze, lie,
//! or come back as another. Each of these fails if its work-around is taken out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use event_schemas::{ExpectedRevision, Position, Revision, StreamName};
use futures::future::join_all;
use infra::event_store::{
    AppendError, Direction, EventStore, EventStoreDbUrl, Filter, OpenError, ReadError,
};
use tokio::{net::TcpListener, time::Instant};
use uuid::Uuid;

use super::{
    eventstoredb::Gateway,
    fake::{self, Fake, Reply},
    proxy::{Mode, Proxy},
    support::{append, event, events, stream},
};

const SOON: Duration = Duration::from_secs(180);
/// A server that does not know this call: the official client then takes it for an old one.
const UNIMPLEMENTED: u16 = 12;
const NOT_FOUND: u16 = 5;

fn url(hosts: &str, parameters: &str) -> EventStoreDbUrl {
    format!("esdb://{hosts}?tls=false{parameters}").parse().unwrap()
}

async fn open(hosts: &str, parameters: &str) -> EventStore {
    EventStore::open_eventstoredb(url(hosts, parameters)).await.unwrap()
}

async fn count(store: &EventStore, stream: &StreamName) -> usize {
    let page = store.read_stream(stream, Revision(0), Direction::Forwards, 1_000).await.unwrap();
    page.events.len()
}

/// Tries until it succeeds.
async fn until_ok<T, E: std::fmt::Debug>(mut try_it: impl AsyncFnMut() -> Result<T, E>) -> T {
    let until = Instant::now() + SOON;
    loop {
        match try_it().await {
            Ok(value) => return value,
            Err(error) if Instant::now() > until => panic!("it never succeeds: {error:?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Defect 1: without TCP_NODELAY every append takes 40 ms and more on loopback.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_does_not_wait_for_a_delayed_acknowledgement() {
    let gateway = Gateway::start().await;
    let store = gateway.open().await;
    let mut times = Vec::new();
    for _ in 0..41 {
        let begun = Instant::now();
        append(&store, &stream("thing"), events(1)).await.unwrap();
        times.push(begun.elapsed());
    }
    times.sort();
    // A busy disk makes some of them slow; the acknowledgement makes all.
    assert!(times[10] < Duration::from_millis(25), "three of four took {:?} and more", times[10]);
}

/// Defect 2: one failed connect kills the client for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_away_is_found_again() {
    let mut gateway = Gateway::start().await;
    let store = open(&gateway.address.to_string(), "&defaultDeadline=1000").await;
    let stream = stream("thing");
    append(&store, &stream, events(1)).await.unwrap();
    let mut following = store.subscribe(store.head().await.unwrap(), Filter::all());
    for round in 1..=2 {
        let (address, folder) = gateway.end().await;
        for _ in 0..2 {
            let (stream, none) = (stream.clone(), ExpectedRevision::NoStream);
            let refused = store.append(stream, none, events(1)).await.unwrap_err();
            let said = matches!(refused, AppendError::Unavailable(_) | AppendError::Unknown(_));
            assert!(said, "{refused:?}");
            assert!(matches!(store.head().await, Err(ReadError::Unavailable(_))));
        }
        gateway = Gateway::start_at(address, folder).await;
        until_ok(async || append(&store, &stream, events(1)).await).await;
        let page = tokio::time::timeout(SOON, following.next()).await.unwrap().unwrap();
        assert_eq!(page.events.last().unwrap().revision, Revision(round));
    }
    assert_eq!(count(&store, &stream).await, 3);
}

/// Defect 3: no fail-over. One host is dead, one accepts and never answers, one is a follower that
/// names the leader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_it_moves_on_from_a_dead_node() {
    let leader = Gateway::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let follower = follower_of(leader.address).await;
    let hosts = format!("{dead},{},{}", silent.local_addr().unwrap(), follower.address);
    let store = open(&hosts, "&gossipTimeout=300").await;
    let stream = stream("thing");
    append(&store, &stream, events(1)).await.unwrap();
    assert_eq!(leader.behind.stream_head(&stream).await, Ok(Some(Revision(0))));
    assert!(follower.calls() > 0);
}

/// The same while it is in use: another node becomes the leader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_is_left_for_another() {
    let gateway = Gateway::start().await;
    let (first, second) =
        (Proxy::start(gateway.address).await, Proxy::start(gateway.address).await);
    let hosts = format!("{},{}", first.address, second.address);
    let store = open(&hosts, "&gossipTimeout=300&defaultDeadline=2000").await;
    let stream = stream("thing");
    append(&store, &stream, events(1)).await.unwrap();
    for frozen in [&first, &second, &first] {
        first.set(Mode::Pass);
        second.set(Mode::Pass);
        frozen.set(Mode::Freeze);
        until_ok(async || append(&store, &stream, events(1)).await).await;
    }
}

fn not_leader(leader: std::net::SocketAddr) -> Reply {
    let trailers = vec![
        ("exception", "not-leader".to_owned()),
        ("leader-endpoint-host", leader.ip().to_string()),
        ("leader-endpoint-port", leader.port().to_string()),
    ];
    Reply::Status(NOT_FOUND, trailers)
}

async fn follower_of(leader: std::net::SocketAddr) -> Fake {
    Fake::start(move |method, _| match method {
        "GetSupportedMethods" => Reply::Status(UNIMPLEMENTED, vec![]),
        _ => not_leader(leader),
    })
    .await
}

/// A leader that resigns while it is in use names the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_resigns_is_left_for_the_one_that_it_names() {
    let next = Gateway::start().await;
    let (resigned, address) = (Arc::new(AtomicUsize::new(0)), next.address);
    // Both hold the same store: the id is read through.
    let id = next.open().await.id().to_string();
    let asked = resigned.clone();
    let old = Fake::start(move |method, _| match method {
        "GetSupportedMethods" => Reply::Status(UNIMPLEMENTED, vec![]),
        "Read" => Reply::Messages(vec![fake::founded_as(&id)], 0),
        _ => {
            asked.fetch_add(1, Ordering::Relaxed);
            not_leader(address)
        }
    })
    .await;
    let store = open(&old.address.to_string(), "").await;
    let stream = stream("thing");
    append(&store, &stream, events(1)).await.unwrap();
    assert_eq!(next.behind.stream_head(&stream).await, Ok(Some(Revision(0))));
    assert_eq!(resigned.load(Ordering::Relaxed), 1);
}

/// Defect 4: deadlines are the caller's to keep.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_not_waited_for_and_found_again() {
    let gateway = Gateway::start().await;
    let proxy = Proxy::start(gateway.address).await;
    let store = open(&proxy.address.to_string(), "&defaultDeadline=600&gossipTimeout=300").await;
    let stream = stream("thing");
    append(&store, &stream, events(1)).await.unwrap();
    proxy.set(Mode::Freeze);
    let begun = Instant::now();
    let late = store.append(stream.clone(), ExpectedRevision::Exact(Revision(0)), events(1)).await;
    assert!(matches!(late, Err(AppendError::Unknown(_))), "{late:?}");
    assert!(matches!(store.head().await, Err(ReadError::Unavailable(_))));
    let read = store.read_stream(&stream, Revision(0), Direction::Forwards, 10).await;
    assert!(matches!(read, Err(ReadError::Unavailable(_))));
    // Without the deadline of its own each of the three calls has ten seconds.
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    proxy.set(Mode::Pass);
    until_ok(async || store.head().await).await;
}

/// Defect 5: the client's subscription spins when the server ends it without an error. Here reads
/// end at once and say nothing: whoever follows gives way and asks seldom.
#[tokio::test]
async fn a_server_that_ends_every_answer_is_not_asked_without_pause() {
    let server = Fake::start(|method, request| match method {
        "GetSupportedMethods" => Reply::Status(UNIMPLEMENTED, vec![]),
        _ if request.windows(13).any(|part| part == b"daybook-store") => {
            Reply::Messages(vec![fake::founded()], 0)
        }
        _ => Reply::Messages(vec![], 0),
    })
    .await;
    let store = open(&server.address.to_string(), "").await;
    let mut following = store.subscribe(Position::START, Filter::all());
    let next = tokio::time::timeout(Duration::from_millis(1_000), following.next());
    // On this one thread nothing else would run if it span.
    let ticks = AtomicUsize::new(0);
    let tick = async {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            ticks.fetch_add(1, Ordering::Relaxed);
        }
    };
    tokio::select! {
        waited = next => assert!(waited.is_err(), "nothing comes"),
        () = tick => {}
    }
    assert!(ticks.load(Ordering::Relaxed) > 20, "{ticks:?}");
    assert!(server.calls() < 200, "asked {} times", server.calls());
}

/// Defect 6: the server's times are cut to seconds; Daybook's own stand in the metadata, whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metadata_is_given_back_byte_for_byte() {
    let gateway = Gateway::start().await;
    let store = gateway.open().await;
    let stream = stream("thing");
    let metadata = br#"{"schema_version": 1, "recorded_at":"2026-11-21T09:15:00.123456Z"}"#;
    let sent = event_schemas::NewEvent::raw(
        Uuid::new_v4(),
        "Happened".to_owned(),
        b"{\"a\" : 1.50}"[..].into(),
        metadata[..].into(),
    );
    append(&store, &stream, vec![sent.clone()]).await.unwrap();
    let page = store.read_stream(&stream, Revision(0), Direction::Forwards, 1).await.unwrap();
    assert_eq!((&page.events[0].metadata, &page.events[0].data), (&sent.metadata, &sent.data));
}

/// An answer that is lost: the append is sent again with the same ids, and stands once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_whose_answer_was_lost_is_never_doubled() {
    let gateway = Gateway::start().await;
    let proxy = Proxy::start(gateway.address).await;
    let store = open(&proxy.address.to_string(), "&defaultDeadline=8000&gossipTimeout=300").await;
    for expected in [ExpectedRevision::NoStream, ExpectedRevision::Exact(Revision(1))] {
        let stream = stream("thing");
        let before = match expected {
            ExpectedRevision::Exact(_) => {
                append(&store, &stream, events(2)).await.unwrap();
                2
            }
            _ => 0,
        };
        proxy.set(Mode::HoldAnswers);
        let appending = {
            let (store, stream) = (store.clone(), stream.clone());
            tokio::spawn(async move { store.append(stream, expected, events(3)).await })
        };
        until_ok(async || match gateway.behind.stream_head(&stream).await {
            Ok(Some(head)) if head.0 == before + 2 => Ok(()),
            other => Err(other),
        })
        .await;
        proxy.cut();
        proxy.set(Mode::Pass);
        let appended = appending.await.unwrap().unwrap();
        assert_eq!(appended.last_revision, Revision(before + 2));
        assert_eq!(count(&store, &stream).await as u64, before + 3);
    }
    // Where no slot is named nobody can tell, and nothing is sent again.
    let stream = stream("thing");
    proxy.set(Mode::HoldAnswers);
    let appending = {
        let (store, stream) = (store.clone(), stream.clone());
        tokio::spawn(async move { append(&store, &stream, events(1)).await })
    };
    until_ok(async || gateway.behind.stream_head(&stream).await.unwrap().ok_or("not yet")).await;
    proxy.cut();
    proxy.set(Mode::Pass);
    assert!(matches!(appending.await.unwrap(), Err(AppendError::Unknown(_))));
    assert_eq!(count(&store, &stream).await, 1);
}

/// A conflict after a lost answer is looked into: the events in the slots tell whose they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_after_a_lost_answer_may_be_ones_own() {
    let (mine, theirs) = (event("Happened"), event("Happened"));
    for own in [true, false] {
        let appends = AtomicU64::new(0);
        let there = if own { mine.id } else { theirs.id };
        let server = Fake::start(move |method, request| match method {
            "GetSupportedMethods" => Reply::Status(UNIMPLEMENTED, vec![]),
            "Append" if appends.fetch_add(1, Ordering::Relaxed) == 0 => Reply::Reset,
            "Append" => Reply::Messages(vec![fake::conflict(5, 4)], 0),
            _ if request.windows(7).any(|part| part == b"thing-9") => {
                Reply::Messages(vec![fake::event("thing-9", 5, 70, there, "Happened", "{}")], 0)
            }
            _ => Reply::Messages(vec![fake::founded()], 0),
        })
        .await;
        let store = open(&server.address.to_string(), "").await;
        let (stream, expected) =
            (StreamName::new("thing", "9"), ExpectedRevision::Exact(Revision(4)));
        let outcome = store.append(stream, expected, vec![mine.clone()]).await;
        if own {
            let appended = outcome.unwrap();
            // The events of a stream have no position on older servers: the head is at or behind.
            assert_eq!((appended.last_revision, appended.position), (Revision(5), Position(10)));
        } else {
            assert_eq!(outcome, Err(AppendError::Conflict { actual: Some(Revision(5)) }));
        }
    }
}

/// No answer makes it panic: an empty one, an invalid id, a stream's name that is no text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_cannot_be_are_errors() {
    let no_uuid = fake::field(1, fake::field(1, fake::field(1, fake::field(2, "not a uuid"))));
    let no_event = fake::field(1, fake::number(3, 5));
    for nonsense in [vec![], no_uuid, no_event, b"\x0a\xff\xff".to_vec()] {
        let (answer, founded) = (bytes::Bytes::from(nonsense), AtomicUsize::new(0));
        let server = Fake::start(move |method, _| match method {
            "GetSupportedMethods" => Reply::Status(UNIMPLEMENTED, vec![]),
            "Read" if founded.fetch_add(1, Ordering::Relaxed) < 2 => {
                Reply::Messages(vec![fake::founded()], 0)
            }
            _ => Reply::Messages(vec![answer.clone()], 0),
        })
        .await;
        let store = open(&server.address.to_string(), "&defaultDeadline=500").await;
        let stream = stream("thing");
        let read = store.read_stream(&stream, Revision(0), Direction::Forwards, 10).await;
        assert!(matches!(read, Err(ReadError::Unavailable(_))), "{read:?}");
        assert!(matches!(store.head().await, Err(ReadError::Unavailable(_))));
        let appended = append(&store, &stream, events(1)).await;
        let failed = matches!(appended, Err(AppendError::Unknown(_) | AppendError::Unavailable(_)));
        assert!(failed, "{appended:?}");
    }
}

/// What the server refuses is said as it is, and not tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_told_apart() {
    let status =
        |code: u16, message: &str| (code, vec![("grpc-message", message.replace(' ', "%20"))]);
    let denied = status(7, "Access Denied");
    let busy = status(14, "Server Is Too Busy");
    let large = status(3, "Maximum Append Size of 1048576 Exceeded.");
    let mut deleted = status(9, "Event stream is deleted.");
    deleted.1.push(("exception", "stream-deleted".to_owned()));
    for ((code, trailers), expected) in [
        (denied, "denies access"),
        (busy, "queue"),
        (large, "over the limit"),
        (deleted, "tombstone"),
    ] {
        let asked = Arc::new(AtomicUsize::new(0));
        let appends = asked.clone();
        let server = Fake::start(move |method, _| match method {
            "GetSupportedMethods" => Reply::Status(UNIMPLEMENTED, vec![]),
            "Append" => {
                appends.fetch_add(1, Ordering::Relaxed);
                Reply::Status(code, trailers.clone())
            }
            _ => Reply::Messages(vec![fake::founded()], 0),
        })
        .await;
        let store = open(&server.address.to_string(), "").await;
        let refused = append(&store, &stream("thing"), events(1)).await.unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused:?}");
        assert!(!matches!(refused, AppendError::Unknown(_)), "{refused:?}");
        assert_eq!(asked.load(Ordering::Relaxed), 1, "{expected}");
    }
}

/// An append that was sent again and again in vain may stand or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_have_been_carried_out_is_unknown_and_what_was_not_is_not() {
    for (reply, unknown) in [("gone", true), ("Server Is Not Ready", false)] {
        let server = Fake::start(move |method, _| match method {
            "GetSupportedMethods" => Reply::Status(UNIMPLEMENTED, vec![]),
            "Append" => Reply::Status(14, vec![("grpc-message", reply.replace(' ', "%20"))]),
            _ => Reply::Messages(vec![fake::founded()], 0),
        })
        .await;
        let store = open(&server.address.to_string(), "&defaultDeadline=300").await;
        let (stream, none) = (stream("thing"), ExpectedRevision::NoStream);
        let failed = store.append(stream, none, events(1)).await.unwrap_err();
        assert_eq!(matches!(failed, AppendError::Unknown(_)), unknown, "{failed:?}");
        assert_eq!(matches!(failed, AppendError::Unavailable(_)), !unknown, "{failed:?}");
    }
}

/// A success that does not stand in the slots asked for says that the stream had been deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_stands_elsewhere_is_no_success() {
    let server = Fake::start(|method, _| match method {
        "GetSupportedMethods" => Reply::Status(UNIMPLEMENTED, vec![]),
        "Append" => Reply::Messages(vec![fake::appended(7, 90)], 0),
        _ => Reply::Messages(vec![fake::founded()], 0),
    })
    .await;
    let store = open(&server.address.to_string(), "").await;
    let none = ExpectedRevision::NoStream;
    let elsewhere = store.append(stream("thing"), none, events(1)).await.unwrap_err();
    assert!(elsewhere.to_string().contains("deleted before"), "{elsewhere:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_first_founds_the_store_and_all_agree() {
    let gateway = Gateway::start().await;
    let readers = EventStore::read_eventstoredb(gateway.url()).await;
    assert!(matches!(readers, Err(OpenError::NotFounded(_))), "a reader makes nothing");
    let stores = join_all((0..8).map(|_| gateway.open())).await;
    assert!(stores.iter().all(|store| store.id() == stores[0].id()));
    let reader = EventStore::read_eventstoredb(gateway.url()).await.unwrap();
    assert_eq!(reader.id(), stores[0].id());
    assert_eq!(append(&reader, &stream("thing"), events(1)).await, Err(AppendError::ReadOnly));
    assert_eq!(reader.key_fingerprint().await, Ok(None));

    // Each saw that no key store is noted; one of them may note its own.
    for store in &stores {
        assert_eq!(store.key_fingerprint().await, Ok(None));
    }
    let noted = join_all(stores.iter().enumerate().map(|(n, store)| async move {
        store.set_key_fingerprint(&format!("keys-{}", n % 4)).await.is_ok()
    }))
    .await;
    let stands = reader.key_fingerprint().await.unwrap().unwrap();
    for (n, noted) in noted.into_iter().enumerate() {
        assert_eq!(noted, stands == format!("keys-{}", n % 4), "{n}");
    }
}

/// A server that comes back with another log, or with a part of the one it had, is not gone on with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_not_what_it_was_is_noticed() {
    for lost in ["its id", "its newest events"] {
        let gateway = Gateway::start().await;
        let store = open(&gateway.address.to_string(), "&defaultDeadline=2000").await;
        let mut following = store.subscribe(Position::START, Filter::all());
        following.next().await.unwrap();
        let (address, folder) = gateway.end().await;
        let backup = tempfile::tempdir().unwrap();
        if lost == "its newest events" {
            let file = |folder: &tempfile::TempDir| folder.path().join("events.sqlite");
            std::fs::copy(file(&folder), file(&backup)).unwrap();
        }
        let gateway = Gateway::start_at(address, folder).await;
        let stream = StreamName::new("order", "1");
        until_ok(async || append(&store, &stream, events(1)).await).await;
        let seen = async {
            // The server was away meanwhile: what fails is asked again.
            while !following
                .next()
                .await
                .is_ok_and(|page| page.events.iter().any(|event| event.stream == stream))
            {
            }
        };
        tokio::time::timeout(SOON, seen).await.unwrap();

        let (address, _folder) = gateway.end().await;
        let restored = Gateway::start_at(address, backup).await;
        // Somebody else goes on with it.
        if lost == "its newest events" {
            let other = restored.open().await;
            append(&other, &StreamName::new("order", "2"), events(3)).await.unwrap();
        }
        let difference = tokio::time::timeout(SOON, store.replaced()).await.unwrap();
        assert!(
            difference.contains(if lost == "its id" { "is gone" } else { "no longer" }),
            "{difference}"
        );
        let refused = append(&store, &stream, events(1)).await.unwrap_err();
        assert!(matches!(refused, AppendError::Unavailable(_)), "{refused:?}");
        assert!(matches!(store.head().await, Err(ReadError::Unavailable(_))));
    }
}

/// A server of which nobody could say any more whose store it holds is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_was_deleted_is_not_made_anew() {
    let first_gone = || fake::event("daybook-store", 1, 20, Uuid::nil(), "KeyStoreNoted", "{}");
    let other_first = || fake::event("daybook-store", 0, 10, Uuid::nil(), "Happened", "{}");
    for (reply, why) in
        [(Some(first_gone()), "missing"), (Some(other_first()), "another"), (None, "deleted")]
    {
        let appends = Arc::new(AtomicUsize::new(0));
        let counted = appends.clone();
        let server = Fake::start(move |method, _| match (method, &reply) {
            ("GetSupportedMethods", _) => Reply::Status(UNIMPLEMENTED, vec![]),
            ("Read", Some(event)) => Reply::Messages(vec![event.clone()], 0),
            ("Read", None) => Reply::Status(9, vec![("exception", "stream-deleted".to_owned())]),
            _ => {
                counted.fetch_add(1, Ordering::Relaxed);
                Reply::Reset
            }
        })
        .await;
        let url = url(&server.address.to_string(), "&defaultDeadline=300");
        let Err(OpenError::Unreachable(said)) = EventStore::open_eventstoredb(url).await else {
            panic!("{why}: it was opened");
        };
        assert!(said.contains("daybook-store") && said.contains(why), "{said}");
        assert_eq!(appends.load(Ordering::Relaxed), 0);
    }
}

/// Where no event begins nothing stands, and the log can be read from any event on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_are_those_of_events() {
    // As the real server: a place between two events is nonsense to it.
    let server = Fake::start(|method, request| match method {
        "GetSupportedMethods" => Reply::Status(UNIMPLEMENTED, vec![]),
        _ if request.windows(13).any(|part| part == b"daybook-store") => {
            Reply::Messages(vec![fake::founded()], 0)
        }
        // The read option "position" of $all, commit 17.
        _ if request.windows(4).any(|part| part == [0x08, 17, 0x10, 17]) => {
            Reply::Status(2, vec![("grpc-message", "Unexpected%20ReadAllResult:%20Error".into())])
        }
        _ => Reply::Messages(
            vec![fake::event("thing-1", 0, 40, Uuid::from_u128(1), "Happened", "{}")],
            0,
        ),
    })
    .await;
    let store = open(&server.address.to_string(), "").await;
    assert!(store.event_at(Position(17)).await.unwrap().is_none());
    assert_eq!(store.place_before(Position(17)).await, Ok(None));
    assert_eq!(store.event_at(Position(40)).await.unwrap().unwrap().id, Uuid::from_u128(1));
    // Nothing has come so far yet: that is no mistake.
    assert_eq!(store.place_before(Position(99)).await, Ok(Some(Position(99))));

    let gateway = Gateway::start().await;
    let store = gateway.open().await;
    let before = store.head().await.unwrap();
    let mut appended = Vec::new();
    for _ in 0..3 {
        appended.push(append(&store, &stream("thing"), events(1)).await.unwrap().position);
    }
    for (position, place) in appended.iter().zip([&[before][..], &appended].concat()) {
        assert_eq!(store.place_before(*position).await, Ok(Some(place)));
        let page = store.read_log(place, Direction::Forwards, &Filter::all(), 1).await.unwrap();
        assert_eq!(page.events[0].position, *position);
    }
    assert_eq!(store.place_before(Position::START).await, Ok(Some(Position::START)));
}
