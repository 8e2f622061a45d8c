//! Search in a tantivy index: a directory for each generation, one writer each. The checkpoint is
//! the commit's payload.

mod answers;
mod columns;
mod directory;
mod fields;
mod generations;
mod matches;
mod scan;
mod text;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, TantivyError, query::TermSetQuery};
use tokio::sync::Semaphore;

use self::{
    directory::{Fit, Payload, fits, open, open_or_make, payload, writer},
    fields::Fields,
};
use super::{Change, Found, Page, Query, Schema, SearchError};
use crate::read_models::Checkpoint;

/// A checkpoint that moved without documents is stored so much later: a commit costs more than
/// posting a thousand events that change no document.
const SAVED_AFTER: Duration = Duration::from_secs(1);

/// A tantivy index. Cheap to clone.
#[derive(Clone)]
pub struct TantivyIndex {
    place: Arc<Place>,
    /// The generation of a rebuild; none for the one that is read, whichever that is.
    beside: Option<Arc<Inner>>,
}

/// A directory and the generation in it that is read.
struct Place {
    dir: PathBuf,
    live: RwLock<Arc<Inner>>,
}

struct Inner {
    generation: u64,
    fields: Fields,
    index: Index,
    reader: IndexReader,
    /// Whether this very code has posted it, or what is to be posted anew beside it.
    fit: Fit,
    writer: Mutex<Writer>,
    posted: RwLock<Option<Checkpoint>>,
    /// Whether somebody will store the checkpoint soon.
    saving: AtomicBool,
    /// Searches at once: more than there are cores would only make each of them slower.
    at_once: Semaphore,
}

enum Writer {
    Open {
        writer: Box<IndexWriter>,
        saved: Option<Checkpoint>,
    },
    /// A failed commit took the engine's writer with it; the next commit makes a new one.
    Lost,
    /// Another generation has taken this one's place.
    Replaced,
    Closed,
    ReadOnly,
}

impl TantivyIndex {
    pub(super) async fn open(dir: PathBuf, schema: Schema) -> Result<Self, SearchError> {
        blocking(move || {
            let live = generations::live(&dir).unwrap_or(1);
            let read = Inner::read(&dir, schema.clone(), live)?;
            // Of another version: searched, and left as it is.
            let read = read.filter(|read| read.fit != Fit::Same);
            let inner = read.map_or_else(|| Inner::open(&dir, schema, live), Ok)?;
            Ok(Self::new(dir, inner))
        })
        .await
    }

    pub(super) async fn read(dir: PathBuf, schema: Schema) -> Result<Self, SearchError> {
        blocking(move || {
            let read = Inner::read(&dir, schema, generations::live(&dir)?)?;
            let inner = read.ok_or_else(|| SearchError::Missing(dir.display().to_string()))?;
            Ok(Self::new(dir, Inner { fit: Fit::Same, ..inner }))
        })
        .await
    }

    fn new(dir: PathBuf, live: Inner) -> Self {
        let live = RwLock::new(Arc::new(live));
        Self { place: Arc::new(Place { dir, live }), beside: None }
    }

    fn inner(&self) -> Arc<Inner> {
        self.beside.clone().unwrap_or_else(|| self.place.live())
    }

