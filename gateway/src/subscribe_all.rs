//! A subscription to `$all`: what is there first, then each event as it comes.

use std::sync::Arc;

use event_schemas::Position;
use infra::event_store::{Filter as LogFilter, LogPage};
use uuid::Uuid;

use crate::{
    Gateway, PAGE,
    deadline::Call,
    event::{Ids, Told, time_of_day},
    failure::Failure,
    filter::Filter,
    messages::{
        read::{AllOptions, CaughtUp, Checkpoint, Confirmation, Content, FromPosition, ReadResp},
        shared::AllPosition,
    },
    pages::{Answers, Next, answers},
};

#[derive(Debug)]
struct Subscription {
    gateway: Arc<Gateway>,
    /// Everything up to here is told or left out.
    after: Position,
    filter: Option<Filter>,
    /// Events that were looked at since the last checkpoint.
    looked_at: u64,
    /// The last checkpoint told.
    checkpoint: Position,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Confirm,
    CatchUp,
    Live,
}

pub(crate) async fn subscribe(
    gateway: Arc<Gateway>,
    options: AllOptions,
    filter: Option<Filter>,
    ids: Ids,
    call: Call,
) -> Result<Answers<ReadResp>, Failure> {
    if filter.as_ref().is_some_and(|filter| filter.interval == 0) {
        let none = "a checkpoint interval multiplier is 1 at least";
        return Err(Failure::Invalid(none.to_owned()));
    }
    let after = match options.from.ok_or_else(|| Failure::missing("allOption"))? {
        FromPosition::Position(at) => Position(at.commit_position),
        FromPosition::Start(()) => Position::START,
        FromPosition::End(()) => gateway.store.head().await?,
    };
    let checkpoint = after;
    let stage = Stage::Confirm;
    let subscription = Subscription { gateway, after, filter, looked_at: 0, checkpoint, stage };
    Ok(answers(call, ids, subscription, Subscription::next))
}

impl Subscription {
    async fn next(mut self) -> Next<Self> {
        match self.stage {
            Stage::Confirm => {
                self.stage = Stage::CatchUp;
                return Ok(Some((vec![confirmation()], self)));
            }
            Stage::CatchUp if self.gateway.store.head().await? <= self.after => {
                self.stage = Stage::Live;
                let mut told = Vec::new();
                if self.filter.is_some() {
                    told.extend(self.checkpoint(self.after));
                }
                let at = (self.after > Position::START).then(|| position(self.after));
                told.push(caught_up(None, at));
                return Ok(Some((told, self)));
            }
            Stage::CatchUp | Stage::Live => {}
        }
        let all = LogFilter::all();
        let page = self.gateway.page_beyond(self.after, &all, PAGE).await?;
        self.after = page.scanned_to;
        let told = self.tell(page);
        Ok(Some((told, self)))
    }

    fn tell(&mut self, page: LogPage) -> Vec<Told> {
        let Some(filter) = self.filter.clone() else {
            return page.events.into_iter().map(Told::Event).collect();
        };
        let mut told = Vec::new();
        for event in page.events {
            let at = event.position;
            if filter.passes(&event) {
                told.push(Told::Event(event));
            }
            self.looked_at += 1;
            if self.looked_at >= filter.interval {
                told.extend(self.checkpoint(at));
            }
        }
        told
    }

    /// Tells that all up to this position is told or left out, unless that is known.
    fn checkpoint(&mut self, at: Position) -> Option<Told> {
        self.looked_at = 0;
        if at <= self.checkpoint {
            return None;
        }
        self.checkpoint = at;
        let AllPosition { commit_position, prepare_position } = position(at);
        let timestamp = Some(time_of_day());
        let checkpoint = Checkpoint { commit_position, prepare_position, timestamp };
        Some(Told::Other(Content::Checkpoint(checkpoint)))
    }
}

const fn position(Position(at): Position) -> AllPosition {
    AllPosition { commit_position: at, prepare_position: at }
}

pub(crate) fn confirmation() -> Told {
    let subscription_id = Uuid::new_v4().to_string();
    Told::Other(Content::Confirmation(Confirmation { subscription_id }))
}

pub(crate) fn caught_up(stream_revision: Option<i64>, position: Option<AllPosition>) -> Told {
    let timestamp = Some(time_of_day());
    Told::Other(Content::CaughtUp(CaughtUp { timestamp, stream_revision, position }))
}
