use std::sync::Arc;

use event_schemas::{
    DecodeError, Event, Logged, Position, Recorded, Revision, StreamName, Timestamp,
    resource::StockResource,
};
use infra::{
    event_store::{Direction, EventStore, MAX_PAGE, ReadError, StreamPage},
    snapshots::{SnapshotAt, Snapshots},
};
use serde::Serialize;
use thiserror::Error;

use crate::{Change, Chronology, Clock, Kind, Place, State, changes};

/// A state is kept after so many events of its stream: so many are folded at most.
const KEEP_EVERY: u64 = 1_000;
/// The version of the code that folds what is kept.
const CODE: u32 = 1;

/// A moment in the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// All that is there.
    Newest,
    /// By one of the two clocks.
    Time(Timestamp, Clock),
    /// A place in the log (inclusive).
    Position(Position),
    /// A place in the stream (inclusive).
    Revision(Revision),
}

/// Something as it was, and what made it so.
#[derive(Clone, Debug)]
pub struct AsOf {
    /// What it was.
    pub state: State,
    /// The last event of its stream that counts.
    pub last: Arc<Recorded>,
    /// Where that stands in the log, where the store tells.
    pub position: Option<Position>,
    /// How many events up to the moment were recorded earlier than one before them; other than 0
    /// says that clocks ran back, and the time does not cut cleanly.
    pub clocks_ran_back: u64,
}

/// An event of a stream and what it changed.
#[derive(Debug)]
pub struct Step {
    /// The event.
    pub event: Arc<Recorded>,
    /// What it changed.
    pub changes: Vec<Change>,
}

/// Why a past state cannot be told.
#[derive(Debug, Error)]
pub enum PastError {
    /// Nothing like that ever was.
    #[error("there is no {} {id:?}", kind.name())]
    NeverWas {
        /// What was asked for.
        kind: Kind,
        /// Its id.
        id: String,
    },
    /// It came later.
    #[error("the {} {id:?} was not there yet: its first event was recorded at {first}", kind.name())]
    NotYet {
        /// What was asked for.
        kind: Kind,
        /// Its id.
        id: String,
        /// When it came, by the clock that was asked for.
        first: Timestamp,
    },
    /// The moment is not over.
    #[error("{time} lies in the future: what will be known then is not known yet")]
    Future {
        /// The time.
        time: Timestamp,
    },
    /// The log has not come so far.
    #[error("position {position} is beyond the head of the log, {head}")]
    BeyondLog {
        /// What was asked for.
        position: Position,
        /// The newest event's.
        head: Position,
    },
    /// The stream has not come so far.
    #[error("revision {revision} is beyond the head of the stream, {head}")]
    BeyondStream {
        /// What was asked for.
        revision: Revision,
        /// The newest event's.
        head: Revision,
    },
    /// An old server.
    #[error(
        "this event store does not tell where in the log a stream's events stand: ask by revision or time"
    )]
    NoPlaces,
    /// An event cannot be read.
    #[error("{stream}@{revision} cannot be read: {error}")]
    Unreadable {
        /// Its stream.
        stream: StreamName,
        /// Its place.
        revision: Revision,
        /// Why.
        error: DecodeError,
    },
    /// The event store cannot be read now.
    #[error(transparent)]
    Store(#[from] ReadError),
}

/// What was, read from the event store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Past {
    store: EventStore,
    /// Where states of long streams are kept; they can be thrown away.
    snapshots: Option<Snapshots>,
    chronology: Arc<Chronology>,
}

/// An event of a stream with its place in the log, where the store tells.
type Placed = (Arc<Recorded>, Option<Position>);

impl Past {
    /// The past of a store.
    pub fn new(
        store: EventStore,
        snapshots: Option<Snapshots>,
        chronology: Arc<Chronology>,
    ) -> Self {
        Self { store, snapshots, chronology }
    }

    /// The last place of the log that counts at a time, by the clock of who recorded.
    ///
    /// # Errors
    /// [`PastError::Future`], [`PastError::Store`]
    pub async fn place_at(&self, time: Timestamp, now: Timestamp) -> Result<Place, PastError> {
        if time > now {
            return Err(PastError::Future { time });
        }
        Ok(self.chronology.place_at(&self.store, time).await?)
    }

