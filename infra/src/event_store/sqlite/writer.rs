//! The one writer: everything that waits becomes one transaction and one sync.

use std::{
    cell::Cell,
    mem,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rusqlite::{Connection, Result};
use tokio::sync::{mpsc, oneshot};

use super::{
    SqliteOptions,
    checkpoint::{Checkpointer, Mode, checkpoint},
    failure::{Failure, Stage, end_process, judge},
    parts::{Decided, decide, record},
    queue::{Append, Job, WriterHandle},
    state::State,
};
use crate::{
    event_store::{AppendError, OpenError, recent::Recent},
    lock::Lock,
};

/// Pages of the WAL (4 KiB each) after which they are moved into the file.
const CHECKPOINT_PAGES: i32 = 4_096;
/// Pages of the WAL after which appends wait until it can begin anew.
const MAX_WAL_PAGES: i32 = 16_384;

thread_local! {
    /// Pages in the WAL after this thread's last commit.
    static WAL_PAGES: Cell<i32> = const { Cell::new(0) };
}

#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    state: State,
    queue: mpsc::Receiver<Job>,
    /// Bytes of events in the queue.
    waiting: Arc<AtomicUsize>,
    recent: Arc<Recent>,
    checkpointer: Checkpointer,
    checkpointing: bool,
    group_events: usize,
    group_bytes: usize,
    #[cfg(test)]
    faults: Faults,
    /// Let go of last.
    lock: Lock,
}

impl Writer {
    /// Starts the writer's thread.
    pub(super) fn start(
        options: &SqliteOptions,
        connection: Connection,
        lock: Lock,
        state: State,
        recent: Arc<Recent>,
    ) -> Result<WriterHandle, OpenError> {
        let (handle, queue, waiting) = WriterHandle::new(options);
        let io_error = |error| OpenError::Io { path: options.path.clone(), error };
        let checkpointer =
            Checkpointer::start(&options.path, handle.downgrade()).map_err(io_error)??;
        let writer = Self {
            connection,
            state,
            queue,
            waiting,
            recent,
            checkpointer,
            checkpointing: false,
            group_events: options.group_events,
            group_bytes: options.group_bytes,
            #[cfg(test)]
            faults: options.faults.clone(),
            lock,
        };
        thread::Builder::new()
            .name("event-store-writer".into())
            .spawn(move || writer.run())
            .map_err(io_error)?;
        Ok(handle)
    }

    fn run(mut self) {
        self.connection.wal_hook(Some(|_, pages| {
            WAL_PAGES.set(pages);
            Ok(())
        }));
        while let Some(first) = self.queue.blocking_recv() {
            let (mut group, mut events, mut bytes) = (Vec::new(), 0, 0);
            let mut next = Some(first);
            while let Some(job) = next {
                match job {
                    Job::Append(append) => {
                        events += append.parts().map(|part| part.events.len()).sum::<usize>();
                        bytes += append.size;
                        group.push(append);
                    }
                    other => {
                        self.write(mem::take(&mut group));
                        if let ControlFlow::Break(closed) = self.handle(other) {
                            self.refuse_the_rest();
                            let _ = closed.send(self.close());
                            return;
                        }
                    }
                }
                let full = events >= self.group_events || bytes >= self.group_bytes;
                next = if full { None } else { self.queue.try_recv().ok() };
            }
            self.write(group);
        }
        // Every clone of the store was dropped without closing it.
        if let Err(reason) = self.close() {
            tracing::warn!(reason, "the event store was not closed cleanly");
        }
    }

    fn handle(&mut self, job: Job) -> ControlFlow<oneshot::Sender<Result<(), String>>> {
        match job {
            Job::Append(append) => self.write(vec![append]),
            Job::SetKeyFingerprint(fingerprint, done) => {
                let _ = done.send(self.set_key_fingerprint(&fingerprint));
            }
            Job::Checkpointed => {
                // What was appended meanwhile is little. Once all is moved, the next
                // transaction begins the WAL anew.
                let full = WAL_PAGES.get() >= MAX_WAL_PAGES;
                checkpoint(&self.connection, if full { Mode::Restart } else { Mode::Passive });
                self.checkpointing = false;
            }
            Job::Drained(done) => {
                let _ = done.send(());
            }
            Job::Close(done) => return ControlFlow::Break(done),
        }
        ControlFlow::Continue(())
    }

