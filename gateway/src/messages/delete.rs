//! `Streams.Delete` and `Streams.Tombstone`: the same messages under two names.

use prost::{Message, Oneof};

use super::{
    append::StreamExpectation,
    shared::{AllPosition, Empty},
};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DeleteReq {
    #[prost(message, optional, tag = "1")]
    pub(crate) options: Option<StreamExpectation>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct DeleteResp {
    #[prost(oneof = "DeletePosition", tags = "1, 2")]
    pub(crate) position: Option<DeletePosition>,
}

#[derive(Clone, Copy, PartialEq, Oneof)]
pub(crate) enum DeletePosition {
    #[prost(message, tag = "1")]
    Position(AllPosition),
    #[prost(message, tag = "2")]
    NoPosition(Empty),
}
