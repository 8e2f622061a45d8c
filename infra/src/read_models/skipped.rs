use std::fmt;

use event_schemas::Position;
use serde::{Deserialize, Serialize};

/// Events of one kind that a projection has passed over because it was told to: they are not in
/// its rows. Kept with the checkpoint, so that they are never missing in silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The category of their streams.
    pub category: String,
    /// Their type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Their schema version; `None` where their metadata does not tell it.
    pub schema_version: Option<u32>,
    /// How many there were.
    pub events: u64,
    /// Where the first of them stands.
    pub first: Position,
}

impl Skipped {
    /// How it is kept in one column; nothing while nothing was passed over.
    pub(super) fn text(all: &[Self]) -> Option<String> {
        // Texts and numbers: nothing that JSON cannot hold.
        (!all.is_empty()).then(|| serde_json::json!(all).to_string())
    }

    pub(super) fn read(text: Option<&str>) -> serde_json::Result<Vec<Self>> {
        text.map_or_else(|| Ok(Vec::new()), serde_json::from_str)
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { category, event_type, schema_version, events, first } = self;
        let plural = if *events == 1 { "event" } else { "events" };
        write!(f, "{events} {plural} {event_type}")?;
        if let Some(version) = schema_version {
            write!(f, "@{version}")?;
        }
        write!(f, " in the category {category}, the first at position {first}")
    }
}