    /// Writes a group in one transaction. A conflict harms only the append that met it.
    fn write(&mut self, group: Vec<Append>) {
        if group.is_empty() {
            return;
        }
        let size = group.iter().map(|append| append.size).sum();
        self.waiting.fetch_sub(size, Ordering::Relaxed);
        let head = self.state.head;
        let decided = match self.transaction(|writer| writer.decide_all(&group)) {
            Ok(decided) => decided,
            Err(error) => {
                group.into_iter().for_each(|append| append.answer(Err(error.clone().into())));
                return;
            }
        };
        let mut written = Vec::with_capacity((self.state.head.0 - head.0).try_into().unwrap_or(0));
        let mut answers = Vec::with_capacity(group.len());
        for (mut append, decided) in group.into_iter().zip(decided) {
            let outcome = match decided {
                Decided::Answer(outcome) => outcome,
                Decided::Written(position, revision, others) => {
                    Ok(record(&mut append, position, revision, others, &mut written))
                }
            };
            answers.push((append, outcome));
        }
        self.recent.publish(written, self.state.head);
        answers.into_iter().for_each(|(append, outcome)| append.answer(outcome));
        if WAL_PAGES.get() >= CHECKPOINT_PAGES && !self.checkpointing {
            self.checkpointing = true;
            self.checkpointer.wake();
        }
    }

    fn decide_all(&mut self, group: &[Append]) -> Result<Vec<Decided>> {
        group.iter().map(|append| decide(&self.connection, &mut self.state, append)).collect()
    }

    fn set_key_fingerprint(&mut self, fingerprint: &str) -> Result<(), AppendError> {
        self.transaction(|writer| {
            writer.connection.execute("UPDATE store SET key_fingerprint = ?1", [fingerprint])?;
            Ok(())
        })
    }

    /// Runs `work` and commits it, durably. After an error, what is kept in memory is read anew.
    fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T, AppendError> {
        let begun = self.run_sql("BEGIN IMMEDIATE");
        let (error, stage) = match begun.and_then(|()| work(self)) {
            Err(error) => (error, Stage::Writing),
            Ok(value) => match self.commit() {
                Ok(()) => return Ok(value),
                Err(error) => (error, Stage::Committing),
            },
        };
        let answer = match judge(&error, stage) {
            Failure::Answer(answer) => answer,
            Failure::Fatal(reason) => end_process(&reason),
        };
        // SQLite has rolled back some errors by itself.
        let rolled_back =
            if self.connection.is_autocommit() { Ok(()) } else { self.run_sql("ROLLBACK") };
        match rolled_back.and_then(|()| State::read(&self.connection)) {
            Ok(state) => self.state = state,
            Err(error) => end_process(&format!("{error} (after: {answer})")),
        }
        Err(answer)
    }

    fn commit(&self) -> Result<()> {
        #[cfg(test)]
        self.faults.meet()?;
        self.run_sql("COMMIT")
    }

    fn run_sql(&self, sql: &str) -> Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }

    /// Appends that came while the store was closing.
    fn refuse_the_rest(&mut self) {
        self.queue.close();
        while let Ok(job) = self.queue.try_recv() {
            if let Job::Append(append) = job {
                append.answer(Err(AppendError::Closed.into()));
            }
        }
    }

    /// Leaves nothing but the store's own file: with a rollback journal in place of the WAL it can
    /// be read without making a file. If another process is reading just now, an empty WAL stays.
    fn close(self) -> Result<(), String> {
        let Self { connection, checkpointer, lock, queue, .. } = self;
        // In this order: the checkpointer may be waiting for room in the queue.
        drop(queue);
        drop(checkpointer);
        let rested = connection
            .query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0))
            .and_then(|mode| match mode.as_str() {
                "delete" => Ok(()),
                _ => connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())),
            });
        let closed = rested.and(connection.close().map_err(|(_, error)| error));
        drop(lock);
        closed.map_err(|error| error.to_string())
    }
}

/// Errors that the next commits meet, by SQLite's extended code.
#[cfg(test)]
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(Arc<std::sync::Mutex<std::collections::VecDeque<i32>>>);

#[cfg(test)]
impl Faults {
    pub(super) fn at_next_commit(&self, code: i32) {
        self.0.lock().unwrap().push_back(code);
    }

    fn meet(&self) -> Result<()> {
        match self.0.lock().unwrap().pop_front() {
            Some(code) => {
                Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None))
            }
            None => Ok(()),
        }
    }
}
