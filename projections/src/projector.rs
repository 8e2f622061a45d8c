use std::{convert::Infallible, time::Duration};

use event_schemas::Position;
use infra::{
    bus::Bus,
    event_store::{EventStore, ReadError},
    read_models::{Checkpoint, Skipped},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    Batch, Entry, NotBegun, Poison, ProjectionState, Rebuild, Sink, SinkError, Skip, Source,
    feed::{Feed, Taken},
    lease::{self, Held, Leases},
    rebuilds::Rebuilds,
    skip, status,
};

/// How long a projector that is told nothing but "not now" waits, first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How often one that has stopped looks whether another process has mended what it stopped at.
const LOOK: Duration = Duration::from_secs(1);

/// How far a projector is, as others see it.
#[derive(Clone, Debug)]
pub(crate) struct Posted {
    pub(crate) position: Position,
    /// The generation that it posts into, once that is known.
    pub(crate) generation: Option<u64>,
    pub(crate) state: ProjectionState,
    pub(crate) error: Option<String>,
    /// Where its events come from, if it is this process that posts.
    pub(crate) source: Option<Source>,
    /// Another process posts it; this one is ready to.
    pub(crate) standing_by: bool,
    /// What it has passed over.
    pub(crate) skipped: Vec<Skipped>,
}

/// The loop that posts one projection.
pub(crate) struct Projector<S> {
    pub(crate) store: EventStore,
    /// The bus, and this projector's durable consumer on it; without one the store is followed.
    pub(crate) bus: Option<(Bus, String)>,
    /// Where several processes may post the same read models.
    pub(crate) leases: Option<Leases>,
    pub(crate) sink: S,
    pub(crate) skip: Skip,
    /// What of the events passed over is in the log of this process: each kind once.
    pub(crate) noted: Vec<Skipped>,
    pub(crate) posted: watch::Sender<Posted>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) rebuilds: Rebuilds,
    /// Changes whenever this process has put another generation in the place of the one that is
    /// read.
    pub(crate) installed: watch::Receiver<u64>,
}

/// Why posting came to an end.
#[derive(Debug)]
enum End {
    /// The process ends.
    Asked,
    /// Nothing goes on before somebody has acted.
    Halted(ProjectionState, String),
    /// Somebody else has posted, or another generation has taken the place of the one that was
    /// posted into.
    Moved,
    /// Other code has posted what is read, or passed over what this code knows; shown are the place and generation of that.
    Outdated { reason: String, shown: (Position, Option<u64>) },
    /// It will pass.
    Again(String),
}

impl From<SinkError> for End {
    fn from(error: SinkError) -> Self {
        match error {
            SinkError::Poison(poison) => Self::Halted(ProjectionState::Stopped, poison.to_string()),
            SinkError::Damaged(reason) => Self::Halted(ProjectionState::Stopped, reason),
            SinkError::Moved => Self::Moved,
            SinkError::Outdated { reason, shown } => Self::Outdated { reason, shown },
            SinkError::Behind(_) | SinkError::Unavailable(_) => Self::Again(error.to_string()),
        }
    }
}

impl From<ReadError> for End {
    fn from(error: ReadError) -> Self {
        Self::Again(error.to_string())
    }
}

impl<S: Sink> Projector<S> {
    /// Posts until it is asked to stop or cannot go on.
    pub(crate) async fn run(mut self) {
        let Some(leases) = self.leases.take() else {
            loop {
                self.work(&mut None).await;
                if !self.has_another().await {
                    return;
                }
            }
        };
        let mut stop = self.stop.clone();
        loop {
            let mut held = tokio::select! {
                biased;
                () = asked(&mut stop) => return,
                held = self.stand_by(&leases) => Some(held),
            };
            self.work(&mut held).await;
            let stopped_in = self.sink.generation();
            // A projection that has stopped stops in every process: the lease goes on to the next.
            let lost = held.as_ref().is_some_and(Held::is_lost);
            if let Some(held) = held {
                held.release().await;
            }
            if !lost && !self.is_given_another(stopped_in).await {
                return;
            }
        }
    }

    /// What it could not go on with is gone once another generation is in its place: waits for that.
    /// False if the process ends.
    async fn has_another(&mut self) -> bool {
        tokio::select! {
            biased;
            () = asked(&mut self.stop) => false,
            changed = self.installed.changed() => changed.is_ok(),
        }
    }

