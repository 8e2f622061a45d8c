//! The log and the projections.

use serde::Serialize;
use utoipa::ToSchema;

/// An event as it stands in the log; personal values stay sealed.
#[derive(Serialize, ToSchema)]
pub struct LoggedEvent {
    id: String,
    position: u64,
    stream: String,
    revision: u64,
    #[serde(rename = "type")]
    #[schema(example = "OrderPlaced")]
    event_type: String,
    /// This and the rest of its metadata are null for an event that is not Daybook's own.
    #[schema(required, example = 1)]
    schema_version: Option<u32>,
    /// When it happened.
    #[schema(required, format = DateTime)]
    occurred_at: Option<String>,
    /// When it was written.
    #[schema(required, format = DateTime)]
    recorded_at: Option<String>,
    #[schema(required)]
    actor: Option<ActorShape>,
    #[schema(required)]
    command_id: Option<String>,
    #[schema(required)]
    correlation_id: Option<String>,
    #[schema(required)]
    causation_id: Option<String>,
    /// A text if it is no JSON, null if it is not even text.
    #[schema(value_type = Object)]
    data: (),
}

/// Who acted.
#[derive(Serialize, ToSchema)]
#[schema(as = Actor)]
pub struct ActorShape {
    id: String,
    /// `user`, `service`, `system` or `import`.
    kind: String,
    /// `none`, `header`, `token` or `key`.
    proof: String,
}

/// An event of an order.
#[derive(Serialize, ToSchema)]
pub struct HistoryEvent {
    id: String,
    position: u64,
    revision: u64,
    #[serde(rename = "type")]
    #[schema(example = "OrderPlaced")]
    event_type: String,
    #[schema(value_type = String, format = DateTime)]
    occurred_at: String,
    #[schema(value_type = String, format = DateTime)]
    recorded_at: String,
    actor: ActorShape,
    #[schema(value_type = Object)]
    data: (),
}

/// How a projection is doing.
#[derive(Serialize, ToSchema)]
pub struct Projection {
    #[schema(example = "orders")]
    name: String,
    /// The last place that it has posted.
    position: u64,
    /// The store's last place.
    head: u64,
    /// `live`, `catching-up`, `rebuilding`, `stopped` or `diverged`.
    #[schema(example = "live")]
    state: String,
    lag: ProjectionLag,
    /// Why it stopped, or what it is trying again after.
    #[schema(required)]
    error: Option<String>,
    /// What it has passed over because it was told to, each kind once: its rows lack it.
    skipped: Vec<SkippedShape>,
    /// The number of the generation that is read; null while it is not known.
    #[schema(required)]
    generation: Option<u64>,
    /// The generation that is being built beside it, by this process or, in MySQL, by another.
    #[schema(required)]
    rebuilding: Option<RebuildingShape>,
    /// How the last rebuild of this process ended; left out if there was none.
    rebuilt: Option<RebuiltShape>,
}

/// Events of one kind that a projection has passed over.
#[derive(Serialize, ToSchema)]
#[schema(as = Skipped)]
pub struct SkippedShape {
    /// The category of their streams.
    #[schema(example = "order")]
    category: String,
    #[serde(rename = "type")]
    #[schema(example = "OrderGifted")]
    event_type: String,
    /// Null where their metadata does not tell it.
    #[schema(required)]
    schema_version: Option<u32>,
    /// How many there were.
    events: u64,
    /// Where the first of them stands.
    first: u64,
}

/// A generation that is being built.
#[derive(Serialize, ToSchema)]
#[schema(as = Rebuilding)]
pub struct RebuildingShape {
    /// Null until it is known.
    #[schema(required)]
    generation: Option<u64>,
    /// The place that it is built up to.
    position: u64,
    /// Events a second; null if another process builds it.
    #[schema(required)]
    rate: Option<u64>,
    /// Null while it cannot be told.
    #[schema(required)]
    seconds_left: Option<u64>,
}

/// How a rebuild ended.
#[derive(Serialize, ToSchema)]
#[schema(as = Rebuilt)]
pub struct RebuiltShape {
    #[schema(required)]
    generation: Option<u64>,
    /// The place that it was posted up to when it took its place.
    #[schema(required)]
    position: Option<u64>,
    /// Why the generation before is still in its place, if it is.
    #[schema(required)]
    error: Option<String>,
}

/// How far behind a projection is.
#[derive(Serialize, ToSchema)]
pub struct ProjectionLag {
    /// 0 exactly when the head is posted; null if it cannot be counted.
    #[schema(required)]
    events: Option<u64>,
    /// The age of the oldest event that is not posted.
    #[schema(required)]
    seconds: Option<f64>,
}

/// Every projection.
#[derive(Serialize, ToSchema)]
pub struct Projections {
    items: Vec<Projection>,
}
