use std::time::Duration;

use event_schemas::{Logged, Metadata, Position, Timestamp};
use infra::{
    event_store::{Direction, EventStore, Filter, ReadError},
    read_models::{Checkpoint, ReadModels, Schema, Skipped},
};
use serde::Serialize;

use crate::{Source, divergence};

/// How a projection is doing, as `GET /v1/projections` and `daybook status` say it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProjectionStatus {
    /// Its name.
    pub name: &'static str,
    /// The last place that it has posted.
    pub position: Position,
    /// The store's last place.
    pub head: Position,
    /// What it does.
    pub state: ProjectionState,
    /// How far behind it is.
    pub lag: Lag,
    /// What keeps it from going on, or what it is trying again after.
    pub error: Option<String>,
    /// What it has passed over because it was told to, each kind once: its rows lack it.
    pub skipped: Vec<Skipped>,
    /// The number of the generation that is read, if it is known.
    pub generation: Option<u64>,
    /// The generation that is being built beside it, by this process or, in MySQL, by another.
    pub rebuilding: Option<Rebuilding>,
    /// How the last rebuild of this process ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebuilt: Option<Ended>,
    /// Where its events come from, seen from within the process that posts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// A generation that is being built.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rebuilding {
    /// Its number, once that is known.
    pub generation: Option<u64>,
    /// The place that it is built up to.
    pub position: Position,
    /// Events a second; known to the process that builds it.
    pub rate: Option<u64>,
    /// How long it takes to the log's end at that rate, if that can be told.
    pub seconds_left: Option<u64>,
}

/// How a rebuild ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// The generation that was built, if it got so far.
    pub generation: Option<u64>,
    /// The place that it was posted up to when it took its place.
    pub position: Option<Position>,
    /// Why the generation before is still in its place, if it is.
    pub error: Option<String>,
}

/// What a projection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProjectionState {
    /// It follows the log.
    Live,
    /// It posts what came while it was away.
    CatchingUp,
    /// It posts everything from the start.
    Rebuilding,
    /// An event cannot be posted.
    Stopped,
    /// What was posted is not of this store's log; it waits for a rebuild.
    Diverged,
}

/// How far behind a projection is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Lag {
    /// Events that it has not posted; 0 exactly when the head is posted, `None` if they cannot be
    /// counted.
    pub events: Option<u64>,
    /// The age of the oldest event that it has not posted, in seconds; 0 if there is none.
    pub seconds: Option<f64>,
}

impl ProjectionStatus {
    /// The status of a projection that has posted up to `position`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn of(
        store: &EventStore,
        name: &'static str,
        position: Position,
        state: ProjectionState,
        error: Option<String>,
    ) -> Result<Self, ReadError> {
        let head = store.head().await?;
        let lag = if position >= head {
            Lag { events: Some(0), seconds: Some(0.0) }
        } else {
            Lag {
                events: between(store, position, head),
                seconds: oldest_beyond(store, position).await?.map(age),
            }
        };
        let (generation, rebuilding, rebuilt, source) = (None, None, None, None);
        let skipped = Vec::new();
        Ok(Self {
            skipped,
            name,
            position,
            head,
            state,
            lag,
            error,
            generation,
            rebuilding,
            rebuilt,
            source,
        })
    }
}

/// How the read models in `models` are doing, read from outside of the process that posts them.
///
/// # Errors
/// If the store cannot be read.
pub async fn read_status(
    store: &EventStore,
    models: &ReadModels,
) -> Result<Vec<ProjectionStatus>, ReadError> {
    let mut found = Vec::new();
    for schema in crate::SCHEMAS {
        let snapshot = models.reader(schema).snapshot().await;
        let (checkpoint, generation, mut error) = match snapshot {
            Ok(snapshot) => (snapshot.checkpoint().clone(), Some(snapshot.generation()), None),
            Err(error) => (Checkpoint::start(store.id()), None, Some(error.to_string())),
        };
        let state = match divergence(store, &checkpoint, store.head().await?).await? {
            Some(reason) => {
                error = Some(reason);
                ProjectionState::Diverged
            }
            None if checkpoint.position >= store.head().await? => ProjectionState::Live,
            None => ProjectionState::CatchingUp,
        };
        let position = checkpoint.position;
        let status = ProjectionStatus::of(store, schema.name, position, state, error).await?;
        let (skipped, rebuilding) = (checkpoint.skipped, built_elsewhere(models, schema).await);
        found.push(ProjectionStatus { generation, skipped, rebuilding, ..status });
    }
    Ok(found)
}

/// What another process is building. An engine that cannot be asked is told of by what is read.
pub(crate) async fn built_elsewhere(
    models: &ReadModels,
    schema: &'static Schema,
) -> Option<Rebuilding> {
    let (generation, position) = models.building(schema).await.ok()??;
    Some(Rebuilding { generation: Some(generation), position, rate: None, seconds_left: None })
}

/// How many events lie behind `position`, up to `head`.
fn between(store: &EventStore, position: Position, head: Position) -> Option<u64> {
    match store {
        // Its positions count its events.
        EventStore::Sqlite(_) => Some(head.0.saturating_sub(position.0)),
        // Its positions are places in the server's files.
        EventStore::EventStoreDb(_) => None,
    }
}

/// When the first event behind `position` was written; others' events may not say it.
async fn oldest_beyond(
    store: &EventStore,
    position: Position,
) -> Result<Option<Timestamp>, ReadError> {
    let page = store.read_log(position, Direction::Forwards, &Filter::default(), 100).await?;
    // The metadata alone: the event may be one that cannot be decoded.
    let metadata = |logged: &Logged| serde_json::from_slice::<Metadata>(&logged.metadata).ok();
    Ok(page.events.iter().find_map(metadata).map(|metadata| metadata.recorded_at))
}

/// How long ago that was, in seconds; 0 if it lies in the future.
pub(crate) fn age(time: Timestamp) -> f64 {
    let now = Timestamp::from(jiff::Timestamp::now());
    let micros = now.as_micros().saturating_sub(time.as_micros()).max(0);
    Duration::from_micros(micros.unsigned_abs()).as_secs_f64()
}
