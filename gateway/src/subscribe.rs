//! Subscriptions: what is there first, then each event as it comes.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use event_schemas::{Position, Revision, StreamName};
use infra::event_store::{Direction, Filter, Subscription};
use tonic::Status;
use uuid::Uuid;

use crate::{
    Gateway,
    event::{Ids, answer},
    failure,
    messages::{
        read::{
            AllOptions, CaughtUp, Confirmation, Content, FromPosition, FromRevision, ReadResp,
            StreamOptions,
        },
        shared::AllPosition,
    },
    names,
    pages::{Answers, answers},
    read::{PAGE, content, missing},
};

/// A subscription to `$all`.
pub(crate) async fn to_all(
    gateway: Arc<Gateway>,
    options: AllOptions,
    ids: Ids,
    stop: impl Future<Output = Status> + Send + 'static,
) -> Result<Answers<ReadResp>, Status> {
    let after = match options.from.ok_or_else(|| missing("all_option"))? {
        FromPosition::Position(at) => Position(at.commit_position),
        FromPosition::Start(()) => Position::START,
        FromPosition::End(()) => head(&gateway).await?,
    };
    let pages = gateway.store.subscribe(after, Filter::all());
    let all = All { gateway, pages, after, ids, stage: Stage::Confirm };
    Ok(answers(all, stop, All::next))
}

/// A subscription to one stream.
pub(crate) async fn to_stream(
    gateway: Arc<Gateway>,
    options: &StreamOptions,
    ids: Ids,
    stop: impl Future<Output = Status> + Send + 'static,
) -> Result<Answers<ReadResp>, Status> {
    let stream = names::stream(options.stream_identifier.as_ref())?;
    // Before the stream is read, so that nothing is missed between the two.
    let pages =
        gateway.store.subscribe(head(&gateway).await?, Filter::categories([stream.category()]));
    let from = match options.from.ok_or_else(|| missing("revision_option"))? {
        FromRevision::Revision(revision) => Revision(revision.saturating_add(1)),
        FromRevision::Start(()) => Revision(0),
        FromRevision::End(()) => {
            let head = gateway.store.stream_head(&stream).await;
            head.map_err(|error| failure::read(&error))?.map_or(Revision(0), Revision::next)
        }
    };
    let one = One { gateway, stream, pages, from, ids, stage: Stage::Confirm };
    Ok(answers(one, stop, One::next))
}

async fn head(gateway: &Gateway) -> Result<Position, Status> {
    gateway.store.head().await.map_err(|error| failure::read(&error))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Confirm,
    CatchUp,
    Live,
}

#[derive(Debug)]
struct All {
    gateway: Arc<Gateway>,
    pages: Subscription,
    after: Position,
    ids: Ids,
    stage: Stage,
}

type Next<S> = Result<Option<(Vec<ReadResp>, S)>, Status>;

impl All {
    async fn next(mut self) -> Next<Self> {
        if self.stage == Stage::Confirm {
            self.stage = Stage::CatchUp;
            return Ok(Some((vec![confirmation()], self)));
        }
        if self.stage == Stage::CatchUp && head(&self.gateway).await? <= self.after {
            self.stage = Stage::Live;
            let at = self.after.0;
            let at = AllPosition { commit_position: at, prepare_position: at };
            return Ok(Some((vec![caught_up(None, Some(at))], self)));
        }
        let page = self.pages.next().await.map_err(|error| failure::read(&error))?;
        self.after = page.scanned_to;
        let events = page.events.iter();
        Ok(Some((
            events.map(|event| answer(event, event.position, self.ids, true)).collect(),
            self,
        )))
    }
}

#[derive(Debug)]
struct One {
    gateway: Arc<Gateway>,
    stream: StreamName,
    /// Follows the log from before the stream was read.
    pages: Subscription,
    from: Revision,
    ids: Ids,
    stage: Stage,
}

impl One {
    async fn next(mut self) -> Next<Self> {
        match self.stage {
            Stage::Confirm => {
                self.stage = Stage::CatchUp;
                Ok(Some((vec![confirmation()], self)))
            }
            Stage::CatchUp => {
                let store = &self.gateway.store;
                let limit = usize::try_from(PAGE).unwrap_or(1);
                let page =
                    store.read_stream(&self.stream, self.from, Direction::Forwards, limit).await;
                let page = page.map_err(|error| failure::read(&error))?;
                let mut answers = Vec::new();
                for event in &page.events {
                    self.from = event.revision.next();
                    answers.push(answer(event, Position(u64::MAX), self.ids, false));
                }
                if page.at_end {
                    self.stage = Stage::Live;
                    let last = self.from.0.checked_sub(1).and_then(|last| i64::try_from(last).ok());
                    answers.push(caught_up(last, None));
                }
                Ok(Some((answers, self)))
            }
            Stage::Live => {
                let page = self.pages.next().await.map_err(|error| failure::read(&error))?;
                let mut answers = Vec::new();
                for event in page.events.iter().filter(|event| event.stream == self.stream) {
                    if event.revision >= self.from {
                        self.from = event.revision.next();
                        answers.push(answer(event, event.position, self.ids, false));
                    }
                }
                Ok(Some((answers, self)))
            }
        }
    }
}

fn confirmation() -> ReadResp {
    content(Content::Confirmation(Confirmation { subscription_id: Uuid::new_v4().to_string() }))
}

fn caught_up(stream_revision: Option<i64>, position: Option<AllPosition>) -> ReadResp {
    content(Content::CaughtUp(CaughtUp { timestamp: Some(now()), stream_revision, position }))
}

/// The time of day, as the protocol tells it.
pub(crate) fn now() -> prost_types::Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    prost_types::Timestamp {
        seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(now.subsec_nanos()).unwrap_or(0),
    }
}
