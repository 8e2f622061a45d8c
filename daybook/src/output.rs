use std::io::{self, IsTerminal, Write};

use crate::failure::Failure;

/// Where a command's data go: standard output, buffered. A closed pipe is
/// [`Failure::OutputClosed`], which ends the program quietly.
pub(crate) fn stdout() -> io::BufWriter<io::StdoutLock<'static>> {
    io::BufWriter::with_capacity(64 * 1024, io::stdout().lock())
}

/// Says something on standard error that is not data. Nobody listening is no error.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes one line of data.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut out = stdout();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// Writes one JSON value and a line end.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut out = stdout();
    serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// Rows of text below a line of headings. On a terminal the columns are aligned and the headings
/// bold (unless `NO_COLOR` is set); elsewhere it is tab-separated, uncut and uncoloured.
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with as many cells as there are headings. Tabs and line ends within a cell
    /// become spaces.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.headings.len());
        self.rows
            .push(cells.into_iter().map(|cell| cell.replace(['\t', '\n', '\r'], " ")).collect());
    }

    /// Writes the table to standard output.
    pub(crate) fn print(&self) -> Result<(), Failure> {
        let on_terminal = io::stdout().is_terminal();
        let mut out = stdout();
        self.write(&mut out, on_terminal, on_terminal && colours())?;
        out.flush()?;
        Ok(())
    }

    fn write(&self, out: &mut impl Write, aligned: bool, coloured: bool) -> io::Result<()> {
        let headings: Vec<String> = self.headings.iter().map(|&text| text.to_owned()).collect();
        if !aligned {
            for row in std::iter::once(&headings).chain(&self.rows) {
                writeln!(out, "{}", row.join("\t"))?;
            }
            return Ok(());
        }
        let mut widths: Vec<usize> = headings.iter().map(|text| text.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for (n, row) in std::iter::once(&headings).chain(&self.rows).enumerate() {
            let mut line = String::new();
            for (width, cell) in widths.iter().zip(row) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
            }
            let line = line.trim_end();
            if n == 0 && coloured {
                writeln!(out, "\u{1b}[1m{line}\u{1b}[0m")?;
            } else {
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }
}

/// Whether colours are wanted at all (<https://no-color.org>).
pub(crate) fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(table: &Table, aligned: bool, coloured: bool) -> String {
        let mut out = Vec::new();
        table.write(&mut out, aligned, coloured).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_table_is_tab_separated_in_a_pipe_and_aligned_on_a_terminal() {
        let mut table = Table::new(&["name", "n"]);
        table.row(vec!["a\tlong one".to_owned(), "1".to_owned()]);
        table.row(vec!["b".to_owned(), "22".to_owned()]);
        assert_eq!(text(&table, false, false), "name\tn\na long one\t1\nb\t22\n");
        assert_eq!(text(&table, true, false), "name        n\na long one  1\nb           22\n");
        assert!(text(&table, true, true).starts_with("\u{1b}[1mname"));
    }
}
