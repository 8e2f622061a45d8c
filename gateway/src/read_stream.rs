//! A read of one stream, as far as its metadata lets it be seen.

use std::sync::Arc;

use event_schemas::{Revision, StreamName};
use infra::event_store::{Direction, PageSize, Slice};

use crate::{
    Gateway, PAGE,
    deadline::Call,
    event::{Ids, Told},
    failure::Failure,
    filter::BATCH,
    messages::read::{Content, FromRevision, ReadResp, StreamNotFound, StreamOptions},
    metadata::{Seen, Window, look},
    names,
    pages::{Answers, Next, answers},
};

#[derive(Debug)]
struct StreamRead {
    gateway: Arc<Gateway>,
    stream: StreamName,
    from: u64,
    direction: Direction,
    /// Events that were asked for.
    count: u64,
    /// Events that are still wanted.
    left: u64,
    /// Whether the client understands where a stream begins and ends.
    compatible: bool,
    begun: bool,
}

pub(crate) fn read(
    gateway: Arc<Gateway>,
    options: &StreamOptions,
    direction: Direction,
    count: u64,
    compatible: bool,
    ids: Ids,
    call: Call,
) -> Result<Answers<ReadResp>, Failure> {
    let stream = names::stream(options.stream_identifier.as_ref())?;
    let from = match options.from.ok_or_else(|| Failure::missing("revisionOption"))? {
        FromRevision::Revision(revision) => revision,
        FromRevision::Start(()) => 0,
        FromRevision::End(()) => u64::MAX,
    };
    let read = StreamRead {
        gateway,
        stream,
        from,
        direction,
        count,
        left: count,
        compatible,
        begun: false,
    };
    Ok(answers(call, ids, read, StreamRead::next))
}

/// A page as a reader may see it, and where the next one begins, if there is more.
pub(crate) struct Page {
    pub(crate) events: Vec<Told>,
    pub(crate) next: Option<u64>,
}

impl StreamRead {
    async fn next(mut self) -> Next<Self> {
        if self.left == 0 {
            return Ok(None);
        }
        let window = match look(&self.gateway, &self.stream).await?.seen() {
            Seen::Events(window) => window,
            Seen::Ended => return Err(Failure::StreamDeleted(self.stream)),
            Seen::Nothing => {
                let stream_identifier = Some(names::identifier(&self.stream));
                let not_found = Content::StreamNotFound(StreamNotFound { stream_identifier });
                self.left = 0;
                return Ok(Some((vec![Told::Other(not_found)], self)));
            }
        };
        let mut told = Vec::new();
        if !self.begun {
            self.begun = true;
            told.extend(self.first_position(window).map(Told::Other));
        }
        let most = most(self.left);
        let page = match self.direction {
            Direction::Forwards => {
                forwards(&self.gateway, &self.stream, self.from, window, most).await?
            }
            Direction::Backwards => self.backwards(window, most).await?,
        };
        self.left -= page.events.len() as u64;
        told.extend(page.events);
        match page.next {
            Some(next) => self.from = next,
            None => self.left = 0,
        }
        if self.left == 0 && self.compatible {
            told.push(Told::Other(Content::LastStreamPosition(window.last)));
        }
        Ok(Some((told, self)))
    }

    /// Where the stream begins, if the first events that were asked for are not there. (The real
    /// server looks at so many at once.)
    fn first_position(&self, window: Window) -> Option<Content> {
        let batch = self.count.min(u64::from(BATCH));
        if !self.compatible || self.direction == Direction::Backwards {
            return None;
        }
        let last_asked = self.from.saturating_add(batch - 1);
        let first = if last_asked < window.first {
            window.first
        } else if self.from.max(window.first) > window.last {
            window.last + 1
        } else {
            return None;
        };
        (first != self.from).then_some(Content::FirstStreamPosition(first))
    }

    async fn backwards(&self, window: Window, most: PageSize) -> Result<Page, Failure> {
        let from = self.from.min(window.last);
        if from < window.first {
            return Ok(Page { events: Vec::new(), next: None });
        }
        let gateway = &self.gateway;
        let page = gateway.stream_page(&self.stream, Revision(from), self.direction, most).await?;
        let oldest = page.events.last().map_or(0, |event| event.revision.0);
        let more = !page.at_end && oldest > window.first;
        Ok(Page { events: visible(page, window), next: more.then(|| oldest - 1) })
    }
}

/// At most so many events.
pub(crate) fn most(events: u64) -> PageSize {
    let events = usize::try_from(events).unwrap_or(usize::MAX);
    PageSize { events: events.min(PAGE.events), ..PAGE }
}

/// The page from a revision on.
pub(crate) async fn forwards(
    gateway: &Gateway,
    stream: &StreamName,
    from: u64,
    window: Window,
    mut most: PageSize,
) -> Result<Page, Failure> {
    let from = from.max(window.first);
    if from > window.last {
        return Ok(Page { events: Vec::new(), next: None });
    }
    // A few events are read without a change of thread.
    most.events = most.events.min(usize::try_from(window.last - from + 1).unwrap_or(usize::MAX));
    let page = gateway.stream_page(stream, Revision(from), Direction::Forwards, most).await?;
    let newest = page.events.last().map_or(window.last, |event| event.revision.0);
    let more = !page.at_end && newest < window.last;
    Ok(Page { events: visible(page, window), next: more.then_some(newest + 1) })
}

fn visible(page: Slice, window: Window) -> Vec<Told> {
    let seen = page.events.into_iter().filter(|event| {
        let young = || event.recorded_at().is_none_or(|at| Some(at) >= window.since);
        (window.first..=window.last).contains(&event.revision.0)
            && (window.since.is_none() || young())
    });
    seen.map(Told::Event).collect()
}
