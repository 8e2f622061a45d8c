use event_schemas::{Metadata, Recorded, Timestamp};

/// Which of an event's two times is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// When it was written: what Daybook knew.
    #[default]
    Recorded,
    /// When it happened: what was so, as known now. Imported history lives there.
    Occurred,
}

/// Which events are meant, beside what the event store itself can filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The time that `since` and `until` are of.
    pub clock: Clock,
    /// Then or later (inclusive).
    pub since: Option<Timestamp>,
    /// Before then (exclusive).
    pub until: Option<Timestamp>,
    /// All that came of one request.
    pub correlation: Option<String>,
    /// Done by this actor.
    pub actor: Option<String>,
}

impl Selection {
    /// Whether this event is meant. One that does not tell what is asked for is not.
    pub fn takes(&self, recorded: &Recorded, metadata: Option<&Metadata>) -> bool {
        let of =
            |wanted: Option<&str>, found: Option<&str>| wanted.is_none_or(|w| found == Some(w));
        of(self.actor.as_deref(), metadata.map(|metadata| metadata.actor.id.as_str()))
            && of(self.correlation.as_deref(), metadata.map(|m| m.correlation_id.as_str()))
            && self.in_time(recorded, metadata)
    }

    fn in_time(&self, recorded: &Recorded, metadata: Option<&Metadata>) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        self.clock.of(recorded, metadata).is_some_and(|at| {
            self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
        })
    }
}

impl Clock {
    /// The event's time by this clock, where it tells.
    pub fn of(self, recorded: &Recorded, metadata: Option<&Metadata>) -> Option<Timestamp> {
        match self {
            Self::Recorded => {
                metadata.map(|metadata| metadata.recorded_at).or_else(|| recorded.recorded_at())
            }
            Self::Occurred => metadata.map(|metadata| metadata.occurred_at),
        }
    }
}
