//! Appending. An append whose outcome is unknown is sent again, the same ids for the same slots:
//! the server knows a repeat by them, and so does whoever reads the slots.

use event_schemas::{ExpectedRevision, NewEvent, Position, Revision, StreamName};
use eventstore::{AppendToStreamOptions, EventData, StreamState, WriteResult};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{
    connection::{Connection, Node},
    trouble::{Trouble, call},
};
use crate::event_store::{AppendError, Appended, Direction, MAX_APPEND_BYTES, MAX_PAGE};

/// Appends until the outcome is known or time is up.
pub(super) async fn append(
    connection: &Connection,
    stream: &StreamName,
    expected: ExpectedRevision,
    events: &[NewEvent],
) -> Result<Appended, AppendError> {
    let until = Instant::now() + connection.deadline();
    let meant = first_slot(expected);
    // Whether an attempt before may have put the events into the store.
    let mut unclear = None::<String>;
    loop {
        let node = match connection.node(until).await {
            Ok(node) => node,
            Err(trouble) => return Err(failed(connection, trouble, unclear)),
        };
        let outcome = match unknowable(expected) {
            // No server writes this, and it would take the number for something else.
            true => node.stream_head(stream).await.and_then(|head| Err(Trouble::Conflict(head))),
            false => attempt(&node, stream, expected, events).await,
        };
        let trouble = match outcome {
            Ok(appended) => {
                return finish(connection, stream, meant, events.len(), appended).await;
            }
            Err(Trouble::Conflict(actual)) => {
                if let (Some(first), Some(reason)) = (meant, unclear) {
                    return own(connection, stream, first, events)
                        .await
                        .map_err(|error| AppendError::Unknown(format!("{reason}; {error}")))?
                        .ok_or(AppendError::Conflict { actual });
                }
                return Err(AppendError::Conflict { actual });
            }
            Err(trouble) => trouble,
        };
        connection.report(&node, &trouble);
        match trouble {
            Trouble::NotDone { .. } => {}
            Trouble::TimedOut(_) | Trouble::Broken(_) | Trouble::Unreadable => {
                let reason = trouble.to_string();
                // Where no slot was named, nobody could tell the events from their repeat.
                let Some(first) = meant else { return Err(AppendError::Unknown(reason)) };
                // There was an answer: the events are in their slots, or nowhere.
                if trouble == Trouble::Unreadable {
                    return own(connection, stream, first, events)
                        .await
                        .map_err(|error| AppendError::Unknown(format!("{reason}; {error}")))?
                        .ok_or(AppendError::Unavailable(reason));
                }
                unclear = Some(reason);
            }
            Trouble::TooLarge(limit) => {
                tracing::warn!(%stream, limit, "an append is larger than the server allows");
                return Err(AppendError::TooLarge {
                    size: events.iter().map(NewEvent::size).sum(),
                });
            }
            trouble => return Err(failed(connection, trouble, unclear)),
        }
        if Instant::now() >= until {
            return Err(failed(connection, trouble, unclear));
        }
    }
}

/// Says why an append ended without a known success.
fn failed(connection: &Connection, trouble: Trouble, unclear: Option<String>) -> AppendError {
    match (trouble, unclear) {
        (_, Some(reason)) => AppendError::Unknown(reason),
        (Trouble::Busy, None) => AppendError::Busy,
        (_, None) if connection.is_closed() => AppendError::Closed,
        (trouble, None) => AppendError::Unavailable(trouble.to_string()),
    }
}

async fn attempt(
    node: &Node,
    stream: &StreamName,
    expected: ExpectedRevision,
    events: &[NewEvent],
) -> Result<Appended, Trouble> {
    let options = AppendToStreamOptions::default()
        .stream_state(match expected {
            ExpectedRevision::NoStream => StreamState::NoStream,
            ExpectedRevision::StreamExists => StreamState::StreamExists,
            ExpectedRevision::Exact(revision) => StreamState::StreamRevision(revision.0),
            ExpectedRevision::Any => StreamState::Any,
        })
        .requires_leader(true)
        .deadline(node.patience);
    let options = match node.credentials.clone() {
        Some(credentials) => options.authenticated(credentials),
        None => options,
    };
    let data: Vec<EventData> = events.iter().map(event_data).collect();
    let written =
        call(node.patience, node.client.append_to_stream(stream.as_str(), &options, data)).await?;
    let WriteResult { next_expected_version, position } = written;
    Ok(Appended {
        last_revision: Revision(next_expected_version),
        position: Position(position.commit),
    })
}

/// Makes an answer of a success: a repeat has no position on some servers, and one that does not
/// stand where it was meant to says that the stream had been deleted before.
async fn finish(
    connection: &Connection,
    stream: &StreamName,
    meant: Option<Revision>,
    count: usize,
    appended: Appended,
) -> Result<Appended, AppendError> {
    let last = meant.map(|first| Revision(first.0 + count as u64 - 1));
    if last.is_some_and(|last| last != appended.last_revision) {
        return Err(AppendError::Unknown(format!(
            "{stream} was deleted before: what was appended to it stands at revision {}",
            appended.last_revision
        )));
    }
    let known = appended.position != Position::START && appended.position.0 != u64::MAX;
    let position = match known {
        true => appended.position,
        false => connection
            .read(|node| async move { node.head().await })
            .await
            .map_err(|error| AppendError::Unknown(error.to_string()))?,
    };
    Ok(Appended { position, ..appended })
}

