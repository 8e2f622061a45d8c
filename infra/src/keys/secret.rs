use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The secret under which names are hashed, never changed; with what tells one key store from any
/// other.
pub(super) struct HashSecret {
    secret: [u8; 32],
    fingerprint: String,
}

impl HashSecret {
    pub(super) fn new(secret: [u8; 32]) -> Self {
        let digest = Sha256::new()
            .chain_update(b"daybook key store fingerprint\0")
            .chain_update(secret)
            .finalize();
        let fingerprint = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { secret, fingerprint }
    }

    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    pub(super) fn keyed_hash(&self, purpose: &str, data: &[u8]) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("any length");
        mac.update(&(purpose.len() as u64).to_be_bytes());
        mac.update(purpose.as_bytes());
        mac.update(data);
        mac.finalize().into_bytes().into()
    }
}
