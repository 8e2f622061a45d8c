use std::sync::{PoisonError, RwLock};

use event_schemas::{Position, Recorded, Revision, Timestamp};
use infra::{
    event_store::{Direction, EventStore, Filter, LogPage, MAX_PAGE, ReadError},
    snapshots::{SnapshotAt, Snapshots},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The name that it is kept under between two starts, and the version of what is kept.
const KEPT: (&str, u32) = ("chronology", 1);
/// After so many marks it is kept again.
const KEEP_EVERY: usize = 100;
/// After so many events a mark is set: so many are looked at to find a time.
const MARK_EVERY: usize = 1_000;

/// Up to where the log had come at a time: its longest prefix with no event recorded later.
///
/// Clocks may run back from one event to the next, so no event tells this by itself. What does is
/// the latest time of all events up to a place, which only grows; it is marked every so often.
#[derive(Debug, Default)]
pub struct Chronology(RwLock<Marks>);

/// A place in the log with what is known of the times up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The last event that counts.
    pub position: Position,
    /// How many events up to here were recorded earlier, by their own clock, than one before them:
    /// unless it is 0, the time does not cut cleanly.
    pub ran_back: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Marks {
    marks: Vec<Mark>,
    now: Mark,
    /// The event that stands at `now`, to be met there again.
    last: Option<Uuid>,
    since: usize,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Mark {
    position: u64,
    /// Microseconds; the latest of all up to here.
    latest: Option<i64>,
    ran_back: u64,
}

impl Mark {
    fn note(&mut self, position: Position, recorded: &Recorded) {
        self.position = position.0;
        let Some(at) = recorded.recorded_at().map(Timestamp::as_micros) else { return };
        if self.latest.is_some_and(|latest| at < latest) {
            self.ran_back += 1;
        }
        self.latest = self.latest.max(Some(at));
    }

    const fn place(self) -> Place {
        Place { position: Position(self.position), ran_back: self.ran_back }
    }
}

impl Chronology {
    /// As it was kept, if that is still of this log.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn load(store: &EventStore, snapshots: &Snapshots) -> Result<Self, ReadError> {
        let Some((at, marks)) = snapshots.load::<Marks>(KEPT.0, KEPT.1) else {
            return Ok(Self::default());
        };
        let there = store.event_at(Position(marks.now.position)).await?;
        if there.is_none_or(|event| event.id != at.event) {
            tracing::warn!("the chronology is of another log and is thrown away");
            snapshots.forget(KEPT.0);
            return Ok(Self::default());
        }
        Ok(Self(RwLock::new(marks)))
    }

    /// How far it knows the log.
    pub fn position(&self) -> Position {
        Position(self.0.read().unwrap_or_else(PoisonError::into_inner).now.position)
    }

    /// Takes the page of the whole log that follows what it knows.
    pub fn note(&self, page: &LogPage) {
        let mut marks = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for event in &page.events {
            marks.now.note(event.position, event);
            marks.last = Some(event.id);
            marks.since += 1;
            if marks.since == MARK_EVERY {
                let now = marks.now;
                marks.marks.push(now);
                marks.since = 0;
            }
        }
    }

    /// Whether so much was added that it is time to keep it.
    pub fn is_due(&self) -> bool {
        let marks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        marks.since == 0 && !marks.marks.is_empty() && marks.marks.len().is_multiple_of(KEEP_EVERY)
    }

    /// The bytes to keep; none while nothing is known.
    pub fn bytes(&self, snapshots: &Snapshots) -> Option<Vec<u8>> {
        let marks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let at = SnapshotAt { at: Revision(marks.now.position), event: marks.last? };
        let bytes = snapshots.encode(KEPT.0, KEPT.1, at, &*marks);
        bytes.inspect_err(|error| tracing::warn!(%error, "the chronology was not kept")).ok()
    }

    /// Keeps the bytes.
    pub fn keep(snapshots: &Snapshots, bytes: &[u8]) {
        snapshots.write(KEPT.0, bytes);
    }

    /// A place up to which everything was recorded before `time`, as far as is known without reading.
    pub fn known_before(&self, time: Timestamp) -> Position {
        let before = Timestamp::saturating(time.as_micros().saturating_sub(1));
        Position(self.before(before).position)
    }

    /// Up to where the log had come at `time`. What it does not know yet is read.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn place_at(&self, store: &EventStore, time: Timestamp) -> Result<Place, ReadError> {
        let mut mark = self.before(time);
        loop {
            let from = Position(mark.position);
            let page = store.read_log(from, Direction::Forwards, &Filter::all(), MAX_PAGE).await?;
            for event in &page.events {
                if event.recorded_at().is_some_and(|at| at > time) {
                    return Ok(mark.place());
                }
                mark.note(event.position, event);
            }
            mark.position = mark.position.max(page.scanned_to.0);
            if page.at_end {
                return Ok(mark.place());
            }
        }
    }

    /// The last mark at or before that time.
    fn before(&self, time: Timestamp) -> Mark {
        let marks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let count = marks.marks.partition_point(|mark| mark.latest <= Some(time.as_micros()));
        count.checked_sub(1).and_then(|last| marks.marks.get(last)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use event_schemas::{ExpectedRevision, NewEvent, Received, StreamName};
    use infra::event_store::SqliteOptions;

    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::saturating(i64::try_from(second).unwrap() * 1_000_000)
    }

    /// One event a second.
    async fn append(store: &EventStore, seconds: std::ops::Range<u64>) {
        let event = |second: u64| {
            let event = NewEvent::raw(Uuid::new_v4(), "Seen".into(), "1".into(), "".into());
            event.received(Received { at: at(second), json: true })
        };
        let stream = StreamName::new("seen", "it");
        let events = seconds.map(event).collect();
        store.append(stream, ExpectedRevision::Any, events).await.unwrap();
    }

    async fn follow(chronology: &Chronology, store: &EventStore) {
        loop {
            let (from, all) = (chronology.position(), Filter::all());
            let page = store.read_log(from, Direction::Forwards, &all, MAX_PAGE).await.unwrap();
            chronology.note(&page);
            if page.at_end {
                return;
            }
        }
    }

    #[tokio::test]
    async fn what_was_kept_at_the_end_need_not_be_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = SqliteOptions::new(dir.path().join("events.sqlite"));
        let store = EventStore::open_sqlite(file).await.unwrap();
        let snapshots = Snapshots::open(dir.path().join("snapshots"), store.id()).unwrap();
        let chronology = Chronology::default();
        assert_eq!(chronology.bytes(&snapshots), None, "nothing is known");
        for part in 0..5 {
            append(&store, part * 500..(part + 1) * 500).await;
        }
        follow(&chronology, &store).await;
        assert!(!chronology.is_due());
        Chronology::keep(&snapshots, &chronology.bytes(&snapshots).unwrap());

        let again = Chronology::load(&store, &snapshots).await.unwrap();
        assert_eq!(again.position(), store.head().await.unwrap());
        // The mark behind the first 1,000 events, and behind 2,000; no event is passed over.
        for (second, place) in [(0, 0), (999, 0), (1_000, 1_000), (1_999, 1_000), (9_999, 2_000)] {
            assert_eq!(again.known_before(at(second)), Position(place), "{second}");
        }
        append(&store, 2_500..3_100).await;
        follow(&again, &store).await;
        assert_eq!(again.known_before(at(3_000)), Position(3_000));
        let place = again.place_at(&store, at(2_700)).await.unwrap();
        assert_eq!(place, Place { position: Position(2_701), ran_back: 0 });
    }

    #[tokio::test]
    async fn what_was_kept_of_another_log_is_thrown_away() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("events.sqlite");
        let store = EventStore::open_sqlite(SqliteOptions::new(&file)).await.unwrap();
        append(&store, 0..3).await;
        store.close().await.unwrap();
        let yesterday = std::fs::read(&file).unwrap();
        let store = EventStore::open_sqlite(SqliteOptions::new(&file)).await.unwrap();
        let snapshots = Snapshots::open(dir.path().join("snapshots"), store.id()).unwrap();
        append(&store, 3..6).await;
        let chronology = Chronology::default();
        follow(&chronology, &store).await;
        Chronology::keep(&snapshots, &chronology.bytes(&snapshots).unwrap());
        store.close().await.unwrap();
        std::fs::write(&file, yesterday).unwrap();
        let store = EventStore::open_sqlite(SqliteOptions::new(&file)).await.unwrap();
        append(&store, 3..6).await;
        let again = Chronology::load(&store, &snapshots).await.unwrap();
        assert_eq!(again.position(), Position::START);
    }
}
