use axum::{extract::State, response::Response};
use event_schemas::{Actor, Logged, Metadata, Position, Revision, StreamName, Timestamp};
use infra::{
    event_store::{Direction, EventStore, Filter, LogPage, ReadError},
    http::{BAD_REQUEST, Cursor, CursorValue, Faults, Problem},
};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    QueryState,
    answers::Events,
    ask::{Ask, Asked},
    list::Page,
    posted::{Posted, not_yet, unreadable_log},
};

/// The most events that one request looks at: of a filter that finds little, a page may be short
/// or empty and still have a next one.
const LOOKED_AT: usize = 100_000;

/// The most bytes of events in one page.
const PAGE_BYTES: usize = 4 << 20;

/// What of the log is asked for.
struct Wanted {
    filter: Filter,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    /// From this event on, where no page came before.
    from: Option<Position>,
    /// Beyond this.
    after: Position,
    /// Up to this, inclusive.
    to: Position,
    limit: usize,
    fingerprint: String,
}

#[derive(Serialize)]
struct Event<'a> {
    id: Uuid,
    position: Position,
    stream: &'a StreamName,
    revision: Revision,
    #[serde(rename = "type")]
    event_type: &'a str,
    schema_version: Option<u32>,
    occurred_at: Option<Timestamp>,
    recorded_at: Option<Timestamp>,
    actor: Option<&'a Actor>,
    command_id: Option<Uuid>,
    correlation_id: Option<&'a str>,
    causation_id: Option<Uuid>,
    data: Option<&'a RawValue>,
}

/// The log
///
/// Events in the order of their positions. Personal values stay sealed. Of an event that is not
/// Daybook's own the metadata is null. A page may have fewer items than `limit`, even none, and
/// still a `next`: go on until `next` is null.
#[utoipa::path(
    get, path = "/v1/events", tag = "log", operation_id = "list_events",
    params(
        ("from" = Option<u64>, Query, description = "From this position on (inclusive)"),
        ("to" = Option<u64>, Query, description = "Up to this position (inclusive)"),
        ("since" = Option<String>, Query, format = "date-time", description = "Recorded then or later (inclusive)"),
        ("until" = Option<String>, Query, format = "date-time", description = "Recorded before (exclusive)"),
        ("stream" = Option<String>, Query, description = "Of this stream", example = "order-4b6a3c1e-5a43-5d6c-9d8e-0f1f7ce1a2b3"),
        ("category" = Option<String>, Query, description = "Of streams of this category", example = "order"),
        ("type" = Option<String>, Query, description = "Of this type", example = "OrderPlaced"),
    ),
    responses((status = 200, description = "A page of events", body = Events))
)]
pub(crate) async fn events(
    State(state): State<QueryState>,
    mut ask: Ask,
) -> Result<Response, Problem> {
    let mut wanted = read(&mut ask);
    let asked = ask.finish()?;
    let head = reached(&state, &asked).await?;
    wanted.begin(&state.store).await?;
    let (items, next) =
        find(&state.store, &wanted).await.map_err(|error| unreadable_log(&error))?;
    Ok(Posted::at(&state, head, &asked).json(Page::document(&items, next.as_deref())))
}

fn read(ask: &mut Ask) -> Wanted {
    let (query, faults) = (&mut ask.query, &mut ask.faults);
    let from = query.integer("from", 0..=i64::MAX, faults).map(i64::unsigned_abs);
    let to = query.integer("to", 0..=i64::MAX, faults).map(i64::unsigned_abs);
    if let (Some(from), Some(to)) = (from, to)
        && to < from
    {
        faults.parameter("to", "to is before from; swap them");
    }
    let name = query.text("stream", 1..=1_000, faults);
    let stream = name.and_then(|name| StreamName::parse(&name).ok());
    let category = query.text("category", 1..=1_000, faults);
    let event_type = query.text("type", 1..=1_000, faults);
    let (since, until) = ask.times("since", "until");
    let (query, faults) = (&mut ask.query, &mut ask.faults);
    let fingerprint =
        format!("log {from:?} {to:?} {stream:?} {category:?} {event_type:?} {since:?} {until:?}");
    let limit = query.limit(faults);
    let cursor = query.take("cursor", faults);
    let cursor = cursor.and_then(|text| Cursor::decode(&text, &fingerprint, faults));
    let (from, after) = match cursor.as_ref().map(|cursor| cursor.0.as_slice()) {
        Some([CursorValue::Int(after)]) => (None, Position(after.unsigned_abs())),
        _ => (from.map(Position), Position::START),
    };
    let filter = Filter {
        categories: category.into_iter().collect(),
        types: event_type.into_iter().collect(),
        stream,
    };
    let to = to.map_or(Position(u64::MAX), Position);
    Wanted { filter, since, until, from, after, to, limit, fingerprint }
}

