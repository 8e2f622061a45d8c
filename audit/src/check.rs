//! Checking an export with nothing at hand but the public key, and reading it.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{
    cover::Cover,
    document::{EventDocument, Unproven, VERSION},
    export::{MANIFEST, Manifest, Part},
    hash::Hash,
    head::PublicKey,
};

/// No event is longer than an append may be; as base64 in JSON it takes less than this.
pub(crate) const MAX_LINE: u64 = 16 << 20;

/// Why an export does not show what it says, or cannot be read.
#[derive(Debug, Error)]
pub enum CheckError {
    /// There is none.
    #[error("{0} cannot be read: {1}")]
    Unreadable(String, io::Error),
    /// It is not what was written.
    #[error("{0} is not what was exported: {1}")]
    Changed(String, String),
    /// What it says is not proven.
    #[error(transparent)]
    Unproven(#[from] Unproven),
}

/// Reads the manifest.
///
/// # Errors
/// [`CheckError`]
pub fn manifest(dir: &Path) -> Result<Manifest, CheckError> {
    let path = dir.join(MANIFEST);
    let text = std::fs::read(&path)
        .map_err(|error| CheckError::Unreadable(path.display().to_string(), error))?;
    let changed = |why: String| CheckError::Changed(MANIFEST.to_owned(), why);
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| changed(error.to_string()))?;
    if manifest.daybook != "export" {
        return Err(changed("it is no manifest of an export".to_owned()));
    }
    if manifest.version != VERSION {
        return Err(Unproven::Version(manifest.version).into());
    }
    let mut next = manifest.begin;
    for part in &manifest.parts {
        let plain = part.file.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
        if !plain || part.begin != next || part.end <= part.begin {
            return Err(changed(format!(
                "the part {:?} does not follow the one before",
                part.file
            )));
        }
        next = part.end;
    }
    if next != manifest.end || manifest.end > manifest.head.size {
        return Err(changed("its parts do not hold the events that it names".to_owned()));
    }
    Ok(manifest)
}

/// Holds every event against the signed head. `each` is given each event in its order, with its
/// number in the log; by then its part's hash was right, and the root is known at the end only.
/// Without a key whoever signed is taken for the right one.
///
/// # Errors
/// [`CheckError`], or that of `each`.
pub fn check<E: From<CheckError>>(
    dir: &Path,
    manifest: &Manifest,
    key: Option<&PublicKey>,
    mut each: impl FnMut(u64, EventDocument) -> Result<(), E>,
) -> Result<(), E> {
    let head = &manifest.head;
    let key = key.unwrap_or(&head.public_key);
    if !head.is_by(key) {
        let unsigned = Unproven::Signature { size: head.size, key: *key };
        return Err(CheckError::from(unsigned).into());
    }
    let root = || CheckError::from(Unproven::Root);
    let mut cover = Cover::from(0);
    if !cover.extend(manifest.begin, &manifest.before) {
        return Err(root().into());
    }
    for part in &manifest.parts {
        read_part(dir, part, |index, event| {
            let leaf = event.leaf().map_err(CheckError::from)?;
            cover.push(leaf, |_| {});
            each(index, event)
        })?;
    }
    if !cover.extend(head.size, &manifest.behind) || cover.root() != head.root {
        return Err(root().into());
    }
    Ok(())
}

fn read_part<E: From<CheckError>>(
    dir: &Path,
    part: &Part,
    mut each: impl FnMut(u64, EventDocument) -> Result<(), E>,
) -> Result<(), E> {
    let path = dir.join(&part.file);
    let unreadable = |error| CheckError::Unreadable(path.display().to_string(), error);
    let changed = |why: String| CheckError::Changed(part.file.clone(), why);
    if let Err(error) = has_hash(&path, part) {
        return Err(match error.kind() {
            io::ErrorKind::NotFound => changed("it is missing".to_owned()).into(),
            io::ErrorKind::InvalidData => changed(error.to_string()).into(),
            _ => unreadable(error).into(),
        });
    }
    let file = File::open(&path).map_err(unreadable)?;
    let mut lines = BufReader::with_capacity(1 << 18, MultiGzDecoder::new(BufReader::new(file)));
    let mut line = Vec::new();
    for index in part.begin..part.end {
        line.clear();
        let read = lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        let read = read.map_err(|error| changed(error.to_string()))?;
        if read == 0 {
            return Err(changed(format!("it ends before event {index}")).into());
        }
        let event = serde_json::from_slice(&line)
            .map_err(|error| changed(format!("event {index}: {error}")))?;
        each(index, event)?;
    }
    match lines.read(&mut [0]) {
        Ok(0) => Ok(()),
        _ => Err(changed(format!("something follows event {}", part.end - 1)).into()),
    }
}

fn has_hash(path: &Path, part: &Part) -> io::Result<()> {
    let mut file = File::open(path)?;
    let found = file.metadata()?.len();
    let invalid = |why: String| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    if found != part.bytes {
        return invalid(format!("it has {found} bytes, and had {}", part.bytes));
    }
    let (mut sha256, mut chunk) = (Sha256::new(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            read => sha256.update(&chunk[..read]),
        }
    }
    if Hash(sha256.finalize().into()) == part.sha256 {
        return Ok(());
    }
    invalid("its SHA-256 is another".to_owned())
}
