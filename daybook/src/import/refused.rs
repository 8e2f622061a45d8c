//! The list of what was refused: a CSV file with the columns `line`, `reason` and the key.

use std::{collections::BTreeMap, fs::File, io, path::Path};

use anyhow::Context;

use crate::failure::Failure;

/// The open list. Rows are written in the sequence of the file, although they are decided side by
/// side.
pub(super) struct Refused {
    rows: csv::Writer<File>,
    waiting: BTreeMap<u64, (String, String)>,
}

impl Refused {
    /// Begins the list anew: an import that is run again lists everything again.
    pub(super) fn create(path: &Path, key: &str) -> Result<Self, Failure> {
        let file = File::create(path).with_context(|| super::cannot_write(path))?;
        let mut rows = csv::Writer::from_writer(file);
        rows.write_record(["line", "reason", key]).with_context(|| super::cannot_write(path))?;
        Ok(Self { rows, waiting: BTreeMap::new() })
    }

    pub(super) fn add(&mut self, line: u64, key: String, reason: String) {
        self.waiting.insert(line, (reason, key));
    }

    /// Writes what stands before a line of the file.
    pub(super) fn write_before(&mut self, line: u64) -> io::Result<()> {
        while let Some(first) = self.waiting.first_entry() {
            if *first.key() >= line {
                break;
            }
            let (line, (reason, key)) = first.remove_entry();
            self.rows.write_record([line.to_string(), reason, key])?;
        }
        Ok(())
    }

    /// Writes what is left.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.write_before(u64::MAX)?;
        self.rows.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_stand_in_the_sequence_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("refused.csv");
        let mut list = Refused::create(&path, "sku").unwrap();
        list.add(7, "b".to_owned(), "no, \"never\"".to_owned());
        list.add(3, "a".to_owned(), "wrong".to_owned());
        list.write_before(5).unwrap();
        list.add(5, "c".to_owned(), "late".to_owned());
        list.finish().unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written, "line,reason,sku\n3,wrong,a\n5,late,c\n7,\"no, \"\"never\"\"\",b\n");
    }
}