    /// A place up to which everything was recorded before `time`.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn recorded_before(&self, time: Timestamp) -> Result<Position, ReadError> {
        let before = Timestamp::saturating(time.as_micros().saturating_sub(1));
        Ok(self.chronology.place_at(&self.store, before).await?.position)
    }

    /// The same as far as it is known, without reading the log.
    pub fn known_before(&self, time: Timestamp) -> Position {
        self.chronology.known_before(time)
    }

    /// Keeps how far times are known, for the next start.
    pub async fn keep_times(&self) {
        let Some(snapshots) = self.snapshots.clone() else { return };
        if let Some(bytes) = self.chronology.bytes(&snapshots) {
            let keep = move || Chronology::keep(&snapshots, &bytes);
            let _ = tokio::task::spawn_blocking(keep).await;
        }
    }

    /// Follows the log, so that times are found fast, and keeps states of long streams. Ends with the
    /// store.
    pub async fn follow(self) {
        let mut subscription =
            self.store.subscribe(self.chronology.position(), infra::event_store::Filter::all());
        loop {
            match subscription.next().await {
                Ok(page) => {
                    self.chronology.note(&page);
                    for event in &page.events {
                        self.keep_due(event).await;
                    }
                    if self.chronology.is_due() {
                        self.keep_times().await;
                    }
                }
                Err(ReadError::Closed) => return,
                Err(error) => {
                    tracing::debug!(%error, "the log cannot be followed now");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn keep_due(&self, event: &Logged) {
        let Some(kind) = Kind::of(&event.stream).filter(|kind| is_kept(*kind, event.revision))
        else {
            return;
        };
        // Folding up to there keeps it.
        if let Err(error) = self.at_revision(kind, &event.stream, event.revision).await {
            tracing::debug!(%error, stream = %event.stream, "a past state was not kept");
        }
    }

    /// What something was at a moment; `now` is the caller's clock.
    ///
    /// # Errors
    /// [`PastError`]
    pub async fn as_of(
        &self,
        kind: Kind,
        id: &str,
        at: At,
        now: Timestamp,
    ) -> Result<AsOf, PastError> {
        let stream = kind.stream(id);
        let never_was = || PastError::NeverWas { kind, id: id.to_owned() };
        let head = self.store.stream_head(&stream).await?.ok_or_else(never_was)?;
        let mut clocks_ran_back = 0;
        let revision = match at {
            At::Time(time, _) if time > now => return Err(PastError::Future { time }),
            At::Time(time, Clock::Occurred) => {
                return self.occurred_by(kind, id, time).await;
            }
            At::Revision(revision) if revision > head => {
                return Err(PastError::BeyondStream { revision, head });
            }
            At::Revision(revision) => Some(revision),
            At::Newest => Some(head),
            At::Position(position) => {
                let head_of_log = self.store.head().await?;
                if position > head_of_log {
                    return Err(PastError::BeyondLog { position, head: head_of_log });
                }
                let within =
                    |(_, place): &Placed| Ok(place.ok_or(PastError::NoPlaces)? <= position);
                self.last_where(&stream, head, within).await?
            }
            At::Time(time, Clock::Recorded) => {
                let place = self.place_at(time, now).await?;
                clocks_ran_back = place.ran_back;
                let within = |(event, at): &Placed| {
                    // An old server tells no places: then the event's own time has to do.
                    let by_time = || event.recorded_at().is_some_and(|at| at <= time);
                    Ok(at.map_or_else(by_time, |at| at <= place.position))
                };
                self.last_where(&stream, head, within).await?
            }
        };
        let state = match revision {
            Some(revision) => self.at_revision(kind, &stream, revision).await?,
            None => None,
        };
        match state {
            Some((state, (last, position))) => Ok(AsOf { state, last, position, clocks_ran_back }),
            None => Err(self.not_yet(kind, id).await?),
        }
    }

    /// Every event of a stream after one moment up to another, and what it changed.
    ///
    /// # Errors
    /// [`PastError`]
    pub async fn steps(&self, kind: Kind, from: &AsOf, to: &AsOf) -> Result<Vec<Step>, PastError> {
        let stream = &to.last.stream;
        let mut state = Some(from.state.clone());
        let mut steps = Vec::new();
        let mut next = from.last.revision.next();
        while next <= to.last.revision {
            let page = self.page(stream, next, Direction::Forwards, MAX_PAGE).await?;
            for (event, _) in page {
                if event.revision > to.last.revision {
                    break;
                }
                next = event.revision.next();
                let before = json(&state);
                state = evolve(kind, state, &event)?;
                steps.push(Step { changes: changes(&before, &json(&state)), event });
            }
        }
        Ok(steps)
    }

    /// The newest event for which it holds, given that it holds up to some revision and not beyond.
    async fn last_where(
        &self,
        stream: &StreamName,
        head: Revision,
        holds: impl Fn(&Placed) -> Result<bool, PastError>,
    ) -> Result<Option<Revision>, PastError> {
        // It holds for all below `least`, and for none from `most` on.
        let (mut least, mut most) = (0, head.0.saturating_add(1));
        while least < most {
            let middle = least + (most - least) / 2;
            let page = self.page(stream, Revision(middle), Direction::Forwards, 1).await?;
            let Some(event) = page.first() else { break };
            if holds(event)? {
                // A stream may have lost its beginning: its first event is further on then.
                least = event.0.revision.0 + 1;
            } else {
                most = middle;
            }
        }
        Ok(least.checked_sub(1).map(Revision))
    }

    /// The state after that event, and the event.
    async fn at_revision(
        &self,
        kind: Kind,
        stream: &StreamName,
        revision: Revision,
    ) -> Result<Option<(State, Placed)>, PastError> {
        if kind == Kind::Stock
            && let Some(counted) = self.counted(stream, revision).await?
        {
            return Ok(Some(counted));
        }
        let (mut state, mut next) = match self.kept(kind, stream, revision).await? {
            Some((state, at)) => (Some(state), at.next()),
            None => (None, Revision(0)),
        };
        let mut last = None;
        loop {
            let limit = usize::try_from(revision.0.saturating_add(1) - next.0).unwrap_or(MAX_PAGE);
            if limit == 0 {
                break;
            }
            let page = self.page(stream, next, Direction::Forwards, limit.min(MAX_PAGE)).await?;
            let Some((newest, _)) = page.last() else { break };
            next = newest.revision.next();
            for placed in page {
                if placed.0.revision > revision {
                    break;
                }
                state = evolve(kind, state, &placed.0)?;
                if let Some(state) = &state {
                    self.keep(kind, &placed.0, state);
                }
                last = Some(placed);
            }
        }
        let last = match last {
            Some(last) => Some(last),
            None => self.page(stream, revision, Direction::Backwards, 1).await?.pop(),
        };
        Ok(state.zip(last))
    }

    /// What the event says of its sku's numbers, if it counted: then nothing before it is needed.
    async fn counted(
        &self,
        stream: &StreamName,
        revision: Revision,
    ) -> Result<Option<(State, Placed)>, PastError> {
        let page = self.page(stream, revision, Direction::Backwards, 1).await?;
        let Some(newest) = page.first() else { return Ok(None) };
        let decoded = newest.0.decode().map_err(|error| unreadable(&newest.0, error))?;
        let Event::Stock(event) = &decoded.event else { return Ok(None) };
        Ok(StockResource::counted(event).map(|(on_hand, reserved)| {
            let state = StockResource::of(stream.id(), on_hand, reserved);
            (State::Stock(state), newest.clone())
        }))
    }

    /// The newest state that was kept at or before that event, if it is one of this stream's.
    async fn kept(
        &self,
        kind: Kind,
        stream: &StreamName,
        revision: Revision,
    ) -> Result<Option<(State, Revision)>, PastError> {
        let Some(snapshots) = &self.snapshots else { return Ok(None) };
        for number in (1..=revision.0 / KEEP_EVERY).rev() {
            let name = name(stream, Revision(number * KEEP_EVERY));
            let Some((at, json)) = snapshots.load::<String>(&name, CODE) else { continue };
            let there = self.page(stream, at.at, Direction::Forwards, 1).await?;
            let same = there.first().is_some_and(|(event, _)| event.id == at.event);
            if let Some(state) = kind.read(&json).filter(|_| same && at.at <= revision) {
                return Ok(Some((state, at.at)));
            }
            tracing::warn!(%stream, "a kept state is not of this stream and is thrown away");
            snapshots.forget(&name);
        }
        Ok(None)
    }

    fn keep(&self, kind: Kind, event: &Recorded, state: &State) {
        let Some(snapshots) = self.snapshots.as_ref().filter(|_| is_kept(kind, event.revision))
        else {
            return;
        };
        let (name, at) = (
            name(&event.stream, event.revision),
            SnapshotAt { at: event.revision, event: event.id },
        );
        // Texts and numbers: nothing that JSON cannot hold.
        let json = serde_json::to_string(state).unwrap_or_default();
        match snapshots.encode(&name, CODE, at, &json) {
            Ok(bytes) => snapshots.write(&name, &bytes),
            Err(error) => tracing::warn!(%error, name, "a past state was not kept"),
        }
    }

    /// What was so at a time as known now: the events that had happened, in the order in which they
    /// did.
    async fn occurred_by(&self, kind: Kind, id: &str, time: Timestamp) -> Result<AsOf, PastError> {
        let stream = kind.stream(id);
        let (mut happened, mut next) = (Vec::new(), Revision(0));
        loop {
            let page = self.page(&stream, next, Direction::Forwards, MAX_PAGE).await?;
            let Some((newest, _)) = page.last() else { break };
            next = newest.revision.next();
            for placed in page {
                let decoded = placed.0.decode().map_err(|error| unreadable(&placed.0, error))?;
                let at = decoded.metadata.occurred_at;
                if at <= time {
                    happened.push((at, placed));
                }
            }
        }
        happened.sort_by_key(|(at, _)| *at);
        let mut state = None;
        for (_, (event, _)) in &happened {
            state = evolve(kind, state, event)?;
        }
        match (state, happened.pop()) {
            (Some(state), Some((_, (last, position)))) => {
                Ok(AsOf { state, last, position, clocks_ran_back: 0 })
            }
            _ => Err(self.not_yet(kind, id).await?),
        }
    }

    async fn not_yet(&self, kind: Kind, id: &str) -> Result<PastError, PastError> {
        let page = self.page(&kind.stream(id), Revision(0), Direction::Forwards, 1).await?;
        let first = page.first().and_then(|(event, _)| event.recorded_at());
        let id = id.to_owned();
        Ok(match first {
            Some(first) => PastError::NotYet { kind, id, first },
            None => PastError::NeverWas { kind, id },
        })
    }

    async fn page(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Placed>, PastError> {
        let StreamPage { events, places, .. } =
            self.store.read_stream(stream, from, direction, limit).await?;
        Ok(events.into_iter().zip(places).collect())
    }
}

/// Whether the state after that event of such a thing is kept.
const fn is_kept(kind: Kind, revision: Revision) -> bool {
    let folded = matches!(kind, Kind::Order | Kind::Product);
    folded && revision.0 != 0 && revision.0.is_multiple_of(KEEP_EVERY)
}

fn name(stream: &StreamName, revision: Revision) -> String {
    format!("past {stream}@{revision}")
}

fn evolve(kind: Kind, before: Option<State>, event: &Recorded) -> Result<Option<State>, PastError> {
    // Others may have put into the stream what is not of this kind.
    if Kind::of(&event.stream) != Some(kind) || event.is_systems() {
        return Ok(before);
    }
    State::evolve(before, event).map_err(|error| unreadable(event, &error))
}

fn unreadable(event: &Recorded, error: &DecodeError) -> PastError {
    let (stream, revision) = (event.stream.clone(), event.revision);
    PastError::Unreadable { stream, revision, error: error.clone() }
}

fn json(state: &impl Serialize) -> serde_json::Value {
    // Texts and numbers: nothing that JSON cannot hold.
    serde_json::to_value(state).unwrap_or_default()
}
