//! Tree heads and the keys they are signed with (Ed25519, RFC 8032).

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use event_schemas::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::hash::Hash;

/// A tree's size and root at a moment, signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    /// How many events the tree has.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// When it was signed.
    pub time: Timestamp,
    /// Whose signature it is; whether that is the right one is for the reader to know.
    pub public_key: PublicKey,
    /// Base64 of the 64 bytes over [`SignedHead::signed_text`].
    pub signature: String,
}

/// An Ed25519 public key. Written as base64 of its 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// What signs heads.
#[derive(Clone)]
pub struct HeadSigner(SigningKey);

/// A text is no key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidKey {
    /// Of a public key.
    #[error(
        "a public key is base64 of 32 bytes, such as `public_key` of a head, a head itself, or a \
         PEM file (`openssl pkey -pubout`)"
    )]
    Public,
    /// Of a private key.
    #[error(
        "a signing key is a PEM file as `openssl genpkey -algorithm ed25519` writes it, or base64 \
         of 32 bytes"
    )]
    Signing,
}

impl SignedHead {
    /// What is signed: five lines, each with a line end.
    pub fn signed_text(size: u64, root: &Hash, time: Timestamp) -> String {
        format!("Daybook tree head\nversion 1\nsize {size}\nroot {root}\ntime {time}\n")
    }

    /// Whether the signature is that of the key which the head names. Without knowing that key from
    /// elsewhere this says nothing.
    pub fn is_signed(&self) -> bool {
        let text = Self::signed_text(self.size, &self.root, self.time);
        let bytes = STANDARD.decode(&self.signature).ok();
        let signature = bytes.and_then(|bytes| Signature::from_slice(&bytes).ok());
        let key = VerifyingKey::from_bytes(&self.public_key.0).ok();
        key.zip(signature)
            .is_some_and(|(key, signature)| key.verify_strict(text.as_bytes(), &signature).is_ok())
    }

    /// Whether this key signed it.
    pub fn is_by(&self, key: &PublicKey) -> bool {
        self.public_key == *key && self.is_signed()
    }
}

impl HeadSigner {
    /// From the key's 32 bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// From a file's text: PEM (PKCS #8, RFC 8410) or base64.
    ///
    /// # Errors
    /// [`InvalidKey::Signing`]
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        // RFC 8410: everything before the key itself is always the same.
        const PREFIX: [u8; 16] =
            [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        let seed = bytes_of(text, "PRIVATE KEY", &PREFIX).ok_or(InvalidKey::Signing)?;
        Ok(Self::from_seed(&seed))
    }

    /// What its signatures are checked with.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a head.
    pub fn sign(&self, size: u64, root: Hash, time: Timestamp) -> SignedHead {
        let text = SignedHead::signed_text(size, &root, time);
        let signature = STANDARD.encode(self.0.sign(text.as_bytes()).to_bytes());
        SignedHead { size, root, time, public_key: self.public_key(), signature }
    }
}

impl PublicKey {
    fn of(bytes: [u8; 32]) -> Option<Self> {
        VerifyingKey::from_bytes(&bytes).ok().map(|_| Self(bytes))
    }

    /// A short name for it: the first 8 bytes of its SHA-256, in hexadecimal.
    pub fn id(&self) -> String {
        Sha256::digest(self.0)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    /// From base64, PEM (RFC 8410) or the JSON of a head.
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
        if let Ok(head) = serde_json::from_str::<SignedHead>(text) {
            return Ok(head.public_key);
        }
        let bytes = bytes_of(text, "PUBLIC KEY", &PREFIX).ok_or(InvalidKey::Public)?;
        Self::of(bytes).ok_or(InvalidKey::Public)
    }
}

/// The 32 bytes of base64, or of PEM behind what always stands before them.
fn bytes_of(text: &str, label: &str, prefix: &[u8]) -> Option<[u8; 32]> {
    let text = text.trim();
    let Some(rest) = text.strip_prefix(&format!("-----BEGIN {label}-----")) else {
        return STANDARD.decode(text).ok()?.try_into().ok();
    };
    let body = rest.strip_suffix(&format!("-----END {label}-----"))?;
    let body: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(body).ok()?.strip_prefix(prefix)?.try_into().ok()
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for HeadSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HeadSigner").field(&self.public_key()).finish()
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // No head within a head.
        let key = bytes_of(&text, "", &[]).and_then(Self::of);
        key.ok_or_else(|| de::Error::custom(InvalidKey::Public))
    }
}
