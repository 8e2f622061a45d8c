//! The process is killed, the disk is full.

use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use event_schemas::{Position, Revision};
use futures::future::join_all;
use infra::event_store::{AppendError, Direction, EventStore, Filter, MAX_PAGE, SqliteOptions};

use super::support::{append, event, events, pages, positions, sized, stream};

const STORE: &str = "DAYBOOK_TEST_STORE";

/// Runs a test of this binary in a process of its own.
fn child(test: &str, store: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(STORE, store).stdout(Stdio::piped());
    command
}

/// Not a test of its own: appends, and prints each position that was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child process of a_killed_store_has_all_that_it_acknowledged"]
async fn child_appends_until_it_is_killed() {
    let Some(path) = env::var_os(STORE) else { return };
    let store = EventStore::open_sqlite(SqliteOptions::new(path)).await.unwrap();
    let crowd = stream("crowd");
    for appended in join_all((0..100).map(|_| append(&store, &crowd, events(1_000)))).await {
        appended.unwrap();
    }
    println!("ready");
    let appenders = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            loop {
                let appended = append(&store, &stream("thing"), events(3)).await.unwrap();
                println!("acknowledged {}", appended.position);
            }
        })
    });
    join_all(appenders).await;
}

#[tokio::test]
async fn a_killed_store_has_all_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sqlite");
    let mut killed =
        child("sqlite_faults::child_appends_until_it_is_killed", &path).spawn().unwrap();
    let lines = BufReader::new(killed.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut acknowledged =
        lines.filter_map(|line| line.split_once("acknowledged ")?.1.parse().ok());
    let mut last: u64 = acknowledged.by_ref().take(500).max().unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    last = acknowledged.max().map_or(last, |position| position.max(last));

    let reader = EventStore::read_sqlite(&path).await.unwrap();
    assert!(reader.event_count().await.unwrap() >= Some(last));
    reader.close().await.unwrap();
    let begun = Instant::now();
    let store = EventStore::open_sqlite(SqliteOptions::new(&path)).await.unwrap();
    println!("opened {:?} after it was killed", begun.elapsed());
    let head = store.head().await.unwrap();
    assert!(head.0 >= last && head.0 > 100_000, "{head} {last}");
    let read =
        pages(&store, Position(100_000), Direction::Forwards, &Filter::all(), MAX_PAGE).await;
    assert_eq!(positions(&read), (100_001..=head.0).collect::<Vec<_>>());
    append(&store, &stream("thing"), events(1)).await.unwrap();
    store.close().await.unwrap();
}

/// A folder on a disk of its own of this size, where this process may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let option = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &option, "tmpfs"]).arg(folder.path());
        let mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_answered_until_there_is_room() {
    let Some(disk) = SmallDisk::new("8m") else {
        println!("skipped: this process may not mount a tmpfs");
        return;
    };
    let folder = disk.0.path();
    // Fills the disk to several degrees, so that it runs full at different writes.
    for spare in 0..12_usize {
        let path = folder.join(format!("{spare}.sqlite"));
        let store = EventStore::open_sqlite(SqliteOptions::new(&path)).await.unwrap();
        let stream = stream("thing");
        let mut acknowledged = append(&store, &stream, events(1)).await.unwrap();
        let room = folder.join("room");
        std::fs::write(&room, vec![0; (2 << 20) + spare * 4_096]).unwrap();
        loop {
            match append(&store, &stream, vec![sized("Happened", 3_000 + spare * 100)]).await {
                Ok(appended) => acknowledged = appended,
                Err(AppendError::Full(_) | AppendError::Unknown(_)) => break,
                Err(other) => panic!("{other}"),
            }
        }
        for outcome in
            join_all((0..20).map(|_| append(&store, &stream, vec![sized("Happened", 200_000)])))
                .await
        {
            assert!(
                matches!(outcome, Err(AppendError::Full(_) | AppendError::Unknown(_))),
                "{outcome:?}"
            );
        }
        assert_eq!(store.stream_head(&stream).await, Ok(Some(acknowledged.last_revision)));
        std::fs::remove_file(room).unwrap();
        let next = append(&store, &stream, vec![event("Happened")]).await.unwrap();
        assert_eq!(next.last_revision, Revision(acknowledged.last_revision.0 + 1));
        assert_eq!(next.position.0, acknowledged.position.0 + 1);
        let read =
            pages(&store, Position::START, Direction::Forwards, &Filter::all(), MAX_PAGE).await;
        assert_eq!(positions(&read), (1..=next.position.0).collect::<Vec<_>>());
        store.close().await.unwrap();
        std::fs::remove_file(path).unwrap();
    }
}
