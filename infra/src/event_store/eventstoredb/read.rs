//! Reading, over one node. The server reads `$all` from a position on, inclusive forwards and
//! exclusive backwards; the port is exclusive both ways. Positions are those of events, system
//! events included: a place between two events cannot be read from.

use std::sync::Arc;

use event_schemas::{Logged, Position, Recorded, Revision, StreamName};
use eventstore::{
    Position as Place, ReadAllOptions, ReadEvent, ReadStream, ReadStreamOptions, RecordedEvent,
    StreamPosition,
};
use uuid::Uuid;

use super::{
    connection::Node,
    trouble::{Trouble, call},
};
use crate::event_store::{Direction, Filter, LogPage, MAX_PAGE, StreamPage};

/// A page ends when it holds this many bytes.
const PAGE_BYTES: usize = 4 << 20;
/// How many events a page of a filter looks at. The server is given no filter: over a long stretch
/// that it leaves out it would be silent, and nobody could tell whether it still works.
const MAX_SCAN: usize = MAX_PAGE;

impl Node {
    /// A page of a stream.
    pub(super) async fn stream_page(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<StreamPage, Trouble> {
        let mut page = StreamPage { events: Vec::new(), places: Vec::new(), at_end: true };
        // The server counts with signed integers, and takes what does not fit for the end.
        let start = match direction {
            _ if from.0 <= i64::MAX.unsigned_abs() => StreamPosition::Position(from.0),
            Direction::Forwards => return Ok(page),
            Direction::Backwards => StreamPosition::End,
        };
        // One more than asked for tells whether the page is the last.
        let options = self.stream_options(start, direction).max_count(limit + 1);
        let opened = call(self.patience, self.client.read_stream(stream.as_str(), &options)).await;
        let mut events = match opened {
            Ok(events) => events,
            Err(Trouble::NotFound) => return Ok(page),
            Err(trouble) => return Err(trouble),
        };
        let mut bytes = 0;
        loop {
            let event = match self.next(&mut events).await {
                Ok(Some(event)) => event,
                Ok(None) | Err(Trouble::NotFound) => return Ok(page),
                Err(trouble) => return Err(trouble),
            };
            if page.events.len() == limit {
                // What is asked for is taken to its end: a call that ends by itself costs least.
                page.at_end = false;
                continue;
            }
            if bytes >= PAGE_BYTES {
                page.at_end = false;
                return Ok(page);
            }
            bytes += event.data.len() + event.custom_metadata.len();
            // Before EventStoreDB's pull request 3459 the largest number stands there.
            let place = Some(event.position.commit).filter(|place| *place != u64::MAX);
            page.places.push(place.map(Position));
            page.events.push(Arc::new(recorded(event, stream.clone())));
        }
    }

    /// The revision of a stream's last event.
    pub(super) async fn stream_head(
        &self,
        stream: &StreamName,
    ) -> Result<Option<Revision>, Trouble> {
        let last = Revision(u64::MAX);
        let page = self.stream_page(stream, last, Direction::Backwards, 1).await?;
        Ok(page.events.first().map(|event| event.revision))
    }

    /// A page of the log beyond `from`. System events are left out, and `scanned_to` moves over
    /// them.
    pub(super) async fn log_page(
        &self,
        from: Position,
        direction: Direction,
        filter: &Filter,
        limit: usize,
    ) -> Result<LogPage, Trouble> {
        let scan = if filter.is_all() { limit } else { MAX_SCAN };
        // The event at `from` may be among them, and one more tells whether the page is the last.
        let ask = scan + 2;
        let mut page = LogPage { events: Vec::new(), scanned_to: from, at_end: true };
        let mut events = self.read_all(from, direction, ask).await?;
        let (mut seen, mut scanned, mut bytes) = (0, 0, 0);
        while let Some(event) = self.next(&mut events).await? {
            seen += 1;
            let position = Position(event.position.commit);
            let beyond = match direction {
                Direction::Forwards => position > from,
                Direction::Backwards => position < from,
            };
            if !beyond {
                continue;
            }
            if page.events.len() == limit || scanned == scan {
                page.at_end = false;
                continue;
            }
            if bytes >= PAGE_BYTES {
                page.at_end = false;
                return Ok(page);
            }
            scanned += 1;
            page.scanned_to = position;
            if let Some(recorded) = not_of_the_system(event)
                && filter.matches(&recorded)
            {
                bytes += recorded.data.len() + recorded.metadata.len();
                page.events.push(Logged { position, recorded: Arc::new(recorded) });
            }
        }
        page.at_end &= seen < ask;
        if page.at_end && direction == Direction::Backwards {
            page.scanned_to = Position::START;
        }
        Ok(page)
    }

    /// The position of the newest event, system events included.
    pub(super) async fn head(&self) -> Result<Position, Trouble> {
        let mut events = self.read_all(Position(u64::MAX), Direction::Backwards, 1).await?;
        let last = self.next(&mut events).await?;
        Ok(last.map_or(Position::START, |event| Position(event.position.commit)))
    }

    /// The event at exactly this position.
    pub(super) async fn event_at(&self, position: Position) -> Result<Option<Logged>, Trouble> {
        let trouble = match self.first_from(position).await {
            Err(trouble @ (Trouble::Broken(_) | Trouble::Unreadable | Trouble::Refused(_))) => {
                trouble
            }
            found => return found,
        };
        // Where no event begins the server reads nonsense and fails. If it can tell the head and
        // fails here again, nothing stands here.
        let head = self.head().await?;
        match self.first_from(position).await {
            Err(again) if again == trouble || head < position => {
                tracing::warn!(%position, %head, reason = %again, "no event begins there");
                Ok(None)
            }
            found => found,
        }
    }

    async fn first_from(&self, position: Position) -> Result<Option<Logged>, Trouble> {
        if position == Position::START {
            return Ok(None);
        }
        let mut events = self.read_all(position, Direction::Forwards, 1).await?;
        let first = self.next(&mut events).await?;
        let there = first.filter(|event| event.position.commit == position.0);
        Ok(there
            .and_then(not_of_the_system)
            .map(|recorded| Logged { position, recorded: Arc::new(recorded) }))
    }

    /// Where to read from so that the first event is the one at `position`: the place of the event
    /// before it. `None` if no event stands at `position` though the log has passed it.
    pub(super) async fn place_before(
        &self,
        position: Position,
    ) -> Result<Option<Position>, Trouble> {
        if position == Position::START {
            return Ok(Some(position));
        }
        if self.head().await? < position {
            return Ok(Some(position));
        }
        if self.event_at(position).await?.is_none() {
            return Ok(None);
        }
        let mut events = self.read_all(position, Direction::Backwards, 2).await?;
        while let Some(event) = self.next(&mut events).await? {
            if event.position.commit < position.0 {
                return Ok(Some(Position(event.position.commit)));
            }
        }
        Ok(Some(Position::START))
    }

    async fn read_all(
        &self,
        from: Position,
        direction: Direction,
        count: usize,
    ) -> Result<ReadStream, Trouble> {
        let start = match direction {
            Direction::Forwards if from == Position::START => StreamPosition::Start,
            Direction::Backwards if from.0 > i64::MAX.unsigned_abs() => StreamPosition::End,
            // An event that was not written in an explicit transaction, which only old TCP clients
            // knew, is prepared and committed in one place.
            _ => StreamPosition::Position(Place { commit: from.0, prepare: from.0 }),
        };
        let options = ReadAllOptions::default().position(start).max_count(count);
        let options = match direction {
            Direction::Forwards => options.forwards(),
            Direction::Backwards => options.backwards(),
        };
        // A follower may be behind, and what was acknowledged has to be seen.
        let options = options.requires_leader(true);
        let options = match self.credentials.clone() {
            Some(credentials) => options.authenticated(credentials),
            None => options,
        };
        call(self.patience, self.client.read_all(&options)).await
    }

    fn stream_options(
        &self,
        start: StreamPosition<u64>,
        direction: Direction,
    ) -> ReadStreamOptions {
        let options = ReadStreamOptions::default().position(start);
        let options = match direction {
            Direction::Forwards => options.forwards(),
            Direction::Backwards => options.backwards(),
        };
        let options = options.requires_leader(true);
        match self.credentials.clone() {
            Some(credentials) => options.authenticated(credentials),
            None => options,
        }
    }

    /// The next event; what the server tells beside is passed over.
    async fn next(&self, events: &mut ReadStream) -> Result<Option<RecordedEvent>, Trouble> {
        loop {
            match call(self.patience, events.next_read_event()).await? {
                Some(ReadEvent::Event(resolved)) => match resolved.event.or(resolved.link) {
                    Some(event) => return Ok(Some(event)),
                    None => return Err(Trouble::Unreadable),
                },
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }
}

/// The event, unless it is one of the server's own or stands in a stream that could not be ours.
fn not_of_the_system(event: RecordedEvent) -> Option<Recorded> {
    // The client takes the name for UTF-8 unseen.
    let name = std::str::from_utf8(event.stream_id().as_bytes()).ok()?;
    if name.starts_with('$') || event.event_type.starts_with('$') {
        return None;
    }
    let stream = StreamName::parse(name).ok()?;
    Some(recorded(event, stream))
}

fn recorded(event: RecordedEvent, stream: StreamName) -> Recorded {
    let RecordedEvent { id, revision, event_type, data, custom_metadata, .. } = event;
    let id: Uuid = id;
    // The server's time of an event is not looked at: the client cuts it to whole seconds.
    Recorded::new(id, stream, Revision(revision), event_type.into(), data, custom_metadata)
}
