use event_schemas::{Logged, Position, StreamName};
use history::{Clock, Past, Selection, Shown};
use infra::event_store::{Filter, ReadError};

use crate::ask::Ask;

/// The clocks by the name that they have in a query.
pub(crate) const CLOCKS: [(&str, Clock); 2] =
    [("recorded", Clock::Recorded), ("occurred", Clock::Occurred)];

/// Which events are asked for, in pages and live alike.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// What the event store leaves out by itself.
    pub(crate) filter: Filter,
    /// What is looked for in each event.
    pub(crate) selection: Selection,
}

impl Wanted {
    /// Takes the parameters that say which events; faults are noted.
    pub(super) fn read(ask: &mut Ask) -> Self {
        let (query, faults) = (&mut ask.query, &mut ask.faults);
        let name = query.text("stream", 1..=1_000, faults);
        let stream = name.and_then(|name| StreamName::parse(&name).ok());
        let category = query.text("category", 1..=1_000, faults);
        let event_type = query.text("type", 1..=1_000, faults);
        let correlation = query.text("correlation", 1..=1_000, faults);
        let actor = query.text("actor", 1..=1_000, faults);
        let clock = query.choice("clock", &CLOCKS, faults).unwrap_or_default();
        let (since, until) = ask.times("since", "until");
        let filter = Filter {
            categories: category.into_iter().collect(),
            types: event_type.into_iter().collect(),
            stream,
        };
        Self { filter, selection: Selection { clock, since, until, correlation, actor } }
    }

    /// A place before which nothing was recorded as late as is asked for.
    pub(super) async fn nothing_before(&self, past: &Past) -> Result<Position, ReadError> {
        let since = self.selection.since.filter(|_| self.selection.clock == Clock::Recorded);
        let Some(since) = since else { return Ok(Position::START) };
        past.recorded_before(since).await
    }

    /// The event as it goes out, if it is wanted.
    pub(super) fn shown(&self, logged: &Logged) -> Option<String> {
        // Decoded once for all listeners; of others' events only the metadata may be Daybook's.
        let others = logged.decode().is_err().then(|| history::metadata(logged)).flatten();
        let metadata = logged.decode().ok().map(|decoded| &decoded.metadata).or(others.as_ref());
        if !self.selection.takes(logged, metadata) {
            return None;
        }
        // Texts, numbers and JSON that was parsed: nothing that cannot be written.
        serde_json::to_string(&Shown::new(logged, metadata)).ok()
    }
}