impl Wanted {
    /// Finds the place before the first event wanted.
    async fn begin(&mut self, store: &EventStore) -> Result<(), Problem> {
        let Some(from) = self.from else { return Ok(()) };
        let before = store.place_before(from).await.map_err(|error| unreadable_log(&error))?;
        self.after = before.ok_or_else(|| {
            let mut faults = Faults::new();
            faults.parameter("from", "no event stands at this position; take one from an answer");
            faults.into_problem(&BAD_REQUEST)
        })?;
        Ok(())
    }
}

/// The log's head, once it is as far as was asked for.
async fn reached(state: &QueryState, asked: &Asked) -> Result<Position, Problem> {
    let until = Instant::now() + asked.patience();
    loop {
        let head = state.store.head().await.map_err(|error| unreadable_log(&error))?;
        match asked.wanted {
            Some(wanted) if head < wanted && Instant::now() >= until => {
                return Err(not_yet(state, asked, wanted, head));
            }
            Some(wanted) if head < wanted => sleep(std::time::Duration::from_millis(10)).await,
            _ => return Ok(head),
        }
    }
}

/// The events, JSON each, and the cursor of the next page.
async fn find(
    store: &EventStore,
    wanted: &Wanted,
) -> Result<(Vec<String>, Option<String>), ReadError> {
    let mut items = Vec::new();
    let (mut after, mut looked_at, mut bytes) = (wanted.after, 0, 0);
    while after < wanted.to {
        let LogPage { events, scanned_to, at_end } =
            store.read_log(after, Direction::Forwards, &wanted.filter, 1_000).await?;
        looked_at += events.len().max(1);
        for logged in &events {
            if logged.position > wanted.to {
                return Ok((items, None));
            }
            if items.len() == wanted.limit || bytes >= PAGE_BYTES {
                return Ok((items, Some(next(wanted, after))));
            }
            after = logged.position;
            if let Some(item) = shown(logged, wanted) {
                bytes += item.len();
                items.push(item);
            }
        }
        after = scanned_to;
        if at_end {
            break;
        }
        if looked_at >= LOOKED_AT {
            return Ok((items, Some(next(wanted, after))));
        }
    }
    Ok((items, None))
}

fn next(wanted: &Wanted, after: Position) -> String {
    let after = i64::try_from(after.0).unwrap_or(i64::MAX);
    Cursor::encode(&wanted.fingerprint, &[CursorValue::Int(after)])
}

/// The event as it goes out, if it is wanted.
fn shown(logged: &Logged, wanted: &Wanted) -> Option<String> {
    let metadata: Option<Metadata> = serde_json::from_slice(&logged.metadata).ok();
    let metadata = metadata.as_ref();
    if wanted.since.is_some() || wanted.until.is_some() {
        let recorded_at = metadata?.recorded_at;
        let early = wanted.since.is_some_and(|since| recorded_at < since);
        let late = wanted.until.is_some_and(|until| recorded_at >= until);
        if early || late {
            return None;
        }
    }
    serde_json::to_string(&Event {
        id: logged.id,
        position: logged.position,
        stream: &logged.stream,
        revision: logged.revision,
        event_type: &logged.event_type,
        schema_version: metadata.map(|metadata| metadata.schema_version),
        occurred_at: metadata.map(|metadata| metadata.occurred_at),
        recorded_at: metadata.map(|metadata| metadata.recorded_at),
        actor: metadata.map(|metadata| &metadata.actor),
        command_id: metadata.map(|metadata| metadata.command_id),
        correlation_id: metadata.map(|metadata| metadata.correlation_id.as_str()),
        causation_id: metadata.map(|metadata| metadata.causation_id),
        data: serde_json::from_slice(&logged.data).ok(),
    })
    .ok()
}
