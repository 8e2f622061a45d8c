//! Messages to bytes and back; bytes that are no message are the client's fault.

use std::marker::PhantomData;

use prost::Message;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

/// Answers of type `A` to questions of type `Q`.
#[derive(Debug)]
pub(crate) struct Wire<A, Q>(PhantomData<(A, Q)>);

impl<A, Q> Wire<A, Q> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<A, Q> Codec for Wire<A, Q>
where
    A: Message + Send + 'static,
    Q: Message + Default + Send + 'static,
{
    type Encode = A;
    type Decode = Q;
    type Encoder = Wire<A, ()>;
    type Decoder = Wire<(), Q>;

    fn encoder(&mut self) -> Self::Encoder {
        Wire::new()
    }

    fn decoder(&mut self) -> Self::Decoder {
        Wire::new()
    }
}

impl<A: Message> Encoder for Wire<A, ()> {
    type Item = A;
    type Error = Status;

    fn encode(&mut self, item: A, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<Q: Message + Default> Decoder for Wire<(), Q> {
    type Item = Q;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Q>, Status> {
        let message = Q::decode(buffer);
        message.map(Some).map_err(|error| Status::invalid_argument(error.to_string()))
    }
}
