use event_schemas::{Actor, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::Entry;

/// An event of an order, as its history tells it.
#[derive(Serialize)]
struct Element<'a> {
    id: Uuid,
    position: u64,
    revision: u64,
    #[serde(rename = "type")]
    event_type: &'a str,
    occurred_at: Timestamp,
    recorded_at: Timestamp,
    actor: &'a Actor,
    data: &'a RawValue,
}

/// An event as one element of a history.
pub(super) fn element(entry: Entry<'_>) -> Result<String, serde_json::Error> {
    let recorded = &entry.logged.recorded;
    serde_json::to_string(&Element {
        id: recorded.id,
        position: entry.logged.position.0,
        revision: recorded.revision.0,
        event_type: &recorded.event_type,
        occurred_at: entry.metadata().occurred_at,
        recorded_at: entry.metadata().recorded_at,
        actor: &entry.metadata().actor,
        data: serde_json::from_slice(&recorded.data)?,
    })
}

/// The history with one more element.
pub(super) fn extend(mut history: String, element: &str) -> String {
    // Before the closing bracket.
    history.pop();
    history.push(',');
    history.push_str(element);
    history.push(']');
    history
}
