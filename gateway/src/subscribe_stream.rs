//! A subscription to one stream: what can be seen of it first, then each event as it comes.

use std::sync::Arc;

use event_schemas::{Position, Revision, StreamName};
use infra::event_store::Filter as LogFilter;

use crate::{
    Gateway, PAGE,
    deadline::Call,
    event::{Ids, Told},
    failure::Failure,
    messages::read::{FromRevision, ReadResp, StreamOptions},
    metadata::{Seen, look},
    names,
    pages::{Answers, Next, answers},
    read_stream::forwards,
    subscribe_all::{caught_up, confirmation},
};

#[derive(Debug)]
struct Subscription {
    gateway: Arc<Gateway>,
    stream: StreamName,
    /// The stream's next revision that was not told.
    from: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Confirm,
    CatchUp,
    /// Follows the log beyond a position.
    Live(Position),
    /// The stream was ended for good, and that is told.
    Ended,
}

pub(crate) async fn subscribe(
    gateway: Arc<Gateway>,
    options: &StreamOptions,
    ids: Ids,
    call: Call,
) -> Result<Answers<ReadResp>, Failure> {
    let stream = names::stream(options.stream_identifier.as_ref())?;
    let from = match options.from.ok_or_else(|| Failure::missing("revisionOption"))? {
        FromRevision::Revision(revision) => revision.saturating_add(1),
        FromRevision::Start(()) => 0,
        FromRevision::End(()) => look(&gateway, &stream).await?.head.map_or(0, |head| head.0 + 1),
    };
    let subscription = Subscription { gateway, stream, from, stage: Stage::Confirm };
    Ok(answers(call, ids, subscription, Subscription::next))
}

impl Subscription {
    async fn next(mut self) -> Next<Self> {
        match self.stage {
            Stage::Confirm => {
                self.stage = Stage::CatchUp;
                Ok(Some((vec![confirmation()], self)))
            }
            Stage::CatchUp => self.catch_up().await,
            Stage::Live(after) => self.follow(after).await,
            Stage::Ended => Err(Failure::StreamDeleted(self.stream)),
        }
    }

    async fn catch_up(mut self) -> Next<Self> {
        // Before the stream is looked at, so that nothing is missed between the two.
        let head = self.gateway.store.head().await?;
        let (mut told, next) = match look(&self.gateway, &self.stream).await?.seen() {
            Seen::Ended => return Err(Failure::StreamDeleted(self.stream)),
            Seen::Nothing => (Vec::new(), None),
            Seen::Events(window) => {
                let page = forwards(&self.gateway, &self.stream, self.from, window, PAGE).await?;
                if page.next.is_none() {
                    self.from = self.from.max(window.last + 1);
                }
                (page.events, page.next)
            }
        };
        match next {
            Some(next) => self.from = next,
            None => {
                self.stage = Stage::Live(head);
                let last = self.from.checked_sub(1).and_then(|last| i64::try_from(last).ok());
                told.push(caught_up(last, None));
            }
        }
        Ok(Some((told, self)))
    }

    async fn follow(mut self, after: Position) -> Next<Self> {
        let category = LogFilter::categories([self.stream.category()]);
        let page = self.gateway.page_beyond(after, &category, PAGE).await?;
        self.stage = Stage::Live(page.scanned_to);
        let mut told = Vec::new();
        for event in page.events {
            if event.stream == self.stream && event.revision.0 >= self.from {
                self.from = event.revision.0 + 1;
                if event.revision == Revision::TOMBSTONE {
                    self.stage = Stage::Ended;
                }
                told.push(Told::Event(event));
            }
        }
        Ok(Some((told, self)))
    }
}
