//! A read of `$all`. Nothing is hidden there: neither what was deleted nor what was cut off.

use std::sync::Arc;

use event_schemas::Position;
use infra::event_store::{Direction, Filter as LogFilter};

use crate::{
    Gateway, PAGE,
    deadline::Call,
    event::{Ids, Told},
    failure::Failure,
    filter::Filter,
    messages::read::{AllOptions, FromPosition, ReadResp},
    pages::{Answers, Next, answers},
};

#[derive(Debug)]
struct AllRead {
    gateway: Arc<Gateway>,
    /// Read beyond it.
    from: Position,
    direction: Direction,
    /// Events that are still wanted.
    left: u64,
    filter: Option<Filter>,
}

pub(crate) fn read(
    gateway: Arc<Gateway>,
    options: AllOptions,
    direction: Direction,
    count: u64,
    filter: Option<Filter>,
    ids: Ids,
    call: Call,
) -> Result<Answers<ReadResp>, Failure> {
    let from = from(options, direction)?;
    let read = AllRead { gateway, from, direction, left: count, filter };
    Ok(answers(call, ids, read, AllRead::next))
}

/// The position to read beyond. Forwards an event at the position asked for is among the answers.
/// Backwards it is not: there the real server takes a position for the place behind an event.
fn from(options: AllOptions, direction: Direction) -> Result<Position, Failure> {
    let from = options.from.ok_or_else(|| Failure::missing("allOption"))?;
    Ok(Position(match (from, direction) {
        (FromPosition::Start(()), _) => 0,
        (FromPosition::End(()), _) => u64::MAX,
        (FromPosition::Position(at), Direction::Forwards) => at.commit_position.saturating_sub(1),
        (FromPosition::Position(at), Direction::Backwards) => at.commit_position,
    }))
}

impl AllRead {
    async fn next(mut self) -> Next<Self> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut most = PAGE;
        if self.filter.is_none() {
            most.events = most.events.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        }
        let all = LogFilter::all();
        let page = self.gateway.log_page(self.from, self.direction, &all, most).await?;
        self.from = page.scanned_to;
        let mut told = Vec::with_capacity(page.events.len());
        for event in page.events {
            if self.left > 0 && self.filter.as_ref().is_none_or(|filter| filter.passes(&event)) {
                told.push(Told::Event(event));
                self.left -= 1;
            }
        }
        if page.at_end {
            self.left = 0;
        }
        Ok(Some((told, self)))
    }
}
