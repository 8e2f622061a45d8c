use event_schemas::Timestamp;

use crate::failure::Failure;

/// A time of the command line: RFC 3339, or a date, which is its first moment in UTC.
pub(crate) fn read(name: &str, text: &str) -> Result<Timestamp, Failure> {
    let midnight = format!("{text}T00:00:00Z");
    let read = text.parse().or_else(|_| midnight.parse());
    read.map_err(|_: event_schemas::InvalidTimestamp| {
        Failure::usage(format!(
            "{name} {text:?} is no time; give one such as 2026-03-31T18:00:00Z, or a date"
        ))
    })
}
