//! What was: states at a moment, and what happened to a thing, read from the log itself.

pub(crate) mod at;
pub(crate) mod history;
pub(crate) mod trail;
