//! Reading a backup, with nothing else at hand.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take},
    path::{Path, PathBuf},
};

use event_schemas::{Recorded, Revision, StreamName};
use flate2::bufread::GzDecoder;
use infra::event_store::EventStore;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{ENDING, MAX_MANIFEST, Manifest, VERSION, ending};
use crate::{
    check::MAX_LINE,
    cover::Cover,
    document::{EventDocument, Unproven},
    hash::{Hash, of_event},
    head::PublicKey,
};

/// Why a backup is not one, or not what was written.
#[derive(Debug, Error)]
pub enum BackupError {
    /// It cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is something else, or was changed.
    #[error("{} is not what `daybook backup` wrote: {why}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// How that is known.
        why: String,
    },
    /// A newer Daybook wrote it.
    #[error(
        "{} is a backup of version {found}, and this version of Daybook reads {VERSION}: use the \
         newer one",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// What it holds is not what was signed.
    #[error("{} is not proven: {why}", path.display())]
    Unproven {
        /// The file.
        path: PathBuf,
        /// What does not hold.
        why: Unproven,
    },
}

/// A backup that is whole: byte for byte what was written.
pub struct Backup {
    path: PathBuf,
    manifest: Manifest,
    /// Behind the manifest.
    lines: BufReader<GzDecoder<BufReader<Take<File>>>>,
}

/// What was found by checking every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// How many of the events belong to the tree: all but the store's own.
    pub leaves: u64,
    /// How many of those lie behind the signed head.
    pub beyond: u64,
    /// The root over all of them.
    pub root: Hash,
}

impl Backup {
    /// Reads all of the file, to see that it is whole, and its manifest, whose head has to be signed
    /// with the key. Without a key whoever signed is taken for the right one.
    ///
    /// # Errors
    /// [`BackupError`]
    pub fn open(path: &Path, key: Option<&PublicKey>) -> Result<Self, BackupError> {
        let unreadable = |error| BackupError::Unreadable { path: path.to_owned(), error };
        let changed = |why: &str| BackupError::Changed { path: path.to_owned(), why: why.into() };
        let mut file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let Some(body) = length.checked_sub(ENDING as u64) else {
            return Err(changed("it is too short"));
        };
        if !is_whole(&mut file, body).map_err(unreadable)? {
            return Err(changed("its end does not fit the rest; it was cut off, or changed"));
        }
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let gzip = GzDecoder::new(BufReader::with_capacity(1 << 18, file.take(body)));
        let mut lines = BufReader::with_capacity(1 << 18, gzip);
        let mut line = Vec::new();
        let read = lines.by_ref().take(MAX_MANIFEST).read_until(b'\n', &mut line);
        read.map_err(|error| changed(&error.to_string()))?;
        let manifest = manifest(path, &line)?;
        let head = &manifest.head;
        let key = key.unwrap_or(&head.public_key);
        if !head.is_by(key) {
            let why = Unproven::Signature { size: head.size, key: *key };
            return Err(BackupError::Unproven { path: path.to_owned(), why });
        }
        Ok(Self { path: path.to_owned(), manifest, lines })
    }

    /// What it says that it holds.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Holds every event against the signed head. `each` is given each in its order; whether they
    /// are what was signed is known at the end only.
    ///
    /// # Errors
    /// [`BackupError`], or that of `each`.
    pub fn check<E: From<BackupError>>(
        mut self,
        mut each: impl FnMut(&Recorded) -> Result<(), E>,
    ) -> Result<Checked, E> {
        let head = self.manifest.head.clone();
        let mut cover = Cover::from(0);
        let mut signed = (head.size == 0).then(|| cover.root());
        let mut line = Vec::new();
        for position in 1..=self.manifest.events {
            let event = self.next(position, &mut line)?;
            if !EventStore::is_bookkeeping(&event) {
                cover.push(of_event(&event), |_| {});
                if cover.end() == head.size {
                    signed = Some(cover.root());
                }
            }
            each(&event)?;
        }
        if !self.is_over().map_err(|error| self.changed(error.to_string()))? {
            return Err(self.changed("something follows the last event".to_owned()).into());
        }
        if signed != Some(head.root) {
            let (path, why) = (self.path.clone(), Unproven::Root);
            return Err(BackupError::Unproven { path, why }.into());
        }
        let (leaves, root) = (cover.end(), cover.root());
        Ok(Checked { leaves, beyond: leaves - head.size, root })
    }

    fn next(&mut self, position: u64, line: &mut Vec<u8>) -> Result<Recorded, BackupError> {
        line.clear();
        let read = self.lines.by_ref().take(MAX_LINE).read_until(b'\n', line);
        let at = |why: String| format!("event {position}: {why}");
        if read.map_err(|error| self.changed(at(error.to_string())))? == 0 {
            return Err(self.changed(at("it ends before it".to_owned())));
        }
        let document: EventDocument =
            serde_json::from_slice(line).map_err(|error| self.changed(at(error.to_string())))?;
        let stream = StreamName::parse(document.stream.as_str());
        let stream = stream.map_err(|error| self.changed(at(error.to_string())))?;
        let event = document.event().map_err(|error| self.changed(at(error.to_string())))?;
        Ok(Recorded::written(event, stream, Revision(document.revision)))
    }

    /// Whether nothing follows, neither in what is compressed nor behind it.
    fn is_over(&mut self) -> io::Result<bool> {
        Ok(self.lines.fill_buf()?.is_empty()
            && self.lines.get_mut().get_mut().fill_buf()?.is_empty())
    }

    fn changed(&self, why: String) -> BackupError {
        BackupError::Changed { path: self.path.clone(), why }
    }
}

/// Whether what stands behind `body` bytes is the ending that belongs to them.
fn is_whole(file: &mut File, body: u64) -> io::Result<bool> {
    let (mut sha256, mut left, mut chunk) = (Sha256::new(), body, vec![0; 1 << 18]);
    while left > 0 {
        let most = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
        match file.read(&mut chunk[..most])? {
            0 => return Ok(false),
            read => {
                sha256.update(&chunk[..read]);
                left -= read as u64;
            }
        }
    }
    let mut found = Vec::new();
    file.read_to_end(&mut found)?;
    Ok(found == ending(&Hash(sha256.finalize().into())))
}

fn manifest(path: &Path, line: &[u8]) -> Result<Manifest, BackupError> {
    let changed = |why: String| BackupError::Changed { path: path.to_owned(), why };
    let value: serde_json::Value = serde_json::from_slice(line)
        .map_err(|error| changed(format!("its first line is no manifest: {error}")))?;
    if value["daybook"] != "backup" {
        return Err(changed("its first line is no manifest of a backup".to_owned()));
    }
    if let Some(found) = value["version"].as_u64()
        && found > u64::from(VERSION)
    {
        return Err(BackupError::Newer { path: path.to_owned(), found });
    }
    serde_json::from_value(value)
        .map_err(|error| changed(format!("its first line is no manifest: {error}")))
}
