//! Time: events as they are shown, which of them are meant, and what was true at a moment.
//!
//! Everything here is read from the event store alone, so it does not depend on how far, or by which
//! version, read models are posted.

mod changes;
mod chronology;
mod cloud_event;
mod deeds;
mod past;
mod selection;
mod shown;
mod state;

pub use changes::{Change, changes};
pub use chronology::{Chronology, Place};
pub use cloud_event::CloudEvent;
pub use deeds::deed;
pub use past::{AsOf, At, Past, PastError, Step};
pub use selection::{Clock, Selection};
pub use shown::{Shown, metadata};
pub use state::{Kind, State};
