//! `Streams.Read`: a stream or `$all`, forwards or backwards, or a subscription.

use std::sync::Arc;

use event_schemas::{Position, Revision, StreamName};
use infra::event_store::{Direction, Filter};
use tonic::Status;

use crate::{
    Gateway,
    event::{Ids, answer},
    failure,
    messages::read::{
        AllOptions, Content, Count, FromPosition, FromRevision, Options, ReadReq, ReadResp,
        StreamNotFound, StreamOptions, What,
    },
    names,
    pages::{Answers, answers},
    subscribe,
};

/// The most events that a page holds.
pub(crate) const PAGE: u64 = 1_000;

pub(crate) async fn read(
    gateway: Arc<Gateway>,
    request: ReadReq,
    stop: impl Future<Output = Status> + Send + 'static,
) -> Result<Answers<ReadResp>, Status> {
    let options = request.options.ok_or_else(|| missing("options"))?;
    let ids = Ids::asked(options.uuid_option.ok_or_else(|| missing("uuid_option"))?);
    let direction = match options.read_direction {
        0 => Direction::Forwards,
        1 => Direction::Backwards,
        other => return Err(Status::invalid_argument(format!("{other} is no direction"))),
    };
    let compatibility = options.control_option.map_or(0, |option| option.compatibility);
    let Options { what, count, .. } = options;
    match (what.ok_or_else(|| missing("stream"))?, count.ok_or_else(|| missing("count"))?) {
        (What::Stream(options), Count::Count(count)) => {
            let read = StreamRead::new(&options, direction, count, ids, compatibility)?;
            Ok(answers(read, stop, move |read| read.next(gateway.clone())))
        }
        (What::All(options), Count::Count(count)) => {
            let from = all_from(options, direction)?;
            let read = AllRead { from, direction, left: count, ids };
            Ok(answers(read, stop, move |read| read.next(gateway.clone())))
        }
        (What::Stream(options), Count::Subscription(())) => {
            subscribe::to_stream(gateway, &options, ids, stop).await
        }
        (What::All(options), Count::Subscription(())) => {
            subscribe::to_all(gateway, options, ids, stop).await
        }
    }
}

pub(crate) fn missing(what: &str) -> Status {
    Status::invalid_argument(format!("'{what}' is missing"))
}

/// The position to read beyond: forwards an event at the position asked for is included, backwards
/// it is not, for there the real server's positions are those behind an event.
fn all_from(options: AllOptions, direction: Direction) -> Result<Position, Status> {
    let from = options.from.ok_or_else(|| missing("all_option"))?;
    Ok(Position(match (from, direction) {
        (FromPosition::Start(()), _) => 0,
        (FromPosition::End(()), _) => u64::MAX,
        (FromPosition::Position(at), Direction::Forwards) => at.commit_position.saturating_sub(1),
        (FromPosition::Position(at), Direction::Backwards) => at.commit_position,
    }))
}

/// A read of `$all`.
#[derive(Debug)]
struct AllRead {
    from: Position,
    direction: Direction,
    left: u64,
    ids: Ids,
}

impl AllRead {
    async fn next(
        mut self,
        gateway: Arc<Gateway>,
    ) -> Result<Option<(Vec<ReadResp>, Self)>, Status> {
        if self.left == 0 {
            return Ok(None);
        }
        let limit = page(self.left);
        let page = gateway.store.read_log(self.from, self.direction, &Filter::all(), limit).await;
        let page = page.map_err(|error| failure::read(&error))?;
        self.from = page.scanned_to;
        self.left = if page.at_end { 0 } else { self.left - page.events.len() as u64 };
        let answers =
            page.events.iter().map(|event| answer(event, event.position, self.ids, true)).collect();
        Ok(Some((answers, self)))
    }
}

/// A read of a stream.
#[derive(Debug)]
struct StreamRead {
    stream: StreamName,
    from: Revision,
    direction: Direction,
    left: u64,
    ids: Ids,
    compatibility: u32,
    begun: bool,
}

impl StreamRead {
    fn new(
        options: &StreamOptions,
        direction: Direction,
        left: u64,
        ids: Ids,
        compatibility: u32,
    ) -> Result<Self, Status> {
        let stream = names::stream(options.stream_identifier.as_ref())?;
        let from = Revision(match options.from.ok_or_else(|| missing("revision_option"))? {
            FromRevision::Revision(revision) => revision,
            FromRevision::Start(()) => 0,
            FromRevision::End(()) => u64::MAX,
        });
        Ok(Self { stream, from, direction, left, ids, compatibility, begun: false })
    }

    async fn next(
        mut self,
        gateway: Arc<Gateway>,
    ) -> Result<Option<(Vec<ReadResp>, Self)>, Status> {
        if self.left == 0 {
            return Ok(None);
        }
        let store = &gateway.store;
        let head = store.stream_head(&self.stream).await.map_err(|error| failure::read(&error))?;
        let Some(head) = head else {
            let not_found =
                StreamNotFound { stream_identifier: Some(names::identifier(&self.stream)) };
            self.left = 0;
            return Ok(Some((vec![content(Content::StreamNotFound(not_found))], self)));
        };
        let limit = page(self.left);
        let page = store.read_stream(&self.stream, self.from, self.direction, limit).await;
        let page = page.map_err(|error| failure::read(&error))?;
        self.left -= page.events.len() as u64;
        let mut answers: Vec<_> = page
            .events
            .iter()
            .map(|event| answer(event, Position(u64::MAX), self.ids, false))
            .collect();
        if let Some(last) = page.events.last() {
            match self.direction {
                Direction::Forwards => self.from = last.revision.next(),
                Direction::Backwards if last.revision.0 == 0 => self.left = 0,
                Direction::Backwards => self.from = Revision(last.revision.0 - 1),
            }
        }
        if page.at_end {
            self.left = 0;
        }
        if self.left == 0 && self.compatibility >= 1 && self.direction == Direction::Forwards {
            answers.push(content(Content::LastStreamPosition(head.0)));
        }
        self.begun = true;
        Ok(Some((answers, self)))
    }
}

pub(crate) fn content(content: Content) -> ReadResp {
    ReadResp { content: Some(content) }
}

fn page(left: u64) -> usize {
    usize::try_from(left.min(PAGE)).unwrap_or(1)
}
