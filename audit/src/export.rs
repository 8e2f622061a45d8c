//! The log, or a part of it, as files that whoever has the public key can check without a store:
//! NDJSON in compressed parts, and a manifest.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use event_schemas::{Logged, Position, StoreId, Timestamp};
use flate2::{Compression, write::GzEncoder};
use infra::event_store::{Direction, EventStore, Filter, MAX_PAGE, ReadError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    cover::Cover,
    document::{EventDocument, VERSION},
    hash::Hash,
    hashing::Hashing,
    head::SignedHead,
    keeper::{blocking, hashed},
};

/// The manifest's name within the folder.
pub const MANIFEST: &str = "manifest.json";
/// A part ends with the event that makes it so large.
const PART_EVENTS: u64 = 100_000;
const PART_BYTES: u64 = 64 << 20;

/// What an export holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What this is: `export`.
    pub daybook: String,
    /// Of its form.
    pub version: u32,
    /// The store that it was taken from.
    pub store: StoreId,
    /// The number of the first event in the log.
    pub begin: u64,
    /// The number behind that of the last.
    pub end: u64,
    /// What was asked for, if not everything: recorded then or later.
    pub since: Option<Timestamp>,
    /// Recorded before.
    pub until: Option<Timestamp>,
    /// The log that they are of.
    pub head: SignedHead,
    /// The subtrees that cover the events before them.
    pub before: Vec<Hash>,
    /// Those that cover the events behind them, up to the head.
    pub behind: Vec<Hash>,
    /// The files, in order.
    pub parts: Vec<Part>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its name.
    pub file: String,
    /// SHA-256 of its bytes, as they are.
    pub sha256: Hash,
    /// How many bytes it has.
    pub bytes: u64,
    /// The number of its first event in the log.
    pub begin: u64,
    /// The number behind that of its last.
    pub end: u64,
}

/// Which events are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// From the first on that was recorded then or later.
    pub since: Option<Timestamp>,
    /// Up to the last that was recorded before.
    pub until: Option<Timestamp>,
}

/// Why there is no export.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The folder.
    #[error("{}: {error}", path.display())]
    Io {
        /// What cannot be written.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Something is in it already.
    #[error("{} is not empty: name a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// Another process writes an export there.
    #[error("another process exports to {}: let it come to its end, or name another", .0.display())]
    Busy(PathBuf),
    /// The log.
    #[error("the log cannot be read: {0}")]
    Log(#[from] ReadError),
    /// The log is not the one that the head was signed over.
    #[error("the log is not what was signed: `daybook audit verify` says what differs")]
    Different,
}

/// Writes the events that the head covers, or the run of them that holds all that are wanted.
/// `progress` is told how many events have been read.
///
/// # Errors
/// [`ExportError`]; what was written by then stays, without a manifest, until the next export there.
pub async fn export(
    store: &EventStore,
    head: SignedHead,
    wanted: Wanted,
    dir: &Path,
    mut progress: impl FnMut(u64),
) -> Result<Manifest, ExportError> {
    let io_error = |path: &Path| {
        let path = path.to_owned();
        move |error| ExportError::Io { path, error }
    };
    fs::create_dir_all(dir).map_err(io_error(dir))?;
    let _one_at_a_time = make_room(dir)?;
    let (begin, end) = run_of(store, &head, wanted).await?;
    let (mut before, mut whole) = (Cover::from(0), Cover::from(0));
    let mut behind = Cover::from(end);
    let mut parts = Parts { dir: dir.to_owned(), open: None, done: Vec::new() };
    let mut from = Position::START;
    while whole.end() < head.size {
        let page = store.read_log(from, Direction::Forwards, &Filter::all(), MAX_PAGE).await?;
        from = page.scanned_to;
        let events = hashed(page.events).await.map_err(io_error(dir))?;
        let mut chosen = Vec::new();
        for (event, leaf) in events {
            let index = whole.end();
            if index == head.size {
                break;
            }
            whole.push(leaf, |_| {});
            if index < begin {
                before.push(leaf, |_| {});
            } else if index < end {
                chosen.push((index, event));
            } else {
                behind.push(leaf, |_| {});
            }
        }
        progress(whole.end());
        parts = parts.add(chosen).await?;
        if page.at_end {
            break;
        }
    }
    let parts = parts.finish().await?;
    if whole.end() != head.size || whole.root() != head.root {
        return Err(ExportError::Different);
    }
    let manifest = Manifest {
        daybook: "export".to_owned(),
        version: VERSION,
        store: store.id(),
        begin,
        end,
        since: wanted.since,
        until: wanted.until,
        head,
        before: before.hashes(),
        behind: behind.hashes(),
        parts,
    };
    let path = dir.join(MANIFEST);
    write_manifest(&path, &manifest).map_err(io_error(&path))?;
    Ok(manifest)
}

/// Takes away what an export left that was cut short: parts, and no manifest. Others have to wait as
/// long as what is handed back lives.
fn make_room(dir: &Path) -> Result<File, ExportError> {
    let io_error = |error| ExportError::Io { path: dir.to_owned(), error };
    let folder = File::open(dir).map_err(io_error)?;
    match folder.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(ExportError::Busy(dir.to_owned())),
        Err(TryLockError::Error(error)) => return Err(io_error(error)),
    }
    let found: io::Result<Vec<_>> = fs::read_dir(dir).map_err(io_error)?.collect();
    let found = found.map_err(io_error)?;
    let is_part = |name: &str| name.starts_with("events-") && name.ends_with(".ndjson.gz");
    if !found.iter().all(|file| file.file_name().to_str().is_some_and(is_part)) {
        return Err(ExportError::NotEmpty(dir.to_owned()));
    }
    found.iter().try_for_each(|file| fs::remove_file(file.path())).map_err(io_error)?;
    Ok(folder)
}

