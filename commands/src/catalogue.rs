//! The catalogue: what is sold under each sku, in memory, folded from the products' own events.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use domain::Decider;
use domain::product::Product;
use event_schemas::{
    Event, Logged, Money, Position, ProductEvent, Variant, resource::ProductStatus,
};
use infra::event_store::{EventStore, Filter, LogPage, ReadError, Subscription};
use tokio::sync::{mpsc, watch};

/// What can be ordered under a sku, as of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The product.
    pub product_id: Arc<str>,
    /// The product's title.
    pub title: Arc<str>,
    /// The variant's title; may be empty.
    pub variant: Arc<str>,
    /// The brand; may be empty.
    pub brand: Arc<str>,
    /// The department.
    pub department: Arc<str>,
    /// The category; may be empty.
    pub category: Arc<str>,
    /// The price of one unit.
    pub price: Money,
    /// Whether it can be ordered.
    pub on_shelf: bool,
}

/// The catalogue and how far it has followed the log. Cheap to clone.
#[derive(Clone)]
pub struct Catalogue {
    items: Arc<RwLock<Items>>,
    reached: watch::Sender<Reached>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reached {
    position: Position,
    /// Why the catalogue cannot go on.
    stopped: Option<String>,
}

#[derive(Default)]
struct Items {
    products: HashMap<Arc<str>, Item>,
    /// Product and place among its variants, by sku.
    skus: HashMap<Arc<str>, (Arc<str>, usize)>,
    /// Brands, departments and categories, each once.
    words: HashSet<Arc<str>>,
}

struct Item {
    title: Arc<str>,
    brand: Arc<str>,
    department: Arc<str>,
    category: Arc<str>,
    on_shelf: bool,
    variants: Vec<(Arc<str>, Money)>,
}

/// The catalogue cannot say what is sold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// An event cannot be read.
    #[error("the catalogue stopped: {0}")]
    Stopped(String),
    /// It has not come so far in time.
    #[error("the catalogue has not caught up with the log yet")]
    Behind,
}

impl Catalogue {
    pub(crate) fn new() -> Self {
        Self { items: Arc::default(), reached: watch::Sender::new(Reached::default()) }
    }

    /// What is sold under `sku`.
    pub fn offer(&self, sku: &str) -> Option<Offer> {
        let items = self.items.read().unwrap_or_else(PoisonError::into_inner);
        let (product_id, place) = items.skus.get(sku)?;
        let item = items.products.get(product_id)?;
        let (variant, price) = item.variants.get(*place)?;
        Some(Offer {
            product_id: product_id.clone(),
            title: item.title.clone(),
            variant: variant.clone(),
            brand: item.brand.clone(),
            department: item.department.clone(),
            category: item.category.clone(),
            price: *price,
            on_shelf: item.on_shelf,
        })
    }

    /// Why the catalogue cannot go on, if it cannot: what it says may be out of date.
    pub(crate) fn stopped(&self) -> Option<String> {
        self.reached.borrow().stopped.clone()
    }

    /// Waits until everything up to `position` is in.
    ///
    /// # Errors
    /// [`CatalogueError`].
    pub(crate) async fn wait_for(
        &self,
        position: Position,
        patience: Duration,
    ) -> Result<(), CatalogueError> {
        let mut reached = self.reached.subscribe();
        let there = reached.wait_for(|at| at.position >= position || at.stopped.is_some());
        match tokio::time::timeout(patience, there).await {
            Ok(Ok(at)) => match &at.stopped {
                Some(reason) => Err(CatalogueError::Stopped(reason.clone())),
                None => Ok(()),
            },
            Ok(Err(_)) | Err(_) => Err(CatalogueError::Behind),
        }
    }

