use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use event_schemas::Position;
use infra::{
    bus::Bus,
    event_store::{EventStore, ReadError},
    read_models::ReadModels,
};
use thiserror::Error;
use tokio::{runtime::Handle, sync::watch, time::timeout};
use uuid::Uuid;

use crate::{
    NotBegun, Projection, ProjectionState, ProjectionStatus, Rebuild, SCHEMAS, Sink, Skip, Source,
    SqlSink,
    lease::Leases,
    orders::Orders,
    products::Products,
    projector::{Posted, Projector},
    rebuilds::Rebuilds,
    sales::Sales,
    status,
    stock::Stock,
    users::Users,
};

/// The projectors of this process, each on a thread of its own: what blocks in one (a commit)
/// holds up no other and no request.
#[derive(Debug)]
pub struct Projectors {
    store: EventStore,
    /// The bus, and what tells this process's consumers on it from those of other read models.
    bus: Option<(Bus, String)>,
    leases: Option<Leases>,
    skip: Skip,
    running: Vec<Running>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stop: watch::Sender<bool>,
}

#[derive(Debug)]
struct Running {
    name: &'static str,
    posted: watch::Receiver<Posted>,
    rebuilds: Rebuilds,
}

/// Why a projection has not posted what was waited for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NotPosted {
    /// Time is up.
    #[error("posted up to position {posted}")]
    InTime {
        /// How far it is.
        posted: Position,
    },
    /// It has stopped.
    #[error("the projection has stopped: {error}")]
    Stopped {
        /// Why.
        error: String,
    },
    /// It waits for a rebuild.
    #[error("the projection has diverged: {error}")]
    Diverged {
        /// Why.
        error: String,
    },
    /// This process does not post it: it has no such projector, or another process is the holder.
    #[error("this process posts no projection of that name")]
    Unknown,
}

impl Projectors {
    /// None yet. They follow the event store itself.
    pub fn new(store: EventStore) -> Self {
        let (running, threads) = (Vec::new(), Mutex::default());
        let (skip, stop) = (Skip::default(), watch::Sender::new(false));
        Self { store, bus: None, leases: None, skip, running, threads, stop }
    }

    /// The same, fed by the bus. `place` is a name for where the read models lie: who posts into
    /// the same ones shares their consumers, others have their own.
    pub fn on(self, bus: Bus, place: String) -> Self {
        Self { bus: Some((bus, place)), ..self }
    }

    /// The same, where other processes may post the same read models and search index: of each
    /// projection one process is the holder, by a lease in `models`.
    pub fn shared(self, models: ReadModels) -> Self {
        let holder = Uuid::new_v4().to_string();
        Self { leases: Some(Leases { models, holder }), ..self }
    }

    /// The same, passing over these events, in rebuilds too.
    pub fn skipping(self, skip: Skip) -> Self {
        Self { skip, ..self }
    }

