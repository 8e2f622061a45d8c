use std::{convert::Infallible, fmt::Write, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use event_schemas::{Logged, Position, StoreId};
use futures::stream;
use http::{HeaderMap, header};
use infra::{
    event_store::{LogPage, Subscription},
    http::{Draining, Faults, Problem, position_in},
};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::asked::Wanted;
use crate::{QueryState, ask::Ask, posted::unreadable_log};

/// So often a listener is told that the line stands.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// What a listener whose line was cut waits before it comes again, in milliseconds.
const RETRY: u32 = 1_000;
/// About so many bytes go out at once.
const CHUNK: usize = 64 << 10;

/// One listener. It is asked for more when the connection has taken what it got: who is slow reads
/// slowly, and who takes nothing for a while is cut off by the connection.
struct Listener {
    subscription: Subscription,
    wanted: Wanted,
    store: StoreId,
    /// The last place that it was told of.
    place: Position,
    /// Read and not yet sent.
    page: std::vec::IntoIter<Logged>,
    heartbeat: Interval,
    draining: Option<Draining>,
    begun: bool,
}

/// The log as it goes on
///
/// Server-sent events: one for each event that is wanted, its data as in `/v1/events`, its id the
/// place in the log. Begins with what comes from now on, or with `from` (inclusive), or behind
/// `Last-Event-ID` (exclusive), which browsers send by themselves when a line was cut. Every ten seconds
/// there is a heartbeat; a listener who takes nothing for half a minute is cut off.
#[utoipa::path(
    get, path = "/v1/events/live", tag = "log", operation_id = "listen",
    params(
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that came"),
        ("from" = Option<u64>, Query, description = "From this position on (inclusive); 0 is the beginning"),
        ("since" = Option<String>, Query, format = "date-time", description = "Recorded then or later (inclusive)"),
        ("until" = Option<String>, Query, format = "date-time", description = "Recorded before (exclusive)"),
        ("clock" = Option<String>, Query, description = "The time that since and until are of: `recorded` (unless given) or `occurred`"),
        ("stream" = Option<String>, Query, description = "Of this stream"),
        ("category" = Option<String>, Query, description = "Of streams of this category", example = "order"),
        ("type" = Option<String>, Query, description = "Of this type", example = "OrderPlaced"),
        ("correlation" = Option<String>, Query, description = "All that came of one request"),
        ("actor" = Option<String>, Query, description = "Done by this actor"),
    ),
    responses((status = 200, description = "The events", content_type = "text/event-stream", body = String))
)]
pub(crate) async fn live(
    State(state): State<QueryState>,
    draining: Option<Extension<Draining>>,
    headers: HeaderMap,
    mut ask: Ask,
) -> Result<Response, Problem> {
    let from = ask.query.integer("from", 0..=i64::MAX, &mut ask.faults);
    let last = position_in(&headers, "Last-Event-ID", state.store.id(), &mut ask.faults);
    let wanted = Wanted::read(&mut ask);
    ask.finish()?;
    let place = begin(&state, last, from.map(|from| Position(from.unsigned_abs()))).await?;
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let listener = Listener {
        subscription: state.store.subscribe(place, wanted.filter.clone()),
        wanted,
        store: state.store.id(),
        place,
        page: Vec::new().into_iter(),
        heartbeat,
        draining: draining.map(|Extension(draining)| draining),
        begun: false,
    };
    let chunks = stream::unfold(listener, |mut listener| async move {
        let chunk = listener.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), listener))
    });
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

/// Where to listen from: behind the last event, before `from`, else what comes from now on.
async fn begin(
    state: &QueryState,
    last: Option<Position>,
    from: Option<Position>,
) -> Result<Position, Problem> {
    let unreadable = |error| unreadable_log(&error);
    let head = state.store.head().await.map_err(unreadable)?;
    let mut faults = Faults::new();
    let beyond = |at| format!("{at} is beyond the head of the log, {head}; leave it out");
    let place = match (last, from) {
        (Some(last), _) if last > head => {
            faults.header("Last-Event-ID", beyond(last));
            None
        }
        (Some(last), _) => Some(last),
        (None, Some(from)) if from > head => {
            faults.parameter("from", beyond(from));
            None
        }
        (None, Some(from)) => {
            let before = state.store.place_before(from).await.map_err(unreadable)?;
            if before.is_none() {
                faults
                    .parameter("from", "no event stands at this position; take one from an answer");
            }
            before
        }
        (None, None) => Some(head),
    };
    faults.check()?;
    Ok(place.unwrap_or(head))
}

impl Listener {
    /// What goes out next; `None` if the line ends here.
    async fn next(&mut self) -> Option<String> {
        if !self.begun {
            self.begun = true;
            self.heartbeat.reset();
            return Some(format!("retry: {RETRY}\n{}", self.told()));
        }
        loop {
            if let Some(chunk) = self.chunk() {
                return Some(chunk);
            }
            let draining = async {
                match &mut self.draining {
                    Some(draining) => draining.begun().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                page = self.subscription.next() => match page {
                    Ok(LogPage { events, scanned_to, .. }) => {
                        // Where nothing passes the filter, the place moves all the same.
                        if events.is_empty() {
                            self.place = scanned_to;
                        }
                        self.page = events.into_iter();
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a listener is cut off and may come again");
                        return None;
                    }
                },
                _ = self.heartbeat.tick() => return Some(format!(": heartbeat\n{}", self.told())),
                () = draining => return None,
            }
        }
    }

    /// An id without data: the listener goes on from there, and sees nothing of it.
    fn told(&self) -> String {
        format!("id: {}:{}\n\n", self.store, self.place)
    }

    /// As many of the events read as go out at once.
    fn chunk(&mut self) -> Option<String> {
        let mut chunk = String::new();
        while chunk.len() < CHUNK {
            let Some(logged) = self.page.next() else { break };
            self.place = logged.position;
            let Some(data) = self.wanted.shown(&logged) else { continue };
            let _ = writeln!(chunk, "id: {}:{}", self.store, self.place);
            // A line end within data would end the field.
            for line in data.split(['\n', '\r']) {
                let _ = writeln!(chunk, "data: {line}");
            }
            chunk.push('\n');
        }
        (!chunk.is_empty()).then_some(chunk)
    }
}
