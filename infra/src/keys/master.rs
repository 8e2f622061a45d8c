//! The master key: what the key store holds is wrapped by it (AES-256-GCM, bound to its row), so that
//! a copy of the key store alone opens nothing. A wrapped value begins with its master key's id.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{
    KeysError,
    seal::{Key, decrypt, encrypt},
};

const ID_BYTES: usize = 8;
/// What the hash secret is bound to.
pub(super) const HASH_SECRET: &str = "hash secret";
/// What the seed of the signing key is bound to.
pub(super) const SIGNING_SEED: &str = "signing seed";

/// A key that a key store's keys and secrets are wrapped by. It is never shown.
#[derive(Clone)]
pub struct MasterKey {
    key: Key,
    id: [u8; ID_BYTES],
}

/// What was given is no master key.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a master key is 32 bytes in base64 or hex, such as `openssl rand -base64 32` prints")]
pub struct InvalidMasterKey;

impl std::str::FromStr for MasterKey {
    type Err = InvalidMasterKey;

    fn from_str(text: &str) -> Result<Self, InvalidMasterKey> {
        let text = text.trim();
        let bytes = match text.len() {
            64 => unhex(text),
            _ => STANDARD.decode(text).ok(),
        };
        let key: Key = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(InvalidMasterKey)?;
        let digest =
            Sha256::new().chain_update(b"daybook master key\0").chain_update(key).finalize();
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&digest[..ID_BYTES]);
        Ok(Self { key, id })
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("MasterKey").field(&self.fingerprint()).finish()
    }
}

impl MasterKey {
    /// Tells this master key from any other, without telling the key.
    pub fn fingerprint(&self) -> String {
        hex(&self.id)
    }
}

/// How the values of a key store are kept: wrapped by a master key, or as they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Wrapping(pub(super) Option<MasterKey>);

impl Wrapping {
    /// A key as it is kept; `row` says whose it is.
    pub(super) fn wrap(&self, row: &str, key: &Key) -> Result<Vec<u8>, KeysError> {
        let Some(master) = &self.0 else { return Ok(key.to_vec()) };
        Ok([&master.id[..], &encrypt(&master.key, row.as_bytes(), key)?].concat())
    }

    /// The key that is kept so.
    pub(super) fn unwrap(&self, row: &str, kept: &[u8]) -> Result<Key, KeysError> {
        if let Ok(key) = Key::try_from(kept) {
            return if self.0.is_none() { Ok(key) } else { Err(KeysError::NotWrapped) };
        }
        let (id, wrapped) = kept.split_first_chunk::<ID_BYTES>().ok_or(KeysError::Invalid)?;
        match &self.0 {
            Some(master) if master.id == *id => {
                let key = decrypt(&master.key, row.as_bytes(), wrapped)?;
                key.try_into().map_err(|_| KeysError::Invalid)
            }
            Some(master) => {
                let (needed, given) = (hex(id), master.fingerprint());
                Err(KeysError::OtherMasterKey { needed, given })
            }
            None => Err(KeysError::MasterKeyNeeded { needed: hex(id) }),
        }
    }

    /// The same key as another wrapping keeps it.
    pub(super) fn rewrap(&self, new: &Self, row: &str, kept: &[u8]) -> Result<Vec<u8>, KeysError> {
        new.wrap(row, &self.unwrap(row, kept)?)
    }
}

/// What a person's key is bound to.
pub(super) fn row_of(person: &str) -> String {
    format!("person\0{person}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pair = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    digits.then(|| (0..text.len()).step_by(2).map(pair).collect()).flatten()
}