    /// Starts the projector of a sink. Called within a tokio runtime.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(&mut self, sink: impl Sink) -> std::io::Result<()> {
        let name = sink.name();
        let rebuilds = Rebuilds::of(&sink);
        let begun = Posted {
            position: Position::START,
            generation: None,
            state: ProjectionState::CatchingUp,
            error: None,
            // Who shares them with others posts none before it has the lease.
            source: self.leases.is_none().then_some(Source::Store),
            standing_by: false,
            skipped: Vec::new(),
        };
        let (told, posted) = watch::channel(begun);
        let projector = Projector {
            store: self.store.clone(),
            bus: self.bus.clone().map(|(bus, place)| (bus, format!("{name}-{place}"))),
            leases: self.leases.clone(),
            sink,
            skip: self.skip.clone(),
            noted: Vec::new(),
            posted: told.clone(),
            stop: self.stop.subscribe(),
            rebuilds: rebuilds.clone(),
            installed: rebuilds.installed(),
        };
        let runtime = Handle::current();
        let thread = std::thread::Builder::new().name(format!("post-{name}")).spawn(move || {
            let run = AssertUnwindSafe(|| runtime.block_on(projector.run()));
            if catch_unwind(run).is_err() {
                told.send_modify(|posted| {
                    posted.state = ProjectionState::Stopped;
                    posted.error = Some("the projector panicked; see the log".to_owned());
                });
            }
        })?;
        self.running.push(Running { name, posted, rebuilds });
        self.threads().push(thread);
        Ok(())
    }

    /// Starts the projectors of all read models in `models`.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start_sql(&mut self, models: &ReadModels) -> std::io::Result<()> {
        self.start(self.sql::<Orders>(models))?;
        self.start(self.sql::<Stock>(models))?;
        self.start(self.sql::<Products>(models))?;
        self.start(self.sql::<Users>(models))?;
        self.start(self.sql::<Sales>(models))
    }

    fn sql<P: Projection>(&self, models: &ReadModels) -> SqlSink<P> {
        SqlSink::live(models.clone(), self.store.id())
    }

    /// How each projection is doing.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn status(&self) -> Result<Vec<ProjectionStatus>, ReadError> {
        let mut found = Vec::with_capacity(self.running.len());
        for running in &self.running {
            let Posted { position, generation, state, error, source, skipped, .. } =
                running.posted.borrow().clone();
            let status = ProjectionStatus::of(&self.store, running.name, position, state, error);
            let (mut rebuilding, rebuilt) = running.rebuilds.shown();
            let schema = SCHEMAS.into_iter().find(|schema| schema.name == running.name);
            if let (None, Some(leases), Some(schema)) = (&rebuilding, &self.leases, schema) {
                rebuilding = status::built_elsewhere(&leases.models, schema).await;
            }
            let status = status.await?;
            let status = ProjectionStatus { source, generation, skipped, ..status };
            found.push(ProjectionStatus { rebuilding, rebuilt, ..status });
        }
        Ok(found)
    }

    /// Begins to build the next generation of a projection beside the one that is read; live posting
    /// goes on. How far it is, [`Projectors::status`] tells. Called within a tokio runtime.
    ///
    /// # Errors
    /// [`NotBegun`]
    pub fn rebuild(&self, name: &str) -> Result<(), NotBegun> {
        let running = self.running.iter().find(|running| running.name == name);
        let rebuild = Rebuild::new(self.store.clone()).skipping(self.skip.clone());
        running.ok_or(NotBegun::Unknown)?.rebuilds.begin(rebuild, self.stop.subscribe())
    }

    /// Waits, at most `patience`, until the projection has posted `position`.
    ///
    /// # Errors
    /// [`NotPosted`]; at once if the projection has stopped before it.
    pub async fn wait_for(
        &self,
        name: &str,
        position: Position,
        patience: Duration,
    ) -> Result<(), NotPosted> {
        let running = self.running.iter().find(|running| running.name == name);
        let mut posted = running.ok_or(NotPosted::Unknown)?.posted.clone();
        let settled = posted.wait_for(|posted| {
            posted.position >= position
                || posted.standing_by
                || matches!(posted.state, ProjectionState::Stopped | ProjectionState::Diverged)
        });
        let in_time = timeout(patience, settled).await.is_ok();
        let Posted { position: reached, state, error, standing_by, .. } = posted.borrow().clone();
        let error = error.unwrap_or_default();
        if standing_by {
            return Err(NotPosted::Unknown);
        }
        match state {
            ProjectionState::Diverged => Err(NotPosted::Diverged { error }),
            _ if reached >= position => Ok(()),
            ProjectionState::Stopped => Err(NotPosted::Stopped { error }),
            // Without a projector nothing will come any more: the process ends.
            _ if in_time => Err(NotPosted::Stopped { error: "the projector has ended".to_owned() }),
            _ => Err(NotPosted::InTime { posted: reached }),
        }
    }

    /// Stops every projector behind the batch that it is at, and waits for that. A second call
    /// finds nothing to do.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        for running in &self.running {
            running.rebuilds.over().await;
        }
        let threads = std::mem::take(&mut *self.threads());
        // Joining blocks, and a thread has nothing more to say than its log did.
        let _ = tokio::task::spawn_blocking(move || {
            for thread in threads {
                let _ = thread.join();
            }
        })
        .await;
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        // Nothing panics while it holds this lock.
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
