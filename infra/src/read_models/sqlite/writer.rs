use std::{
    collections::HashMap,
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use event_schemas::StoreId;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params, params_from_iter};

use super::{
    super::{Changes, Checkpoint, ReadModelError, Row, Schema, Table, Value},
    failed, read_checkpoint, sql, unavailable_io,
};

/// Rows a statement: as many of the largest as there are, then of the next one. Few sizes, so
/// that every statement stays prepared.
const ROWS: [usize; 3] = [64, 8, 1];
/// Pages of the WAL before they are moved into the file, a sync each time.
const WAL_PAGES: i64 = 8_000;

/// The connection that writes one read model.
#[derive(Debug)]
pub struct SqliteWriter {
    schema: &'static Schema,
    connection: Connection,
    statements: HashMap<&'static str, Statements>,
    /// Set while a generation is being built: its path without the suffix.
    building: Option<PathBuf>,
    /// Whether what is being built has its secondary indexes.
    indexed: bool,
}

/// The statements of one table, by [`ROWS`].
#[derive(Debug)]
struct Statements {
    load: [String; ROWS.len()],
    upsert: [String; ROWS.len()],
    delete: [String; ROWS.len()],
}

impl SqliteWriter {
    pub(super) fn open(schema: &'static Schema, path: &Path) -> Result<Self, ReadModelError> {
        let fail = |error: rusqlite::Error| failed(schema, &error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(fail)?;
        super::reader::check_schema(&connection, schema)?;
        let writer = Self::new(schema, connection, None)?;
        writer.go_live().map_err(fail)?;
        Ok(writer)
    }

    pub(super) fn build(
        schema: &'static Schema,
        store: StoreId,
        stem: PathBuf,
    ) -> Result<Self, ReadModelError> {
        let path = stem.with_extension("building");
        remove(&path)?;
        let fail = |error: rusqlite::Error| failed(schema, &error);
        let connection = Connection::open(&path).map_err(fail)?;
        // Nobody reads this file, and it is thrown away if its making is cut short.
        connection
            .execute_batch(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; \
                 PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -32768; \
                 PRAGMA temp_store = MEMORY;",
            )
            .map_err(fail)?;
        connection.execute(sql::CREATE_CHECKPOINT, []).map_err(fail)?;
        connection
            .execute(sql::INSERT_CHECKPOINT, params![schema.fingerprint(), store.to_string(), 0])
            .map_err(fail)?;
        for table in schema.tables {
            connection.execute(&sql::create_table(table), []).map_err(fail)?;
        }
        Self::new(schema, connection, Some(stem))
    }

    fn new(
        schema: &'static Schema,
        connection: Connection,
        building: Option<PathBuf>,
    ) -> Result<Self, ReadModelError> {
        connection.set_prepared_statement_cache_capacity(128);
        let fail = |error: rusqlite::Error| failed(schema, &error);
        crate::sqlite::keep_plans(&connection).map_err(fail)?;
        let statements = schema.tables.iter().map(|table| (table.name, Statements::of(table)));
        Ok(Self { schema, connection, statements: statements.collect(), building, indexed: false })
    }

    /// The settings of a read model that is read while it is written.
    fn go_live(&self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(Duration::from_secs(2))?;
        self.connection.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -8192; \
             PRAGMA temp_store = MEMORY; \
             PRAGMA wal_autocheckpoint = {WAL_PAGES}; PRAGMA journal_size_limit = 67108864;"
        ))
    }

    pub(in super::super) fn checkpoint(&mut self) -> Result<Checkpoint, ReadModelError> {
        read_checkpoint(&self.connection, self.schema)
    }

    pub(in super::super) fn load(
        &mut self,
        table: &'static Table,
        keys: &[Value],
    ) -> Result<Vec<Row>, ReadModelError> {
        let statements = &self.statements[table.name];
        let mut found = Vec::new();
        for (sql, part) in parts(&statements.load, keys, table.key) {
            let mut statement =
                self.connection.prepare_cached(sql).map_err(|e| failed(self.schema, &e))?;
            super::reader::read_rows(&mut statement, part, &mut found, self.schema)?;
        }
        Ok(found)
    }

    pub(in super::super) fn commit(
        &mut self,
        from: &Checkpoint,
        to: &Checkpoint,
        changes: &[Changes],
    ) -> Result<(), ReadModelError> {
        let schema = self.schema;
        let fail = |error: rusqlite::Error| failed(schema, &error);
        let transaction =
            Transaction::new(&mut self.connection, TransactionBehavior::Immediate).map_err(fail)?;
        if !move_checkpoint(&transaction, from, to).map_err(fail)? {
            return Err(ReadModelError::Moved(schema.name));
        }
        for change in changes {
            let table = change.table;
            let statements = &self.statements[table.name];
            for (sql, part) in parts(&statements.delete, &change.deletes, table.key) {
                run(&transaction, sql, part).map_err(fail)?;
            }
            for (sql, part) in parts(&statements.upsert, &change.upserts, table.columns.len()) {
                run(&transaction, sql, part).map_err(fail)?;
            }
        }
        transaction.commit().map_err(fail)
    }

    pub(in super::super) fn index(&mut self) -> Result<(), ReadModelError> {
        if self.building.is_some() && !self.indexed {
            for index in sql::create_indexes(self.schema) {
                self.connection.execute(&index, []).map_err(|e| failed(self.schema, &e))?;
            }
            self.indexed = true;
        }
        Ok(())
    }

    pub(in super::super) fn install(&mut self) -> Result<(), ReadModelError> {
        self.index()?;
        let Some(stem) = self.building.take() else { return Ok(()) };
        let schema = self.schema;
        let fail = |error: rusqlite::Error| failed(schema, &error);
        let (building, installed) =
            (stem.with_extension("building"), stem.with_extension("sqlite"));
        let io = |error: std::io::Error| unavailable_io(&building, &error);
        // Closed first: an exclusive lock is given back only then.
        self.connection = Connection::open_in_memory().map_err(fail)?;
        File::open(&building).and_then(|file| file.sync_all()).map_err(io)?;
        fs::rename(&building, &installed).map_err(io)?;
        let dir = installed.parent().unwrap_or(Path::new("."));
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)?;
        *self = Self::open(schema, &installed)?;
        remove_older(dir, schema.name, &installed)
    }
}

