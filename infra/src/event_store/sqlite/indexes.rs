//! Holding the indexes against the table. Each is walked in its order, as reads walk it, a page at
//! a time: where its entries rise strictly, each is what the row says that it leads to, and there
//! are as many as rows, every row is found by it and nothing else.

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::reader::Reader;
use crate::event_store::IndexCheck;
use event_schemas::Position;

/// Entries in a page.
const PAGE: usize = 1_000;

/// Where a walk goes on.
#[derive(Clone, Debug)]
pub(super) enum Walk {
    /// In the index of the streams, behind this stream and revision.
    Streams(String, i64, i64),
    /// In the index of the kinds, behind this kind and position.
    Kinds(i64, i64, i64),
    /// At its end.
    Done(IndexCheck),
}

impl Walk {
    /// The beginning: no stream has an empty name.
    pub(super) const fn begin() -> Self {
        Self::Streams(String::new(), -1, 0)
    }
}

impl Reader {
    /// The next page of a walk.
    pub(super) fn walk(&mut self, walk: Walk) -> Result<Walk> {
        match walk {
            Walk::Streams(stream, revision, count) => self.walk_streams(stream, revision, count),
            Walk::Kinds(kind, position, count) => self.walk_kinds(kind, position, count),
            done @ Walk::Done(_) => Ok(done),
        }
    }

    fn walk_streams(&mut self, stream: String, revision: i64, mut count: i64) -> Result<Walk> {
        const ENTRIES: &str =
            "SELECT stream, revision, position FROM events INDEXED BY events_stream
             WHERE (stream, revision) > (?1, ?2) ORDER BY stream, revision LIMIT ?3";
        const ROW: &str = "SELECT stream, revision FROM events NOT INDEXED WHERE position = ?1";
        self.snapshot(|connection, _| {
            let mut entries = connection.prepare_cached(ENTRIES)?;
            let mut row = connection.prepare_cached(ROW)?;
            let mut entries = entries.query(params![stream, revision, PAGE as i64])?;
            let (mut last, mut met) = ((stream, revision), 0);
            while let Some(entry) = entries.next()? {
                let (key, position): ((String, i64), i64) =
                    ((entry.get(0)?, entry.get(1)?), entry.get(2)?);
                let found = row.query_row([position], |row| Ok((row.get(0)?, row.get(1)?)));
                if key <= last || found.optional()?.as_ref() != Some(&key) {
                    return Ok(lost(position));
                }
                (last, met) = (key, met + 1);
            }
            count += met;
            if met == PAGE as i64 {
                return Ok(Walk::Streams(last.0, last.1, count));
            }
            // What was appended since the walk began may have been met or not.
            let all = "SELECT count(*) FROM events NOT INDEXED";
            let all: i64 = connection.prepare_cached(all)?.query_row([], |row| row.get(0))?;
            let by_index = "SELECT count(*) FROM events INDEXED BY events_stream WHERE stream > ''";
            let by_index: i64 =
                connection.prepare_cached(by_index)?.query_row([], |row| row.get(0))?;
            let sound = count <= all && all == by_index;
            Ok(if sound { Walk::Kinds(-1, -1, 0) } else { Walk::Done(IndexCheck::Surplus) })
        })
    }

    fn walk_kinds(&mut self, kind: i64, position: i64, mut count: i64) -> Result<Walk> {
        const ENTRIES: &str = "SELECT kind, position FROM events INDEXED BY events_kind
             WHERE (kind, position) > (?1, ?2) ORDER BY kind, position LIMIT ?3";
        const ROW: &str = "SELECT kind FROM events NOT INDEXED WHERE position = ?1";
        self.snapshot(|connection, _| {
            let mut entries = connection.prepare_cached(ENTRIES)?;
            let mut row = connection.prepare_cached(ROW)?;
            let mut entries = entries.query(params![kind, position, PAGE as i64])?;
            let (mut last, mut met) = ((kind, position), 0);
            while let Some(entry) = entries.next()? {
                let key: (i64, i64) = (entry.get(0)?, entry.get(1)?);
                let found: Option<i64> = row.query_row([key.1], |row| row.get(0)).optional()?;
                if key <= last || found != Some(key.0) {
                    return Ok(lost(key.1));
                }
                (last, met) = (key, met + 1);
            }
            count += met;
            if met == PAGE as i64 {
                return Ok(Walk::Kinds(last.0, last.1, count));
            }
            let all = "SELECT count(*) FROM events NOT INDEXED";
            let all: i64 = connection.prepare_cached(all)?.query_row([], |row| row.get(0))?;
            let by_index = "SELECT count(*) FROM events INDEXED BY events_kind WHERE kind >= 0";
            let by_index: i64 =
                connection.prepare_cached(by_index)?.query_row([], |row| row.get(0))?;
            let sound = count <= all && all == by_index && is_intact(connection)?;
            Ok(Walk::Done(if sound { IndexCheck::Sound } else { IndexCheck::Surplus }))
        })
    }
}

/// What SQLite itself finds, such as a page that no walk comes to the way a read does.
fn is_intact(connection: &Connection) -> Result<bool> {
    let mut check = connection.prepare("PRAGMA integrity_check(1)")?;
    check.query_row([], |row| Ok(row.get::<_, String>(0)? == "ok"))
}

fn lost(position: i64) -> Walk {
    Walk::Done(IndexCheck::Lost(Position(position.cast_unsigned())))
}
