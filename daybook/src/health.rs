//! How this process is doing, as `/health/ready` says it.

use std::{
    collections::HashMap,
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use audit::{Keeper, KeeperState, KeeperStatus};
use commands::Commands;
use event_schemas::Timestamp;
use infra::{
    bus::{RelayState, RelayStatus},
    event_store::EventStore,
    keys::KeyStore,
    read_models::ReadModels,
    search::SearchIndex,
};
use projections::{ProjectionState, Projectors};
use query_api::{Check, Health, HealthStatus};
use tokio::{sync::watch, time::timeout};

use crate::{settings::Roles, wire::Shop};

/// What does not answer for so long does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is looked at.
pub(crate) struct Watched {
    store: EventStore,
    projectors: Arc<Projectors>,
    draining: watch::Receiver<bool>,
    /// Where this process has a command side.
    commands: Option<Commands>,
    /// Where this process has a relay.
    relay: Option<watch::Receiver<RelayStatus>>,
    /// Where this process keeps the audit tree.
    keeper: Option<watch::Receiver<KeeperStatus>>,
    models: ReadModels,
    keys: KeyStore,
    search: SearchIndex,
    roles: Roles,
    since: Mutex<HashMap<String, (HealthStatus, Timestamp)>>,
}

impl Watched {
    pub(crate) fn new(shop: &Shop, roles: Roles) -> Self {
        Self {
            store: shop.store.clone(),
            projectors: Arc::clone(&shop.projectors),
            draining: shop.draining.subscribe(),
            commands: shop.commands().ok().cloned(),
            relay: shop.relay.as_ref().map(|(status, _)| status.clone()),
            keeper: shop.keeper.as_ref().map(Keeper::status),
            models: shop.read_models.clone(),
            keys: shop.keys.clone(),
            search: shop.search.clone(),
            roles,
            since: Mutex::default(),
        }
    }

    /// Looks at everything. A projection that has stopped leaves the process degraded: what was
    /// posted before is still answered.
    pub(crate) async fn look(&self) -> Health {
        let mut checks = self.engines().await;
        for projection in self.projectors.status().await.unwrap_or_default() {
            let (status, detail) = match projection.state {
                ProjectionState::Live | ProjectionState::CatchingUp
                    if projection.error.is_none() =>
                {
                    (HealthStatus::Healthy, None)
                }
                ProjectionState::Rebuilding => {
                    let posting = || "it is being posted from the start".to_owned();
                    (HealthStatus::Degraded, Some(projection.error.unwrap_or_else(posting)))
                }
                _ => (HealthStatus::Degraded, projection.error),
            };
            checks.push(self.check(&format!("projection-{}", projection.name), status, detail));
        }
        for (name, stopped) in self.commands.iter().flat_map(Commands::followers) {
            // Orders cannot be placed without the catalogue; what the watch owes can wait.
            let status = match &stopped {
                None => HealthStatus::Healthy,
                Some(_) if name == "catalogue" && self.roles.command => HealthStatus::Unhealthy,
                Some(_) => HealthStatus::Degraded,
            };
            checks.push(self.check(name, status, stopped));
        }
        if let Some(relay) = &self.relay {
            let RelayStatus { state, error, .. } = relay.borrow().clone();
            // Projectors read the event store meanwhile.
            let status = match state {
                RelayState::Waiting => HealthStatus::Degraded,
                RelayState::Working | RelayState::StandingBy => HealthStatus::Healthy,
            };
            let standing_by = (state == RelayState::StandingBy).then(|| "standing by".to_owned());
            checks.push(self.check("relay", status, error.or(standing_by)));
        }
        if let Some(keeper) = &self.keeper {
            let state = keeper.borrow().state.clone();
            let (status, detail) = match state {
                KeeperState::Keeping => (HealthStatus::Healthy, None),
                KeeperState::Diverged(why) => {
                    let detail = format!("the log is not the one that was signed: {why}");
                    (HealthStatus::Degraded, Some(detail))
                }
                KeeperState::Waiting(why) => (HealthStatus::Degraded, Some(why)),
            };
            checks.push(self.check("audit", status, detail));
        }
        let worst = checks.iter().map(|check| check.status).max();
        let status = match *self.draining.borrow() {
            true => HealthStatus::Draining,
            false => worst.unwrap_or(HealthStatus::Healthy),
        };
        Health { status, checks }
    }

    /// The engines that this process's roles need, all asked at once.
    async fn engines(&self) -> Vec<Check> {
        let Roles { command, projector, query, .. } = self.roles;
        // Queries need the read models; whoever takes commands as well goes on with those.
        let without_models = match query && !command {
            true => HealthStatus::Unhealthy,
            false => HealthStatus::Degraded,
        };
        // Where it is posted, the projection tells.
        let searches = query && !projector;
        let (store, models, keys, search) = tokio::join!(
            answers(true, self.store.head()),
            answers(query || projector, self.models.ping()),
            answers(query || command, self.keys.ping()),
            answers(searches, self.search.checkpoint()),
        );
        let checked = [
            ("event-store", HealthStatus::Unhealthy, store),
            ("read-models", without_models, models),
            // Only what is about persons needs them.
            ("keys", HealthStatus::Degraded, keys),
            ("search", HealthStatus::Degraded, search),
        ];
        let asked = checked.into_iter().filter_map(|(name, otherwise, found)| match found? {
            Ok(()) => Some(self.check(name, HealthStatus::Healthy, None)),
            Err(detail) => Some(self.check(name, otherwise, Some(detail))),
        });
        asked.collect()
    }

    fn check(&self, name: &str, status: HealthStatus, detail: Option<String>) -> Check {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Timestamp::from(jiff::Timestamp::now());
        let known = since.entry(name.to_owned()).or_insert((status, now));
        if known.0 != status {
            *known = (status, now);
        }
        Check { name: name.to_owned(), status, since: known.1, detail }
    }
}

/// Whether an engine answers in time, and if not, why; nothing where it is not needed.
async fn answers<T, E: Display>(
    needed: bool,
    asking: impl Future<Output = Result<T, E>>,
) -> Option<Result<(), String>> {
    if !needed {
        return None;
    }
    Some(match timeout(PATIENCE, asking).await {
        Ok(answer) => answer.map(drop).map_err(|error| error.to_string()),
        Err(_) => Err("it does not answer in time".to_owned()),
    })
}
