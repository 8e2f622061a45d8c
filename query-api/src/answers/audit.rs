//! Signed heads and proofs.

use serde::Serialize;
use utoipa::ToSchema;

/// A tree's size and root at a moment, signed.
#[derive(Serialize, ToSchema)]
pub struct TreeHead {
    /// How many events the tree has.
    #[schema(example = 41_873)]
    size: u64,
    /// 64 hexadecimal digits.
    root: String,
    #[schema(format = DateTime)]
    time: String,
    /// Base64 of an Ed25519 public key.
    public_key: String,
    /// Base64 of the signature.
    signature: String,
}

/// A proof that an event is in the signed log; `daybook audit check` checks it.
#[derive(Serialize, ToSchema)]
pub struct InclusionProof {
    /// `inclusion-proof`.
    #[schema(example = "inclusion-proof")]
    daybook: String,
    /// Of this form.
    #[schema(example = 1)]
    version: u32,
    event: ProvenEvent,
    /// The event's number in the log, from 0.
    index: u64,
    /// The hashes beside the way from its leaf to the root, from below.
    path: Vec<String>,
    head: TreeHead,
}

/// An event as it is stored; data and metadata as text, or as base64 where they are not UTF-8.
#[derive(Serialize, ToSchema)]
pub struct ProvenEvent {
    stream: String,
    revision: u64,
    id: String,
    #[serde(rename = "type")]
    #[schema(example = "OrderPlaced")]
    event_type: String,
    data: Option<String>,
    data_base64: Option<String>,
    metadata: Option<String>,
    metadata_base64: Option<String>,
    /// What is noted of an event that another program's client sent; it is not proven.
    #[schema(value_type = Option<Object>)]
    received: Option<()>,
}
