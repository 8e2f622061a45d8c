//! HTTP in, events out. Routes (one file a command) call the executor, which decides on the
//! aggregates' own events and appends; two processes follow the log: the catalogue, which prices
//! orders, and the reservation watch, which sees to what is owed.

mod aggregate;
mod catalogue;
mod claims;
mod clock;
mod context;
mod crash;
mod executor;
pub mod forgotten;
mod generations;
mod http;
mod idempotency;
mod openapi;
mod outcome;
mod problems;
pub mod routes;
mod streams;
mod watch;

use std::{
    collections::HashSet,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::{email::EmailClaim, order::Order, product::Product, stock::StockItem, user::User};
use event_schemas::{Currency, LogPosition, Position, StoreId};
use futures::future::BoxFuture;
use infra::{event_store::EventStore, keys::KeyStore, snapshots::Snapshots};
use tokio::task::JoinHandle;

pub use catalogue::{Catalogue, CatalogueError, Offer};
pub use context::{Context, Origin};
pub use executor::Failure;
pub use idempotency::{command_id, request_hash};
pub use openapi::openapi;
pub use problems::KINDS;
pub use routes::router;
pub use watch::import_holds;

use executor::{Engines, Executor};
use generations::Generations;
use idempotency::InFlight;

/// How the command side works.
#[derive(Clone)]
pub struct Settings {
    /// The one currency of the shop.
    pub currency: Currency,
    /// How long holds may be without an outcome before the watch abandons their order. A command
    /// gives up after half of it.
    pub reservation_timeout: Duration,
    /// About how many aggregates of a kind stay in memory.
    pub resident: usize,
    /// Where snapshots are kept; without it there are none.
    pub snapshots: Option<PathBuf>,
    /// Waits until the read models have posted a position, for `Prefer: wait`.
    pub posted: Option<Posted>,
}

/// Waits until a position is posted, or the time is over.
pub type Posted = Arc<dyn Fn(Position, Duration) -> BoxFuture<'static, ()> + Send + Sync>;

impl Default for Settings {
    fn default() -> Self {
        Self {
            currency: Currency::USD,
            reservation_timeout: Duration::from_secs(60),
            resident: 20_000,
            snapshots: None,
            posted: None,
        }
    }
}

/// The command side. Cheap to clone.
#[derive(Clone)]
pub struct Commands(Arc<Inner>);

struct Inner {
    engines: Arc<Engines>,
    products: Executor<Product>,
    stock: Executor<StockItem>,
    users: Executor<User>,
    emails: Executor<EmailClaim>,
    orders: Executor<Order>,
    catalogue: Catalogue,
    in_flight: InFlight,
    /// Users that are known to be registered: nobody is ever unregistered.
    registered: Mutex<Generations<String, ()>>,
    watch: watch::Progress,
    settings: Settings,
}

/// The processes that follow the log for the command side.
#[derive(Debug)]
pub struct Processes {
    followers: Vec<JoinHandle<()>>,
    watch: JoinHandle<()>,
    stop: tokio::sync::watch::Sender<bool>,
}

impl Commands {
    /// Starts the command side and its processes. [`Commands::ready`] tells when it can answer.
    ///
    /// # Errors
    /// If the folder of the snapshots cannot be made.
    pub fn start(
        store: EventStore,
        keys: KeyStore,
        settings: Settings,
    ) -> io::Result<(Self, Processes)> {
        let folder = settings.snapshots.clone();
        let snapshots = folder.map(|folder| Snapshots::open(folder, store.id())).transpose()?;
        let engines = Arc::new(Engines { store: store.clone(), keys, snapshots });
        let resident = settings.resident;
        let commands = Self(Arc::new(Inner {
            products: Executor::new(engines.clone(), resident / 10),
            stock: Executor::new(engines.clone(), resident),
            users: Executor::new(engines.clone(), resident / 10),
            emails: Executor::new(engines.clone(), resident / 10),
            orders: Executor::new(engines.clone(), resident / 10),
            catalogue: Catalogue::new(),
            in_flight: InFlight::default(),
            registered: Mutex::new(Generations::new(resident)),
            watch: watch::Progress::default(),
            engines,
            settings,
        }));
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let processes = Processes {
            followers: vec![
                tokio::spawn(commands.catalogue().clone().follow(store)),
                tokio::spawn(age(commands.clone())),
            ],
            watch: tokio::spawn(watch::run(commands.clone(), stopped)),
            stop,
        };
        Ok((commands, processes))
    }

    /// Waits until the catalogue has come to where the log is now.
    ///
    /// # Errors
    /// [`Failure::Unreadable`] if it never will, [`Failure::Unavailable`] if the store cannot be
    /// read or `patience` is over.
    pub async fn ready(&self, patience: Duration) -> Result<(), Failure> {
        let head = self.0.engines.store.head().await?;
        self.catalogue().wait_for(head, patience).await.map_err(|error| match error {
            CatalogueError::Stopped(_) => Failure::Unreadable(error.to_string()),
            CatalogueError::Behind => Failure::Unavailable(error.to_string()),
        })
    }

    /// What is sold.
    pub fn catalogue(&self) -> &Catalogue {
        &self.0.catalogue
    }

    /// The shop's currency.
    pub fn currency(&self) -> Currency {
        self.0.settings.currency
    }

    /// The key store.
    pub fn keys(&self) -> &KeyStore {
        &self.0.engines.keys
    }

    /// The event store's id.
    pub fn store_id(&self) -> StoreId {
        self.0.engines.store.id()
    }

    /// Orders of imports that have holds and no outcome: they wait for the import to be run again.
    pub fn import_holds(&self) -> usize {
        self.0.watch.import_orders()
    }

    /// How far the reservation watch has followed the log, and how many orders it sees to.
    pub fn watch_progress(&self) -> (Position, usize) {
        self.0.watch.at()
    }

    /// How many aggregates are in memory.
    pub fn resident(&self) -> usize {
        let inner = &self.0;
        inner.products.resident()
            + inner.stock.resident()
            + inner.users.resident()
            + inner.emails.resident()
            + inner.orders.resident()
    }

    /// What follows the log for the commands, and why it cannot go on, if it cannot.
    pub fn followers(&self) -> [(&'static str, Option<String>); 2] {
        [("catalogue", self.0.catalogue.stopped()), ("reservation-watch", self.0.watch.stopped())]
    }

    /// Nothing is sold by a catalogue that stopped: its prices may be old.
    fn catalogue_goes_on(&self) -> Result<(), Failure> {
        match self.catalogue().stopped() {
            None => Ok(()),
            Some(reason) => Err(Failure::Unavailable(format!("the catalogue stopped: {reason}"))),
        }
    }

    async fn catalogue_at(&self, position: Position, patience: Duration) -> Result<(), Failure> {
        let waited = self.catalogue().wait_for(position, patience).await;
        waited.map_err(|error| Failure::Unavailable(error.to_string()))
    }

    /// On a store that others write to, what is not in the catalogue may be in the log already.
    async fn catalogue_is_current(&self) -> Result<bool, Failure> {
        if !self.0.engines.store.others_may_write() {
            return Ok(true);
        }
        let head = self.0.engines.store.head().await?;
        self.catalogue_at(head, Duration::from_secs(5)).await?;
        Ok(false)
    }

    async fn log_position(&self, known: Option<Position>) -> Result<LogPosition, Failure> {
        let store = &self.0.engines.store;
        let position = match known {
            Some(position) => position,
            None => store.head().await?,
        };
        Ok(LogPosition { store: store.id(), position })
    }

    fn is_known_user(&self, id: &str) -> bool {
        let mut known = self.0.registered.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).is_some()
    }

    fn note_user(&self, id: &str) {
        let mut known = self.0.registered.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(id.to_owned(), (), |()| false);
    }
}

impl Processes {
    /// Ends them. What the watch still owes it finds in the log at the next start.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        for follower in &self.followers {
            follower.abort();
        }
        for follower in self.followers {
            let _ = follower.await;
        }
        let _ = self.watch.await;
    }
}

/// Lets idle aggregates leave, after one to two minutes.
async fn age(commands: Commands) {
    let mut tick = tokio::time::interval(Duration::from_secs(60));
    loop {
        tick.tick().await;
        let inner = &commands.0;
        inner.products.age();
        inner.stock.age();
        inner.users.age();
        inner.emails.age();
        inner.orders.age();
    }
}

/// Every sku once.
fn doubled<'a>(skus: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut seen = HashSet::new();
    skus.enumerate().filter(|(_, sku)| !seen.insert(*sku)).map(|(at, _)| at).collect()
}
