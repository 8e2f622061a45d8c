//! From every version that ever was to the current one. An upcaster is a pure step from one
//! version's JSON to the next one's; stored events are never changed.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{DecodeError, codec};

/// One step: from version `from` of `event_type` to `from + 1`.
#[derive(Debug)]
pub struct Upcaster {
    /// The event type.
    pub event_type: &'static str,
    /// The version that it reads.
    pub from: u32,
    /// The step itself; an error says what does not fit.
    pub apply: fn(Value) -> Result<Value, String>,
}

/// Every step there is. All event types are at their first version so far.
pub const UPCASTERS: &[Upcaster] = &[];

/// Checks that the chain is whole: every version below the current one has its step.
///
/// # Errors
/// Names the first gap.
pub fn check_chain() -> Result<(), String> {
    codec::check_chain()
}

fn step(event_type: &str, from: u32) -> Option<&'static Upcaster> {
    UPCASTERS.iter().find(|step| step.event_type == event_type && step.from == from)
}

pub(crate) fn check(event_type: &str, current: u32) -> Result<(), String> {
    match (1..current).find(|&version| step(event_type, version).is_none()) {
        Some(version) => Err(format!("no upcaster leads from {event_type} version {version}")),
        None => Ok(()),
    }
}

pub(crate) fn read<T: DeserializeOwned>(
    event_type: &str,
    version: u32,
    current: u32,
    data: &[u8],
) -> Result<T, DecodeError> {
    let malformed =
        |reason: String| DecodeError::Malformed { event_type: event_type.to_owned(), reason };
    if version == current {
        return codec::from_json(data).map_err(|error| malformed(error.to_string()));
    }
    if version > current {
        return Err(DecodeError::NewerVersion {
            event_type: event_type.to_owned(),
            version,
            known: current,
        });
    }
    let mut value = codec::from_json(data).map_err(|error| malformed(error.to_string()))?;
    for from in version..current {
        let step = step(event_type, from)
            .ok_or_else(|| malformed(format!("no upcaster leads from version {from}")))?;
        value = (step.apply)(value).map_err(malformed)?;
    }
    serde_json::from_value(value).map_err(|error| malformed(error.to_string()))
}
