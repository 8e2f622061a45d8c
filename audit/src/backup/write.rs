//! Writing a backup.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
};

use event_schemas::{Logged, Position};
use flate2::{Compression, write::GzEncoder};
use infra::event_store::{Direction, EventStore, Filter, LogPage, MAX_PAGE, ReadError};
use thiserror::Error;

use super::{Manifest, ending};
use crate::{document::EventDocument, hashing::Hashing, keeper::blocking};

/// Why a backup was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The file.
    #[error("the backup cannot be written: {0}")]
    Io(#[from] io::Error),
    /// The log.
    #[error("the log cannot be read: {0}")]
    Log(#[from] ReadError),
    /// No event stands at a position: something was removed.
    #[error("the log has no event at position {0}")]
    Gap(Position),
}

/// Writes the events that the manifest says there are, and says how many bytes it wrote. `progress`
/// is told how many events there are by now. Nothing is proven by it: that is for [`super::Backup`],
/// which reads the file again.
///
/// # Errors
/// [`WriteError`]
pub async fn write(
    store: &EventStore,
    manifest: &Manifest,
    file: File,
    mut progress: impl FnMut(u64),
) -> Result<u64, WriteError> {
    let mut writing = Writing::begin(file, manifest)?;
    let mut next = read_page(store, Position::START).await;
    while writing.written < manifest.events {
        let page = next?;
        let (scanned_to, at_end) = (page.scanned_to, page.at_end);
        let most = manifest.events;
        let add = async { blocking(move || writing.add(page.events, most)).await };
        // The next page is read while this one is compressed.
        let (added, following) = tokio::join!(add, read_page(store, scanned_to));
        let (on, gap) = added?;
        (writing, next) = (on, following);
        progress(writing.written);
        if gap || (at_end && writing.written < manifest.events) {
            return Err(WriteError::Gap(Position(writing.written + 1)));
        }
    }
    Ok(blocking(move || writing.finish()).await?)
}

async fn read_page(store: &EventStore, from: Position) -> Result<LogPage, ReadError> {
    store.read_log(from, Direction::Forwards, &Filter::all(), MAX_PAGE).await
}

struct Writing {
    gzip: GzEncoder<Hashing<BufWriter<File>>>,
    /// Events by now.
    written: u64,
}

impl Writing {
    fn begin(file: File, manifest: &Manifest) -> io::Result<Self> {
        let hashing = Hashing::new(BufWriter::with_capacity(1 << 18, file));
        let mut writing = Self { gzip: GzEncoder::new(hashing, Compression::fast()), written: 0 };
        writing.line(manifest)?;
        Ok(writing)
    }

    fn line(&mut self, document: &impl serde::Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(document)?;
        line.push(b'\n');
        self.gzip.write_all(&line)
    }

    /// Adds the events, up to `most` in all; true if one does not stand where it should.
    fn add(mut self, events: Vec<Logged>, most: u64) -> io::Result<(Self, bool)> {
        for event in events {
            if self.written == most {
                break;
            }
            if event.position.0 != self.written + 1 {
                return Ok((self, true));
            }
            self.line(&EventDocument::of(&event))?;
            self.written += 1;
        }
        Ok((self, false))
    }

    fn finish(self) -> io::Result<u64> {
        let (mut file, hash, bytes) = self.gzip.finish()?.finish();
        let ending = ending(&hash);
        file.write_all(&ending)?;
        file.flush()?;
        Ok(bytes + ending.len() as u64)
    }
}
