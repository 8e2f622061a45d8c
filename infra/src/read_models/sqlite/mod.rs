//! One SQLite file a read model and generation: `NAME-GENERATION.sqlite`, the highest generation
//! is the one that is read. A generation being built is called `NAME-GENERATION.building`; renaming
//! it is the switch, and whoever reads or posts in this process follows at once ([`known`]). The
//! generation that was replaced stays until [`SqliteReadModels::drop_old`] or the next switch.
//!
//! The journal is a WAL with `synchronous=NORMAL`: nothing is synced a batch. A power cut may take
//! the newest batches away, rows and checkpoint together, and they are posted again; it cannot
//! damage the file.

mod known;
mod reader;
mod sql;
mod writer;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use event_schemas::{Position, StoreId};
use rusqlite::{Connection, ErrorCode};
use uuid::Uuid;

use super::{Checkpoint, ReadModelError, Schema, Skipped};

use known::{Known, Live};

pub use reader::{SqliteReader, SqliteSnapshot};
pub use writer::SqliteWriter;

/// What the file of a generation that is or was read ends with, and of one that is being built.
const INSTALLED: &str = "sqlite";
const BUILDING: &str = "building";

/// A directory of read models.
#[derive(Clone, Debug)]
pub struct SqliteReadModels {
    dir: Arc<Path>,
    known: Arc<Known>,
}

/// A generation's number and file.
#[derive(Clone, Debug)]
struct Generation {
    number: u64,
    path: PathBuf,
}

impl SqliteReadModels {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir: dir.into(), known: Arc::default() }
    }

    pub(super) fn open(
        &self,
        schema: &'static Schema,
        store: StoreId,
    ) -> Result<SqliteWriter, ReadModelError> {
        let current = self.current(schema.name)?;
        let damaged = current.is_some();
        if let Some(current) = current {
            match SqliteWriter::open(self, schema, &current) {
                Ok(writer) => return Ok(writer),
                Err(error @ (ReadModelError::Damaged { .. } | ReadModelError::Missing(_))) => {
                    tracing::warn!(read_model = schema.name, %error, "posting it anew");
                }
                Err(error) => return Err(error),
            }
        }
        // An empty read model is built and put in place like any other.
        let mut writer = self.build(schema, store)?;
        writer.replace()?;
        if damaged {
            self.drop_old(schema)?;
        }
        Ok(writer)
    }

    pub(super) fn build(
        &self,
        schema: &'static Schema,
        store: StoreId,
    ) -> Result<SqliteWriter, ReadModelError> {
        fs::create_dir_all(&self.dir).map_err(|error| unavailable_io(&self.dir, &error))?;
        for left in self.files(schema.name, BUILDING)? {
            writer::remove(&left.path)?;
        }
        let number = self.current(schema.name)?.map_or(1, |current| current.number + 1);
        SqliteWriter::build(self, schema, store, number).inspect_err(|_| {
            // What could not be begun takes up no room.
            let _ = writer::remove(&self.path(schema.name, number, BUILDING));
        })
    }

    /// The generation whose building was cut short, if it can be gone on with.
    pub(super) fn unfinished(
        &self,
        schema: &'static Schema,
        store: StoreId,
    ) -> Result<Option<SqliteWriter>, ReadModelError> {
        let live = self.current(schema.name)?.map_or(0, |current| current.number);
        let left = self.files(schema.name, BUILDING)?;
        let Some(left) = left.into_iter().find(|left| left.number == live + 1) else {
            return Ok(None);
        };
        match SqliteWriter::unfinished(self, schema, store, left.number) {
            Ok(writer) => Ok(writer),
            Err(error) => {
                tracing::info!(read_model = schema.name, %error, "what was begun is begun anew");
                Ok(None)
            }
        }
    }

    /// Removes what a switch has left. Returns how many generations that were.
    pub(super) fn drop_old(&self, schema: &'static Schema) -> Result<usize, ReadModelError> {
        self.drop_below(schema, |current| current.number)
    }

    fn drop_below(
        &self,
        schema: &'static Schema,
        bound: impl FnOnce(&Generation) -> u64,
    ) -> Result<usize, ReadModelError> {
        let Some(current) = self.current(schema.name)? else { return Ok(0) };
        let bound = bound(&current);
        let mut old = self.files(schema.name, INSTALLED)?;
        old.retain(|generation| generation.number < bound);
        for generation in &old {
            writer::remove(&generation.path)?;
        }
        Ok(old.len())
    }

    pub(super) fn reader(&self, schema: &'static Schema) -> SqliteReader {
        SqliteReader::new(self.clone(), schema)
    }

    fn live(&self, name: &'static str) -> Arc<Live> {
        self.known.of(name)
    }

    /// The generation that is read.
    fn current(&self, name: &'static str) -> Result<Option<Generation>, ReadModelError> {
        let live = self.live(name);
        loop {
            let known = live.number();
            if let Some(number) = known {
                let path = self.path(name, number, INSTALLED);
                if path.exists() {
                    return Ok(Some(Generation { number, path }));
                }
            }
            let files = self.files(name, INSTALLED)?;
            let Some(newest) = files.into_iter().max_by_key(|generation| generation.number) else {
                return Ok(None);
            };
            if live.found(known, newest.number) {
                return Ok(Some(newest));
            }
        }
    }

    fn path(&self, name: &str, number: u64, extension: &str) -> PathBuf {
        self.dir.join(format!("{name}-{number}.{extension}"))
    }

    fn files(&self, name: &str, extension: &str) -> Result<Vec<Generation>, ReadModelError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unavailable_io(&self.dir, &error)),
        };
        let number = |path: &Path| {
            let (stem, found) = path.file_name()?.to_str()?.rsplit_once('.')?;
            let stem = (found == extension).then_some(stem)?;
            stem.strip_prefix(name)?.strip_prefix('-')?.parse().ok()
        };
        Ok(entries
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter_map(|path| Some(Generation { number: number(&path)?, path }))
            .collect())
    }
}

