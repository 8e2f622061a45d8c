use std::{collections::VecDeque, sync::Arc};

use event_schemas::{Decoded, Event, ExpectedRevision, NewEvent, Position, Revision, StreamName};
use infra::event_store::{AppendError, Appended};

use super::{Attempt, Engines, ExecuteError, Executed, Failure, Loaded, Message, loaded::load};
use crate::aggregate::Aggregate;

/// One append takes no further command from this many bytes on: it stays below 768 KiB, as an
/// event has at most 512.
const APPEND_BYTES: usize = 256 * 1024;
/// How often an append whose outcome is unknown is sent again.
const RETRIES: usize = 5;
/// How often a command is decided again because another node wrote.
const CONFLICTS: usize = 50;

type Answer<A> = Result<Executed<A>, ExecuteError<<A as domain::Decider>::Rejection>>;

/// A message and, when its turn has come, what was decided.
struct Decided<A: Aggregate> {
    message: Message<A>,
    answer: Answer<A>,
    /// Whether the answer rests on this attempt's append.
    appended: bool,
}

/// Decides all that waits, in as few appends as its size allows, and answers. Leaves `loaded` as
/// of the last durable event, or empty if that is not known.
pub(super) async fn decide<A: Aggregate>(
    engines: &Engines,
    stream: &StreamName,
    loaded: &mut Option<Loaded<A>>,
    mut waiting: VecDeque<Message<A>>,
) {
    let mut conflicts = 0;
    while !waiting.is_empty() {
        match attempt(engines, stream, loaded, &mut waiting).await {
            Ok(()) => conflicts = 0,
            Err(Retry) => {
                *loaded = None;
                conflicts += 1;
                if conflicts >= CONFLICTS {
                    fail(waiting.drain(..), &Failure::Contended(conflicts));
                }
            }
        }
    }
}

/// The stream moved: decide again on what it is now.
struct Retry;

async fn attempt<A: Aggregate>(
    engines: &Engines,
    stream: &StreamName,
    loaded: &mut Option<Loaded<A>>,
    waiting: &mut VecDeque<Message<A>>,
) -> Result<(), Retry> {
    let mut current = match loaded.take() {
        Some(current) => current,
        None => match load(&engines.store, engines.snapshots.as_ref(), stream).await {
            Ok(current) => current,
            Err(failure) => {
                fail(waiting.drain(..), &failure);
                return Ok(());
            }
        },
    };
    let expected = current.revision().map_or(ExpectedRevision::NoStream, ExpectedRevision::Exact);
    let number = Attempt::draw();
    let mut events: Vec<NewEvent> = Vec::new();
    let mut bytes = 0;
    let mut decided = Vec::new();
    while bytes < APPEND_BYTES
        && let Some(message) = waiting.pop_front()
    {
        let (answer, fresh) = decide_one(engines, stream, &mut current, &message, number).await;
        let appended = !fresh.is_empty();
        bytes += fresh.iter().map(NewEvent::size).sum::<usize>();
        events.extend(fresh);
        decided.push(Decided { message, answer, appended });
    }

    if events.is_empty() {
        if engines.store.others_may_write() {
            match engines.store.stream_head(stream).await {
                Ok(head) if head == current.revision() => {}
                Ok(_) => return Err(put_back(decided, waiting)),
                Err(error) => {
                    fail(decided.into_iter().map(|one| one.message), &error.into());
                    return Ok(());
                }
            }
        }
        reply(decided, None);
        // A stream that was not there is not remembered: an order's first event is appended by
        // whoever places it.
        *loaded = current.revision().is_some().then_some(current);
        return Ok(());
    }
    match append(engines, stream, expected, events).await {
        Ok(appended) => {
            reply(decided, Some(appended.position));
            *loaded = Some(current);
            Ok(())
        }
        Err(AppendError::Conflict { .. }) => Err(put_back(decided, waiting)),
        Err(error) => {
            fail(decided.into_iter().map(|one| one.message), &failure(error));
            Ok(())
        }
    }
}

