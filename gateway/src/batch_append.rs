//! `Streams.BatchAppend`: many appends on one call, each answered when it is done.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use event_schemas::{ExpectedRevision, NewEvent, StreamName};
use futures::{
    StreamExt,
    future::BoxFuture,
    stream::{self, FuturesUnordered},
};
use infra::event_store::MAX_APPEND_BYTES;
use tokio::time::{Duration, Instant};
use tonic::{Status, Streaming};
use uuid::Uuid;

use crate::{
    Gateway,
    append::{allowed, nothing, received, success},
    batch_status,
    budget::{Account, Held, join},
    deadline::{Call, by},
    decide::{self, Refused},
    event,
    failure::Failure,
    messages::{
        append::Success,
        batch::{
            BatchAppendReq, BatchAppendResp, BatchDeadline, BatchOptions, BatchResult, RpcStatus,
        },
        shared,
    },
    names,
    pages::Answers,
};

/// Appends of one call whose last part has not come yet.
const OPEN: usize = 256;
/// Appends of one call that are under way; further requests wait.
const UNDER_WAY: usize = 64;

/// One call.
struct Batch {
    gateway: Arc<Gateway>,
    /// `None` once the client has said all.
    requests: Option<Streaming<BatchAppendReq>>,
    account: Account,
    open: HashMap<Uuid, Open>,
    under_way: FuturesUnordered<BoxFuture<'static, BatchAppendResp>>,
    call: Call,
}

/// An append whose last part has not come yet.
struct Open {
    stream: StreamName,
    expected: ExpectedRevision,
    until: Option<Instant>,
    events: Vec<NewEvent>,
    size: usize,
    held: Held,
}

/// What came of one request.
enum Taken {
    /// There is more to come.
    More,
    Answer(BatchAppendResp),
    UnderWay(BoxFuture<'static, BatchAppendResp>),
}

pub(crate) fn batch_append(
    gateway: Arc<Gateway>,
    requests: Streaming<BatchAppendReq>,
    account: Account,
    call: Call,
) -> Answers<BatchAppendResp> {
    let batch = Batch {
        gateway,
        requests: Some(requests),
        account,
        open: HashMap::new(),
        under_way: FuturesUnordered::new(),
        call,
    };
    Box::pin(stream::try_unfold(batch, |mut batch| async move {
        let answer = batch.next().await.map_err(Status::from)?;
        Ok(answer.map(|answer| (answer, batch)))
    }))
}

impl Batch {
    /// The next answer; appends are begun in the order in which they came.
    async fn next(&mut self) -> Result<Option<BatchAppendResp>, Failure> {
        loop {
            let more = self.requests.as_mut().filter(|_| self.under_way.len() < UNDER_WAY);
            if more.is_none() && self.under_way.is_empty() {
                return Ok(None);
            }
            let request = async {
                match more {
                    Some(requests) => requests.message().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                failure = self.call.ended() => return Err(failure),
                Some(answer) = self.under_way.next() => return Ok(Some(answer)),
                request = request => match request.map_err(|status| received(&status))? {
                    None => self.requests = None,
                    Some(request) => match self.take(request)? {
                        Taken::More => {}
                        Taken::Answer(answer) => return Ok(Some(answer)),
                        Taken::UnderWay(append) => self.under_way.push(append),
                    },
                },
            }
        }
    }

    fn take(&mut self, request: BatchAppendReq) -> Result<Taken, Failure> {
        let held = self.account.take();
        let BatchAppendReq { correlation_id, options, proposed_messages, is_final } = request;
        let id = names::uuid(correlation_id.as_ref())?;
        let refuse = |failure: Failure, stream: Option<StreamName>| {
            let error = Err(batch_status::of(&failure));
            Ok(Taken::Answer(answer(correlation_id.clone(), stream.as_ref(), error)))
        };
        if let Some(options) = options
            && !self.open.contains_key(&id)
        {
            match self.begin(options) {
                Ok(open) => drop(self.open.insert(id, open)),
                Err(failure) => return refuse(failure, None),
            }
        }
        // Of an append that was refused already, the rest is not looked at.
        let Some(mut open) = self.open.remove(&id) else { return Ok(Taken::More) };
        join(&mut open.held, held);
        for proposed in proposed_messages {
            match event::proposed(proposed) {
                Ok(event) => {
                    open.size += event.size();
                    open.events.push(event);
                }
                Err(failure) => return refuse(failure, Some(open.stream)),
            }
        }
        if open.size > MAX_APPEND_BYTES {
            return refuse(Failure::TooLarge, Some(open.stream));
        }
        if !is_final {
            self.open.insert(id, open);
            return Ok(Taken::More);
        }
        Ok(Taken::UnderWay(Box::pin(carry_out(self.gateway.clone(), correlation_id, open))))
    }

    fn begin(&self, options: BatchOptions) -> Result<Open, Failure> {
        let BatchOptions { stream_identifier, expected, deadline } = options;
        let stream = names::stream(stream_identifier.as_ref())?;
        allowed(&self.gateway, &stream)?;
        let expected = names::expected(expected)?;
        if self.open.len() >= OPEN {
            return Err(Failure::Exhausted("too many appends are open on this call"));
        }
        let until = deadline.map(until).transpose()?.flatten();
        Ok(Open { stream, expected, until, events: Vec::new(), size: 0, held: None })
    }
}

/// When an append has to be done; one whose time is over is refused.
fn until(deadline: BatchDeadline) -> Result<Option<Instant>, Failure> {
    let left = match deadline {
        BatchDeadline::After(time) => Duration::try_from(time).ok(),
        BatchDeadline::At(time) => {
            let at = SystemTime::try_from(time).ok();
            at.and_then(|at| at.duration_since(SystemTime::now()).ok())
        }
    };
    match left.filter(|left| !left.is_zero()) {
        // What is too far away to be counted never comes.
        Some(left) => Ok(Instant::now().checked_add(left)),
        None => Err(Failure::Deadline),
    }
}

async fn carry_out(
    gateway: Arc<Gateway>,
    correlation_id: Option<shared::Uuid>,
    open: Open,
) -> BatchAppendResp {
    let Open { stream, expected, until, events, held, .. } = open;
    let work = async {
        if events.is_empty() {
            let head = decide::check_nothing(&gateway, &stream, expected).await;
            return Ok(head.map(nothing));
        }
        Ok(decide::append(&gateway, &stream, expected, events).await.map(success))
    };
    let written = by(until, work).await.unwrap_or_else(|failure| Err(Refused::Failed(failure)));
    let result = written.map_err(|refused| match refused {
        Refused::Wrong { actual } => batch_status::wrong_expected_version(actual, expected),
        Refused::Failed(failure) => batch_status::of(&failure),
    });
    drop(held);
    answer(correlation_id, Some(&stream), result)
}

fn answer(
    correlation_id: Option<shared::Uuid>,
    stream: Option<&StreamName>,
    result: Result<Success, RpcStatus>,
) -> BatchAppendResp {
    let result = result.map_or_else(BatchResult::Error, BatchResult::Success);
    let stream_identifier = stream.map(names::identifier);
    BatchAppendResp { correlation_id, result: Some(result), stream_identifier }
}
