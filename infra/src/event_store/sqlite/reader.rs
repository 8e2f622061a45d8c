//! Reading: a few connections that take turns. A transaction lives for one page and no longer.

use std::{
    fmt::Write,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use event_schemas::{Logged, Position, Received, Recorded, Revision, StreamName, Timestamp};
use rusqlite::{
    CachedStatement, Connection, OpenFlags, Result, Row, ToSql, params,
    types::{FromSqlError, Type},
};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    kinds::{KindId, Kinds},
    open::{connect, has_notes},
    state,
};
use crate::event_store::{Direction, Filter, LogPage, PageSize, ReadError, Slice};

/// Pages up to this size are read right where they are asked for: that takes less time than to
/// hand the work to another thread and back.
const INLINE: usize = 64;
/// A filter that more kinds pass is not served from the index of kinds.
const MAX_MERGED: usize = 32;
/// How many rows a page looks at when it has to scan.
const MAX_SCAN: i64 = 10_000;
/// A reader's page cache in KiB.
const CACHE_KIB: u32 = 2_048;

/// What is read of an event.
#[derive(Clone, Copy, Debug)]
struct Columns(&'static str);

/// The connections.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    count: u32,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Reader>>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) connection: Connection,
    kinds: Kinds,
    columns: Columns,
}

impl Readers {
    /// Opens the first connection; the others are opened when they are needed.
    pub(super) fn new(path: PathBuf, count: u32) -> Result<Self> {
        let first = Reader::open(&path)?;
        let permits = Arc::new(Semaphore::new(usize::try_from(count).unwrap_or(1)));
        Ok(Self { path, count, permits, idle: Mutex::new(vec![first]) })
    }

    /// A read of a few rows, made at once on the caller's thread.
    pub(super) async fn point<T>(
        &self,
        read: impl FnOnce(&mut Reader) -> Result<T>,
    ) -> Result<T, ReadError> {
        let _permit = self.permits.acquire().await.map_err(|_| ReadError::Closed)?;
        self.with_reader(read)
    }

    /// A read of up to `limit` rows.
    pub(super) async fn page<T: Send + 'static>(
        self: &Arc<Self>,
        limit: usize,
        read: impl FnOnce(&mut Reader) -> Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        if limit <= INLINE {
            return self.point(read).await;
        }
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| ReadError::Closed)?;
        let readers = self.clone();
        let work = move || {
            // It outlives a caller that stops waiting.
            let _permit = permit;
            readers.with_reader(read)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(page) => page,
            Err(error) => Err(ReadError::Unavailable(error.to_string())),
        }
    }

    /// Waits for the reads under way and closes every connection; later reads are refused.
    pub(super) async fn close(&self) {
        let _all = self.permits.acquire_many(self.count).await;
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn with_reader<T>(&self, read: impl FnOnce(&mut Reader) -> Result<T>) -> Result<T, ReadError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let unavailable = |error: rusqlite::Error| ReadError::Unavailable(error.to_string());
        let mut reader = match idle {
            Some(reader) => reader,
            None => Reader::open(&self.path).map_err(unavailable)?,
        };
        let result = read(&mut reader).map_err(unavailable);
        // One that is still in a transaction did not get out of an error: it is closed instead.
        if reader.connection.is_autocommit() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        }
        result
    }
}

