//! The log in one file, byte for byte and each event at its place: gzip of NDJSON, a manifest in the
//! first line, behind it every event, also the store's own. An empty gzip member ends it, whose
//! comment is the SHA-256 of all before it: `zcat` reads the whole file, and no bit of it can
//! change unnoticed. It has as many events as the log had at one moment: since events are only
//! ever added, no transaction has to be open while it is written.

mod read;
mod write;

use event_schemas::{StoreId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{hash::Hash, head::SignedHead};

pub use read::{Backup, BackupError, Checked};
pub use write::{WriteError, write};

/// The form of backups that is written and read.
const VERSION: u32 = 1;
/// How many bytes the manifest's line may have.
const MAX_MANIFEST: u64 = 64 << 10;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What this is: `backup`.
    daybook: String,
    /// Of its form.
    version: u32,
    /// The version of Daybook that wrote it.
    pub written_by: String,
    /// When it was begun: everything that was acknowledged by then is in it.
    pub time: Timestamp,
    /// The store that it is of; a restored one has another id.
    pub store: StoreId,
    /// The fingerprint of the key store that belongs to it.
    pub keys: String,
    /// How many events it has, which is the position of the last.
    pub events: u64,
    /// The newest signed head by then: the log that it was held against.
    pub head: SignedHead,
}

impl Manifest {
    /// Of a log with so many events now.
    pub fn new(
        written_by: &str,
        (store, keys): (StoreId, String),
        events: u64,
        head: SignedHead,
    ) -> Self {
        Self {
            daybook: "backup".to_owned(),
            version: VERSION,
            written_by: written_by.to_owned(),
            time: jiff::Timestamp::now().into(),
            store,
            keys,
            events,
            head,
        }
    }
}

/// How many bytes [`ending`] has.
const ENDING: usize = 85;

/// The last bytes of a file whose other bytes have this hash: an empty gzip member (RFC 1952), its
/// comment being the hash.
fn ending(hash: &Hash) -> Vec<u8> {
    // Magic, deflate, a comment and nothing else, no time, no hint, no system.
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0x10, 0, 0, 0, 0, 0, 0xff];
    // The end of the comment; a last block with nothing in it; its CRC and its length.
    const REST: [u8; 11] = [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    [&HEADER[..], hash.to_string().as_bytes(), &REST].concat()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_ending_is_an_empty_gzip_member_with_the_hash_as_its_comment() {
        let hash = crate::hash::of_nothing();
        let ending = ending(&hash);
        assert_eq!(ending.len(), ENDING);
        let mut member = flate2::read::GzDecoder::new(&ending[..]);
        let mut text = String::new();
        assert_eq!(member.read_to_string(&mut text).unwrap(), 0);
        let header = member.header().unwrap();
        assert_eq!(header.comment(), Some(hash.to_string().as_bytes()));
    }
}
