//! Holding the indexes against the table. The table and each index are walked once, in order, a
//! page at a time; what an index should hold is summed up on the way, by hashes under a key of this
//! process (a sum does not mind the order). An index that rises strictly and has the table's sum
//! leads to every row and to nothing else. What SQLite itself can find comes last.

use std::hash::{BuildHasher, RandomState};

use event_schemas::Position;
use rusqlite::{Connection, Result, params};

use super::{kinds::Kinds, reader::Reader};
use crate::event_store::IndexCheck;

/// Rows or entries in a page.
const PAGE: i64 = 1_000;

/// How far a walk has come.
#[derive(Debug)]
pub(super) struct Walk {
    hasher: RandomState,
    /// What was appended since the walk began is left out.
    head: Option<i64>,
    /// What the rows make the indexes of streams and kinds hold, less what they hold.
    streams: u64,
    kinds: u64,
    next: Next,
}

#[derive(Debug)]
enum Next {
    /// Rows behind this position.
    Rows(i64),
    /// Entries behind this stream and revision.
    Streams(String, i64),
    /// Entries behind this kind and position.
    Kinds(i64, i64),
}

impl Walk {
    pub(super) fn begin() -> Self {
        let hasher = RandomState::new();
        Self { hasher, head: None, streams: 0, kinds: 0, next: Next::Rows(0) }
    }

    fn stream(&self, stream: &str, revision: i64, position: i64) -> u64 {
        self.hasher.hash_one((stream, revision, position))
    }

    fn kind(&self, kind: i64, position: i64) -> u64 {
        self.hasher.hash_one((kind, position))
    }

    /// The position of an event that is filed under another category than its stream's, else what
    /// comes next.
    fn rows(
        &mut self,
        connection: &Connection,
        filed: &Kinds,
        after: i64,
        head: i64,
    ) -> Result<std::result::Result<Next, i64>> {
        const ROWS: &str = "SELECT position, stream, revision, kind FROM events NOT INDEXED
             WHERE position > ?1 AND position <= ?2 ORDER BY position LIMIT ?3";
        let mut select = connection.prepare_cached(ROWS)?;
        let mut rows = select.query(params![after, head, PAGE])?;
        let (mut last, mut met) = (after, 0);
        while let Some(row) = rows.next()? {
            last = row.get(0)?;
            let (stream, revision, kind) = (row.get_ref(1)?.as_str()?, row.get(2)?, row.get(3)?);
            let category = stream.split_once('-').map_or(stream, |(category, _)| category);
            if filed.category(kind) != Some(category) {
                return Ok(Err(last));
            }
            self.streams = self.streams.wrapping_add(self.stream(stream, revision, last));
            self.kinds = self.kinds.wrapping_add(self.kind(kind, last));
            met += 1;
        }
        // No stream has an empty name.
        Ok(Ok(if met == PAGE { Next::Rows(last) } else { Next::Streams(String::new(), -1) }))
    }

    /// The position of an entry that is not behind the one before it, else what comes next.
    fn streams(
        &mut self,
        connection: &Connection,
        mut last: (String, i64),
        head: i64,
    ) -> Result<std::result::Result<Next, i64>> {
        // The rest of the stream, then the streams behind it: in one condition it would be read
        // again from the stream's beginning for each page.
        const ENTRIES: [&str; 2] = [
            "SELECT stream, revision, position FROM events INDEXED BY events_stream
             WHERE stream = ?1 AND revision > ?2 ORDER BY revision LIMIT ?3",
            "SELECT stream, revision, position FROM events INDEXED BY events_stream
             WHERE stream > ?1 AND ?2 = ?2 ORDER BY stream, revision LIMIT ?3",
        ];
        let mut met = 0;
        for entries in ENTRIES {
            let mut select = connection.prepare_cached(entries)?;
            let mut entries = select.query(params![last.0, last.1, PAGE - met])?;
            while let Some(entry) = entries.next()? {
                let key: (String, i64) = (entry.get(0)?, entry.get(1)?);
                let position = entry.get(2)?;
                if key <= last {
                    return Ok(Err(position));
                }
                if position <= head {
                    self.streams = self.streams.wrapping_sub(self.stream(&key.0, key.1, position));
                }
                (last, met) = (key, met + 1);
            }
        }
        Ok(Ok(if met == PAGE { Next::Streams(last.0, last.1) } else { Next::Kinds(-1, -1) }))
    }

    /// The same of kinds; nothing where there is no more.
    fn kinds(
        &mut self,
        connection: &Connection,
        mut last: (i64, i64),
        head: i64,
    ) -> Result<std::result::Result<Option<Next>, i64>> {
        const ENTRIES: [&str; 2] = [
            "SELECT kind, position FROM events INDEXED BY events_kind
             WHERE kind = ?1 AND position > ?2 ORDER BY position LIMIT ?3",
            "SELECT kind, position FROM events INDEXED BY events_kind
             WHERE kind > ?1 AND ?2 = ?2 ORDER BY kind, position LIMIT ?3",
        ];
        let mut met = 0;
        for entries in ENTRIES {
            let mut select = connection.prepare_cached(entries)?;
            let mut entries = select.query(params![last.0, last.1, PAGE - met])?;
            while let Some(entry) = entries.next()? {
                let key: (i64, i64) = (entry.get(0)?, entry.get(1)?);
                if key <= last {
                    return Ok(Err(key.1));
                }
                if key.1 <= head {
                    self.kinds = self.kinds.wrapping_sub(self.kind(key.0, key.1));
                }
                (last, met) = (key, met + 1);
            }
        }
        Ok(Ok((met == PAGE).then_some(Next::Kinds(last.0, last.1))))
    }
}

impl Reader {
    /// The next page of a walk, or what it found.
    pub(super) fn walk(&mut self, mut walk: Walk) -> Result<std::result::Result<Walk, IndexCheck>> {
        self.snapshot(|connection, filed| {
            let head = match walk.head {
                Some(head) => head,
                None => super::clamp(super::state::head(connection)?.0),
            };
            walk.head = Some(head);
            let next = match std::mem::replace(&mut walk.next, Next::Rows(0)) {
                Next::Rows(after) => walk.rows(connection, filed, after, head)?.map(Some),
                Next::Streams(stream, revision) => {
                    walk.streams(connection, (stream, revision), head)?.map(Some)
                }
                Next::Kinds(kind, position) => walk.kinds(connection, (kind, position), head)?,
            };
            Ok(match next {
                Err(position) => Err(IndexCheck::Lost(Position(position.cast_unsigned()))),
                Ok(Some(next)) => Ok(Walk { next, ..walk }),
                Ok(None) => {
                    let sound = walk.streams == 0 && walk.kinds == 0 && is_intact(connection)?;
                    Err(if sound { IndexCheck::Sound } else { IndexCheck::Surplus })
                }
            })
        })
    }
}

/// What SQLite itself finds, such as an entry that a search does not come to as a walk does.
fn is_intact(connection: &Connection) -> Result<bool> {
    let mut check = connection.prepare("PRAGMA integrity_check(1)")?;
    check.query_row([], |row| Ok(row.get::<_, String>(0)? == "ok"))
}
