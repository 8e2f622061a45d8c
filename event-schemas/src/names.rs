use std::{fmt, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// `category-id`, with no dash in the category. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamName(Arc<str>);

/// A stream needs a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stream's name is 1 to 1,000 bytes long and has no control characters")]
pub struct InvalidName;

impl StreamName {
    /// The stream of one aggregate. `category` is one of ours and has no dash.
    pub fn new(category: &str, id: &str) -> Self {
        debug_assert!(!category.is_empty() && !category.contains('-'));
        Self(format!("{category}-{id}").into())
    }

    /// A name as somebody wrote it: others may append streams of any shape.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() || text.len() > 1_000 || text.chars().any(char::is_control) {
            return Err(InvalidName);
        }
        Ok(Self(text.into()))
    }

    /// The stream that holds this stream's metadata, as EventStoreDB names it: `$$` and the name.
    pub fn metastream(&self) -> Result<Self, InvalidName> {
        Self::parse(&format!("$${self}"))
    }

    /// The stream whose metadata this one holds, if it is such a stream.
    pub fn original(&self) -> Option<Self> {
        self.0.strip_prefix("$$").and_then(|name| Self::parse(name).ok())
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the first dash; the whole name where there is none.
    pub fn category(&self) -> &str {
        // Asked for each event by each reader, and short.
        let dash = self.0.bytes().position(|byte| byte == b'-');
        dash.map_or(&self.0, |dash| &self.0[..dash])
    }

    /// What stands behind the first dash; empty where there is none.
    pub fn id(&self) -> &str {
        self.0.split_once('-').map_or("", |(_, id)| id)
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The place of an event within its stream, from 0.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The place of the event that ends its stream for good: EventStoreDB's tombstone.
    pub const TOMBSTONE: Self = Self(i64::MAX.cast_unsigned());

    /// The next place.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an append demands of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedRevision {
    /// The stream has no event.
    NoStream,
    /// The stream has events.
    StreamExists,
    /// The stream's last event has this revision.
    Exact(Revision),
    /// Anything. The executor never asks for it.
    Any,
}

/// The place of an event in the whole store; opaque to clients, not contiguous. The first event
/// lies behind [`Position::START`].
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// Before every event.
    pub const START: Position = Position(0);
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which log a position belongs to. A restored backup is another store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct StoreId(pub Uuid);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A position and the store it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPosition {
    /// The store.
    pub store: StoreId,
    /// The place in it.
    pub position: Position,
}
