//! Whose `UserForgotten` stands in the log has no key: a process that follows the log sees to it,
//! and so does every start before anything is served, also over a key store that was restored.

use std::time::Duration;

use event_schemas::{Event, Logged, Position, UserEvent};
use infra::{
    event_store::{Direction, EventStore, Filter, LogPage, MAX_PAGE, ReadError},
    keys::{KeyStore, KeysError},
};

use crate::executor::Failure;

/// What did not succeed is tried again after this time.
const RETRY: Duration = Duration::from_secs(2);

/// Destroys the key of everybody whose `UserForgotten` stands in the log beyond `after`, and says
/// how far it has read. The embedded store finds them by their type, without reading the rest.
///
/// # Errors
/// [`Failure`]
pub async fn destroy_keys(
    store: &EventStore,
    keys: &KeyStore,
    after: Position,
) -> Result<Position, Failure> {
    let mut position = after;
    loop {
        let page = store.read_log(position, Direction::Forwards, &followed(), MAX_PAGE).await?;
        destroy(keys, persons(&page)?).await?;
        position = page.scanned_to;
        if page.at_end {
            return Ok(position);
        }
    }
}

/// Goes on with that from `after` for as long as the store is open, and lets go of keys in memory.
pub async fn follow(store: EventStore, keys: KeyStore, after: Position) {
    let mut subscription = store.subscribe(after, followed());
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        let page = tokio::select! {
            page = subscription.next() => page,
            _ = second.tick() => {
                keys.let_go();
                continue;
            }
        };
        match page {
            Ok(page) => destroy_patiently(&keys, &page).await,
            Err(ReadError::Closed) => return,
            Err(error @ ReadError::Unavailable(_)) => {
                tracing::warn!(%error, "who is forgotten is looked for again");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Nothing comes after a key that is to be destroyed: it is tried until it is gone.
async fn destroy_patiently(keys: &KeyStore, page: &LogPage) {
    let persons = match persons(page) {
        Ok(persons) => persons,
        Err(failure) => {
            tracing::error!(%failure, "a newer Daybook forgets persons in another way: use that one");
            return;
        }
    };
    while let Err(failure) = destroy(keys, persons.clone()).await {
        tracing::error!(%failure, "keys of forgotten persons could not be destroyed yet");
        tokio::time::sleep(RETRY).await;
    }
}

/// Destroys the keys of these persons.
///
/// # Errors
/// [`Failure::Full`] or [`Failure::Unavailable`]
pub(crate) async fn destroy(keys: &KeyStore, persons: Vec<String>) -> Result<(), Failure> {
    keys.destroy_all(persons).await.map_err(|error| match error {
        KeysError::Full(_) => Failure::Full(error.to_string()),
        _ => Failure::Unavailable(error.to_string()),
    })
}

fn followed() -> Filter {
    let types = vec!["UserForgotten".to_owned()];
    Filter { types, ..Filter::categories([UserEvent::CATEGORY]) }
}

fn persons(page: &LogPage) -> Result<Vec<String>, Failure> {
    let person = |logged: &Logged| match logged.decode().map(|decoded| &decoded.event) {
        Ok(Event::User(UserEvent::Forgotten(_))) => Ok(Some(logged.stream.id().to_owned())),
        Ok(_) => Ok(None),
        Err(error) => {
            let (stream, revision) = (&logged.stream, logged.revision);
            Err(Failure::Unreadable(format!("{stream}@{revision}: {error}")))
        }
    };
    page.events.iter().filter_map(|logged| person(logged).transpose()).collect()
}
