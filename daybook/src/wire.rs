//! The one place where all is wired.

use std::{
    convert::Infallible,
    sync::{Arc, Weak},
    time::Duration,
};

use ::audit::{Keeper, KeeperSettings};
use anyhow::Context;
use commands::{Commands, Posted, Processes, forgotten};
use event_schemas::Position;
use history::{Chronology, Past};
use infra::{
    bus::{Relay, RelayStatus},
    event_store::EventStore,
    keys::KeyStore,
    lock::Lock,
    read_models::{ReadModels, Reader, Schema},
    search::SearchIndex,
    snapshots::Snapshots,
};
use projections::{NotPosted, Projectors};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    audit,
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
const WAITED_FOR: [&Schema; 4] = [
    &projections::orders::SCHEMA,
    &projections::stock::SCHEMA,
    &projections::products::SCHEMA,
    &projections::users::SCHEMA,
];
/// How often a read model that another process posts is looked at while it is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Everything that one process opened, at work.
pub(crate) struct Shop {
    pub(crate) store: EventStore,
    pub(crate) keys: KeyStore,
    pub(crate) read_models: ReadModels,
    pub(crate) search: SearchIndex,
    /// What takes commands and sees to what orders owe: where this process has the role, or is the
    /// only one that the embedded event store has.
    command_side: Option<(Commands, Processes)>,
    /// What destroys the keys of who is forgotten.
    forgotten: JoinHandle<()>,
    pub(crate) projectors: Arc<Projectors>,
    /// What was.
    pub(crate) past: Past,
    /// Whether the end has begun.
    pub(crate) draining: watch::Sender<bool>,
    /// What keeps the audit tree up: beside what takes commands.
    pub(crate) keeper: Option<Keeper>,
    /// How the relay is doing, where this process has one, and its task.
    pub(crate) relay: Option<(watch::Receiver<RelayStatus>, JoinHandle<Infallible>)>,
    /// Let go of last.
    lock: Option<Lock>,
}

impl Shop {
    /// Opens every engine for writing and starts what follows the log, then waits until commands
    /// can be answered.
    pub(crate) async fn open(settings: &Settings) -> Result<Self, Failure> {
        let opened = engines::event_store(settings).await?;
        let store = opened.store.clone();
        Self::over(settings, opened, engines::keys(settings, &store)).await
    }

    /// The same over an event store that is open already, with the key store that is opened by
    /// `keys`.
    pub(crate) async fn over(
        settings: &Settings,
        opened: Opened,
        keys: impl Future<Output = Result<KeyStore, Failure>>,
    ) -> Result<Self, Failure> {
        let store = opened.store.clone();
        let started = async { Self::start(settings, opened, keys.await?).await };
        match started.await {
            Ok(shop) => Ok(shop),
            Err(failure) => {
                // The failure says more than a second one could.
                let _ = store.close().await;
                Err(failure)
            }
        }
    }

    async fn start(settings: &Settings, opened: Opened, keys: KeyStore) -> Result<Self, Failure> {
        let Opened { store, lock } = opened;
        let alone = matches!(settings.event_store, EventStoreUrl::Sqlite(_));
        // Beside all that follows, which opens nothing that is personal. A log on a server takes a
        // while to be read.
        let forgotten = tokio::spawn(forgotten(store.clone(), keys.clone(), !alone));
        let read_models = engines::read_models(settings).await?;
        let search = engines::search(settings, settings.roles.projector).await?;
        let bus = engines::bus(settings).await?;
        let relay = bus.clone().filter(|_| settings.roles.relay).map(|bus| {
            let relay = Relay::new(store.clone(), bus, settings.relay_from);
            (relay.status(), tokio::spawn(relay.run()))
        });
        let skip = settings.skip_unknown.clone();
        let mut projectors = Projectors::new(store.clone()).skipping(skip);
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
        let command_side = if settings.roles.command || alone {
            let posted = posted(&projectors, &read_models);
            Some(command_side(settings, &store, &keys, posted).await?)
        } else {
            None
        };
        let past = past(settings, &store).await?;
        if settings.roles.query {
            // It ends with the store.
            tokio::spawn(past.clone().follow());
        }
        let keeper = match &command_side {
            Some(_) => Some(keeper(settings, &store, &keys).await?),
            None => None,
        };
        let forgotten = forgotten.await.context("who was forgotten is not known")??;
        let draining = watch::Sender::new(false);
        Ok(Self {
            store,
            keys,
            read_models,
            search,
            command_side,
            forgotten,
            projectors,
            past,
            draining,
            keeper,
            relay,
            lock,
        })
    }

