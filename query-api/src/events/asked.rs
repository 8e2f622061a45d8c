use event_schemas::{Logged, StreamName};
use history::{Clock, Selection, Shown};
use infra::event_store::Filter;

use crate::ask::Ask;

/// The clocks by the name that they have in a query.
pub(crate) const CLOCKS: [(&str, Clock); 2] =
    [("recorded", Clock::Recorded), ("occurred", Clock::Occurred)];

/// Which events are asked for, in pages and live alike.
#[derive(Debug)]
pub(super) struct Wanted {
    /// What the event store leaves out by itself.
    pub(super) filter: Filter,
    /// What is looked for in each event.
    pub(super) selection: Selection,
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

    /// The event as it goes out, if it is wanted.
    pub(super) fn shown(&self, logged: &Logged) -> Option<String> {
        let metadata = history::metadata(logged);
        let metadata = metadata.as_ref();
        if !self.selection.takes(logged, metadata) {
            return None;
        }
        // Texts, numbers and JSON that was parsed: nothing that cannot be written.
        serde_json::to_string(&Shown::new(logged, metadata)).ok()
    }
}
