use std::hash::Hash;

use hashbrown::{HashMap, hash_map::Entry};
use infra::read_models::{Changes, ReadModelError, Row, Table, Value};

/// A row as a fold sees it.
pub trait Record: Sized + Send + 'static {
    /// How many rows stay in memory between batches. One writer writes a table, so what it has in
    /// memory is what is stored.
    const KEPT: usize;
    /// The key of a row.
    type Key: Clone + Ord + Hash + Send;

    /// The table of these rows.
    fn table() -> &'static Table;

    /// The row's key.
    fn key(&self) -> Self::Key;

    /// The key's columns.
    fn write_key(key: &Self::Key, values: &mut Vec<Value>);

    /// From a row with all columns.
    ///
    /// # Errors
    /// If the row is not as it was written.
    fn read(row: &mut Row) -> Result<Self, ReadModelError>;

    /// The columns behind the key.
    fn write(&self, values: &mut Vec<Value>);
}

/// The working rows of one table: those that a batch touches, and some that batches before it did.
#[derive(Debug)]
pub struct Rows<R: Record> {
    slots: HashMap<R::Key, Slot<R>>,
    wanted: Vec<R::Key>,
    changed: Vec<R::Key>,
    /// Every row there is lies in memory.
    complete: bool,
}

#[derive(Debug)]
struct Slot<R> {
    row: Option<R>,
    changed: bool,
}

impl<R> Default for Slot<R> {
    fn default() -> Self {
        Self { row: None, changed: false }
    }
}

impl<R: Record> Default for Rows<R> {
    fn default() -> Self {
        Self { slots: HashMap::new(), wanted: Vec::new(), changed: Vec::new(), complete: false }
    }
}

impl<R: Record> Rows<R> {
    /// Asks for a row, to be loaded before the fold unless it is at hand.
    pub fn want(&mut self, key: R::Key) {
        if self.complete {
            return;
        }
        if let Entry::Vacant(entry) = self.slots.entry(key) {
            self.wanted.push(entry.key().clone());
            entry.insert(Slot::default());
        }
    }

    /// The row, to be changed, made or (by setting `None`) deleted.
    pub fn change(&mut self, key: R::Key) -> &mut Option<R> {
        let slot = match self.slots.entry(key) {
            Entry::Occupied(entry) => {
                if !entry.get().changed {
                    self.changed.push(entry.key().clone());
                }
                entry.into_mut()
            }
            Entry::Vacant(entry) => {
                self.changed.push(entry.key().clone());
                entry.insert(Slot::default())
            }
        };
        slot.changed = true;
        &mut slot.row
    }
}

/// What the loop does with working rows, whatever their type.
pub trait Working: Send {
    /// The keys of the rows that were asked for and are not at hand, one after the other.
    fn take_wanted(&mut self) -> Vec<Value>;

    /// Takes in the rows that were found.
    ///
    /// # Errors
    /// If one is not as it was written.
    fn loaded(&mut self, rows: Vec<Row>) -> Result<(), ReadModelError>;

    /// What the folds changed, ordered by key.
    fn changes(&mut self) -> Changes;

    /// The changes are stored.
    fn committed(&mut self);

    /// Forgets every row: what is in memory may not be what is stored. `empty` says that the
    /// table is known to have no row.
    fn forget(&mut self, empty: bool);

    /// The table.
    fn table(&self) -> &'static Table;
}

impl<R: Record> Working for Rows<R> {
    fn take_wanted(&mut self) -> Vec<Value> {
        let mut keys = Vec::with_capacity(self.wanted.len() * R::table().key);
        self.wanted.sort_unstable();
        for key in self.wanted.drain(..) {
            R::write_key(&key, &mut keys);
        }
        keys
    }

    fn loaded(&mut self, rows: Vec<Row>) -> Result<(), ReadModelError> {
        for mut row in rows {
            let row = R::read(&mut row)?;
            self.slots.insert(row.key(), Slot { row: Some(row), changed: false });
        }
        Ok(())
    }

    fn changes(&mut self) -> Changes {
        let table = R::table();
        let mut upserts = Vec::with_capacity(self.changed.len() * table.columns.len());
        let mut deletes = Vec::new();
        self.changed.sort_unstable();
        for key in &self.changed {
            match self.slots.get(key).and_then(|slot| slot.row.as_ref()) {
                Some(row) => {
                    R::write_key(key, &mut upserts);
                    row.write(&mut upserts);
                }
                None => R::write_key(key, &mut deletes),
            }
        }
        Changes { table, upserts, deletes }
    }

    fn committed(&mut self) {
        if self.slots.len() > R::KEPT {
            return self.forget(false);
        }
        for key in self.changed.drain(..) {
            if let Some(slot) = self.slots.get_mut(&key) {
                slot.changed = false;
            }
        }
    }

    fn forget(&mut self, empty: bool) {
        self.slots.clear();
        self.wanted.clear();
        self.changed.clear();
        self.complete = empty;
    }

    fn table(&self) -> &'static Table {
        R::table()
    }
}
