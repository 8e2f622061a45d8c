//! Which events of `$all` a client wants.

use event_schemas::Recorded;

use crate::{
    failure::Failure,
    messages::read::{Expression, FilterBy, FilterOptions, Window},
    pattern::Pattern,
};

/// The window where the client names none: so many events the real server reads at once.
pub(crate) const BATCH: u32 = 32;

/// A filter of a read or subscription.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    by: By,
    wanted: Wanted,
    /// After so many events that were looked at a checkpoint is told.
    pub(crate) interval: u64,
}

#[derive(Clone, Copy, Debug)]
enum By {
    Stream,
    EventType,
}

#[derive(Clone, Debug)]
enum Wanted {
    Prefixes(Vec<String>),
    Matching(Box<Pattern>),
}

impl Filter {
    pub(crate) fn new(options: FilterOptions) -> Result<Self, Failure> {
        let window = match options.window {
            Some(Window::Max(0)) => {
                return Err(Failure::Invalid(
                    "a search window holds one event at least".to_owned(),
                ));
            }
            Some(Window::Max(window)) => window,
            Some(Window::Count(())) => BATCH,
            None => return Err(Failure::missing("window")),
        };
        let (by, Expression { regex, prefix }) = match options.by {
            Some(FilterBy::Stream(expression)) => (By::Stream, expression),
            Some(FilterBy::EventType(expression)) => (By::EventType, expression),
            None => return Err(Failure::missing("filter")),
        };
        let wanted = if regex.is_empty() {
            Wanted::Prefixes(prefix)
        } else {
            Wanted::Matching(Box::new(Pattern::new(&regex)?))
        };
        let interval = u64::from(window) * u64::from(options.checkpoint_interval_multiplier);
        Ok(Self { by, wanted, interval })
    }

    pub(crate) fn passes(&self, event: &Recorded) -> bool {
        let text = match self.by {
            By::Stream => event.stream.as_str(),
            By::EventType => &event.event_type,
        };
        match &self.wanted {
            Wanted::Prefixes(prefixes) => prefixes.iter().any(|prefix| text.starts_with(prefix)),
            Wanted::Matching(pattern) => pattern.matches(text),
        }
    }
}
