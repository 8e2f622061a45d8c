//! Moving the WAL's pages into the file, beside the writer: appends do not wait for it.

use std::{
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, OpenFlags, Result};
use tokio::sync::mpsc::WeakSender;

use super::{
    failure::{end_process, is_failed_sync},
    open::connect,
    queue::Job,
};

/// The thread that does it, for as long as this lives.
#[derive(Debug)]
pub(super) struct Checkpointer {
    /// `None` only while it is being dropped.
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Which readers a checkpoint minds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mode {
    /// Moves what no reader holds back.
    Passive,
    /// Waits for the readers, so that the WAL begins anew.
    Restart,
}

impl Checkpointer {
    pub(super) fn start(path: &Path, writer: WeakSender<Job>) -> std::io::Result<Result<Self>> {
        let connection = match connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, 256) {
            Ok(connection) => connection,
            Err(error) => return Ok(Err(error)),
        };
        let (wake, woken) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("event-store-checkpoint".into())
            .spawn(move || run(&connection, &woken, &writer))?;
        Ok(Ok(Self { wake: Some(wake), thread: Some(thread) }))
    }

    /// Asks for a checkpoint; the writer gets [`Job::Checkpointed`] when it is through.
    pub(super) fn wake(&self) {
        if let Some(wake) = &self.wake {
            // One that is asked for already does for both.
            let _ = wake.try_send(());
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, woken: &Receiver<()>, writer: &WeakSender<Job>) {
    while woken.recv().is_ok() {
        checkpoint(connection, Mode::Passive);
        let Some(writer) = writer.upgrade() else { return };
        if writer.blocking_send(Job::Checkpointed).is_err() {
            return;
        }
    }
}

/// A checkpoint that fails (a full disk) leaves all in the WAL: the next one moves it.
pub(super) fn checkpoint(connection: &Connection, mode: Mode) {
    let sql = match mode {
        Mode::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Mode::Restart => "PRAGMA wal_checkpoint(RESTART)",
    };
    let done = connection.query_row(sql, [], |_| Ok(()));
    if let Err(error) = done {
        if is_failed_sync(&error) {
            end_process(&error.to_string());
        }
        tracing::warn!(%error, "the event store's WAL could not be moved into its file");
    }
}