fn write_manifest(path: &Path, manifest: &Manifest) -> io::Result<()> {
    let mut file = create(path)?;
    serde_json::to_writer_pretty(&mut file, manifest)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    let dir = path.parent().unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// The first and the last that are wanted, and what lies between them: clocks of several nodes
/// differ, and a proof is about a run.
async fn run_of(
    store: &EventStore,
    head: &SignedHead,
    wanted: Wanted,
) -> Result<(u64, u64), ExportError> {
    let Wanted { since, until } = wanted;
    if since.is_none() && until.is_none() {
        return Ok((0, head.size));
    }
    let (mut from, mut index, mut run) = (Position::START, 0, None::<(u64, u64)>);
    while index < head.size {
        let page = store.read_log(from, Direction::Forwards, &Filter::all(), MAX_PAGE).await?;
        from = page.scanned_to;
        for event in page.events.iter().filter(|event| !EventStore::is_bookkeeping(event)) {
            let is_wanted = event.recorded_at().is_some_and(|at| {
                since.is_none_or(|since| at >= since) && until.is_none_or(|until| at < until)
            });
            if is_wanted && index < head.size {
                run = Some((run.map_or(index, |(first, _)| first), index + 1));
            }
            index += 1;
        }
        if page.at_end {
            break;
        }
    }
    Ok(run.unwrap_or((0, 0)))
}

/// The files as they are written.
struct Parts {
    dir: PathBuf,
    open: Option<OpenPart>,
    done: Vec<Part>,
}

struct OpenPart {
    name: String,
    begin: u64,
    end: u64,
    /// Bytes of NDJSON.
    size: u64,
    gzip: GzEncoder<Hashing<BufWriter<File>>>,
}

impl Parts {
    async fn add(mut self, events: Vec<(u64, Logged)>) -> Result<Self, ExportError> {
        let dir = self.dir.clone();
        let add = move || {
            for (index, event) in events {
                self.write(index, &event)?;
            }
            Ok(self)
        };
        blocking(add).await.map_err(|error| ExportError::Io { path: dir, error })
    }

    async fn finish(mut self) -> Result<Vec<Part>, ExportError> {
        let dir = self.dir.clone();
        let finish = move || {
            self.close()?;
            Ok(self.done)
        };
        blocking(finish).await.map_err(|error| ExportError::Io { path: dir, error })
    }

    fn write(&mut self, index: u64, event: &Logged) -> io::Result<()> {
        let mut part = match self.open.take() {
            Some(part) => part,
            None => self.begin(index)?,
        };
        let mut line = serde_json::to_vec(&EventDocument::of(event))?;
        line.push(b'\n');
        part.gzip.write_all(&line)?;
        part.end = index + 1;
        part.size += line.len() as u64;
        let full = part.end - part.begin == PART_EVENTS || part.size >= PART_BYTES;
        self.open = Some(part);
        if full { self.close() } else { Ok(()) }
    }

    fn begin(&self, index: u64) -> io::Result<OpenPart> {
        let name = format!("events-{:06}.ndjson.gz", self.done.len() + 1);
        let inner = BufWriter::new(create(&self.dir.join(&name))?);
        let hashing = Hashing::new(inner);
        let gzip = GzEncoder::new(hashing, Compression::fast());
        Ok(OpenPart { name, begin: index, end: index, size: 0, gzip })
    }

    fn close(&mut self) -> io::Result<()> {
        let Some(OpenPart { name, begin, end, gzip, .. }) = self.open.take() else {
            return Ok(());
        };
        let (inner, sha256, bytes) = gzip.finish()?.finish();
        inner.into_inner()?.sync_all()?;
        self.done.push(Part { file: name, sha256, bytes, begin, end });
        Ok(())
    }
}