    /// The same, where another process may put it in place.
    async fn is_given_another(&mut self, stopped_in: Option<u64>) -> bool {
        while let Err(_elapsed) = timeout(LOOK, self.has_another()).await {
            let found = self.sink.checkpoint().await;
            if found.is_ok() && self.sink.generation() != stopped_in {
                return true;
            }
        }
        !*self.stop.borrow()
    }

    /// Waits until nobody else posts, and tells meanwhile how far they are.
    async fn stand_by(&mut self, leases: &Leases) -> Held {
        loop {
            let error = match leases.take(self.sink.name()).await {
                Ok(Some(held)) => {
                    self.posted.send_modify(|posted| {
                        (posted.standing_by, posted.source) = (false, Some(Source::Store));
                    });
                    return held;
                }
                Ok(None) => None,
                Err(error) => Some(error.to_string()),
            };
            let (checkpoint, head) = (self.sink.checkpoint().await, self.store.head().await);
            self.posted.send_modify(|posted| {
                (posted.standing_by, posted.source) = (true, None);
                posted.error = error;
                posted.generation = self.sink.generation();
                if let (Ok(checkpoint), Ok(head)) = (checkpoint, head) {
                    let there = checkpoint.position >= head;
                    posted.position = checkpoint.position;
                    posted.skipped = checkpoint.skipped;
                    posted.state = match there {
                        true => ProjectionState::Live,
                        false => ProjectionState::CatchingUp,
                    };
                }
            });
            sleep(lease::EACH).await;
        }
    }

    /// Posts until it is asked to stop, cannot go on, or has lost the lease.
    async fn work(&mut self, held: &mut Option<Held>) {
        let name = self.sink.name();
        let mut wait = BACKOFF.0;
        loop {
            let before = self.posted.borrow().position;
            let ended = tokio::select! {
                ended = self.post() => ended,
                () = lost(held) => return,
            };
            let Err(end) = ended;
            let end = match end {
                End::Outdated { reason, shown } => {
                    let anew = tokio::select! {
                        anew = self.build_anew(&reason, shown) => anew,
                        () = lost(held) => return,
                    };
                    match anew {
                        Ok(()) => continue,
                        Err(end) => end,
                    }
                }
                end => end,
            };
            match end {
                End::Asked => return,
                End::Halted(state, error) => {
                    tracing::error!(projection = name, %error, "the projection has stopped");
                    self.posted.send_modify(|posted| {
                        posted.state = state;
                        posted.error = Some(error);
                    });
                    return;
                }
                End::Moved => {
                    tracing::info!(projection = name, "going on from where it was posted up to");
                    let moved = self.posted.borrow().position > before;
                    wait = if moved { BACKOFF.0 } else { (wait * 2).min(BACKOFF.1) };
                }
                End::Again(error) | End::Outdated { reason: error, .. } => {
                    tracing::warn!(projection = name, %error, "posting is tried again");
                    metrics::counter!("projection_retries_total", "projection" => name)
                        .increment(1);
                    let moved = self.posted.borrow().position > before;
                    wait = if moved { BACKOFF.0 } else { (wait * 2).min(BACKOFF.1) };
                    self.posted.send_modify(|posted| posted.error = Some(error));
                }
            }
            tokio::select! {
                () = sleep(wait) => {}
                () = lost(held) => return,
                () = asked(&mut self.stop) => return,
            }
        }
    }

    /// Has the next generation built beside the one that is read, and waits until it is in its place.
    async fn build_anew(
        &self,
        reason: &str,
        (position, generation): (Position, Option<u64>),
    ) -> Result<(), End> {
        let name = self.sink.name();
        tracing::info!(
            projection = name,
            reason,
            "it is posted anew; what is there is read meanwhile"
        );
        self.posted.send_modify(|posted| {
            (posted.position, posted.generation) = (position, generation);
            (posted.state, posted.error) = (ProjectionState::Rebuilding, None);
        });
        let rebuild = Rebuild::new(self.store.clone()).skipping(self.skip.clone());
        match self.rebuilds.begin(rebuild, self.stop.clone()) {
            Ok(()) | Err(NotBegun::Already) => {}
            Err(error) => return Err(End::Again(error.to_string())),
        }
        self.rebuilds.over().await;
        match self.rebuilds.failed() {
            None => Ok(()),
            Some((error, true)) => Err(End::Again(error)),
            Some((error, false)) => Err(End::Halted(ProjectionState::Stopped, error)),
        }
    }

