//! Who the store is. The server has no id of its own, so a stream of ours holds one: its first
//! event is the founding, appended with `NoStream` by whoever comes first. Which key store belongs
//! to it stands there too.

use event_schemas::{ExpectedRevision, NewEvent, Position, Revision, StoreId, StreamName};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    connection::{Known, Node},
    trouble::Trouble,
};
use crate::event_store::Direction;

/// The category and id of the stream.
const STREAM: (&str, &str) = ("daybook", "store");
/// The same in one.
pub(crate) const STORE_STREAM: &str = "daybook-store";
const FOUNDED: &str = "StoreFounded";
const KEYS_NOTED: &str = "KeyStoreNoted";

/// What the stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: StoreId,
    /// The key store noted last.
    pub(super) fingerprint: Option<String>,
    /// The revision of the stream's last event.
    pub(super) revision: Revision,
}

#[derive(Serialize, Deserialize)]
struct Founded {
    store_id: StoreId,
}

#[derive(Serialize, Deserialize)]
struct KeysNoted {
    fingerprint: String,
}

/// The stream's name.
pub(super) fn stream() -> StreamName {
    StreamName::new(STREAM.0, STREAM.1)
}

/// Reads who the store is; `None` if it was never founded.
pub(super) async fn read(node: &Node) -> Result<Option<Identity>, Trouble> {
    let (stream, mut from, mut found) = (stream(), Revision(0), None::<Identity>);
    loop {
        let page = match node.stream_page(&stream, from, Direction::Forwards, 100).await {
            Err(Trouble::Deleted) => return Err(lost(&stream, "it was deleted")),
            page => page?,
        };
        for event in &page.events {
            if event.revision != from {
                return Err(lost(&stream, "events are missing in it"));
            }
            from = event.revision.next();
            match &mut found {
                None => {
                    let founded = serde_json::from_slice::<Founded>(&event.data).ok();
                    let founded = founded.filter(|_| event.event_type == FOUNDED);
                    let founded =
                        founded.ok_or_else(|| lost(&stream, "its first event is another"))?;
                    let (id, revision) = (founded.store_id, event.revision);
                    found = Some(Identity { id, fingerprint: None, revision });
                }
                Some(identity) => {
                    identity.revision = event.revision;
                    if event.event_type == KEYS_NOTED {
                        let noted = serde_json::from_slice::<KeysNoted>(&event.data);
                        let noted = noted.map_err(|error| lost(&stream, &error.to_string()))?;
                        identity.fingerprint = Some(noted.fingerprint);
                    }
                }
            }
        }
        if page.at_end {
            return Ok(found);
        }
    }
}

/// Looks whether the server still holds what it is known to hold, and says what is different.
pub(super) async fn look(node: &Node, known: Known) -> Result<Option<String>, Trouble> {
    let found = read(node).await?;
    if let Some(id) = known.id {
        match found.map(|found| found.id) {
            Some(found) if found == id => {}
            Some(found) => return Ok(Some(format!("its id was {id} and is {found}"))),
            None => return Ok(Some(format!("its id was {id} and is gone"))),
        }
    }
    let Some((position, id)) = known.event else { return Ok(None) };
    let there = node.event_at(position).await?.map(|event| event.id);
    Ok((there != Some(id)).then(|| gone(position, id)))
}

fn gone(position: Position, id: Uuid) -> String {
    format!(
        "the event {id} is no longer at position {position}: the server was restored from a backup, \
         or its log was changed"
    )
}

/// The stream's first event, of a new store.
pub(super) fn founding(id: StoreId) -> (ExpectedRevision, NewEvent) {
    (ExpectedRevision::NoStream, event(FOUNDED, &Founded { store_id: id }))
}

/// The event that notes a key store.
pub(super) fn noting(fingerprint: &str) -> NewEvent {
    event(KEYS_NOTED, &KeysNoted { fingerprint: fingerprint.to_owned() })
}

fn event(event_type: &str, data: &impl Serialize) -> NewEvent {
    let data = serde_json::to_vec(data).unwrap_or_default();
    let metadata = serde_json::json!({
        "schema_version": 1,
        "recorded_at": jiff::Timestamp::now().to_string(),
    });
    let metadata = metadata.to_string().into_bytes();
    NewEvent::raw(Uuid::new_v4(), event_type.to_owned(), data.into(), metadata.into())
}

fn lost(stream: &StreamName, why: &str) -> Trouble {
    Trouble::Refused(format!(
        "the stream {stream}, which holds the store's id and its key store's fingerprint, cannot be \
         gone by: {why}; bring it back from a backup of the server"
    ))
}
