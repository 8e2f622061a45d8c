use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
    time::Duration,
};

use event_schemas::{Position, ProductEvent, StockEvent, StoreId};
use infra::{
    read_models::Checkpoint,
    search::{Change, Document, Found, SearchError, SearchIndex},
};
use tokio::time::{Instant, sleep_until};

use super::{
    NAME, SKU,
    document::{Product, Touch, touch},
};
use crate::{Batch, Entry, FoldError, Sink, SinkError};

/// A commit of many documents is followed by a rest: under a flood of changes a few large commits
/// cost far less than many small ones. One of a whole batch would not become larger by waiting.
const MANY: Range<usize> = 100..4_000;
const REST: Duration = Duration::from_millis(250);

/// The projection into a search index.
pub struct SearchSink {
    index: SearchIndex,
    store: StoreId,
    /// Whether a generation of its own is opened first.
    anew: bool,
    rested: Instant,
}

/// The products that a batch touches.
#[derive(Default)]
struct Touched {
    products: HashMap<String, Product>,
    by_sku: HashMap<String, String>,
    changed: BTreeSet<String>,
}

impl SearchSink {
    /// Posts into the index as it is.
    pub fn live(index: SearchIndex, store: StoreId) -> Self {
        Self { index, store, anew: false, rested: Instant::now() }
    }

    /// Posts everything into a generation of its own, which then takes this one's place.
    pub fn anew(index: SearchIndex, store: StoreId) -> Self {
        Self { anew: true, ..Self::live(index, store) }
    }

    /// The products that the batch will ask for and that are in the index already.
    async fn load(&self, batch: &Batch<'_>) -> Result<Touched, SinkError> {
        let (mut ids, mut skus) = (Vec::new(), Vec::new());
        for entry in &batch.events {
            match touch(entry.event()) {
                Some(Touch::Product(_)) if !entry.is_first() => ids.push(entry.id().to_owned()),
                Some(Touch::Availability(_)) => skus.push(entry.id().to_owned()),
                Some(Touch::Product(_)) | None => {}
            }
        }
        let mut touched = Touched::default();
        if !ids.is_empty() {
            touched.add(&self.index.by_id(ids).await?)?;
        }
        if !skus.is_empty() {
            touched.add(&self.index.by_keyword(SKU, skus).await?)?;
        }
        Ok(touched)
    }
}

impl Touched {
    fn add(&mut self, found: &[Found]) -> Result<(), SinkError> {
        for found in found {
            let product = Product::read(found).map_err(|error| {
                SinkError::Damaged(format!("the document of product {:?}: {error}", found.id))
            })?;
            self.put(product);
        }
        Ok(())
    }

    fn put(&mut self, product: Product) {
        for sku in product.skus() {
            if !self.by_sku.contains_key(sku) {
                self.by_sku.insert(sku.to_owned(), product.id().to_owned());
            }
        }
        self.products.insert(product.id().to_owned(), product);
    }

    /// Whether what happened at this place is in the document that was read already: a commit that
    /// failed may have written it.
    fn is_in(&self, id: &str, position: Position) -> bool {
        self.products.get(id).is_some_and(|product| position <= product.posted())
    }

    fn fold(&mut self, entry: Entry<'_>) -> Result<(), FoldError> {
        let position = entry.logged.position;
        match touch(entry.event()) {
            None => {}
            Some(Touch::Product(event)) => {
                if self.is_in(entry.id(), position) {
                    return Ok(());
                }
                let product = Product::evolve(self.products.remove(entry.id()), event, position)?;
                self.changed.insert(product.id().to_owned());
                self.put(product);
            }
            Some(Touch::Availability(available)) => {
                let sku = entry.id();
                // The stock of a sku that no product has concerns no document.
                let Some(id) = self.by_sku.get(sku) else { return Ok(()) };
                if self.is_in(id, position) {
                    return Ok(());
                }
                let Some(product) = self.products.remove(id) else { return Ok(()) };
                self.changed.insert(id.clone());
                self.put(product.with_availability(sku, available, position));
            }
        }
        Ok(())
    }

    fn changes(&self) -> Result<Vec<Change>, FoldError> {
        let changed = self.changed.iter().filter_map(|id| self.products.get(id));
        let documents = changed.map(Product::document);
        Ok(documents
            .map(|document: Result<Document, _>| document.map(Change::Put))
            .collect::<Result<_, _>>()?)
    }
}

impl Sink for SearchSink {
    fn name(&self) -> &'static str {
        NAME
    }

    fn categories(&self) -> &'static [&'static str] {
        &[ProductEvent::CATEGORY, StockEvent::CATEGORY]
    }

    async fn checkpoint(&mut self) -> Result<Checkpoint, SinkError> {
        if self.anew {
            self.index = match self.index.unfinished().await? {
                Some(unfinished) => unfinished,
                None => self.index.anew().await?,
            };
            self.anew = false;
        }
        Ok(self.index.checkpoint().await?.unwrap_or_else(|| Checkpoint::start(self.store)))
    }

    async fn apply(&mut self, batch: &Batch<'_>) -> Result<(), SinkError> {
        let mut touched = self.load(batch).await?;
        for &entry in &batch.events {
            touched.fold(entry).map_err(|error| entry.poison(&error))?;
        }
        let changes = touched.changes().map_err(|error| SinkError::Damaged(error.to_string()))?;
        let many = MANY.contains(&changes.len());
        if many {
            sleep_until(self.rested).await;
        }
        let before = (batch.from.position > Position::START).then(|| batch.from.clone());
        self.index.commit(before, changes, batch.to.clone()).await?;
        if many {
            self.rested = Instant::now() + REST;
        }
        Ok(())
    }

    fn anew(&self) -> Self {
        Self::anew(self.index.clone(), self.store)
    }

    async fn afresh(&mut self) -> Result<Checkpoint, SinkError> {
        self.index = self.index.anew().await?;
        self.checkpoint().await
    }

    async fn prepare(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    async fn install(&mut self) -> Result<(), SinkError> {
        Ok(self.index.install().await?)
    }

    async fn replace(&mut self) -> Result<(), SinkError> {
        Ok(self.index.replace().await?)
    }

    fn generation(&self) -> Option<u64> {
        self.index.generation()
    }

    fn set_aside(&self) -> Option<String> {
        self.index.set_aside()
    }
}

impl From<SearchError> for SinkError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Moved { .. } => Self::Moved,
            SearchError::Behind(live) => Self::Behind(live),
            SearchError::OtherVersion { ref found } => {
                let position = found.as_ref().map(|found| found.position).unwrap_or_default();
                Self::Outdated { reason: error.to_string(), shown: (position, None) }
            }
            SearchError::Unavailable(_) | SearchError::Closed | SearchError::Locked(_) => {
                Self::Unavailable(error.to_string())
            }
            SearchError::NewerVersion
            | SearchError::Foreign(_)
            | SearchError::Missing(_)
            | SearchError::ReadOnly
            | SearchError::NoSuchField { .. } => Self::Damaged(error.to_string()),
        }
    }
}