    /// Reads the checkpoint, sees that it belongs to this log, and posts from there on.
    async fn post(&mut self) -> Result<Infallible, End> {
        let mut checkpoint = self.sink.checkpoint().await?;
        let head = self.store.head().await?;
        self.note_skipped(&checkpoint.skipped);
        if let Some(error) = divergence(&self.store, &checkpoint, head).await? {
            return Err(End::Halted(ProjectionState::Diverged, error));
        }
        if let Some(lacking) = skip::known_meanwhile(&checkpoint.skipped) {
            let reason = format!("it passed over {lacking}, which this version of Daybook knows");
            let shown = (checkpoint.position, self.sink.generation());
            return Err(End::Outdated { reason, shown });
        }
        let state = match checkpoint.position {
            position if position >= head => ProjectionState::Live,
            Position::START => ProjectionState::Rebuilding,
            _ => ProjectionState::CatchingUp,
        };
        self.posted.send_modify(|posted| {
            posted.position = checkpoint.position;
            posted.skipped.clone_from(&checkpoint.skipped);
            posted.generation = self.sink.generation();
            posted.state = state;
            // Otherwise only a batch shows that what failed works again.
            if state == ProjectionState::Live {
                posted.error = self.sink.set_aside();
            }
        });
        let mut feed = Feed::new(&self.store, self.bus.clone(), checkpoint.position);
        loop {
            let (taken, source) = tokio::select! {
                biased;
                () = asked(&mut self.stop) => return Err(End::Asked),
                Ok(()) = self.installed.changed() => return Err(End::Moved),
                taken = feed.take(checkpoint.position) => taken?,
            };
            let begun = Instant::now();
            let state = match self.posted.borrow().state {
                _ if taken.at_end => ProjectionState::Live,
                ProjectionState::Rebuilding => ProjectionState::Rebuilding,
                _ => ProjectionState::CatchingUp,
            };
            checkpoint = self.apply(checkpoint, &taken).await?;
            self.tell(&checkpoint, state, source);
            feed.posted().await;
            tokio::select! {
                biased;
                () = asked(&mut self.stop) => return Err(End::Asked),
                () = sleep_until(begun + pause(taken.events.len())) => {}
            }
        }
    }

    /// Posts what was taken; of what holds an event that cannot be posted, all that stands before
    /// it, wherever the batch was cut.
    async fn apply(&mut self, from: Checkpoint, taken: &Taken) -> Result<Checkpoint, End> {
        let (categories, skip) = (self.sink.categories(), self.skip.clone());
        let (whole, undecodable) = batch(from.clone(), taken, categories, &skip);
        let (posted, poison) = match self.advance(&whole).await {
            Ok(()) => (whole.to, undecodable),
            Err(SinkError::Poison(found)) => {
                let before = taken.before(found.position);
                let (sound, _) = batch(from, &before, categories, &skip);
                self.advance(&sound).await?;
                (sound.to, Some(found))
            }
            Err(error) => return Err(error.into()),
        };
        self.note_skipped(&posted.skipped);
        match poison {
            None => Ok(posted),
            Some(poison) => {
                self.posted.send_modify(|told| {
                    told.position = posted.position;
                    told.skipped = posted.skipped;
                });
                Err(SinkError::Poison(poison).into())
            }
        }
    }

    async fn advance(&mut self, batch: &Batch<'_>) -> Result<(), SinkError> {
        if batch.to.position > batch.from.position {
            self.sink.apply(batch).await?;
            measure(self.sink.name(), batch);
        }
        Ok(())
    }

    /// Says once of each kind that events of it were passed over.
    fn note_skipped(&mut self, skipped: &[Skipped]) {
        let name = self.sink.name();
        let events: u64 = skipped.iter().map(|skipped| skipped.events).sum();
        #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
        metrics::gauge!("projection_skipped_events", "projection" => name).set(events as f64);
        for skipped in skipped {
            if !self.noted.iter().any(|noted| skip::is_same_kind(noted, skipped)) {
                tracing::warn!(projection = name, %skipped, "passed over: it is not in the rows");
                self.noted.push(skipped.clone());
            }
        }
    }

