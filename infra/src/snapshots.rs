//! Snapshots of folded states: disposable files in the node's own data directory. Anything that is
//! not exactly what was asked for (another store, another code version, a torn write) is thrown
//! away; the events have it all.

use std::{fs, io, path::PathBuf};

use event_schemas::{Revision, StoreId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A folder of snapshots, one file a name.
#[derive(Clone, Debug)]
pub struct Snapshots {
    folder: PathBuf,
    store: StoreId,
}

/// What a snapshot was taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotAt {
    /// The revision of the stream, or the position in the log, of the last event folded in.
    pub at: Revision,
    /// That event's id: it must still be there.
    pub event: Uuid,
}

#[derive(Serialize, Deserialize)]
struct File<T> {
    name: String,
    store: StoreId,
    code: u32,
    at: SnapshotAt,
    state: T,
}

impl Snapshots {
    /// Makes the folder where it is missing.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn open(folder: PathBuf, store: StoreId) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, store })
    }

    fn path(&self, name: &str) -> PathBuf {
        let digest = Sha256::digest(name.as_bytes());
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(hex)
    }

    /// The state kept under `name` by this code version, `None` where there is none to be trusted.
    pub fn load<T: DeserializeOwned>(&self, name: &str, code: u32) -> Option<(SnapshotAt, T)> {
        let path = self.path(name);
        let bytes = fs::read(&path).ok()?;
        let found = bytes.split_at_checked(32).and_then(|(digest, body)| {
            let file: File<T> = (Sha256::digest(body).as_slice() == digest)
                .then(|| serde_json::from_slice(body).ok())??;
            (file.name == name && file.store == self.store && file.code == code)
                .then_some((file.at, file.state))
        });
        if found.is_none() {
            tracing::info!(name, "a snapshot cannot be used and is thrown away");
            self.forget(name);
        }
        found
    }

    /// The bytes of a snapshot, to be written by [`Snapshots::write`] where blocking is allowed.
    ///
    /// # Errors
    /// If the state cannot be serialized.
    pub fn encode<T: Serialize>(
        &self,
        name: &str,
        code: u32,
        at: SnapshotAt,
        state: &T,
    ) -> serde_json::Result<Vec<u8>> {
        let file = File { name: name.to_owned(), store: self.store, code, at, state };
        let mut bytes = vec![0; 32];
        serde_json::to_writer(&mut bytes, &file)?;
        let digest = Sha256::digest(&bytes[32..]);
        bytes[..32].copy_from_slice(&digest);
        Ok(bytes)
    }

    /// Puts a snapshot in the place of the last one. A failure costs time at the next load, no more.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        let fresh = path.with_extension(Uuid::new_v4().simple().to_string());
        let written = fs::write(&fresh, bytes).and_then(|()| fs::rename(&fresh, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&fresh);
            tracing::warn!(name, %error, "a snapshot was not written");
        }
    }

    /// Throws one snapshot away.
    pub fn forget(&self, name: &str) {
        let _ = fs::remove_file(self.path(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(revision: u64) -> SnapshotAt {
        SnapshotAt { at: Revision(revision), event: Uuid::from_u128(7) }
    }

    fn keep(snapshots: &Snapshots, name: &str, code: u32, state: &[u8]) {
        let bytes = snapshots.encode(name, code, at(3), &state).unwrap();
        snapshots.write(name, &bytes);
    }

    #[test]
    fn gives_back_what_was_kept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = StoreId(Uuid::from_u128(1));
        let snapshots = Snapshots::open(folder.path().join("snapshots"), store).unwrap();
        keep(&snapshots, "stock-a/ü", 1, b"abc");
        assert_eq!(snapshots.load("stock-a/ü", 1), Some((at(3), b"abc".to_vec())));
        assert_eq!(snapshots.load::<Vec<u8>>("stock-b", 1), None);

        assert_eq!(snapshots.load::<Vec<u8>>("stock-a/ü", 2), None, "another code version");
        assert_eq!(snapshots.load::<Vec<u8>>("stock-a/ü", 1), None, "it was thrown away");
    }

    #[test]
    fn another_store_or_a_torn_file_is_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let open = |id| {
            let path = folder.path().join("snapshots");
            Snapshots::open(path, StoreId(Uuid::from_u128(id))).unwrap()
        };
        keep(&open(1), "a", 1, b"abc");
        assert_eq!(open(2).load::<Vec<u8>>("a", 1), None);

        keep(&open(1), "a", 1, b"abc");
        let path = open(1).path("a");
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 1);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(open(1).load::<Vec<u8>>("a", 1), None);
        assert!(!path.exists());
    }
}
