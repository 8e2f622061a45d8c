//! Rebuilds beside the projectors of a process: one at a time of each projection.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use event_schemas::Position;
use thiserror::Error;
use tokio::sync::watch;

use crate::{Ended, Rebuild, Rebuilding, Sink};

/// Why a rebuild was not begun.
#[derive(Debug, Error)]
pub enum NotBegun {
    /// This process has no such projector.
    #[error("this process posts no projection of that name")]
    Unknown,
    /// One is under way.
    #[error("it is being rebuilt already")]
    Already,
    /// The process ends.
    #[error("the process ends")]
    Ending,
    /// The system gives no thread.
    #[error("no thread could be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// What is known of the rebuilds of one projection; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Rebuilds {
    add: Add,
    known: Arc<Mutex<Known>>,
    /// Whether one is under way.
    at_work: watch::Sender<bool>,
    /// How many generations were put in place.
    installed: watch::Sender<u64>,
}

/// Adds the projection to a rebuild.
#[derive(Clone)]
struct Add(Arc<AddTo>);

type AddTo = dyn Fn(&mut Rebuild) -> std::io::Result<()> + Send + Sync;

#[derive(Debug, Default)]
struct Known {
    under_way: Option<Rebuilding>,
    ended: Option<Ended>,
    /// Whether the last one met what will not pass.
    halted: bool,
}

impl Rebuilds {
    /// Of the projection of this sink.
    pub(crate) fn of(sink: &impl Sink) -> Self {
        let pattern = Mutex::new(sink.anew());
        let add = move |rebuild: &mut Rebuild| {
            let pattern = pattern.lock().unwrap_or_else(PoisonError::into_inner);
            rebuild.add(pattern.anew())
        };
        let (at_work, installed) = (watch::Sender::new(false), watch::Sender::new(0));
        Self { add: Add(Arc::new(add)), known: Arc::default(), at_work, installed }
    }

    /// Begins one, in a rebuild of nothing yet. Called within a tokio runtime.
    pub(crate) fn begin(
        &self,
        rebuild: Rebuild,
        stop: watch::Receiver<bool>,
    ) -> Result<(), NotBegun> {
        let mut known = self.known();
        if *stop.borrow() {
            return Err(NotBegun::Ending);
        }
        if known.under_way.is_some() {
            return Err(NotBegun::Already);
        }
        let mut rebuild = rebuild.until(stop);
        (self.add.0)(&mut rebuild)?;
        let (generation, position) = (None, Position::START);
        known.under_way = Some(Rebuilding { generation, position, rate: None, seconds_left: None });
        self.at_work.send_replace(true);
        let this = self.clone();
        tokio::spawn(async move { this.run(rebuild).await });
        Ok(())
    }

    async fn run(&self, rebuild: Rebuild) {
        let begun = Instant::now();
        let mut generation = None;
        let rebuilt = rebuild.run(|at| {
            generation = at.generation;
            self.known().under_way = Some(progress(&at, begun));
        });
        let rebuilt = rebuilt.await.map(|mut all| all.pop());
        let (position, error, halted) = match rebuilt {
            Ok(Some(rebuilt)) => match rebuilt.outcome {
                Ok(checkpoint) => (Some(checkpoint.position), None, false),
                Err(error) => (None, Some(error.to_string()), !error.will_pass()),
            },
            Ok(None) => (None, None, false),
            Err(error) => (None, Some(error.to_string()), false),
        };
        if let Some(error) = &error {
            tracing::error!(%error, "not rebuilt; what was read before is still read");
        }
        if position.is_some() {
            self.installed.send_modify(|installed| *installed += 1);
        }
        let mut known = self.known();
        known.under_way = None;
        known.ended = Some(Ended { generation, position, error });
        known.halted = halted;
        self.at_work.send_replace(false);
    }

    /// Changes whenever a generation was put in place.
    pub(crate) fn installed(&self) -> watch::Receiver<u64> {
        self.installed.subscribe()
    }

    /// What is being built now, and how the last one ended.
    pub(crate) fn shown(&self) -> (Option<Rebuilding>, Option<Ended>) {
        let known = self.known();
        (known.under_way.clone(), known.ended.clone())
    }

    /// Waits until nothing is being built.
    pub(crate) async fn over(&self) {
        // The sender is here.
        let _ = self.at_work.subscribe().wait_for(|at_work| !at_work).await;
    }

    /// Why the last one put nothing in place, if it did not, and whether that will pass.
    pub(crate) fn failed(&self) -> Option<(String, bool)> {
        let known = self.known();
        let error = known.ended.as_ref()?.error.clone()?;
        Some((error, !known.halted))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while it holds this lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn progress(at: &crate::Progress, begun: Instant) -> Rebuilding {
    let millis = begun.elapsed().as_millis().max(1);
    let rate = u64::try_from(u128::from(at.events) * 1_000 / millis).ok();
    // How many events are left is told by how much of the log they took so far.
    let left = u128::from(at.head.0.saturating_sub(at.position.0));
    let passed = u128::from(at.position.0.saturating_sub(at.begin.0));
    let seconds_left = (passed > 0).then(|| left * millis / passed / 1_000);
    Rebuilding {
        generation: at.generation,
        position: at.position,
        rate,
        seconds_left: seconds_left.and_then(|seconds| u64::try_from(seconds).ok()),
    }
}

impl fmt::Debug for Add {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Add").finish_non_exhaustive()
    }
}
