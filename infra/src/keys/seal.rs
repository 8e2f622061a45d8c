//! AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits for every value: a person has few
//! values, far below the 2^32 after which one key would need another.

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Nonce, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::KeysError;

/// A person's key.
pub(super) type Key = [u8; 32];

const NONCE_BYTES: usize = 12;

/// Base64 of nonce and ciphertext.
pub(super) fn seal_with(key: &Key, associated: &[u8], plain: &[u8]) -> Result<String, KeysError> {
    Ok(STANDARD.encode(encrypt(key, associated, plain)?))
}

/// The plain bytes.
pub(super) fn open_sealed(
    key: &Key,
    associated: &[u8],
    sealed: &str,
) -> Result<Vec<u8>, KeysError> {
    let bytes = STANDARD.decode(sealed).map_err(|_| KeysError::Invalid)?;
    decrypt(key, associated, &bytes)
}

/// Nonce and ciphertext.
pub(super) fn encrypt(key: &Key, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>, KeysError> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce)?;
    let payload = Payload { msg: plain, aad: associated };
    let sealed = Aes256Gcm::new(&(*key).into())
        .encrypt(&nonce.into(), payload)
        .map_err(|_| KeysError::Invalid)?;
    Ok([nonce.as_slice(), &sealed].concat())
}

pub(super) fn decrypt(key: &Key, associated: &[u8], bytes: &[u8]) -> Result<Vec<u8>, KeysError> {
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(KeysError::Invalid)?;
    let nonce: Nonce<Aes256Gcm> = (*nonce).into();
    Aes256Gcm::new(&(*key).into())
        .decrypt(&nonce, Payload { msg: sealed, aad: associated })
        .map_err(|_| KeysError::Invalid)
}
