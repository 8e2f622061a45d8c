//! SHA-256 as RFC 6962 (section 2.1) has it hash a tree: leaves and nodes are told apart by a byte
//! in front, so that neither can be passed off as the other.

use std::{fmt, str::FromStr};

use event_schemas::Recorded;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

/// A hash in the tree. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

/// The hash of a leaf with these contents.
pub fn of_leaf(contents: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(contents).finalize().into())
}

/// The hash of the node over these two.
pub fn of_node(left: &Hash, right: &Hash) -> Hash {
    let digest = Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0);
    Hash(digest.finalize().into())
}

/// The root of the tree without leaves.
pub fn of_nothing() -> Hash {
    Hash(Sha256::new().finalize().into())
}

/// The hash of an event's leaf. Its contents are stream, revision (8 bytes, big-endian), id (16
/// bytes), type, data and metadata, each behind its length in bytes (4 bytes, big-endian).
pub fn of_event(event: &Recorded) -> Hash {
    let mut hash = Sha256::new().chain_update([0]);
    let mut field = |bytes: &[u8]| {
        // No store takes an event of 4 GiB.
        hash.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(bytes);
    };
    field(event.stream.as_str().as_bytes());
    field(&event.revision.0.to_be_bytes());
    field(event.id.as_bytes());
    field(event.event_type.as_bytes());
    field(&event.data);
    field(&event.metadata);
    Hash(hash.finalize().into())
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 64 hexadecimal digits")]
pub struct InvalidHash;

impl FromStr for Hash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(InvalidHash);
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| InvalidHash)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| InvalidHash)?;
        }
        Ok(Self(hash))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