/// Whether the very same events stand in the slots that they were meant for.
async fn own(
    connection: &Connection,
    stream: &StreamName,
    first: Revision,
    events: &[NewEvent],
) -> Result<Option<Appended>, crate::event_store::ReadError> {
    let (mut from, mut left) = (first, events);
    while let [next, ..] = left {
        let limit = left.len().min(MAX_PAGE);
        let page =
            connection
                .read(|node| async move {
                    node.stream_page(stream, from, Direction::Forwards, limit).await
                })
                .await?;
        let Some(found) = page.events.first() else { return Ok(None) };
        if found.id != next.id {
            return Ok(None);
        }
        for found in &page.events {
            match left {
                [next, rest @ ..] if found.id == next.id && found.revision == from => {
                    (left, from) = (rest, from.next());
                }
                _ => return Ok(None),
            }
        }
    }
    let position = connection.read(|node| async move { node.head().await }).await?;
    Ok(Some(Appended { last_revision: Revision(from.0 - 1), position }))
}

/// The slot that the first event is meant for, where the caller names one.
fn first_slot(expected: ExpectedRevision) -> Option<Revision> {
    match expected {
        ExpectedRevision::NoStream => Some(Revision(0)),
        ExpectedRevision::Exact(revision) => revision.0.checked_add(1).map(Revision),
        ExpectedRevision::StreamExists | ExpectedRevision::Any => None,
    }
}

/// Whether this is no revision that a stream could be at: on the wire it would be a negative
/// number, and mean that there is no stream, or that anything will do.
fn unknowable(expected: ExpectedRevision) -> bool {
    matches!(expected, ExpectedRevision::Exact(revision) if revision.0 >= i64::MAX.unsigned_abs())
}

fn event_data(event: &NewEvent) -> EventData {
    let binary = || EventData::binary(&event.event_type, event.data.clone());
    // Others look at what is marked as JSON. The very bytes stay what they were: only white space
    // around the document would be lost.
    let json = serde_json::from_slice::<&RawValue>(&event.data)
        .ok()
        .filter(|json| json.get().len() == event.data.len())
        .and_then(|json| EventData::json(&event.event_type, &json).ok());
    json.unwrap_or_else(binary).id(event.id).metadata(event.metadata.clone())
}

/// The size of an append, if it is over the limit: as the port counts, or as the server does
/// (EventStore's `Event.SizeOnDisk`: two bytes a character of the type's name).
pub(super) fn too_large(events: &[NewEvent]) -> Option<usize> {
    let ours: usize = events.iter().map(NewEvent::size).sum();
    let theirs = events.iter().map(|event| {
        event.event_type.encode_utf16().count() * 2 + event.data.len() + event.metadata.len()
    });
    let size = ours.max(theirs.sum());
    (size > MAX_APPEND_BYTES).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event_type: &str, data: &str) -> NewEvent {
        let (data, id) = (data.to_owned().into(), uuid::Uuid::new_v4());
        NewEvent::raw(id, event_type.to_owned(), data, b"{}"[..].into())
    }

    #[test]
    fn json_is_marked_as_such_and_no_byte_is_changed() {
        for (data, json) in [
            (r#"{"b":1, "a":[1.50,"é"]}"#, true),
            ("7", true),
            (" {}", false),
            ("{} ", false),
            ("{", false),
            ("", false),
        ] {
            let shown = format!("{:?}", event_data(&event("Happened", data)));
            assert_eq!(shown.contains("application/json"), json, "{data}");
            assert!(
                shown.contains(&format!("{:?}", bytes::Bytes::from(data.to_owned()))),
                "{shown}"
            );
        }
    }

    #[test]
    fn an_append_has_to_fit_both_ways_of_counting() {
        let fill = "x".repeat(MAX_APPEND_BYTES - 2 - 16 - 1);
        assert_eq!(too_large(&[event("E", &fill)]), None);
        assert_eq!(too_large(&[event("Ev", &fill)]), Some(MAX_APPEND_BYTES + 1));
        let name = "A".repeat(100);
        let fill = "x".repeat(MAX_APPEND_BYTES - 2 - 200);
        assert_eq!(too_large(&[event(&name, &fill)]), None);
        assert_eq!(too_large(&[event(&name, &format!("{fill}y"))]), Some(MAX_APPEND_BYTES + 1));
    }

    #[test]
    fn a_revision_that_no_stream_has_is_not_sent() {
        let exact = |revision| ExpectedRevision::Exact(Revision(revision));
        assert!(unknowable(exact(u64::MAX)) && unknowable(exact(u64::MAX - 1)));
        assert!(unknowable(exact(i64::MAX.unsigned_abs())));
        assert!(!unknowable(exact(0)) && !unknowable(ExpectedRevision::Any));
        assert_eq!(first_slot(exact(u64::MAX)), None);
    }
}