fn move_checkpoint(
    transaction: &Transaction<'_>,
    from: &Checkpoint,
    to: &Checkpoint,
) -> rusqlite::Result<bool> {
    // SQLite has no unsigned 64-bit integers, and no store has that many events.
    let number = |position: event_schemas::Position| {
        i64::try_from(position.0)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
    };
    let last_position = to.last.map(|(position, _)| number(position)).transpose()?;
    let last_id = to.last.map(|(_, id)| id.to_string());
    let mut statement = transaction.prepare_cached(sql::MOVE_CHECKPOINT)?;
    let moved = statement.execute(params![
        number(to.position)?,
        last_position,
        last_id,
        from.store.to_string(),
        number(from.position)?
    ])?;
    Ok(moved == 1)
}

fn run(transaction: &Transaction<'_>, sql: &str, values: &[Value]) -> rusqlite::Result<()> {
    transaction.prepare_cached(sql)?.execute(params_from_iter(values)).map(|_| ())
}

/// Cuts `values`, `width` of them a row, into the statements that take them.
fn parts<'a>(
    statements: &'a [String; ROWS.len()],
    values: &'a [Value],
    width: usize,
) -> impl Iterator<Item = (&'a str, &'a [Value])> {
    debug_assert!(values.len().is_multiple_of(width), "rows are whole");
    let mut rest = values;
    std::iter::from_fn(move || {
        let rows = rest.len() / width;
        let at = ROWS.iter().position(|&size| size <= rows)?;
        let (part, left) = rest.split_at(ROWS[at] * width);
        rest = left;
        Some((statements[at].as_str(), part))
    })
}

impl Statements {
    fn of(table: &Table) -> Self {
        Self {
            load: ROWS.map(|rows| sql::load(table, rows)),
            upsert: ROWS.map(|rows| sql::upsert(table, rows)),
            delete: ROWS.map(|rows| sql::delete(table, rows)),
        }
    }
}

/// Removes a database with what SQLite puts beside it.
fn remove(path: &Path) -> Result<(), ReadModelError> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(unavailable_io(path, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn remove_older(dir: &Path, name: &str, installed: &Path) -> Result<(), ReadModelError> {
    let models = super::SqliteReadModels::new(dir.to_owned());
    for generation in models.generations(name)? {
        if generation.path != installed {
            remove(&generation.path)?;
        }
    }
    Ok(())
}
