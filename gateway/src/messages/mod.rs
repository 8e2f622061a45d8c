//! The protocol's messages, field by field, only what is used here. The numbers are those of
//! EventStoreDB's `streams.proto`, `shared.proto`, `serverfeatures.proto` and `gossip.proto`.

pub(crate) mod append;
pub(crate) mod batch;
pub(crate) mod delete;
pub(crate) mod features;
pub(crate) mod gossip;
pub(crate) mod read;
pub(crate) mod shared;
