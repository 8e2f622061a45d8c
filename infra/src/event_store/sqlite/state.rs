//! What the writer keeps in memory of the store. All of it can be read anew.

use std::{collections::HashMap, hash::Hash, mem};

use event_schemas::{Position, Revision, StreamName};
use rusqlite::{Connection, Result};
use uuid::Uuid;

use super::{clamp, kinds::Kinds};

use super::super::Appended;

/// Entries that a generation of a cache holds.
const GENERATION: usize = 32_768;

/// The head, the kinds, and the heads of the streams met last.
#[derive(Debug)]
pub(super) struct State {
    pub(super) head: Position,
    pub(super) kinds: Kinds,
    heads: Recently<StreamName, Revision>,
    /// Where the events stand that other programs' clients appended last: EventStoreDB knows a
    /// repeat by its ids also where any revision was expected, as long as it remembers them.
    ids: Recently<Uuid, (StreamName, Appended)>,
}

/// A cache in two generations: what was not met during the newer one goes with the older one.
#[derive(Debug)]
struct Recently<K, V> {
    newer: HashMap<K, V>,
    older: HashMap<K, V>,
}

impl<K: Eq + Hash, V> Recently<K, V> {
    fn new() -> Self {
        Self { newer: HashMap::new(), older: HashMap::new() }
    }

    fn insert(&mut self, key: K, value: V) {
        if self.newer.len() >= GENERATION {
            self.older = mem::take(&mut self.newer);
        }
        self.newer.insert(key, value);
    }
}

impl State {
    pub(super) fn read(connection: &Connection) -> Result<Self> {
        let mut kinds = Kinds::default();
        kinds.refresh(connection)?;
        Ok(Self { head: head(connection)?, kinds, heads: Recently::new(), ids: Recently::new() })
    }

    /// The stream's last revision, the events of the running transaction included.
    pub(super) fn stream_head(
        &mut self,
        connection: &Connection,
        stream: &StreamName,
    ) -> Result<Option<Revision>> {
        if let Some(head) = self.heads.newer.get(stream) {
            return Ok(Some(*head));
        }
        let head = match self.heads.older.remove(stream) {
            Some(head) => Some(head),
            None => stream_head(connection, stream)?,
        };
        if let Some(head) = head {
            self.set_stream_head(stream.clone(), head);
        }
        Ok(head)
    }

    pub(super) fn set_stream_head(&mut self, stream: StreamName, head: Revision) {
        self.heads.insert(stream, head);
    }

    /// Where an event stands that another program's client appended not long ago.
    pub(super) fn stands(&self, id: Uuid) -> Option<&(StreamName, Appended)> {
        self.ids.newer.get(&id).or_else(|| self.ids.older.get(&id))
    }

    pub(super) fn note(&mut self, id: Uuid, stream: StreamName, at: Appended) {
        self.ids.insert(id, (stream, at));
    }
}

/// The position of the newest event.
pub(super) fn head(connection: &Connection) -> Result<Position> {
    connection
        .prepare_cached("SELECT coalesce(max(position), 0) FROM events")?
        .query_row([], |row| Ok(Position(row.get::<_, i64>(0)?.cast_unsigned())))
}

/// The last revision of a stream.
pub(super) fn stream_head(
    connection: &Connection,
    stream: &StreamName,
) -> Result<Option<Revision>> {
    connection
        .prepare_cached("SELECT max(revision) FROM events WHERE stream = ?1")?
        .query_row([stream.as_str()], |row| row.get::<_, Option<i64>>(0))
        .map(|revision| revision.map(|revision| Revision(revision.cast_unsigned())))
}

/// Where the event in one slot of a stream stands, and its id.
pub(super) fn slot(
    connection: &Connection,
    stream: &StreamName,
    revision: Revision,
) -> Result<(Position, Uuid)> {
    connection
        .prepare_cached("SELECT position, id FROM events WHERE stream = ?1 AND revision = ?2")?
        .query_row((stream.as_str(), clamp(revision.0)), |row| {
            let id = Uuid::from_bytes(row.get(1)?);
            Ok((Position(row.get::<_, i64>(0)?.cast_unsigned()), id))
        })
}
