//! `Streams.BatchAppend`.

use prost::{Message, Oneof};

use super::{
    append::{Expected, ProposedMessage, Success},
    shared::{Empty, StreamIdentifier, Uuid},
};

/// A part of an append: the first one has options, the last one is final.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct BatchAppendReq {
    #[prost(message, optional, tag = "1")]
    pub(crate) correlation_id: Option<Uuid>,
    #[prost(message, optional, tag = "2")]
    pub(crate) options: Option<BatchOptions>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) proposed_messages: Vec<ProposedMessage>,
    #[prost(bool, tag = "4")]
    pub(crate) is_final: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BatchOptions {
    #[prost(message, optional, tag = "1")]
    pub(crate) stream_identifier: Option<StreamIdentifier>,
    #[prost(oneof = "Expected", tags = "2, 3, 4, 5")]
    pub(crate) expected: Option<Expected>,
    #[prost(oneof = "BatchDeadline", tags = "6, 7")]
    pub(crate) deadline: Option<BatchDeadline>,
}

#[derive(Clone, Copy, PartialEq, Oneof)]
pub(crate) enum BatchDeadline {
    /// For servers up to 21.10.0.
    #[prost(message, tag = "6")]
    At(prost_types::Timestamp),
    #[prost(message, tag = "7")]
    After(prost_types::Duration),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BatchAppendResp {
    #[prost(message, optional, tag = "1")]
    pub(crate) correlation_id: Option<Uuid>,
    #[prost(oneof = "BatchResult", tags = "2, 3")]
    pub(crate) result: Option<BatchResult>,
    #[prost(message, optional, tag = "4")]
    pub(crate) stream_identifier: Option<StreamIdentifier>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum BatchResult {
    #[prost(message, tag = "2")]
    Error(RpcStatus),
    #[prost(message, tag = "3")]
    Success(Success),
}

/// `google.rpc.Status`, with one detail where Google's has many.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RpcStatus {
    /// A code of gRPC.
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, optional, tag = "3")]
    pub(crate) details: Option<prost_types::Any>,
}

/// `event_store.client.WrongExpectedVersion`
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct WrongExpectedVersionDetail {
    #[prost(oneof = "DetailCurrent", tags = "1, 2")]
    pub(crate) current: Option<DetailCurrent>,
    #[prost(oneof = "DetailExpected", tags = "3, 4, 5, 6")]
    pub(crate) expected: Option<DetailExpected>,
}

#[derive(Clone, Copy, PartialEq, Oneof)]
pub(crate) enum DetailCurrent {
    #[prost(uint64, tag = "1")]
    Revision(u64),
    #[prost(message, tag = "2")]
    NoStream(Empty),
}

#[derive(Clone, Copy, PartialEq, Oneof)]
pub(crate) enum DetailExpected {
    #[prost(uint64, tag = "3")]
    Revision(u64),
    #[prost(message, tag = "4")]
    Any(Empty),
    #[prost(message, tag = "5")]
    StreamExists(Empty),
    #[prost(message, tag = "6")]
    NoStream(Empty),
}

/// `event_store.client.StreamDeleted`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StreamDeletedDetail {
    #[prost(message, optional, tag = "1")]
    pub(crate) stream_identifier: Option<StreamIdentifier>,
}

/// `event_store.client.MaximumAppendSizeExceeded`
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct TooLargeDetail {
    #[prost(uint32, tag = "1")]
    pub(crate) max_append_size: u32,
}

/// `event_store.client.BadRequest`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct BadRequestDetail {
    #[prost(string, tag = "1")]
    pub(crate) message: String,
}
