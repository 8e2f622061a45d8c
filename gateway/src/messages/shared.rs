//! What several calls use.

use bytes::Bytes;
use prost::{Message, Oneof};

/// An id, in the shape that the client asked for.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Uuid {
    #[prost(oneof = "UuidValue", tags = "1, 2")]
    pub(crate) value: Option<UuidValue>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum UuidValue {
    #[prost(message, tag = "1")]
    Structured(StructuredUuid),
    #[prost(string, tag = "2")]
    String(String),
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct StructuredUuid {
    #[prost(int64, tag = "1")]
    pub(crate) most_significant_bits: i64,
    #[prost(int64, tag = "2")]
    pub(crate) least_significant_bits: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StreamIdentifier {
    /// UTF-8.
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) stream_name: Bytes,
}

/// `google.protobuf.Empty` has no field; prost's `()` is the same on the wire.
pub(crate) type Empty = ();

/// A place in `$all`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct AllPosition {
    #[prost(uint64, tag = "1")]
    pub(crate) commit_position: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) prepare_position: u64,
}

/// One entry of a `map<string, string>`: on the wire a map is a list of these. Bytes instead of
/// strings, so that constants need no copy.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Entry {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) value: Bytes,
}