/// Decides one command on the state that the ones before it left.
async fn decide_one<A: Aggregate>(
    engines: &Engines,
    stream: &StreamName,
    current: &mut Loaded<A>,
    message: &Message<A>,
    number: Attempt,
) -> (Answer<A>, Vec<NewEvent>) {
    let context = &message.context;
    if let Some(before) = current.memory.get(context.command_id()) {
        if before.request_hash != context.request_hash() {
            return (Err(ExecuteError::KeyReused), Vec::new());
        }
        let view = A::view(&current.state, &message.command);
        return (Ok(executed(Vec::new(), Some(before.last), true, view)), Vec::new());
    }
    if let Some(only_at) = &message.only_at {
        let revision = current.revision();
        if !revision.is_some_and(|revision| only_at.has(revision)) {
            return (Err(ExecuteError::Changed { revision }), Vec::new());
        }
    }
    let events = match A::decide(&current.state, message.command.clone()) {
        Ok(events) => events,
        Err(rejection) => return (Err(ExecuteError::Rejected(rejection)), Vec::new()),
    };
    let events = events.into_iter().map(Into::<Event>::into);
    let fresh = match number.encode(&engines.keys, stream, events, context).await {
        Ok(fresh) => fresh,
        Err(failure) => return (Err(failure.into()), Vec::new()),
    };
    let decoded: Vec<Arc<Decoded>> = fresh.iter().filter_map(NewEvent::shared).collect();
    for (event, decoded) in fresh.iter().zip(&decoded) {
        current.apply(decoded, current.next(), event.id);
    }
    let view = A::view(&current.state, &message.command);
    (Ok(executed(decoded, current.revision(), false, view)), fresh)
}

fn executed<A: Aggregate>(
    events: Vec<Arc<Decoded>>,
    revision: Option<Revision>,
    replayed: bool,
    view: A::View,
) -> Executed<A> {
    Executed { events, revision, position: None, replayed, view }
}

/// Appends; while the outcome is unknown, sends the very same append again: the store knows its
/// event ids.
pub(crate) async fn append(
    engines: &Engines,
    stream: &StreamName,
    expected: ExpectedRevision,
    events: Vec<NewEvent>,
) -> Result<Appended, AppendError> {
    for _ in 1..RETRIES {
        match engines.store.append(stream.clone(), expected, events.clone()).await {
            Err(AppendError::Unknown(reason)) => {
                tracing::warn!(%stream, reason, "an append's outcome is unknown and is asked for again");
            }
            known => return known,
        }
    }
    engines.store.append(stream.clone(), expected, events).await
}

fn reply<A: Aggregate>(decided: Vec<Decided<A>>, position: Option<Position>) {
    for Decided { message, mut answer, appended } in decided {
        if let Ok(executed) = &mut answer
            && appended
        {
            executed.position = position;
        }
        // Whoever does not wait any more does not need the answer.
        let _ = message.reply.send(answer);
    }
}

fn fail<A: Aggregate>(messages: impl IntoIterator<Item = Message<A>>, failure: &Failure) {
    for message in messages {
        let _ = message.reply.send(Err(failure.clone().into()));
    }
}

fn put_back<A: Aggregate>(decided: Vec<Decided<A>>, waiting: &mut VecDeque<Message<A>>) -> Retry {
    for one in decided.into_iter().rev() {
        waiting.push_front(one.message);
    }
    Retry
}

pub(crate) fn failure(error: AppendError) -> Failure {
    match error {
        AppendError::Conflict { .. } => Failure::Contended(1),
        AppendError::TooLarge { size } => Failure::TooLarge { size },
        AppendError::Full(reason) => Failure::Full(reason),
        AppendError::Busy => Failure::Busy,
        AppendError::Unknown(reason) => Failure::Unknown(reason),
        AppendError::StreamDeleted => Failure::Unreadable(error.to_string()),
        AppendError::NoEvents
        | AppendError::ReadOnly
        | AppendError::Closed
        | AppendError::Unavailable(_) => Failure::Unavailable(error.to_string()),
    }
}
