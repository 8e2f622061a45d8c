//! The newest events in memory, shared with every live reader: whoever is not far behind reads
//! neither the disk nor the JSON again.

use std::{
    collections::VecDeque,
    sync::{PoisonError, RwLock},
};

use event_schemas::{Logged, Position};
use tokio::sync::watch;

use super::{Filter, LogPage, PageSize, ReadError};

/// The most events that one page looks at, whatever the filter leaves out.
const MAX_SCAN: usize = 10_000;

/// Every event from some position on up to the head, bounded in number and bytes, and the head
/// itself to wait on.
#[derive(Debug)]
pub(super) struct Recent {
    ring: RwLock<Ring>,
    /// `None` once the store is closed.
    head: watch::Sender<Option<Position>>,
    max_events: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Ring {
    events: VecDeque<Logged>,
    bytes: usize,
    /// Everything beyond this position is held.
    before: Position,
    /// Up to here everything was looked at: the newest event, or what is held back behind it.
    reached: Position,
}

impl Recent {
    pub(super) fn new(head: Position, max_events: usize, max_bytes: usize) -> Self {
        let ring = Ring { events: VecDeque::new(), bytes: 0, before: head, reached: head };
        Self {
            ring: RwLock::new(ring),
            head: watch::Sender::new(Some(head)),
            max_events,
            max_bytes,
        }
    }

    /// Makes events known that directly follow the ones before, and that up to `reached` there is
    /// nothing else.
    pub(super) fn publish(&self, events: Vec<Logged>, reached: Position) {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        ring.bytes += events.iter().map(size).sum::<usize>();
        ring.events.extend(events);
        ring.reached = ring.reached.max(reached);
        while ring.events.len() > self.max_events || ring.bytes > self.max_bytes {
            let Some(oldest) = ring.events.pop_front() else { break };
            ring.bytes -= size(&oldest);
            ring.before = oldest.position;
        }
        drop(ring);
        self.head.send_if_modified(|known| {
            let moved = known.is_some_and(|known| known < reached);
            if moved {
                *known = Some(reached);
            }
            moved
        });
    }

    /// The position of the newest event published.
    pub(super) fn head(&self) -> Option<Position> {
        *self.head.borrow()
    }

    /// From now on nobody waits any more.
    pub(super) fn close(&self) {
        self.head.send_replace(None);
    }

    /// Waits until there is something beyond `after`.
    pub(super) async fn wait_beyond(&self, after: Position) -> Result<(), ReadError> {
        let mut head = self.head.subscribe();
        let reached = head.wait_for(|head| head.is_none_or(|head| head > after)).await;
        match reached.as_deref() {
            Ok(Some(_)) => Ok(()),
            Ok(None) | Err(_) => Err(ReadError::Closed),
        }
    }

    /// A page of what lies beyond `after`; `None` if not all of that is held any more.
    pub(super) fn page(&self, after: Position, filter: &Filter, most: PageSize) -> Option<LogPage> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        if after < ring.before {
            return None;
        }
        let mut page = LogPage { events: Vec::new(), scanned_to: after, at_end: true };
        let first = ring.events.partition_point(|event| event.position <= after);
        let mut bytes = 0;
        for (scanned, event) in ring.events.range(first..).enumerate() {
            if page.events.len() == most.events || bytes >= most.bytes || scanned == MAX_SCAN {
                page.at_end = false;
                break;
            }
            page.scanned_to = event.position;
            if filter.is_all() || filter.matches(event.stream.category(), &event.event_type) {
                bytes += size(event);
                page.events.push(event.clone());
            }
        }
        if page.at_end {
            page.scanned_to = ring.reached.max(after);
        }
        Some(page)
    }
}

fn size(event: &Logged) -> usize {
    event.data.len() + event.metadata.len()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use event_schemas::{NewEvent, Recorded, Revision, StreamName};
    use uuid::Uuid;

    use super::*;

    fn event(position: u64, category: &str) -> Logged {
        let new =
            NewEvent::raw(Uuid::nil(), "Happened".into(), vec![0; 90].into(), vec![0; 10].into());
        let recorded = Recorded::written(new, StreamName::new(category, "1"), Revision(0));
        Logged { position: Position(position), recorded: Arc::new(recorded) }
    }

    fn positions(page: &LogPage) -> Vec<u64> {
        page.events.iter().map(|event| event.position.0).collect()
    }

    #[test]
    fn holds_the_newest_within_both_bounds() {
        let by_number = Recent::new(Position(10), 3, usize::MAX);
        by_number.publish((11..=15).map(|position| event(position, "a")).collect(), Position(15));
        assert!(by_number.page(Position(11), &Filter::all(), PageSize::events(10)).is_none());
        let page = by_number.page(Position(12), &Filter::all(), PageSize::events(10)).unwrap();
        assert_eq!((positions(&page), page.at_end), (vec![13, 14, 15], true));

        let by_bytes = Recent::new(Position(10), usize::MAX, 250);
        by_bytes.publish((11..=15).map(|position| event(position, "a")).collect(), Position(15));
        assert!(by_bytes.page(Position(12), &Filter::all(), PageSize::events(10)).is_none());
        assert_eq!(
            positions(&by_bytes.page(Position(13), &Filter::all(), PageSize::events(10)).unwrap()),
            [14, 15]
        );
    }

    #[test]
    fn pages_end_at_the_limit_and_move_over_what_the_filter_leaves_out() {
        let recent = Recent::new(Position::START, 100, usize::MAX);
        let events = ["a", "b", "a", "b", "b"].iter().zip(1..).map(|(c, p)| event(p, c)).collect();
        recent.publish(events, Position(5));
        let only_a = Filter::categories(["a"]);
        let page = recent.page(Position::START, &only_a, PageSize::events(1)).unwrap();
        assert_eq!((positions(&page), page.scanned_to, page.at_end), (vec![1], Position(1), false));
        let page = recent.page(Position(3), &only_a, PageSize::events(10)).unwrap();
        assert_eq!((positions(&page), page.scanned_to, page.at_end), (vec![], Position(5), true));
        recent.publish(vec![], Position(9));
        let page = recent.page(Position(5), &only_a, PageSize::events(10)).unwrap();
        assert_eq!((positions(&page), page.scanned_to, page.at_end), (vec![], Position(9), true));
        let page = recent.page(Position::START, &only_a, PageSize::events(1)).unwrap();
        assert_eq!((page.scanned_to, page.at_end), (Position(1), false));
    }

    #[test]
    fn a_page_ends_with_the_event_that_fills_it() {
        let recent = Recent::new(Position::START, 100, usize::MAX);
        recent.publish((1..=5).map(|position| event(position, "a")).collect(), Position(5));
        let most = PageSize { events: 100, bytes: 150 };
        let page = recent.page(Position::START, &Filter::all(), most).unwrap();
        assert_eq!((positions(&page), page.at_end), (vec![1, 2], false));
        let most = PageSize { events: 100, bytes: 1 };
        let page = recent.page(Position(4), &Filter::all(), most).unwrap();
        assert_eq!((positions(&page), page.at_end), (vec![5], true));
    }

    #[tokio::test]
    async fn closing_wakes_whoever_waits() {
        let recent = Recent::new(Position(5), 100, usize::MAX);
        assert_eq!(recent.wait_beyond(Position(4)).await, Ok(()));
        let (waited, ()) = tokio::join!(recent.wait_beyond(Position(5)), async { recent.close() });
        assert_eq!(waited, Err(ReadError::Closed));
        recent.publish(vec![event(6, "a")], Position(6));
        assert_eq!(recent.head(), None);
    }
}
