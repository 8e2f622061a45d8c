use axum::{extract::State, response::Response};
use event_schemas::{Logged, Position};
use infra::{
    event_store::{Direction, EventStore, LogPage, ReadError},
    http::{BAD_REQUEST, Cursor, CursorValue, Faults, NOT_FOUND, Problem},
};

use super::asked::Wanted;
use crate::{
    QueryState,
    answers::Events,
    ask::Ask,
    list::Page,
    posted::{Posted, reached, unreadable_log},
};

/// The most events that one request looks at: of a filter that finds little, a page may be short
/// or empty and still have a next one.
const LOOKED_AT: usize = 100_000;

/// The most bytes of events in one page.
const PAGE_BYTES: usize = 4 << 20;

/// What of the log is asked for.
pub(crate) struct Range {
    wanted: Wanted,
    direction: Direction,
    /// From this event on (inclusive).
    from: Option<Position>,
    /// Up to this one (inclusive).
    to: Option<Position>,
    /// The last that the page before this one gave.
    after: Option<Position>,
    limit: usize,
    fingerprint: String,
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
        ("clock" = Option<String>, Query, description = "The time that since and until are of: `recorded` (unless given) or `occurred`"),
        ("stream" = Option<String>, Query, description = "Of this stream", example = "order-4b6a3c1e-5a43-5d6c-9d8e-0f1f7ce1a2b3"),
        ("category" = Option<String>, Query, description = "Of streams of this category", example = "order"),
        ("type" = Option<String>, Query, description = "Of this type", example = "OrderPlaced"),
        ("correlation" = Option<String>, Query, description = "All that came of one request"),
        ("actor" = Option<String>, Query, description = "Done by this actor"),
        ("backwards" = Option<bool>, Query, description = "`true`: the newest first"),
    ),
    responses((status = 200, description = "A page of events", body = Events))
)]
pub(crate) async fn events(
    State(state): State<QueryState>,
    mut ask: Ask,
) -> Result<Response, Problem> {
    let range = Range::read(&mut ask);
    answer(state, ask, &range, Wanted::shown).await
}

/// A page of the range, each event as it is to be shown.
pub(crate) async fn answer(
    state: QueryState,
    ask: Ask,
    range: &Range,
    show: fn(&Wanted, &Logged) -> Option<String>,
) -> Result<Response, Problem> {
    let asked = ask.finish()?;
    let head = reached(&state, &asked).await?;
    range.is_possible(&state, head).await?;
    let begin = range.begin(&state, show).await?;
    let found = find(&state.store, range, begin, show).await;
    let (items, next) = found.map_err(|error| unreadable_log(&error))?;
    Ok(Posted::at(&state, head, &asked).json(Page::document(&items, next.as_deref())))
}

/// Where reading begins, and what is found before it does.
struct Begin {
    place: Position,
    item: Option<String>,
}

impl Range {
    /// Takes the parameters of a list of events; faults are noted.
    pub(crate) fn read(ask: &mut Ask) -> Self {
        let (query, faults) = (&mut ask.query, &mut ask.faults);
        let mut position = |name| query.integer(name, 0..=i64::MAX, faults);
        let (from, to) = (position("from"), position("to"));
        if let (Some(from), Some(to)) = (from, to)
            && to < from
        {
            faults.parameter("to", "to is before from; swap them");
        }
        let place = |at: Option<i64>| at.map(|at| Position(at.unsigned_abs()));
        let wanted = Wanted::read(ask);
        Self::of(wanted, place(from), place(to), ask)
    }

    /// A range of what is wanted, with the parameters of every list.
    pub(crate) fn of(
        wanted: Wanted,
        from: Option<Position>,
        to: Option<Position>,
        ask: &mut Ask,
    ) -> Self {
        let (query, faults) = (&mut ask.query, &mut ask.faults);
        let backwards = query.choice("backwards", &[("true", true), ("false", false)], faults);
        let direction = match backwards {
            Some(true) => Direction::Backwards,
            _ => Direction::Forwards,
        };
        let fingerprint = format!("log {from:?} {to:?} {direction:?} {wanted:?}");
        let limit = query.limit(faults);
        let cursor = query.take("cursor", faults);
        let cursor = cursor.and_then(|text| Cursor::decode(&text, &fingerprint, faults));
        let after = match cursor.as_ref().map(|cursor| cursor.0.as_slice()) {
            Some([CursorValue::Int(after)]) => Some(Position(after.unsigned_abs())),
            _ => None,
        };
        Self { wanted, direction, from, to, after, limit, fingerprint }
    }