/// Reads the checkpoint, and that the file was made by this very code.
fn read_checkpoint(
    connection: &Connection,
    schema: &'static Schema,
) -> Result<Checkpoint, ReadModelError> {
    let mut statement =
        connection.prepare_cached(sql::READ_CHECKPOINT).map_err(|e| failed(schema, &e))?;
    type Found = (String, i64, Option<i64>, Option<String>, Option<String>);
    let (store, at, last_at, last_id, skipped): Found = statement
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .map_err(|error| failed(schema, &error))?;
    let damaged =
        |reason: &str| ReadModelError::Damaged { name: schema.name, reason: reason.to_owned() };
    let uuid = |text: &str| text.parse::<Uuid>().map_err(|_| damaged("an id is no UUID"));
    let position = |number: i64| {
        u64::try_from(number).map(Position).map_err(|_| damaged("a position is below 0"))
    };
    let last = match (last_at, last_id) {
        (Some(at), Some(id)) => Some((position(at)?, uuid(&id)?)),
        _ => None,
    };
    let skipped = Skipped::read(skipped.as_deref()).map_err(|e| damaged(&e.to_string()))?;
    Ok(Checkpoint { store: StoreId(uuid(&store)?), position: position(at)?, last, skipped })
}

/// What an error of SQLite means for a read model.
fn failed(schema: &'static Schema, error: &rusqlite::Error) -> ReadModelError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            ReadModelError::Damaged { name: schema.name, reason: error.to_string() }
        }
        _ if is_full(error) => {
            ReadModelError::Unavailable(format!("read model {}: the disk is full", schema.name))
        }
        _ => ReadModelError::Unavailable(format!("read model {}: {error}", schema.name)),
    }
}

/// Whether there is no room: for a page, or for the file that readers and the writer of a WAL share.
fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| {
        error.code == ErrorCode::DiskFull
            || error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
    })
}

fn unavailable_io(path: &Path, error: &io::Error) -> ReadModelError {
    ReadModelError::Unavailable(format!("{}: {error}", path.display()))
}
