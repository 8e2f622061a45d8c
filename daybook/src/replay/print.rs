use std::io::{IsTerminal, Write};

use event_schemas::{Logged, StoreId};
use history::{CloudEvent, Selection, Shown, metadata};
use serde::Serialize;

use crate::{cli::EventFormat, failure::Failure, output};

/// Prints the events that are meant, one a line.
pub(super) struct Printer {
    out: std::io::BufWriter<std::io::StdoutLock<'static>>,
    format: EventFormat,
    aligned: bool,
    store: StoreId,
    selection: Selection,
    left: u64,
    line: Vec<u8>,
}

impl Printer {
    pub(super) fn new(
        format: EventFormat,
        store: StoreId,
        selection: Selection,
        limit: Option<u64>,
    ) -> Result<Self, Failure> {
        let aligned = std::io::stdout().is_terminal();
        let (out, left) = (output::stdout(), limit.unwrap_or(u64::MAX));
        let mut printer = Self { out, format, aligned, store, selection, left, line: Vec::new() };
        if format == EventFormat::Table {
            printer.row(["position", "recorded_at", "stream", "revision", "type", "data"])?;
        }
        Ok(printer)
    }

    /// Whether as many are printed as were asked for.
    pub(super) const fn is_done(&self) -> bool {
        self.left == 0
    }

    pub(super) fn print(&mut self, event: &Logged) -> Result<(), Failure> {
        let metadata = metadata(event);
        let metadata = metadata.as_ref();
        if self.is_done() || !self.selection.takes(event, metadata) {
            return Ok(());
        }
        self.left -= 1;
        match self.format {
            EventFormat::Ndjson => self.json(&Shown::new(event, metadata)),
            EventFormat::Cloudevents => self.json(&CloudEvent::new(self.store, event, metadata)),
            EventFormat::Table => {
                let at = event.recorded_at().map(|at| at.to_string());
                let data = String::from_utf8_lossy(&event.data);
                self.row([
                    &event.position.to_string(),
                    at.as_deref().unwrap_or_default(),
                    event.stream.as_str(),
                    &event.revision.to_string(),
                    &event.event_type,
                    &data.replace(['\t', '\n', '\r'], " "),
                ])
            }
        }
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush()?;
        Ok(())
    }

    fn json(&mut self, event: &impl Serialize) -> Result<(), Failure> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, event).map_err(std::io::Error::from)?;
        // Data goes out as it is stored. Within JSON's texts there are no bare line ends.
        for byte in self.line.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')) {
            *byte = b' ';
        }
        self.line.push(b'\n');
        self.out.write_all(&self.line)?;
        Ok(())
    }

    fn row(&mut self, cells: [&str; 6]) -> Result<(), Failure> {
        let [position, recorded_at, stream, revision, event_type, data] = cells;
        if self.aligned {
            writeln!(
                self.out,
                "{position:>9}  {recorded_at:<27}  {stream:<44}  {revision:>8}  {event_type:<20}  {data}"
            )?;
        } else {
            writeln!(self.out, "{}", cells.join("\t"))?;
        }
        Ok(())
    }
}