impl Reader {
    fn open(path: &std::path::Path) -> Result<Self> {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, CACHE_KIB)?;
        let columns = Columns::of(&connection)?;
        Ok(Self { connection, kinds: Kinds::default(), columns })
    }

    pub(super) fn key_fingerprint(&self) -> Result<Option<String>> {
        self.connection
            .prepare_cached("SELECT key_fingerprint FROM store")?
            .query_row([], |row| row.get(0))
    }

    pub(super) fn event_at(&mut self, position: Position) -> Result<Option<Logged>> {
        let sql = format!("SELECT {} FROM events WHERE position = ?1", self.columns.0);
        self.snapshot(|connection, kinds| {
            let mut select = connection.prepare_cached(&sql)?;
            let mut rows = select.query([clamp(position.0)])?;
            rows.next()?.map(|row| logged(row, kinds)).transpose()
        })
    }

    pub(super) fn stream(
        &mut self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        most: PageSize,
    ) -> Result<Slice> {
        let (beyond, order) = match direction {
            Direction::Forwards => (">=", "ASC"),
            Direction::Backwards => ("<=", "DESC"),
        };
        let sql = format!(
            "SELECT {} FROM events WHERE stream = ?1 AND revision {beyond} ?2
             ORDER BY revision {order} LIMIT ?3",
            self.columns.0
        );
        self.snapshot(|connection, kinds| {
            let mut select = connection.prepare_cached(&sql)?;
            // One more than asked for tells whether the page is the last.
            let rows = params![stream.as_str(), clamp(from.0), count(most.events + 1)];
            let mut rows = select.query(rows)?;
            let (mut events, mut bytes) = (Vec::new(), 0);
            while let Some(row) = rows.next()? {
                if events.len() == most.events || bytes >= most.bytes {
                    return Ok(Slice { events, at_end: false });
                }
                let recorded = Arc::new(recorded(row, kinds, stream.clone())?);
                bytes += recorded.data.len() + recorded.metadata.len();
                events.push(Logged { position: position(row)?, recorded });
            }
            Ok(Slice { events, at_end: true })
        })
    }

    pub(super) fn log(
        &mut self,
        from: Position,
        direction: Direction,
        filter: &Filter,
        most: PageSize,
    ) -> Result<LogPage> {
        let columns = self.columns;
        self.snapshot(|connection, kinds| {
            let head = state::head(connection)?;
            let limit_sql = count(most.events);
            let from_sql = clamp(from.0);
            let mut query = Query { from, direction, head, most, kinds, passing: None };
            match (kinds.passing(filter), &filter.stream) {
                (Some(passing), _) if passing.is_empty() => Ok(query.nothing()),
                (passing, Some(stream)) => {
                    let limit = if passing.is_some() { MAX_SCAN } else { limit_sql };
                    query.passing = passing;
                    let mut select = connection.prepare_cached(&stream_sql(columns, direction))?;
                    query.read(&mut select, &[&from_sql, &limit, &stream.as_str()])
                }
                (None, None) => {
                    let mut select = connection.prepare_cached(&plain_sql(columns, direction))?;
                    query.read(&mut select, &[&from_sql, &limit_sql])
                }
                (Some(passing), None) if passing.len() <= MAX_MERGED => {
                    let mut select = connection.prepare_cached(&merged_sql(
                        columns,
                        direction,
                        passing.len(),
                    ))?;
                    let mut values: Vec<&dyn ToSql> = vec![&from_sql, &limit_sql];
                    values.extend(passing.iter().map(|kind| kind as &dyn ToSql));
                    query.read(&mut select, &values)
                }
                (Some(passing), None) => {
                    query.passing = Some(passing);
                    let mut select = connection.prepare_cached(&plain_sql(columns, direction))?;
                    query.read(&mut select, &[&from_sql, &MAX_SCAN])
                }
            }
        })
    }

    /// The last revisions of two streams at one moment.
    pub(super) fn heads(&mut self, streams: [&StreamName; 2]) -> Result<[Option<Revision>; 2]> {
        let [one, other] = streams;
        self.snapshot(|connection, _| {
            Ok([state::stream_head(connection, one)?, state::stream_head(connection, other)?])
        })
    }

    /// Everything in it sees the same state of the store, and knows all kinds in it.
    pub(super) fn snapshot<T>(
        &mut self,
        read: impl FnOnce(&Connection, &Kinds) -> Result<T>,
    ) -> Result<T> {
        self.connection.prepare_cached("BEGIN")?.execute([])?;
        let refreshed = self.kinds.refresh(&self.connection);
        let result = refreshed.and_then(|()| read(&self.connection, &self.kinds));
        let ended = self.connection.prepare_cached("COMMIT")?.execute([]);
        result.and_then(|value| ended.map(|_| value))
    }
}

impl Columns {
    /// A store that this process only reads may still be of the format before the notes.
    fn of(connection: &Connection) -> Result<Self> {
        Ok(Self(if has_notes(connection)? {
            "position, stream, revision, kind, id, data, metadata, received_at, json"
        } else {
            "position, stream, revision, kind, id, data, metadata, NULL, NULL"
        }))
    }
}

/// One page of the log.
struct Query<'a> {
    from: Position,
    direction: Direction,
    head: Position,
    most: PageSize,
    kinds: &'a Kinds,
    /// The kinds that pass, where the statement does not see to it itself.
    passing: Option<Vec<KindId>>,
}

