//! Events and names for the tests.

use std::sync::atomic::{AtomicU64, Ordering};

use event_schemas::{ExpectedRevision, NewEvent, Position, Revision, StreamName};
use infra::event_store::{AppendError, Appended, Direction, EventStore, Filter, LogPage};
use uuid::Uuid;

/// An event that has never been.
pub(crate) fn event(event_type: &str) -> NewEvent {
    sized(event_type, 40)
}

/// The same with that much data.
pub(crate) fn sized(event_type: &str, bytes: usize) -> NewEvent {
    let data = format!("{{\"fill\":\"{}\"}}", "x".repeat(bytes));
    NewEvent::raw(
        Uuid::new_v4(),
        event_type.into(),
        data.into(),
        b"{\"schema_version\":1}"[..].into(),
    )
}

/// Events of the type `Happened`.
pub(crate) fn events(count: usize) -> Vec<NewEvent> {
    (0..count).map(|_| event("Happened")).collect()
}

/// A stream of this category that no other test of this process uses.
pub(crate) fn stream(category: &str) -> StreamName {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    StreamName::new(category, &format!("{}-{n}", std::process::id()))
}

/// Appends without minding the revision.
pub(crate) async fn append(
    store: &EventStore,
    stream: &StreamName,
    events: Vec<NewEvent>,
) -> Result<Appended, AppendError> {
    store.append(stream.clone(), ExpectedRevision::Any, events).await
}

/// Every page of the log that way, each of at most `limit` events.
pub(crate) async fn pages(
    store: &EventStore,
    from: Position,
    direction: Direction,
    filter: &Filter,
    limit: usize,
) -> Vec<LogPage> {
    let mut pages: Vec<LogPage> = Vec::new();
    loop {
        let from = pages.last().map_or(from, |page| page.scanned_to);
        let page = store.read_log(from, direction, filter, limit).await.unwrap();
        assert!(page.events.len() <= limit);
        let at_end = page.at_end;
        pages.push(page);
        if at_end {
            return pages;
        }
    }
}

/// The positions in pages.
pub(crate) fn positions(pages: &[LogPage]) -> Vec<u64> {
    pages.iter().flat_map(|page| &page.events).map(|event| event.position.0).collect()
}

/// The end of a log or stream, for reading backwards.
pub(crate) const END: Position = Position(u64::MAX);
/// The same of a stream.
pub(crate) const LAST: Revision = Revision(u64::MAX);