    fn tell(&self, posted: &Checkpoint, state: ProjectionState, source: Source) {
        let (error, standing_by) = (self.sink.set_aside(), false);
        let source = Some(source);
        let (generation, position) = (self.sink.generation(), posted.position);
        let skipped = posted.skipped.clone();
        let told = Posted { position, generation, state, error, source, standing_by, skipped };
        self.posted.send_modify(|posted| *posted = told);
    }
}

/// The least time from one batch to the next. A batch has a price of its own: under load it pays
/// to let events gather for a moment, while a lone event is posted at once.
fn pause(events: usize) -> Duration {
    match events {
        0..8 => Duration::ZERO,
        8..128 => Duration::from_millis(20),
        128..1_000 => Duration::from_millis(50),
        // Rows that lie side by side are then written once for many events.
        _ => Duration::from_millis(150),
    }
}

/// The batch of what was taken, up to the first event that concerns the sink, cannot be decoded
/// and is not to be passed over.
pub(crate) fn batch<'a>(
    from: Checkpoint,
    taken: &'a Taken,
    categories: &[&str],
    skip: &Skip,
) -> (Batch<'a>, Option<Poison>) {
    let mut events = Vec::with_capacity(taken.events.len());
    let mut skipped = from.skipped.clone();
    for logged in &taken.events {
        if logged.position <= from.position
            || !categories.contains(&logged.stream.category())
            || logged.is_systems()
        {
            continue;
        }
        match logged.decode() {
            Ok(decoded) => events.push(Entry { logged, decoded }),
            Err(error) => {
                if let Err(poison) = skip.pass_over(logged, error, &mut skipped) {
                    let to = before(&from, taken, logged.position, skipped);
                    return (Batch { from, to, events }, Some(poison));
                }
            }
        }
    }
    let mut to = before(&from, taken, Position(u64::MAX), skipped);
    to.position = to.position.max(taken.scanned_to);
    (Batch { from, to, events }, None)
}

/// The checkpoint behind the last event that was taken and stands before `position`.
fn before(
    from: &Checkpoint,
    taken: &Taken,
    position: Position,
    skipped: Vec<Skipped>,
) -> Checkpoint {
    let end = taken.events.partition_point(|logged| logged.position < position);
    let events = &taken.events[..end];
    let ours = events.iter().rev().find(|logged| logged.is_ours());
    Checkpoint {
        store: from.store,
        position: events.last().map_or(from.position, |logged| logged.position),
        last: ours.map(|logged| (logged.position, logged.id)).or(from.last),
        skipped,
    }
}

/// Why the checkpoint does not belong to this log, if it does not. `head` was read after it.
///
/// # Errors
/// If the store cannot be read.
pub async fn divergence(
    store: &EventStore,
    checkpoint: &Checkpoint,
    head: Position,
) -> Result<Option<String>, ReadError> {
    if checkpoint.store != store.id() {
        return Ok(Some(format!(
            "it was posted from the store {}, this one is {}",
            checkpoint.store,
            store.id()
        )));
    }
    if head < checkpoint.position {
        return Ok(Some(format!(
            "it was posted up to position {}, the log ends at {head}",
            checkpoint.position
        )));
    }
    let Some((position, id)) = checkpoint.last else { return Ok(None) };
    let found = store.event_at(position).await?.map(|logged| logged.id);
    Ok((found != Some(id))
        .then(|| format!("the event {id} that it posted last is no longer at position {position}")))
}

/// Returns once somebody else may post; never where nobody else can.
async fn lost(held: &mut Option<Held>) {
    match held {
        Some(held) => held.lost().await,
        None => std::future::pending().await,
    }
}

/// Returns once the process ends.
async fn asked(stop: &mut watch::Receiver<bool>) {
    // An error says that whoever could ask is gone.
    let _ = stop.wait_for(|&asked| asked).await;
}

fn measure(name: &'static str, batch: &Batch<'_>) {
    #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
    let (position, events) = (batch.to.position.0 as f64, batch.events.len() as f64);
    metrics::gauge!("projection_position", "projection" => name).set(position);
    let Some(oldest) = batch.events.first() else { return };
    metrics::histogram!("projection_batch_events", "projection" => name).record(events);
    // From written to queryable, of the batch's oldest event.
    metrics::histogram!("projection_delay_seconds", "projection" => name)
        .record(status::age(oldest.metadata().recorded_at));
}