    /// Follows the log for ever; ends when an event cannot be read or the store closes.
    pub(crate) async fn follow(self, store: EventStore) {
        let filter = Filter::categories([Product::CATEGORY]);
        // While the log is caught up with, a page is read and decoded while the last is folded.
        let (give, mut pages) = mpsc::channel(1);
        tokio::spawn(read_ahead(store.subscribe(Position::START, filter), give));
        while let Some(page) = pages.recv().await {
            match page {
                Ok(page) => {
                    if let Err(reason) = self.fold(&page.events) {
                        tracing::error!(reason, "the catalogue stopped");
                        self.reached.send_modify(|at| at.stopped = Some(reason));
                        return;
                    }
                    self.reached.send_modify(|at| at.position = page.scanned_to);
                }
                Err(ReadError::Closed) => return,
                Err(error @ ReadError::Unavailable(_)) => {
                    tracing::warn!(%error, "the catalogue waits for the event store");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    fn fold(&self, events: &[Logged]) -> Result<(), String> {
        if events.is_empty() {
            return Ok(());
        }
        let mut items = self.items.write().unwrap_or_else(PoisonError::into_inner);
        for logged in events.iter().filter(|logged| !logged.is_systems()) {
            let decoded = logged.decode().map_err(|error| {
                format!("{}@{} (event {}): {error}", logged.stream, logged.revision, logged.id)
            })?;
            if let Event::Product(event) = &decoded.event {
                items.apply(logged.stream.id(), event);
            }
        }
        Ok(())
    }
}

/// Reads and decodes until nobody takes the pages any more.
async fn read_ahead(
    mut subscription: Subscription,
    give: mpsc::Sender<Result<LogPage, ReadError>>,
) {
    loop {
        let page = subscription.next().await;
        for logged in page.iter().flat_map(|page| &page.events) {
            // What cannot be decoded says so again when it is folded.
            let _ = logged.decode();
        }
        if give.send(page).await.is_err() {
            return;
        }
    }
}

impl Items {
    fn apply(&mut self, id: &str, event: &ProductEvent) {
        match event {
            ProductEvent::Created(created) => {
                let item = Item {
                    title: created.title.as_str().into(),
                    brand: self.word(&created.brand),
                    department: self.word(&created.department),
                    category: self.word(&created.category),
                    on_shelf: created.status == ProductStatus::OnShelf,
                    variants: Vec::new(),
                };
                self.products.insert(id.into(), item);
                for variant in &created.variants {
                    self.add(id, variant);
                }
            }
            ProductEvent::Described(described) => {
                let brand = self.word(&described.brand);
                let department = self.word(&described.department);
                let category = self.word(&described.category);
                if let Some(item) = self.products.get_mut(id) {
                    item.title = described.title.as_str().into();
                    (item.brand, item.department, item.category) = (brand, department, category);
                }
            }
            ProductEvent::VariantAdded(added) => self.add(id, &added.variant),
            ProductEvent::VariantPriced(priced) => {
                if let Some((product, place)) = self.skus.get(priced.sku.as_str())
                    && let Some(item) = self.products.get_mut(product)
                    && let Some((_, price)) = item.variants.get_mut(*place)
                {
                    *price = priced.price;
                }
            }
            ProductEvent::PutOnShelf(_) => self.put(id, true),
            ProductEvent::TakenOffShelf(_) => self.put(id, false),
            ProductEvent::ClaimAbandoned(_) => {}
        }
    }

    fn add(&mut self, id: &str, variant: &Variant) {
        let title = self.word(&variant.title);
        let Some((key, _)) = self.products.get_key_value(id) else { return };
        let key = key.clone();
        if let Some(item) = self.products.get_mut(id) {
            self.skus.insert(variant.sku.as_str().into(), (key, item.variants.len()));
            item.variants.push((title, variant.price));
        }
    }

    fn put(&mut self, id: &str, on_shelf: bool) {
        if let Some(item) = self.products.get_mut(id) {
            item.on_shelf = on_shelf;
        }
    }

    fn word(&mut self, word: &str) -> Arc<str> {
        if let Some(known) = self.words.get(word) {
            return known.clone();
        }
        let word: Arc<str> = word.into();
        self.words.insert(word.clone());
        word
    }
}
