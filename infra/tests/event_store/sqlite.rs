//! What is the embedded engine's own: its file, its lock, its readers beside it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use event_schemas::{ExpectedRevision, Position, Revision};
use futures::{FutureExt, future::join_all};
use infra::event_store::{
    AppendError, Direction, EventStore, Filter, MAX_PAGE, OpenError, SqliteOptions,
};
use rusqlite::Connection;
use tempfile::TempDir;

use super::support::{append, event, events, pages, positions, sized, stream};

/// An empty store, and its folder.
pub(crate) async fn make() -> (EventStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (open(folder.path()).await, folder)
}

fn file(folder: &Path) -> PathBuf {
    folder.join("events.sqlite")
}

async fn open(folder: &Path) -> EventStore {
    EventStore::open_sqlite(SqliteOptions::new(file(folder))).await.unwrap()
}

async fn refused(folder: &Path) -> OpenError {
    EventStore::open_sqlite(SqliteOptions::new(file(folder))).await.unwrap_err()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_second_writer_is_refused_and_told_who_writes() {
    let (store, folder) = make().await;
    let error = refused(folder.path()).await;
    assert!(matches!(error, OpenError::Locked { pid } if pid == Some(std::process::id())));
    assert!(error.to_string().contains(&std::process::id().to_string()));
    store.close().await.unwrap();
    open(folder.path()).await.close().await.unwrap();
}

#[tokio::test]
async fn after_a_clean_close_all_is_there_and_no_wal() {
    let (store, folder) = make().await;
    let (id, stream) = (store.id(), stream("thing"));
    append(&store, &stream, events(10)).await.unwrap();
    store.set_key_fingerprint("abc").await.unwrap();
    assert!(names(folder.path()).contains(&"events.sqlite-wal".to_owned()));
    store.close().await.unwrap();
    assert_eq!(names(folder.path()), ["events.sqlite", "events.sqlite.lock"]);

    let store = open(folder.path()).await;
    assert_eq!(store.id(), id);
    assert_eq!(store.event_count().await, Ok(Some(10)));
    assert_eq!(store.key_fingerprint().await, Ok(Some("abc".to_owned())));
    let next = store.append(stream, ExpectedRevision::Exact(Revision(9)), vec![event("Other")]);
    assert_eq!(next.await.unwrap().position, Position(11));
    store.close().await.unwrap();
}

#[tokio::test]
async fn two_stores_have_two_ids() {
    let ((one, _one), (other, _other)) = (make().await, make().await);
    assert_ne!(one.id(), other.id());
}

#[tokio::test]
async fn its_files_are_its_owners_alone() {
    let (store, folder) = make().await;
    append(&store, &stream("thing"), events(1)).await.unwrap();
    let names = names(folder.path());
    assert_eq!(names.len(), 4, "{names:?}");
    for name in names {
        let mode = fs::metadata(folder.path().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_alone() {
    let (store, folder) = make().await;
    store.close().await.unwrap();
    let connection = Connection::open(file(folder.path())).unwrap();
    connection.pragma_update(None, "user_version", 3).unwrap();
    drop(connection);
    let before = fs::read(file(folder.path())).unwrap();
    assert!(matches!(refused(folder.path()).await, OpenError::NewerVersion { found: 3, known: 2 }));
    let read = EventStore::read_sqlite(file(folder.path())).await;
    assert!(matches!(read, Err(OpenError::NewerVersion { found: 3, known: 2 })));
    assert_eq!(fs::read(file(folder.path())).unwrap(), before);
}

#[tokio::test]
async fn what_is_no_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(file(folder.path()), "these are my notes, not a database, and they are long enough")
        .unwrap();
    assert!(matches!(refused(folder.path()).await, OpenError::NotAStore(_)));
    assert!(fs::read_to_string(file(folder.path())).unwrap().starts_with("these are my notes"));

    fs::remove_file(file(folder.path())).unwrap();
    let connection = Connection::open(file(folder.path())).unwrap();
    connection.execute_batch("CREATE TABLE mine (x)").unwrap();
    drop(connection);
    let before = fs::read(file(folder.path())).unwrap();
    assert!(matches!(refused(folder.path()).await, OpenError::NotAStore(_)));
    let read = EventStore::read_sqlite(file(folder.path())).await;
    assert!(matches!(read, Err(OpenError::NotAStore(_))));
    assert_eq!(fs::read(file(folder.path())).unwrap(), before);

    fs::remove_file(file(folder.path())).unwrap();
    fs::create_dir(file(folder.path())).unwrap();
    assert!(matches!(refused(folder.path()).await, OpenError::Io { .. }));
    let missing = folder.path().join("no/such/folder");
    assert!(matches!(refused(&missing).await, OpenError::Io { .. }));
    let read = EventStore::read_sqlite(file(&missing)).await;
    assert!(matches!(read, Err(OpenError::Missing(_))));
}

#[tokio::test]
async fn a_reader_beside_the_writer_sees_what_is_acknowledged() {
    let (store, folder) = make().await;
    append(&store, &stream("thing"), events(5)).await.unwrap();
    let reader = EventStore::read_sqlite(file(folder.path())).await.unwrap();
    assert_eq!((reader.id(), reader.others_may_write()), (store.id(), true));
    let mut subscription = reader.subscribe(Position(3), Filter::all());
    assert_eq!(subscription.next().await.unwrap().events.len(), 2);
    assert!(subscription.next().now_or_never().is_none());
    append(&store, &stream("new"), vec![event("NewKind")]).await.unwrap();
    assert_eq!(reader.head().await, Ok(Position(6)));
    let page = subscription.next().await.unwrap();
    assert_eq!(page.events[0].event_type, "NewKind");
    let refused = append(&reader, &stream("thing"), events(1)).await;
    assert_eq!(refused, Err(AppendError::ReadOnly));
    assert_eq!(reader.set_key_fingerprint("x").await, Err(AppendError::ReadOnly));
    reader.close().await.unwrap();
    store.close().await.unwrap();
    assert_eq!(names(folder.path()), ["events.sqlite", "events.sqlite.lock"]);
}

#[tokio::test]
async fn a_reader_of_a_closed_store_leaves_no_file() {
    let (store, folder) = make().await;
    append(&store, &stream("thing"), events(5)).await.unwrap();
    store.close().await.unwrap();
    let reader = EventStore::read_sqlite(file(folder.path())).await.unwrap();
    assert_eq!(reader.event_count().await, Ok(Some(5)));
    assert_eq!(names(folder.path()), ["events.sqlite", "events.sqlite.lock"]);
    // A writer may come and go meanwhile.
    let store = open(folder.path()).await;
    append(&store, &stream("thing"), events(1)).await.unwrap();
    assert_eq!(reader.event_count().await, Ok(Some(6)));
    reader.close().await.unwrap();
    store.close().await.unwrap();
    assert_eq!(names(folder.path()), ["events.sqlite", "events.sqlite.lock"]);
}

#[tokio::test]
async fn a_full_queue_answers_busy_and_takes_more_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = SqliteOptions::new(file(folder.path()));
    options.queue_bytes = 1_500;
    let store = EventStore::open_sqlite(options).await.unwrap();
    let stream = stream("thing");
    let refused = append(&store, &stream, vec![sized("Happened", 2_000)]).await;
    assert_eq!(refused, Err(AppendError::Busy));
    for _ in 0..10 {
        append(&store, &stream, vec![sized("Happened", 1_000)]).await.unwrap();
    }
    store.close().await.unwrap();

    let mut options = SqliteOptions::new(file(folder.path()));
    options.queue_appends = 1;
    let store = EventStore::open_sqlite(options).await.unwrap();
    let outcomes = join_all((0..500).map(|_| append(&store, &stream, events(1)))).await;
    assert!(outcomes.contains(&Err(AppendError::Busy)));
    let taken = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
    assert_eq!(store.stream_head(&stream).await, Ok(Some(Revision(9 + taken))));
}

#[tokio::test]
async fn more_than_memory_holds_is_read_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = SqliteOptions::new(file(folder.path()));
    options.recent_events = 10;
    let store = EventStore::open_sqlite(options).await.unwrap();
    let mut subscription = store.subscribe(Position::START, Filter::categories(["thing"]));
    let stream = stream("thing");
    let mut seen = Vec::new();
    for round in 1..=20 {
        append(&store, &stream, events(round * 7)).await.unwrap();
        seen.extend(subscription.next().await.unwrap().events.iter().map(|e| e.position.0));
    }
    assert_eq!(seen, (1..=seen.len() as u64).collect::<Vec<_>>());
    assert_eq!(store.event_count().await, Ok(Some(seen.len() as u64)));
}

#[tokio::test]
async fn a_filter_that_many_kinds_pass_still_finds_all() {
    let (store, _folder) = make().await;
    for n in 0..120 {
        append(&store, &stream(&format!("c{}", n % 60)), vec![event("Happened")]).await.unwrap();
    }
    let wanted = Filter::categories((0..50).map(|n| format!("c{n}")));
    let read = pages(&store, Position::START, Direction::Forwards, &wanted, 7).await;
    assert_eq!(positions(&read).len(), 100);
    let read = pages(&store, Position(u64::MAX), Direction::Backwards, &wanted, MAX_PAGE).await;
    assert_eq!(positions(&read).len(), 100);
    assert_eq!(read.last().unwrap().scanned_to, Position::START);
}

#[tokio::test]
async fn the_wal_begins_anew_instead_of_growing() {
    let (store, folder) = make().await;
    for n in 0..40 {
        let batch = (0..8).map(|_| sized("Happened", 100_000)).collect();
        append(&store, &stream(&format!("c{}", n % 3)), batch).await.unwrap();
        store.read_log(Position(0), Direction::Forwards, &Filter::all(), 100).await.unwrap();
    }
    for _ in 0..200 {
        let batch = (0..8).map(|_| sized("Happened", 100_000)).collect();
        append(&store, &stream("thing"), batch).await.unwrap();
    }
    let wal = fs::metadata(folder.path().join("events.sqlite-wal")).unwrap().len();
    assert!(wal < 100 << 20, "192 MB were written, the WAL has {wal} bytes");
}
