use std::{
    collections::HashMap,
    fs::{self, File},
    path::Path,
    time::Duration,
};

use event_schemas::StoreId;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params, params_from_iter};

use super::{
    super::{Changes, Checkpoint, ReadModelError, Row, Schema, Skipped, Table, Value},
    BUILDING, Generation, INSTALLED, SqliteReadModels, failed, is_full, read_checkpoint, sql,
    unavailable_io,
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
    models: SqliteReadModels,
    generation: u64,
    building: bool,
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
    pub(super) fn open(
        models: &SqliteReadModels,
        schema: &'static Schema,
        generation: &Generation,
    ) -> Result<Self, ReadModelError> {
        let connection = connect(schema, &generation.path)?;
        super::reader::check_schema(&connection, schema)?;
        let writer = Self::new(models, schema, connection, generation.number)?;
        writer.go_live().map_err(|error| failed(schema, &error))?;
        Ok(writer)
    }

    pub(super) fn build(
        models: &SqliteReadModels,
        schema: &'static Schema,
        store: StoreId,
        generation: u64,
    ) -> Result<Self, ReadModelError> {
        let fail = |error: rusqlite::Error| failed(schema, &error);
        let path = models.path(schema.name, generation, BUILDING);
        let mut connection = Connection::open(&path).map_err(fail)?;
        settings_to_build(&connection).map_err(fail)?;
        let making = connection.transaction().map_err(fail)?;
        making.execute(sql::CREATE_CHECKPOINT, []).map_err(fail)?;
        for table in schema.tables {
            making.execute(&sql::create_table(table), []).map_err(fail)?;
        }
        making.execute(sql::CREATE_BUILDING, []).map_err(fail)?;
        if let Some(boot) = this_boot() {
            making.execute(sql::INSERT_BUILDING, [boot]).map_err(fail)?;
        }
        making
            .execute(sql::INSERT_CHECKPOINT, params![schema.fingerprint(), store.to_string(), 0])
            .map_err(fail)?;
        making.commit().map_err(fail)?;
        Ok(Self { building: true, ..Self::new(models, schema, connection, generation)? })
    }

    /// Goes on with what was begun; none if another run of the machine, other code or another
    /// store's log began it.
    pub(super) fn unfinished(
        models: &SqliteReadModels,
        schema: &'static Schema,
        store: StoreId,
        generation: u64,
    ) -> Result<Option<Self>, ReadModelError> {
        let fail = |error: rusqlite::Error| failed(schema, &error);
        let connection = connect(schema, &models.path(schema.name, generation, BUILDING))?;
        settings_to_build(&connection).map_err(fail)?;
        super::reader::check_schema(&connection, schema)?;
        let boot = connection.query_row(sql::READ_BUILDING, [], |row| row.get::<_, String>(0));
        if Some(boot.map_err(fail)?) != this_boot()
            || read_checkpoint(&connection, schema)?.store != store
        {
            return Ok(None);
        }
        let writer = Self::new(models, schema, connection, generation)?;
        Ok(Some(Self { building: true, ..writer }))
    }

    fn new(
        models: &SqliteReadModels,
        schema: &'static Schema,
        connection: Connection,
        generation: u64,
    ) -> Result<Self, ReadModelError> {
        connection.set_prepared_statement_cache_capacity(128);
        let fail = |error: rusqlite::Error| failed(schema, &error);
        crate::sqlite::keep_plans(&connection).map_err(fail)?;
        let statements = schema.tables.iter().map(|table| (table.name, Statements::of(table)));
        let (statements, models) = (statements.collect(), models.clone());
        let (building, indexed) = (false, false);
        Ok(Self { schema, connection, statements, models, generation, building, indexed })
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

    pub(in super::super) const fn generation(&self) -> u64 {
        self.generation
    }

    pub(in super::super) fn checkpoint(&mut self) -> Result<Checkpoint, ReadModelError> {
        let live = self.models.live(self.schema.name).number();
        if !self.building && live != Some(self.generation) {
            // Another one has taken its place.
            let current = self.models.current(self.schema.name)?;
            let current = current.ok_or(ReadModelError::Missing(self.schema.name))?;
            *self = Self::open(&self.models, self.schema, &current)?;
        }
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
        let live = self.models.live(schema.name);
        let _posting = (!self.building).then(|| live.posting());
        if !self.building && live.number() != Some(self.generation) {
            return Err(ReadModelError::Moved(schema.name));
        }
        match self.write(from, to, changes) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ReadModelError::Moved(schema.name)),
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// False if the checkpoint is elsewhere.
    fn write(
        &mut self,
        from: &Checkpoint,
        to: &Checkpoint,
        changes: &[Changes],
    ) -> rusqlite::Result<bool> {
        let transaction = Transaction::new(&mut self.connection, TransactionBehavior::Immediate)?;
        if !move_checkpoint(&transaction, from, to)? {
            return Ok(false);
        }
        for change in changes {
            let table = change.table;
            let statements = &self.statements[table.name];
            for (sql, part) in parts(&statements.delete, &change.deletes, table.key) {
                run(&transaction, sql, part)?;
            }
            for (sql, part) in parts(&statements.upsert, &change.upserts, table.columns.len()) {
                run(&transaction, sql, part)?;
            }
        }
        transaction.commit()?;
        Ok(true)
    }

    /// Why something failed. What is being built when the disk is full is removed: the shop needs the
    /// room, and nobody reads it yet.
    fn lost(&mut self, error: &rusqlite::Error) -> ReadModelError {
        let failed = failed(self.schema, error);
        if self.building
            && is_full(error)
            && let Ok(nothing) = Connection::open_in_memory()
        {
            self.connection = nothing;
            let path = self.models.path(self.schema.name, self.generation, BUILDING);
            match remove(&path) {
                Ok(()) => tracing::warn!(file = %path.display(), "removed: the disk is full"),
                Err(error) => tracing::warn!(%error, "what was built takes up room"),
            }
        }
        failed
    }

    pub(in super::super) fn index(&mut self) -> Result<(), ReadModelError> {
        if self.building && !self.indexed {
            for index in sql::create_indexes(self.schema) {
                if let Err(error) = self.connection.execute(&index, []) {
                    return Err(self.lost(&error));
                }
            }
            self.indexed = true;
        }
        Ok(())
    }

    pub(in super::super) fn sync(&self) -> Result<(), ReadModelError> {
        if !self.building {
            return Ok(());
        }
        let path = self.models.path(self.schema.name, self.generation, BUILDING);
        sync(&path).map_err(|error| unavailable_io(&path, &error))
    }

    pub(in super::super) fn install(&mut self) -> Result<(), ReadModelError> {
        self.switch(true)
    }

    pub(in super::super) fn replace(&mut self) -> Result<(), ReadModelError> {
        self.switch(false)
    }

    /// Takes the place of what is read; `in_order` only if that is not posted further.
    fn switch(&mut self, in_order: bool) -> Result<(), ReadModelError> {
        self.index()?;
        if !self.building {
            return Ok(());
        }
        let schema = self.schema;
        let fail = |error: rusqlite::Error| failed(schema, &error);
        let live = self.models.live(schema.name);
        let posting = live.posting();
        let before = self.models.current(schema.name)?;
        if let Some(before) = before.as_ref().filter(|_| in_order) {
            let own = read_checkpoint(&self.connection, schema)?;
            // What cannot be read is not shown to anybody.
            let shown = connect(schema, &before.path)
                .and_then(|connection| read_checkpoint(&connection, schema));
            if let Ok(shown) = shown
                && own.is_behind(&shown)
            {
                return Err(ReadModelError::Behind { name: schema.name, live: shown.position });
            }
        }
        let building = self.models.path(schema.name, self.generation, BUILDING);
        let installed = self.models.path(schema.name, self.generation, INSTALLED);
        // The journal that it is read with.
        if let Err(error) = self.connection.execute_batch("PRAGMA journal_mode = WAL") {
            return Err(self.lost(&error));
        }
        // Closed first: an exclusive lock is given back only then.
        self.connection = Connection::open_in_memory().map_err(fail)?;
        let io = |error: std::io::Error| unavailable_io(&building, &error);
        sync(&building).map_err(io)?;
        fs::rename(&building, &installed).map_err(io)?;
        sync(installed.parent().unwrap_or(Path::new("."))).map_err(io)?;
        live.switch(self.generation);
        drop(posting);
        remove(&building)?;
        let number = self.generation;
        *self = Self::open(&self.models, schema, &Generation { number, path: installed })?;
        // The one before stays.
        self.models.drop_below(schema, |_| before.map_or(0, |before| before.number))?;
        Ok(())
    }
}

/// Brings a file, or what a folder lists, to the disk.
fn sync(path: &Path) -> std::io::Result<()> {
    File::open(path).and_then(|file| file.sync_all())
}

/// Opens a file that is there.
fn connect(schema: &'static Schema, path: &Path) -> Result<Connection, ReadModelError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(|error| failed(schema, &error))
}

/// The settings of a file that nobody reads yet. Whatever ends the process, the journal takes back
/// the transaction that it was at; what ends the machine is told by [`sql::READ_BUILDING`].
fn settings_to_build(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = PERSIST; \
         PRAGMA synchronous = OFF; PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY;",
    )
}

/// What tells this run of the machine from others, where the system says it.
fn this_boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
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
        Skipped::text(&to.skipped),
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
pub(super) fn remove(path: &Path) -> Result<(), ReadModelError> {
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
