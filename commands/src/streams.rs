use std::sync::Arc;

use event_schemas::{Decoded, Recorded, RequestHash, Revision, StreamName};
use infra::event_store::{Direction, EventStore, StreamPage};
use uuid::Uuid;

use crate::executor::{Failure, unreadable};

/// Most streams end within the first page, which the store reads without a change of thread.
const FIRST_PAGE: usize = 64;
const PAGE: usize = 1_000;

/// A page of a stream from a revision on.
///
/// # Errors
/// [`Failure::Unavailable`] if the store cannot be read, [`Failure::Unreadable`] if events are
/// missing in the stream.
pub(crate) async fn page(
    store: &EventStore,
    stream: &StreamName,
    from: Revision,
) -> Result<StreamPage, Failure> {
    let limit = if from == Revision(0) { FIRST_PAGE } else { PAGE };
    let page = store.read_stream(stream, from, Direction::Forwards, limit).await?;
    whole(stream, from, &page)?;
    Ok(page)
}

/// Sees that no event is missing: on a server others may cut a stream off, and a state folded from
/// what is left would be another.
fn whole(stream: &StreamName, from: Revision, page: &StreamPage) -> Result<(), Failure> {
    let mut expected = from;
    for event in &page.events {
        if event.revision != expected {
            return Err(Failure::Unreadable(format!(
                "the stream {stream} has no event {expected} any more, the next one is {}: it was \
                 truncated or scavenged",
                event.revision
            )));
        }
        expected = expected.next();
    }
    Ok(())
}

/// Folds the events of a stream up to and including `last`.
///
/// # Errors
/// [`Failure::Unavailable`] if the store cannot be read, [`Failure::Unreadable`] if an event
/// cannot.
pub(crate) async fn fold_until<T>(
    store: &EventStore,
    stream: &StreamName,
    last: Revision,
    start: T,
    fold: impl Fn(T, &Decoded) -> T,
) -> Result<T, Failure> {
    let mut folded = start;
    let mut from = Revision(0);
    loop {
        let page = page(store, stream, from).await?;
        for recorded in &page.events {
            if recorded.revision > last {
                return Ok(folded);
            }
            folded = fold(folded, decode(recorded)?);
            from = recorded.revision.next();
        }
        if page.at_end {
            return Ok(folded);
        }
    }
}

/// The first event of a stream, if it has one.
///
/// # Errors
/// [`Failure::Unavailable`].
pub(crate) async fn first(
    store: &EventStore,
    stream: &StreamName,
) -> Result<Option<Arc<Recorded>>, Failure> {
    let page = store.read_stream(stream, Revision(0), Direction::Forwards, 1).await?;
    whole(stream, Revision(0), &page)?;
    Ok(page.events.into_iter().next())
}

/// What an event says.
///
/// # Errors
/// [`Failure::Unreadable`].
pub(crate) fn decode(recorded: &Recorded) -> Result<&Decoded, Failure> {
    recorded.decode().map_err(|error| unreadable(&recorded.stream, recorded.revision, error))
}

/// The revision of a command's last event in a stream and the hash of what it asked for, if the
/// command came before.
///
/// # Errors
/// [`Failure`]
pub(crate) async fn repeated(
    store: &EventStore,
    stream: &StreamName,
    command_id: Uuid,
) -> Result<Option<(Revision, Option<RequestHash>)>, Failure> {
    let mut from = Revision(0);
    let mut found = None;
    loop {
        let page = page(store, stream, from).await?;
        for recorded in &page.events {
            let metadata = &decode(recorded)?.metadata;
            if metadata.command_id == command_id {
                found = Some((recorded.revision, metadata.request_hash));
            }
            from = recorded.revision.next();
        }
        if page.at_end {
            return Ok(found);
        }
    }
}
