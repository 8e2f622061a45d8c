//! What a projector makes of a disk without room and of a process that is killed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use common::{Step, append, dump, open_store, shop};
use infra::read_models::ReadModels;
use projections::{NotPosted, ProjectionState, Projectors, Rebuild, SCHEMAS};

const PATIENCE: Duration = Duration::from_secs(180);

fn history(steps: u16) -> Vec<common::Told> {
    let step =
        |at: u16| Step { kind: (at % 24) as u8, a: at.wrapping_mul(7), b: at.wrapping_mul(13) };
    shop(&(0..steps).map(step).collect::<Vec<_>>()).log
}

fn mount(dir: &Path, options: &str) -> bool {
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", options, "tmpfs"])
        .arg(dir)
        .stderr(Stdio::null())
        .status();
    mount.is_ok_and(|status| status.success())
}

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_waited_out() {
    let dir = tempfile::tempdir().unwrap();
    let small = tempfile::tempdir().unwrap();
    if !mount(small.path(), "size=600k") {
        eprintln!("skipped: a tmpfs cannot be mounted here");
        return;
    }
    let _mounted = Mounted(small.path());
    let store = open_store(dir.path()).await;
    let log = history(3_000);
    append(&store, &log).await;
    let head = store.head().await.unwrap();
    let models = ReadModels::sqlite(small.path());
    let mut projectors = Projectors::new(store.clone());
    projectors.start_sql(&models).unwrap();

    // Some error of a disk without room is told; nothing stops.
    let full = async {
        loop {
            let all = projectors.status().await.unwrap();
            if let Some(status) = all.into_iter().find(|status| status.error.is_some()) {
                return status;
            }
            tokio::task::yield_now().await;
        }
    };
    let status = tokio::time::timeout(PATIENCE, full).await.expect("the disk has no room");
    assert!(
        !matches!(status.state, ProjectionState::Stopped | ProjectionState::Diverged),
        "{status:?}"
    );
    let late = projectors.wait_for(status.name, head, Duration::from_millis(50)).await;
    assert!(matches!(late, Err(NotPosted::InTime { .. })), "{late:?}");

    assert!(mount(small.path(), "remount,size=64m"));
    for schema in SCHEMAS {
        projectors.wait_for(schema.name, head, PATIENCE).await.unwrap();
    }
    projectors.stop().await;
    same_as_rebuilt(&store, &models).await;
}

async fn same_as_rebuilt(store: &infra::event_store::EventStore, models: &ReadModels) {
    let elsewhere = tempfile::tempdir().unwrap();
    let anew = ReadModels::sqlite(elsewhere.path());
    let mut rebuild = Rebuild::new(store.clone());
    for schema in SCHEMAS {
        rebuild.add_sql(&anew, schema.name).unwrap();
    }
    rebuild.run(|_| {}).await.unwrap();
    for schema in SCHEMAS {
        assert_eq!(dump(models, schema).await, dump(&anew, schema).await, "{}", schema.name);
    }
}

/// Posts until it is killed; a process of its own, started by the test below.
#[tokio::test]
#[ignore = "started by a_killed_process_leaves_whole_batches"]
async fn posts_until_killed() {
    let Some(dir) = std::env::var_os("DAYBOOK_TEST_KILL") else { return };
    let dir = Path::new(&dir);
    let store = open_store(dir).await;
    let mut projectors = Projectors::new(store.clone());
    projectors.start_sql(&ReadModels::sqlite(dir.join("read-models"))).unwrap();
    for part in history(6_000).chunks(5) {
        append(&store, part).await;
        println!("more");
    }
}

#[tokio::test]
async fn a_killed_process_leaves_whole_batches() {
    use std::io::{BufRead, BufReader};

    for lines in [40, 150, 400] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["posts_until_killed", "--ignored", "--nocapture"])
            .env("DAYBOOK_TEST_KILL", dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let told = out.lines().map_while(Result::ok).filter(|line| line.contains("more"));
        assert_eq!(told.take(lines).count(), lines);
        child.kill().unwrap();
        child.wait().unwrap();

        let store = open_store(dir.path()).await;
        let head = store.head().await.unwrap();
        let models = ReadModels::sqlite(dir.path().join("read-models"));
        let mut projectors = Projectors::new(store.clone());
        projectors.start_sql(&models).unwrap();
        for schema in SCHEMAS {
            projectors.wait_for(schema.name, head, PATIENCE).await.unwrap();
        }
        projectors.stop().await;
        same_as_rebuilt(&store, &models).await;
    }
}
