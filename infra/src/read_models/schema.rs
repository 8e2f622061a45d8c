use super::ReadModelError;
use crate::fingerprint::Fingerprint;

/// The tables of one read model. What other code posted is told by its [`Schema::fingerprint`]: it is
/// posted anew, and read meanwhile if its tables have the same columns.
#[derive(Debug)]
pub struct Schema {
    /// The read model's name: lower-case letters.
    pub name: &'static str,
    /// The version of the code that posts it: raised whenever the same events give other rows.
    pub version: u32,
    /// Its tables.
    pub tables: &'static [&'static Table],
}

/// A table; the engine has its own words for it.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns, those of the key first.
    pub columns: &'static [Column],
    /// How many of the columns are the key.
    pub key: usize,
    /// Whether rows lie in the key's order: right for small rows that are read by ranges.
    pub clustered: bool,
    /// Its secondary indexes.
    pub indexes: &'static [Index],
}

/// A column.
#[derive(Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may hold nothing.
    pub nullable: bool,
}

/// What a column holds. Texts compare by their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A signed 64-bit integer.
    Integer,
    /// A short text, fit for a key or an index.
    Text,
    /// A text of any length, such as a JSON document.
    Document,
}

/// A secondary index.
#[derive(Debug)]
pub struct Index {
    /// Its name, unique in the read model.
    pub name: &'static str,
    /// Its columns, ascending unless ` DESC` stands behind one.
    pub columns: &'static [&'static str],
}

impl Column {
    /// A column that always holds an integer.
    pub const fn integer(name: &'static str) -> Self {
        Self { name, kind: Kind::Integer, nullable: false }
    }

    /// A column that always holds a short text.
    pub const fn text(name: &'static str) -> Self {
        Self { name, kind: Kind::Text, nullable: false }
    }

    /// A column that always holds a document.
    pub const fn document(name: &'static str) -> Self {
        Self { name, kind: Kind::Document, nullable: false }
    }

    /// The same column, free to hold nothing.
    pub const fn or_null(self) -> Self {
        Self { nullable: true, ..self }
    }
}

impl Index {
    /// Whether the column is one of its own.
    pub fn has(&self, column: &Column) -> bool {
        self.columns.iter().any(|name| name.split(' ').next() == Some(column.name))
    }
}

impl Table {
    /// The columns of the key.
    pub const fn key_columns(&self) -> &'static [Column] {
        self.columns.split_at(self.key).0
    }

    /// The columns behind the key.
    pub const fn other_columns(&self) -> &'static [Column] {
        self.columns.split_at(self.key).1
    }
}

impl Schema {
    /// The code's version and the tables as one text: equal only where rows mean the same.
    pub fn fingerprint(&self) -> String {
        let columns = |table: &Table| format!("{} {:?}", table.name, table.columns);
        let shape: Vec<_> = self.tables.iter().map(|table| columns(table)).collect();
        let stored: Vec<_> =
            self.tables.iter().map(|table| (table.key, table.clustered, table.indexes)).collect();
        Fingerprint::new(self.version, &shape.join(", "), &format!("{stored:?}")).0
    }

    /// Whether what has this fingerprint can be gone on with.
    ///
    /// # Errors
    /// [`ReadModelError::OtherVersion`], [`ReadModelError::NewerVersion`].
    pub(super) fn check(&self, found: &str) -> Result<(), ReadModelError> {
        let (own, found) = (Fingerprint(self.fingerprint()), Fingerprint(found.to_owned()));
        if found == own {
            Ok(())
        } else if found.is_newer_than(&own) {
            Err(ReadModelError::NewerVersion(self.name))
        } else {
            Err(ReadModelError::OtherVersion(self.name))
        }
    }

    /// Whether what has this fingerprint can be read.
    ///
    /// # Errors
    /// [`ReadModelError::OtherVersion`].
    pub(super) fn check_to_read(&self, found: &str) -> Result<(), ReadModelError> {
        match Fingerprint(self.fingerprint()).reads(&Fingerprint(found.to_owned())) {
            true => Ok(()),
            false => Err(ReadModelError::OtherVersion(self.name)),
        }
    }
}
