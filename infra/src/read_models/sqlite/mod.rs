//! One SQLite file a read model and generation: `NAME-GENERATION.sqlite`, the highest generation
//! is the one that is read. A generation being built is called `NAME-GENERATION.building`.
//!
//! The journal is a WAL with `synchronous=NORMAL`: nothing is synced a batch. A power cut may take
//! the newest batches away, rows and checkpoint together, and they are posted again; it cannot
//! damage the file.

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

use super::{Checkpoint, ReadModelError, Schema};

pub use reader::{SqliteReader, SqliteSnapshot};
pub use writer::SqliteWriter;

/// A directory of read models.
#[derive(Clone, Debug)]
pub struct SqliteReadModels {
    dir: Arc<Path>,
}

/// A generation's number and file.
#[derive(Clone, Debug)]
struct Generation {
    number: u64,
    path: PathBuf,
}

impl SqliteReadModels {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir: dir.into() }
    }

    pub(super) fn open(
        &self,
        schema: &'static Schema,
        store: StoreId,
    ) -> Result<SqliteWriter, ReadModelError> {
        if let Some(current) = self.current(schema.name)? {
            match SqliteWriter::open(schema, &current.path) {
                Ok(writer) => return Ok(writer),
                Err(
                    error @ (ReadModelError::OtherVersion(_)
                    | ReadModelError::Damaged { .. }
                    | ReadModelError::Missing(_)),
                ) => tracing::warn!(read_model = schema.name, %error, "posting it anew"),
                Err(error) => return Err(error),
            }
        }
        // An empty read model is built and put in place like any other.
        let mut writer = self.build(schema, store)?;
        writer.install()?;
        Ok(writer)
    }

    pub(super) fn build(
        &self,
        schema: &'static Schema,
        store: StoreId,
    ) -> Result<SqliteWriter, ReadModelError> {
        fs::create_dir_all(&self.dir).map_err(|error| unavailable_io(&self.dir, &error))?;
        let next = self.current(schema.name)?.map_or(1, |current| current.number + 1);
        let stem = self.dir.join(format!("{}-{next}", schema.name));
        SqliteWriter::build(schema, store, stem)
    }

    pub(super) fn reader(&self, schema: &'static Schema) -> SqliteReader {
        SqliteReader::new(self.clone(), schema)
    }

    /// The generation that is read.
    fn current(&self, name: &str) -> Result<Option<Generation>, ReadModelError> {
        Ok(self.generations(name)?.into_iter().max_by_key(|generation| generation.number))
    }

    fn generations(&self, name: &str) -> Result<Vec<Generation>, ReadModelError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unavailable_io(&self.dir, &error)),
        };
        let number = |path: &Path| {
            let stem = path.file_name()?.to_str()?.strip_suffix(".sqlite")?;
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
    let (store, at, last_at, last_id): (String, i64, Option<i64>, Option<String>) = statement
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
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
    Ok(Checkpoint { store: StoreId(uuid(&store)?), position: position(at)?, last })
}

/// What an error of SQLite means for a read model.
fn failed(schema: &'static Schema, error: &rusqlite::Error) -> ReadModelError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            ReadModelError::Damaged { name: schema.name, reason: error.to_string() }
        }
        _ => ReadModelError::Unavailable(format!("read model {}: {error}", schema.name)),
    }
}

fn unavailable_io(path: &Path, error: &io::Error) -> ReadModelError {
    ReadModelError::Unavailable(format!("{}: {error}", path.display()))
}
