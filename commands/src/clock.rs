use std::time::{SystemTime, UNIX_EPOCH};

use event_schemas::Timestamp;

/// Now, by this node's clock. Nothing is decided by it but what a person reads.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::saturating(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