    /// What takes commands.
    ///
    /// # Errors
    /// If this process has not the role.
    pub(crate) fn commands(&self) -> Result<&Commands, Failure> {
        let side = self.command_side.as_ref().map(|(commands, _)| commands);
        side.ok_or_else(|| Failure::usage("this process has not the role command: --roles command"))
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
            command_side,
            forgotten,
            projectors,
            past,
            keeper,
            relay,
            lock,
            ..
        } = self;
        if let Some((commands, processes)) = command_side {
            processes.stop().await;
            drop(commands);
        }
        if let Some(keeper) = keeper {
            keeper.stop().await;
        }
        past.keep_times().await;
        // What it has not come to is done at the next start, before anything is served.
        forgotten.abort();
        let _ = forgotten.await;
        drop(keys);
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

/// What was, read from the log, with what was kept of it in the data directory.
async fn past(settings: &Settings, store: &EventStore) -> Result<Past, Failure> {
    let snapshots = Snapshots::open(settings.snapshots(), store.id());
    let snapshots = snapshots.context("the snapshots' folder cannot be made")?;
    let chronology = Chronology::load(store, &snapshots).await;
    let chronology = chronology.context("the log cannot be read")?;
    Ok(Past::new(store.clone(), Some(snapshots), Arc::new(chronology)))
}

/// Destroys the keys of all who were forgotten, which a restored key store may have again, and
/// goes on to do so. A server (`patient`) may go away meanwhile: that is waited for.
async fn forgotten(
    store: EventStore,
    keys: KeyStore,
    patient: bool,
) -> Result<JoinHandle<()>, Failure> {
    let read = loop {
        match forgotten::destroy_keys(&store, &keys, Position::START).await {
            Err(commands::Failure::Unavailable(reason)) if patient => {
                tracing::warn!(reason, "who was forgotten is still being read from the log");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            read => break read.context("the keys of who was forgotten are not destroyed")?,
        }
    };
    Ok(tokio::spawn(forgotten::follow(store, keys, read)))
}

/// Where commands are taken, events are signed for.
async fn keeper(
    settings: &Settings,
    store: &EventStore,
    keys: &KeyStore,
) -> Result<Keeper, Failure> {
    let signer = audit::signer(settings, keys).await?;
    if let Some(beside) = audit::beside_the_data(settings)
        && settings.audit_publish.is_none()
    {
        tracing::info!("{beside}");
    }
    let publish = settings.audit_publish.clone();
    let settings = KeeperSettings { dir: settings.audit_tree(), signer, publish };
    Ok(Keeper::start(store.clone(), keys.clone(), settings))
}

async fn command_side(
    settings: &Settings,
    store: &EventStore,
    keys: &KeyStore,
    posted: Posted,
) -> Result<(Commands, Processes), Failure> {
    let settings_of_commands = commands::Settings {
        currency: settings.currency,
        reservation_timeout: settings.reservation_timeout,
        snapshots: Some(settings.snapshots()),
        posted: Some(posted),
        ..commands::Settings::default()
    };
    let started = Commands::start(store.clone(), keys.clone(), settings_of_commands);
    let (commands, processes) = started.context("the command side cannot be started")?;
    match ready(settings, &commands).await {
        // Queries go on, and commands that do not need it; the others say why not.
        Err(commands::Failure::Unreadable(reason)) => {
            tracing::error!(
                reason,
                "no order can be placed before a version that reads it is started"
            );
        }
        done => done.context("the catalogue cannot be read from the log")?,
    }
    Ok((commands, processes))
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
fn posted(projectors: &Arc<Projectors>, models: &ReadModels) -> Posted {
    let projectors: Weak<Projectors> = Arc::downgrade(projectors);
    let readers = WAITED_FOR.map(|schema| (schema.name, models.reader(schema)));
    Arc::new(move |position: Position, patience: Duration| {
        let (projectors, readers) = (projectors.upgrade(), readers.clone());
        Box::pin(async move {
            let Some(projectors) = projectors else { return };
            let all = async {
                for (name, reader) in &readers {
                    // Whether it was posted or not, the answer is the same.
                    let waited = projectors.wait_for(name, position, patience).await;
                    if waited == Err(NotPosted::Unknown) {
                        posted_elsewhere(reader, position).await;
                    }
                }
            };
            let _ = tokio::time::timeout(patience, all).await;
        })
    })
}

/// Waits until another process has posted the position; the caller's patience ends it.
async fn posted_elsewhere(reader: &Reader, position: Position) {
    loop {
        let snapshot = reader.snapshot().await;
        if snapshot.is_ok_and(|snapshot| snapshot.checkpoint().position >= position) {
            return;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
