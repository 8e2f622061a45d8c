//! The log itself: in pages, and as it goes on.

pub(crate) mod asked;
pub(crate) mod live;
pub(crate) mod page;
