//! From every version that ever was to the current one. An upcaster is a pure step from one
//! version's JSON to the next one's; stored events are never changed.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{DecodeError, codec, resource::ProductStatus};

/// One step: from version `from` of `event_type` to `from + 1`.
#[derive(Debug)]
pub struct Upcaster {
    /// The event type.
    pub event_type: &'static str,
    /// The version that it reads.
    pub from: u32,
    /// That version's JSON Schema, as it was: events of it stand in logs, so it never changes.
    pub schema: &'static str,
    /// The step itself; an error says what does not fit.
    pub apply: fn(Value) -> Result<Value, String>,
}

/// Every step there is.
pub const UPCASTERS: &[Upcaster] = &[Upcaster {
    event_type: "ProductCreated",
    from: 1,
    schema: include_str!("../schemas/ProductCreated.v1.json"),
    apply: product_created_2,
}];

/// `on_shelf`, true or false, became `status`, a word.
fn product_created_2(mut data: Value) -> Result<Value, String> {
    let members = data.as_object_mut().ok_or("is no object")?;
    let on_shelf = members.remove("on_shelf").and_then(|value| value.as_bool());
    let on_shelf = on_shelf.ok_or("on_shelf is neither true nor false")?;
    let status = ProductStatus::of(on_shelf).as_str();
    members.insert("status".to_owned(), status.into());
    Ok(data)
}

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
