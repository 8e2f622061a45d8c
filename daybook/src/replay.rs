//! `daybook replay`: the events as they stand in the log or in one stream.

use std::io::{IsTerminal, Write};

use anyhow::Context;
use event_schemas::{Logged, Position, Recorded, StreamName};
use infra::event_store::{Direction, Filter};
use serde_json::{Value, json};

use crate::{
    cli::{EventFormat, ReplayArgs},
    engines,
    failure::Failure,
    output,
    settings::Settings,
};

const PAGE: usize = 1_000;

/// Prints the events page by page, in bounded memory.
pub(crate) async fn run(settings: &Settings, args: ReplayArgs) -> Result<(), Failure> {
    let stream = args.stream.as_ref().map(|name| {
        StreamName::parse(name)
            .map_err(|error| Failure::usage(format!("--stream {name:?}: {error}")))
    });
    let filter = Filter {
        categories: args.category.clone(),
        types: args.types.clone(),
        stream: stream.transpose()?,
    };
    let store = engines::event_store_to_read(settings).await?;
    let mut printer = Printer::new(args.format, args.limit.unwrap_or(u64::MAX))?;
    let last = Position(args.to.unwrap_or(u64::MAX));
    let first = Position(args.from.unwrap_or_default());
    let before = store.place_before(first).await.context("the log cannot be read")?;
    let mut from = before.ok_or_else(|| {
        Failure::failed(format!("no event stands at position {first}; name one that replay shows"))
    })?;
    loop {
        let page = store
            .read_log(from, Direction::Forwards, &filter, PAGE)
            .await
            .context("the log cannot be read")?;
        for event in page.events.iter().take_while(|event| event.position <= last) {
            printer.print(event)?;
        }
        from = page.scanned_to;
        if page.at_end || from >= last || printer.is_done() {
            return printer.finish();
        }
    }
}

struct Printer {
    out: std::io::BufWriter<std::io::StdoutLock<'static>>,
    format: EventFormat,
    aligned: bool,
    left: u64,
}

impl Printer {
    fn new(format: EventFormat, limit: u64) -> Result<Self, Failure> {
        let aligned = std::io::stdout().is_terminal();
        let mut printer = Self { out: output::stdout(), format, aligned, left: limit };
        if format == EventFormat::Table {
            printer.line(["position", "recorded_at", "stream", "revision", "type", "data"])?;
        }
        Ok(printer)
    }

    const fn is_done(&self) -> bool {
        self.left == 0
    }

    fn print(&mut self, event: &Logged) -> Result<(), Failure> {
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        match self.format {
            EventFormat::Ndjson => {
                serde_json::to_writer(&mut self.out, &item(event)).map_err(std::io::Error::from)?;
                self.out.write_all(b"\n")?;
            }
            EventFormat::Table => {
                let metadata = metadata(event);
                self.line([
                    &event.position.to_string(),
                    metadata["recorded_at"].as_str().unwrap_or_default(),
                    event.stream.as_str(),
                    &event.revision.to_string(),
                    &event.event_type,
                    &json_or_text(&event.data).to_string(),
                ])?;
            }
        }
        Ok(())
    }

    fn line(&mut self, cells: [&str; 6]) -> Result<(), Failure> {
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

    fn finish(mut self) -> Result<(), Failure> {
        self.out.flush()?;
        Ok(())
    }
}

/// An event as `GET /v1/events` gives it.
fn item(event: &Logged) -> Value {
    let metadata = metadata(event);
    json!({
        "id": event.id,
        "position": event.position,
        "stream": event.stream,
        "revision": event.revision,
        "type": event.event_type,
        "schema_version": metadata["schema_version"],
        "occurred_at": metadata["occurred_at"],
        "recorded_at": metadata["recorded_at"],
        "actor": metadata["actor"],
        "command_id": metadata["command_id"],
        "correlation_id": metadata["$correlationId"],
        "causation_id": metadata["$causationId"],
        "data": json_or_text(&event.data),
    })
}

/// The metadata as it stands in the store; of others' events whatever is there.
fn metadata(event: &Recorded) -> Value {
    serde_json::from_slice(&event.metadata).unwrap_or_default()
}

/// Others may append what is no JSON.
fn json_or_text(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()))
}