impl Query<'_> {
    fn read(&self, select: &mut CachedStatement<'_>, values: &[&dyn ToSql]) -> Result<LogPage> {
        let mut rows = select.query(values)?;
        let mut page = LogPage { events: Vec::new(), scanned_to: self.from, at_end: false };
        let (mut bytes, mut scanned) = (0, 0_i64);
        while let Some(row) = rows.next()? {
            scanned += 1;
            page.scanned_to = position(row)?;
            if self.passing.as_ref().is_none_or(|passing| {
                row.get(3).is_ok_and(|kind: KindId| passing.binary_search(&kind).is_ok())
            }) {
                let event = logged(row, self.kinds)?;
                bytes += event.data.len() + event.metadata.len();
                page.events.push(event);
            }
            let scanned_enough = self.passing.is_some() && scanned == MAX_SCAN;
            if page.events.len() == self.most.events || bytes >= self.most.bytes || scanned_enough {
                page.at_end = match self.direction {
                    Direction::Forwards => page.scanned_to >= self.head,
                    Direction::Backwards => page.scanned_to.0 <= 1,
                };
                return Ok(page);
            }
        }
        Ok(LogPage { events: page.events, ..self.nothing() })
    }

    /// Nothing (more) passes up to the end.
    fn nothing(&self) -> LogPage {
        let scanned_to = match self.direction {
            Direction::Forwards => self.from.max(self.head),
            Direction::Backwards => Position::START,
        };
        LogPage { events: Vec::new(), scanned_to, at_end: true }
    }
}

/// `?1` is where to begin, `?2` the limit.
fn plain_sql(Columns(columns): Columns, direction: Direction) -> String {
    let (beyond, order) = beyond(direction);
    format!(
        "SELECT {columns} FROM events WHERE position {beyond} ?1 ORDER BY position {order} LIMIT ?2"
    )
}

/// The events of one stream (`?3`). Its index holds the positions in their order.
fn stream_sql(Columns(columns): Columns, direction: Direction) -> String {
    let (beyond, order) = beyond(direction);
    format!(
        "SELECT {columns} FROM events INDEXED BY events_stream
         WHERE stream = ?3 AND position {beyond} ?1 ORDER BY revision {order} LIMIT ?2"
    )
}

/// The events of several kinds (`?3` and on), each read in order from the index and merged row by
/// row: no sort, and no row read that is not wanted.
fn merged_sql(Columns(columns): Columns, direction: Direction, kinds: usize) -> String {
    let (beyond, order) = beyond(direction);
    let mut sql = String::new();
    for kind in 0..kinds {
        let union = if kind == 0 { "" } else { " UNION ALL " };
        let _ = write!(
            sql,
            "{union}SELECT {columns} FROM events INDEXED BY events_kind
             WHERE kind = ?{} AND position {beyond} ?1",
            kind + 3
        );
    }
    let _ = write!(sql, " ORDER BY position {order} LIMIT ?2");
    sql
}

const fn beyond(direction: Direction) -> (&'static str, &'static str) {
    match direction {
        Direction::Forwards => (">", "ASC"),
        Direction::Backwards => ("<", "DESC"),
    }
}

fn logged(row: &Row<'_>, kinds: &Kinds) -> Result<Logged> {
    let stream = StreamName::parse(row.get_ref(1)?.as_str()?)
        .map_err(|error| invalid(1, Type::Text, error))?;
    Ok(Logged { position: position(row)?, recorded: Arc::new(recorded(row, kinds, stream)?) })
}

fn position(row: &Row<'_>) -> Result<Position> {
    Ok(Position(row.get::<_, i64>(0)?.cast_unsigned()))
}

fn recorded(row: &Row<'_>, kinds: &Kinds, stream: StreamName) -> Result<Recorded> {
    let kind: KindId = row.get(3)?;
    let event_type = kinds
        .event_type(kind)
        .ok_or_else(|| invalid(3, Type::Integer, FromSqlError::OutOfRange(kind)))?;
    let mut recorded = Recorded::new(
        Uuid::from_bytes(row.get(4)?),
        stream,
        Revision(row.get::<_, i64>(2)?.cast_unsigned()),
        event_type,
        row.get::<_, Vec<u8>>(5)?.into(),
        row.get::<_, Vec<u8>>(6)?.into(),
    );
    if let Some(micros) = row.get::<_, Option<i64>>(7)? {
        let at = Timestamp::saturating(micros);
        recorded.received = Some(Received { at, json: row.get(8)? });
    }
    Ok(recorded)
}

fn invalid(
    column: usize,
    kind: Type,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
}

/// SQLite's integers are signed; no store grows that far.
pub(super) fn clamp(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
