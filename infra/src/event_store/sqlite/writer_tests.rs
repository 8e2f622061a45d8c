//! Commits that fail, by an error put in their way.

use std::{env, process::Command};

use event_schemas::{ExpectedRevision, NewEvent, Position, Revision, StreamName};
use rusqlite::ffi;
use tempfile::TempDir;
use uuid::Uuid;

use super::{super::AppendError, SqliteEventStore, SqliteOptions, writer::Faults};
use crate::event_store::{Appended, EventStore};

const CHILD: &str = "DAYBOOK_TEST_FAILED_SYNC";

async fn make() -> (SqliteEventStore, Faults, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::new(folder.path().join("events.sqlite"));
    let faults = options.faults.clone();
    (SqliteEventStore::open(options).await.unwrap(), faults, folder)
}

async fn append(store: &SqliteEventStore, id: &str) -> Result<Appended, AppendError> {
    let event = NewEvent::raw(Uuid::new_v4(), "Happened".into(), "{}".into(), "{}".into());
    let stream = StreamName::new("thing", id);
    EventStore::Sqlite(store.clone()).append(stream, ExpectedRevision::Any, vec![event]).await
}

fn stands(revision: u64, position: u64) -> Result<Appended, AppendError> {
    Ok(Appended { last_revision: Revision(revision), position: Position(position) })
}

#[tokio::test]
async fn after_a_full_disk_nothing_is_written_and_the_store_goes_on() {
    let (store, faults, _folder) = make().await;
    assert_eq!(append(&store, "a").await, stands(0, 1));
    faults.at_next_commit(ffi::SQLITE_FULL);
    assert!(matches!(append(&store, "new").await, Err(AppendError::Full(_))));
    assert_eq!(store.stream_head(&StreamName::new("thing", "new")).await, Ok(None));
    assert_eq!(store.head().await, Ok(Position(1)));
    assert_eq!(append(&store, "a").await, stands(1, 2));
    assert_eq!(append(&store, "new").await, stands(0, 3));
}

#[tokio::test]
async fn a_commit_of_unknown_outcome_is_never_acknowledged() {
    let (store, faults, _folder) = make().await;
    for code in [ffi::SQLITE_BUSY, ffi::SQLITE_IOERR_SHMSIZE] {
        faults.at_next_commit(code);
        assert!(matches!(append(&store, "a").await, Err(AppendError::Unknown(_))));
    }
    faults.at_next_commit(ffi::SQLITE_BUSY);
    assert!(matches!(store.set_key_fingerprint("a").await, Err(AppendError::Unknown(_))));
    assert_eq!(append(&store, "a").await, stands(0, 1));
}

/// Not a test of its own: the sync of its second append fails.
#[tokio::test]
#[ignore = "the child process of a_failed_sync_ends_the_process"]
async fn child_meets_a_failed_sync() {
    let Some(code) = env::var_os(CHILD) else { return };
    let (store, faults, _folder) = make().await;
    println!("first: {:?}", append(&store, "a").await.is_ok());
    faults.at_next_commit(code.to_str().unwrap().parse().unwrap());
    println!("second: {:?}", append(&store, "a").await.is_ok());
}

#[tokio::test]
async fn a_failed_sync_ends_the_process() {
    for code in [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_DIR_FSYNC, ffi::SQLITE_IOERR_WRITE] {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["event_store::sqlite::writer_tests::child_meets_a_failed_sync"]);
        child.args(["--exact", "--ignored", "--nocapture"]).env(CHILD, code.to_string());
        let output = child.output().unwrap();
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(out.contains("first: true") && !out.contains("second"), "{out}");
        assert!(err.contains("the event store's disk failed"), "{err}");
    }
}