    pub(super) fn checkpoint(&self) -> Result<Option<Checkpoint>, SearchError> {
        let inner = self.inner();
        match inner.fit {
            Fit::Same => Ok(inner.posted()),
            Fit::Fields { by_newer: true } => Err(SearchError::NewerVersion),
            _ => Err(SearchError::OtherVersion { found: inner.posted() }),
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.inner().generation
    }

    pub(super) async fn by_id(&self, ids: Vec<String>) -> Result<Vec<Found>, SearchError> {
        let inner = self.inner();
        blocking(move || {
            let terms = ids.iter().map(|id| inner.fields.id_term(id));
            Ok(inner.find(&TermSetQuery::new(terms.collect::<Vec<_>>()))?)
        })
        .await
    }

    pub(super) async fn by_keyword(
        &self,
        field: &'static str,
        values: Vec<String>,
    ) -> Result<Vec<Found>, SearchError> {
        let inner = self.inner();
        blocking(move || {
            let field = inner.fields.keyword(field)?;
            let terms = values.iter().map(|value| tantivy::Term::from_field_text(field, value));
            Ok(inner.find(&TermSetQuery::new(terms.collect::<Vec<_>>()))?)
        })
        .await
    }

    pub(super) async fn commit(
        &self,
        before: Option<Checkpoint>,
        changes: Vec<Change>,
        after: Checkpoint,
    ) -> Result<(), SearchError> {
        let inner = self.inner();
        if changes.is_empty() && !inner.saving.swap(true, Ordering::AcqRel) {
            tokio::spawn(save_soon(Arc::downgrade(&inner)));
        }
        blocking(move || inner.commit(before, &changes, after)).await
    }

    /// An empty generation beside the one that is read; what was begun before is removed.
    pub(super) async fn anew(&self) -> Result<Self, SearchError> {
        if self.beside.is_some() {
            // It is one of those that go.
            self.close().await?;
        }
        let place = Arc::clone(&self.place);
        blocking(move || {
            let live = place.live();
            live.replaceable()?;
            for left in generations::all(&place.dir)? {
                if left > live.generation {
                    generations::remove(&place.dir, left)?;
                }
            }
            let schema = live.fields.schema.clone();
            let beside = Inner::open(&place.dir, schema, live.generation + 1)?;
            Ok(Self { place, beside: Some(Arc::new(beside)) })
        })
        .await
    }

    /// What was begun beside the one that is read and left, if there is something.
    pub(super) async fn unfinished(&self) -> Result<Option<Self>, SearchError> {
        let place = Arc::clone(&self.place);
        blocking(move || {
            let live = place.live();
            live.replaceable()?;
            let next = live.generation + 1;
            let path = generations::path(&place.dir, next);
            if !path.join("meta.json").exists()
                || !open(&path)
                    .is_ok_and(|index| matches!(fits(&index, &live.fields), Ok(Fit::Same)))
            {
                return Ok(None);
            }
            let beside = Inner::open(&place.dir, live.fields.schema.clone(), next)?;
            Ok(Some(Self { place, beside: Some(Arc::new(beside)) }))
        })
        .await
    }

    /// Takes the place of the generation that is read; `in_order` only if that is not posted
    /// further.
    pub(super) async fn install(&self, in_order: bool) -> Result<(), SearchError> {
        let Some(beside) = self.beside.clone() else { return Ok(()) };
        let place = Arc::clone(&self.place);
        blocking(move || {
            beside.save(&mut beside.lock())?;
            let live = place.live();
            if live.generation == beside.generation {
                return Ok(());
            }
            // Held until the switch is over: nothing is committed meanwhile.
            let mut writer = live.lock();
            if let (true, Some(shown)) = (in_order, live.posted())
                && beside.posted().is_none_or(|own| own.is_behind(&shown))
            {
                return Err(SearchError::Behind(shown.position));
            }
            generations::switch(&place.dir, beside.generation)?;
            *place.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&beside);
            *writer = Writer::Replaced;
            drop(writer);
            for other in generations::all(&place.dir)? {
                if other < live.generation {
                    generations::remove(&place.dir, other)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Removes the generations that were replaced. Returns how many there were.
    pub(super) async fn drop_old(&self) -> Result<usize, SearchError> {
        let place = Arc::clone(&self.place);
        blocking(move || {
            let live = generations::live(&place.dir)?;
            let mut old = generations::all(&place.dir)?;
            old.retain(|&generation| generation < live);
            for &generation in &old {
                generations::remove(&place.dir, generation)?;
            }
            Ok(old.len())
        })
        .await
    }

    pub(super) async fn query(&self, query: Query) -> Result<Page, SearchError> {
        let inner = self.inner();
        // It is never closed.
        let turn = Arc::clone(&inner);
        let _turn = turn.at_once.acquire().await;
        blocking(move || inner.query(&query)).await
    }

    pub(super) async fn close(&self) -> Result<(), SearchError> {
        let inner = self.inner();
        blocking(move || {
            let mut guard = inner.lock();
            let written = inner.save(&mut guard);
            let last = match &*guard {
                Writer::ReadOnly => Writer::ReadOnly,
                _ => Writer::Closed,
            };
            if let Writer::Open { writer, .. } = std::mem::replace(&mut *guard, last) {
                writer.wait_merging_threads()?;
            }
            written
        })
        .await
    }
}

impl Place {
    fn live(&self) -> Arc<Inner> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    /// Opens a generation to write, or makes it.
    fn open(dir: &Path, schema: Schema, generation: u64) -> Result<Self, SearchError> {
        let fields = Fields::new(schema);
        let path = generations::path(dir, generation);
        let index = open_or_make(&path, &fields)?;
        let writer = Box::new(writer(&index, &path)?);
        Self::new(generation, fields, index, |saved| Writer::Open { writer, saved })
    }

    /// Opens a generation to read; none if it cannot be searched.
    fn read(dir: &Path, schema: Schema, generation: u64) -> Result<Option<Self>, SearchError> {
        let (fields, path) = (Fields::new(schema), generations::path(dir, generation));
        if !path.join("meta.json").exists() {
            return Ok(None);
        }
        let index = open(&path)?;
        let fit = fits(&index, &fields)?;
        if fit == Fit::Nothing {
            return Ok(None);
        }
        let read = Self::new(generation, fields, index, |_| Writer::ReadOnly)?;
        Ok(Some(Self { fit, ..read }))
    }

    fn new(
        generation: u64,
        fields: Fields,
        index: Index,
        writer: impl FnOnce(Option<Checkpoint>) -> Writer,
    ) -> Result<Self, SearchError> {
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let saved: Option<Checkpoint> = payload(&index)?.and_then(Payload::checkpoint);
        Ok(Self {
            generation,
            fit: Fit::Same,
            fields,
            index,
            reader,
            writer: Mutex::new(writer(saved.clone())),
            posted: RwLock::new(saved),
            saving: AtomicBool::new(false),
            at_once: Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from)),
        })
    }

    fn posted(&self) -> Option<Checkpoint> {
        self.posted.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another generation may be built beside this one.
    fn replaceable(&self) -> Result<(), SearchError> {
        match self.fit {
            Fit::Same => self.writer().map(drop),
            _ => Ok(()),
        }
    }

    /// The writer, made anew if it was lost. What a lost writer had committed is found again: the
    /// index stands where the stored checkpoint says.
    fn writer(&self) -> Result<MutexGuard<'_, Writer>, SearchError> {
        let mut guard = self.lock();
        match &*guard {
            Writer::Open { .. } => {}
            Writer::Closed => return Err(SearchError::Closed),
            Writer::ReadOnly => return Err(SearchError::ReadOnly),
            Writer::Replaced => return Err(SearchError::Moved { found: None }),
            Writer::Lost => {
                let writer = Box::new(writer(&self.index, Path::new("its directory"))?);
                let saved = payload(&self.index)?.and_then(Payload::checkpoint);
                self.reader.reload()?;
                self.post(saved.clone());
                *guard = Writer::Open { writer, saved };
            }
        }
        Ok(guard)
    }

    fn post(&self, checkpoint: Option<Checkpoint>) {
        *self.posted.write().unwrap_or_else(PoisonError::into_inner) = checkpoint;
    }

    fn commit(
        &self,
        before: Option<Checkpoint>,
        changes: &[Change],
        after: Checkpoint,
    ) -> Result<(), SearchError> {
        let mut guard = self.writer()?;
        let found = self.posted();
        if found != before {
            return Err(SearchError::Moved { found });
        }
        let Writer::Open { writer, .. } = &mut *guard else { return Err(SearchError::Closed) };
        if changes.is_empty() {
            self.post(Some(after));
            return Ok(());
        }
        let documents = changes.iter().map(|change| match change {
            Change::Put(document) => Ok((change.id(), Some(self.fields.encode(document)?))),
            Change::Delete { .. } => Ok((change.id(), None)),
        });
        let documents: Vec<_> = documents.collect::<Result<_, SearchError>>()?;
        let result = documents.into_iter().try_for_each(|(id, document)| {
            writer.delete_term(self.fields.id_term(id));
            document.map_or(Ok(()), |document| writer.add_document(document).map(drop))
        });
        if let Err(error) = result {
            *guard = Writer::Lost;
            return Err(error.into());
        }
        self.write(&mut guard, Some(after))
    }

    /// Stores the checkpoint if it moved since it was stored.
    fn save(&self, guard: &mut Writer) -> Result<(), SearchError> {
        match guard {
            Writer::Open { saved, .. } if *saved != self.posted() => {
                self.write(guard, self.posted())
            }
            _ => Ok(()),
        }
    }

    /// Commits what the writer holds. The reader is reloaded before the new checkpoint is told.
    fn write(&self, guard: &mut Writer, after: Option<Checkpoint>) -> Result<(), SearchError> {
        let Writer::Open { writer, saved } = guard else { return Err(SearchError::Closed) };
        let payload = Payload::new(&self.fields.schema, after.as_ref()).encode()?;
        let committed = writer.prepare_commit().and_then(|mut commit| {
            commit.set_payload(&payload);
            commit.commit()
        });
        match committed.and_then(|_| self.reader.reload()) {
            Ok(()) => {
                saved.clone_from(&after);
                self.post(after);
                Ok(())
            }
            Err(error) => {
                *guard = Writer::Lost;
                Err(error.into())
            }
        }
    }
}

async fn save_soon(inner: Weak<Inner>) {
    tokio::time::sleep(SAVED_AFTER).await;
    let Some(inner) = inner.upgrade() else { return };
    inner.saving.store(false, Ordering::Release);
    let saved = blocking(move || inner.save(&mut inner.lock())).await;
    if let Err(error) = saved {
        tracing::warn!(%error, "the checkpoint of the search index is stored later");
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SearchError> + Send + 'static,
) -> Result<T, SearchError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(SearchError::Unavailable(error.to_string())),
    }
}

impl From<TantivyError> for SearchError {
    fn from(error: TantivyError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<io::Error> for SearchError {
    fn from(error: io::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}
