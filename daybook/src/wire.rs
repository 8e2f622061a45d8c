//! The one place where all is wired.

use std::{
    convert::Infallible,
    sync::{Arc, Weak},
    time::Duration,
};

use anyhow::Context;
use commands::{Commands, Posted, Processes};
use event_schemas::Position;
use infra::{
    bus::{Relay, RelayStatus},
    event_store::EventStore,
    keys::KeyStore,
    lock::Lock,
    read_models::ReadModels,
    search::SearchIndex,
};
use projections::Projectors;
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    engines::{self, Opened},
    failure::Failure,
    settings::{EventStoreUrl, Settings},
};

/// How long a start may take until commands can be answered.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a shutdown waits for read models that are behind: what is missing is posted at the
/// next start.
const CATCH_UP: Duration = Duration::from_secs(2);
/// The read models that `Prefer: wait` on a command waits for.
const WAITED_FOR: [&str; 4] = ["orders", "stock", "products", "users"];

/// Everything that one process opened, at work.
pub(crate) struct Shop {
    pub(crate) store: EventStore,
    pub(crate) keys: KeyStore,
    pub(crate) read_models: ReadModels,
    pub(crate) search: SearchIndex,
    pub(crate) commands: Commands,
    pub(crate) projectors: Arc<Projectors>,
    /// Whether the end has begun.
    pub(crate) draining: watch::Sender<bool>,
    /// How the relay is doing, where this process has one, and its task.
    pub(crate) relay: Option<(watch::Receiver<RelayStatus>, JoinHandle<Infallible>)>,
    processes: Processes,
    /// Let go of last.
    lock: Option<Lock>,
}

impl Shop {
    /// Opens every engine for writing and starts what follows the log, then waits until commands
    /// can be answered.
    pub(crate) async fn open(settings: &Settings) -> Result<Self, Failure> {
        Self::over(settings, engines::event_store(settings).await?).await
    }

    /// The same over an event store that is open already.
    pub(crate) async fn over(settings: &Settings, opened: Opened) -> Result<Self, Failure> {
        let store = opened.store.clone();
        match Self::start(settings, opened).await {
            Ok(shop) => Ok(shop),
            Err(failure) => {
                // The failure says more than a second one could.
                let _ = store.close().await;
                Err(failure)
            }
        }
    }

    async fn start(settings: &Settings, opened: Opened) -> Result<Self, Failure> {
        let Opened { store, lock } = opened;
        let keys = engines::keys(settings, &store).await?;
        let read_models = engines::read_models(settings).await?;
        let search = engines::search(settings).await?;
        let bus = engines::bus(settings).await?;
        let relay = bus.clone().filter(|_| settings.roles.relay).map(|bus| {
            let relay = Relay::new(store.clone(), bus, settings.relay_from);
            (relay.status(), tokio::spawn(relay.run()))
        });
        let mut projectors = Projectors::new(store.clone());
        if matches!(settings.event_store, EventStoreUrl::EventStoreDb(_)) {
            projectors = projectors.shared(read_models.clone());
        }
        if let Some(bus) = bus {
            projectors = projectors.on(bus, engines::place(settings));
        }
        if settings.roles.projector {
            projectors.start_sql(&read_models).context("a projector cannot be started")?;
            engines::start_search(&mut projectors, &search, &store)?;
        }
        let projectors = Arc::new(projectors);
        let (commands, processes) = Commands::start(
            store.clone(),
            keys.clone(),
            commands::Settings {
                currency: settings.currency,
                reservation_timeout: settings.reservation_timeout,
                snapshots: Some(settings.snapshots()),
                posted: Some(posted(&projectors)),
                ..commands::Settings::default()
            },
        )
        .context("the command side cannot be started")?;
        ready(settings, &commands).await.context("the catalogue cannot be read from the log")?;
        let draining = watch::Sender::new(false);
        Ok(Self {
            store,
            keys,
            read_models,
            search,
            commands,
            projectors,
            draining,
            relay,
            processes,
            lock,
        })
    }

    /// Waits until every projection has posted the log up to its head, or has stopped.
    pub(crate) async fn posted(&self, patience: Duration) -> Result<(), Failure> {
        let head = self.store.head().await.context("the event store cannot be read")?;
        for status in self.projectors.status().await.context("the event store cannot be read")? {
            let posted = self.projectors.wait_for(status.name, head, patience).await;
            posted.with_context(|| format!("the projection {} is behind", status.name))?;
        }
        Ok(())
    }

    /// Ends all of it, in the order in which one feeds the other: commands, projectors, store.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        if let Err(failure) = self.posted(CATCH_UP).await {
            tracing::info!(%failure, "read models are posted further at the next start");
        }
        let Self {
            store,
            keys,
            read_models,
            search,
            commands,
            projectors,
            relay,
            processes,
            lock,
            ..
        } = self;
        processes.stop().await;
        drop((commands, keys));
        if let Some((_, task)) = relay {
            // What it has not brought onto the bus yet, it does at the next start.
            task.abort();
            let _ = task.await;
        }
        projectors.stop().await;
        drop((projectors, read_models));
        let search = search.close().await.context("the search index was not closed cleanly");
        store.close().await.context("the event store was not closed cleanly")?;
        drop(lock);
        search?;
        Ok(())
    }
}

/// Waits until commands can be answered. A server's log is read over a network, and the server may
/// go away meanwhile: that is waited for, however long it takes.
async fn ready(settings: &Settings, commands: &Commands) -> Result<(), commands::Failure> {
    loop {
        match (commands.ready(PATIENCE).await, &settings.event_store) {
            (Err(commands::Failure::Unavailable(reason)), EventStoreUrl::EventStoreDb(_)) => {
                tracing::warn!(reason, "the catalogue is still being read from the log");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            (done, _) => return done,
        }
    }
}

/// Waits for all that a command may be waited for.
fn posted(projectors: &Arc<Projectors>) -> Posted {
    let projectors: Weak<Projectors> = Arc::downgrade(projectors);
    Arc::new(move |position: Position, patience: Duration| {
        let projectors = projectors.upgrade();
        Box::pin(async move {
            let Some(projectors) = projectors else { return };
            let all = async {
                for name in WAITED_FOR {
                    // Whether it was posted or not, the answer is the same.
                    let _ = projectors.wait_for(name, position, patience).await;
                }
            };
            let _ = tokio::time::timeout(patience, all).await;
        })
    })
}
