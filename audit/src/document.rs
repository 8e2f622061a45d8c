//! What is handed to others: proofs as JSON, and events in them as they are stored.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use event_schemas::{NewEvent, Received, Recorded, Revision, StreamName, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    hash::{Hash, of_event},
    head::{PublicKey, SignedHead},
    proof,
};

/// An event, whole: data and metadata as text where they are UTF-8, else as base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventDocument {
    /// Its stream.
    pub stream: StreamName,
    /// Its place in the stream.
    pub revision: u64,
    /// Its id.
    pub id: Uuid,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata_base64: Option<String>,
    /// What is noted of an event that another program's client sent; no part of the leaf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    received: Option<ReceivedDocument>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceivedDocument {
    at: Timestamp,
    json: bool,
}

/// A proof, as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "daybook", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ProofDocument {
    /// That an event is in the log.
    InclusionProof {
        /// Of this document's form.
        version: u32,
        /// The event.
        event: EventDocument,
        /// Its number in the tree, from 0.
        index: u64,
        /// The hashes beside the way from its leaf to the root, from below.
        path: Vec<Hash>,
        /// The tree.
        head: SignedHead,
    },
    /// That a log goes on from what it was.
    ConsistencyProof {
        /// Of this document's form.
        version: u32,
        /// What it was.
        old: SignedHead,
        /// What it is.
        new: SignedHead,
        /// RFC 6962, section 2.1.2.
        path: Vec<Hash>,
    },
}

/// The form of documents that is written and read.
pub const VERSION: u32 = 1;

/// Why a document does not show what it says.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unproven {
    /// It is of another form.
    #[error("it has version {0}, and this version of Daybook reads {VERSION}")]
    Version(u32),
    /// A head is somebody else's.
    #[error("its head over {size} events is not signed with the key {key}")]
    Signature {
        /// The size of the head.
        size: u64,
        /// The key that should have signed.
        key: PublicKey,
    },
    /// An event cannot be what was stored.
    #[error("its event is incomplete: {0} stands in it neither or doubly")]
    Event(&'static str),
    /// The hashes do not lead to the signed root.
    #[error("its hashes do not lead to the signed root")]
    Root,
}

impl EventDocument {
    /// Of an event.
    pub fn of(event: &Recorded) -> Self {
        let (data, data_base64) = text_or_base64(&event.data);
        let (metadata, metadata_base64) = text_or_base64(&event.metadata);
        Self {
            stream: event.stream.clone(),
            revision: event.revision.0,
            id: event.id,
            event_type: event.event_type.to_string(),
            data,
            data_base64,
            metadata,
            metadata_base64,
            received: event.received.map(|Received { at, json }| ReceivedDocument { at, json }),
        }
    }

    /// The event, byte for byte.
    ///
    /// # Errors
    /// [`Unproven::Event`] if data or metadata are missing or there twice.
    pub fn event(&self) -> Result<NewEvent, Unproven> {
        let data = bytes(self.data.as_ref(), self.data_base64.as_ref());
        let metadata = bytes(self.metadata.as_ref(), self.metadata_base64.as_ref());
        let data = data.ok_or(Unproven::Event("data"))?;
        let metadata = metadata.ok_or(Unproven::Event("metadata"))?;
        let event = NewEvent::raw(self.id, self.event_type.clone(), data, metadata);
        Ok(match &self.received {
            Some(ReceivedDocument { at, json }) => {
                event.received(Received { at: *at, json: *json })
            }
            None => event,
        })
    }

    /// The hash of its leaf.
    ///
    /// # Errors
    /// [`Unproven::Event`]
    pub fn leaf(&self) -> Result<Hash, Unproven> {
        let (stream, revision) = (self.stream.clone(), Revision(self.revision));
        Ok(of_event(&Recorded::written(self.event()?, stream, revision)))
    }
}

fn text_or_base64(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

fn bytes(text: Option<&String>, base64: Option<&String>) -> Option<Bytes> {
    match (text, base64) {
        (Some(text), None) => Some(text.clone().into()),
        (None, Some(base64)) => STANDARD.decode(base64).ok().map(Bytes::from),
        _ => None,
    }
}

impl ProofDocument {
    /// Holds the proof against the key, with nothing else at hand.
    ///
    /// # Errors
    /// [`Unproven`]
    pub fn check(&self, key: &PublicKey) -> Result<(), Unproven> {
        let signed = |head: &SignedHead| match head.is_by(key) {
            true => Ok(()),
            false => Err(Unproven::Signature { size: head.size, key: *key }),
        };
        match self {
            Self::InclusionProof { version, .. } | Self::ConsistencyProof { version, .. }
                if *version != VERSION =>
            {
                Err(Unproven::Version(*version))
            }
            Self::InclusionProof { event, index, path, head, .. } => {
                signed(head)?;
                let root = proof::root_of_path(event.leaf()?, *index, head.size, path);
                if root == Some(head.root) { Ok(()) } else { Err(Unproven::Root) }
            }
            Self::ConsistencyProof { old, new, path, .. } => {
                signed(old)?;
                signed(new)?;
                let consistent =
                    proof::is_consistent((old.size, old.root), (new.size, new.root), path);
                if consistent { Ok(()) } else { Err(Unproven::Root) }
            }
        }
    }
}

impl fmt::Display for ProofDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InclusionProof { event, index, head, .. } => write!(
                f,
                "{} {}@{} is event number {index} of the log of {} events signed at {}",
                event.event_type, event.stream, event.revision, head.size, head.time
            ),
            Self::ConsistencyProof { old, new, .. } => write!(
                f,
                "the log of {} events signed at {} begins with the log of {} events signed at {}",
                new.size, new.time, old.size, old.time
            ),
        }
    }
}

/// Which event is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventName {
    /// The one with this id.
    Id(Uuid),
    /// The one at this place.
    Place(StreamName, Revision),
}

impl FromStr for EventName {
    type Err = String;

    /// An id, or `STREAM@REVISION`.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let place = text.rsplit_once('@').and_then(|(stream, revision)| {
            Some((StreamName::parse(stream).ok()?, Revision(revision.parse().ok()?)))
        });
        let (stream, revision) = place
            .ok_or_else(|| format!("{text:?} is neither an event's id nor STREAM@REVISION"))?;
        Ok(Self::Place(stream, revision))
    }
}
