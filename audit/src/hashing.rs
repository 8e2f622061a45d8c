use std::io::{self, Write};

use sha2::{Digest, Sha256};

use crate::hash::Hash;

/// Hashes and counts what it hands on.
pub(crate) struct Hashing<W> {
    inner: W,
    sha256: Sha256,
    bytes: u64,
}

impl<W: Write> Hashing<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, sha256: Sha256::new(), bytes: 0 }
    }

    /// What it was handed on to, the SHA-256 of it, and how many bytes that were.
    pub(crate) fn finish(self) -> (W, Hash, u64) {
        (self.inner, Hash(self.sha256.finalize().into()), self.bytes)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sha256.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
