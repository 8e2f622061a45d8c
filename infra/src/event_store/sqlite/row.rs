use event_schemas::{Received, Revision, StreamName};
use rusqlite::{Result, Statement, params};
use uuid::Uuid;

use super::{clamp, kinds::KindId};

/// Takes an [`EventRow`].
pub(super) const INSERT: &str = "INSERT INTO events
    (position, stream, revision, kind, id, data, metadata, received_at, json)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

/// An event as it stands in the log.
pub(super) struct EventRow<'a> {
    pub(super) position: u64,
    pub(super) stream: &'a StreamName,
    pub(super) revision: Revision,
    pub(super) kind: KindId,
    pub(super) id: Uuid,
    pub(super) data: &'a [u8],
    pub(super) metadata: &'a [u8],
    pub(super) received: Option<Received>,
}

impl EventRow<'_> {
    /// Writes it by [`INSERT`].
    pub(super) fn write(&self, insert: &mut Statement<'_>) -> Result<()> {
        let written = insert.execute(params![
            clamp(self.position),
            self.stream.as_str(),
            clamp(self.revision.0),
            self.kind,
            self.id.as_bytes(),
            self.data,
            self.metadata,
            self.received.map(|received| received.at.as_micros()),
            self.received.map(|received| received.json),
        ]);
        written.map(drop)
    }
}