    /// What is asked for has to be there: an empty page would say that there was nothing.
    async fn is_possible(&self, state: &QueryState, head: Position) -> Result<(), Problem> {
        let mut faults = Faults::new();
        // Who follows the log asks for what comes next.
        if let Some(from) = self.from.filter(|from| from.0 > head.0.saturating_add(1)) {
            faults.parameter("from", format!("{from} lies beyond the end of the log, {head}"));
        }
        if let Some(since) =
            self.wanted.selection.since.filter(|since| *since > jiff::Timestamp::now().into())
        {
            let why = format!("{since} lies in the future: nothing is recorded yet");
            faults.parameter("since", why);
        }
        if !faults.is_empty() {
            return Err(faults.into_problem(&BAD_REQUEST));
        }
        let Some(stream) = &self.wanted.filter.stream else { return Ok(()) };
        match state.store.stream_head(stream).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Problem::new(&NOT_FOUND, format!("There is no stream {stream}."))),
            Err(error) => Err(unreadable_log(&error)),
        }
    }

    /// Finds the place before the first event wanted.
    async fn begin(
        &self,
        state: &QueryState,
        show: fn(&Wanted, &Logged) -> Option<String>,
    ) -> Result<Begin, Problem> {
        let store = &state.store;
        let missing = |name| {
            let mut faults = Faults::new();
            faults.parameter(name, "no event stands at this position; take one from an answer");
            faults.into_problem(&BAD_REQUEST)
        };
        let at = |place| Begin { place, item: None };
        match (self.after, self.direction, self.from, self.to) {
            (Some(after), ..) => Ok(at(after)),
            (None, Direction::Forwards, None, _) => {
                let before = self.wanted.nothing_before(&state.past).await;
                Ok(at(before.map_err(|error| unreadable_log(&error))?))
            }
            (None, Direction::Forwards, Some(from), _) => {
                let before = store.place_before(from).await;
                before
                    .map_err(|error| unreadable_log(&error))?
                    .map(at)
                    .ok_or_else(|| missing("from"))
            }
            (None, Direction::Backwards, _, Some(to))
                if to < store.head().await.map_err(|error| unreadable_log(&error))? =>
            {
                let event = store.event_at(to).await.map_err(|error| unreadable_log(&error))?;
                let event = event.ok_or_else(|| missing("to"))?;
                let item = self.wanted.filter.matches(&event).then(|| show(&self.wanted, &event));
                Ok(Begin { place: to, item: item.flatten() })
            }
            (None, Direction::Backwards, ..) => Ok(at(Position(u64::MAX))),
        }
    }

    /// Whether this place lies beyond all that is asked for.
    fn is_over(&self, place: Position) -> bool {
        match self.direction {
            Direction::Forwards => self.to.is_some_and(|to| place > to),
            Direction::Backwards => self.from.is_some_and(|from| place < from),
        }
    }

    fn next(&self, after: Position) -> String {
        let after = i64::try_from(after.0).unwrap_or(i64::MAX);
        Cursor::encode(&self.fingerprint, &[CursorValue::Int(after)])
    }
}

/// The events, JSON each, and the cursor of the next page.
async fn find(
    store: &EventStore,
    range: &Range,
    begin: Begin,
    show: fn(&Wanted, &Logged) -> Option<String>,
) -> Result<(Vec<String>, Option<String>), ReadError> {
    let mut items: Vec<String> = begin.item.into_iter().collect();
    let (mut after, mut looked_at, mut bytes) = (begin.place, 0, 0);
    loop {
        let LogPage { events, scanned_to, at_end } =
            store.read_log(after, range.direction, &range.wanted.filter, 1_000).await?;
        looked_at += events.len().max(1);
        for logged in &events {
            if range.is_over(logged.position) {
                return Ok((items, None));
            }
            if items.len() == range.limit || bytes >= PAGE_BYTES {
                return Ok((items, Some(range.next(after))));
            }
            after = logged.position;
            if let Some(item) = show(&range.wanted, logged) {
                bytes += item.len();
                items.push(item);
            }
        }
        after = scanned_to;
        if at_end || range.is_over(after) {
            return Ok((items, None));
        }
        if looked_at >= LOOKED_AT {
            return Ok((items, Some(range.next(after))));
        }
    }
}
