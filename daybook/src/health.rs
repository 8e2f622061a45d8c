//! How this process is doing, as `/health/ready` says it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use audit::{KeeperState, KeeperStatus};
use commands::Commands;
use event_schemas::Timestamp;
use infra::{
    bus::{RelayState, RelayStatus},
    event_store::EventStore,
};
use projections::{ProjectionState, Projectors};
use query_api::{Check, Health, HealthStatus};
use tokio::sync::watch;

/// A store that does not answer for so long does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is looked at.
pub(crate) struct Watched {
    pub(crate) store: EventStore,
    pub(crate) projectors: Arc<Projectors>,
    pub(crate) draining: watch::Receiver<bool>,
    /// Where this process has a command side.
    pub(crate) commands: Option<Commands>,
    /// Whether this process has the command role.
    pub(crate) takes_orders: bool,
    /// Where this process has a relay.
    pub(crate) relay: Option<watch::Receiver<RelayStatus>>,
    /// Where this process keeps the audit tree.
    pub(crate) keeper: Option<watch::Receiver<KeeperStatus>>,
    since: Mutex<HashMap<String, (HealthStatus, Timestamp)>>,
}

impl Watched {
    pub(crate) fn new(
        store: EventStore,
        projectors: Arc<Projectors>,
        draining: watch::Receiver<bool>,
        commands: Option<Commands>,
        takes_orders: bool,
        relay: Option<watch::Receiver<RelayStatus>>,
        keeper: Option<watch::Receiver<KeeperStatus>>,
    ) -> Self {
        let since = Mutex::default();
        Self { store, projectors, draining, commands, takes_orders, relay, keeper, since }
    }

    /// Looks at everything. A projection that has stopped leaves the process degraded: what was
    /// posted before is still answered.
    pub(crate) async fn look(&self) -> Health {
        let head = tokio::time::timeout(PATIENCE, self.store.head()).await;
        let store = match head {
            Ok(Ok(_)) => self.check("event-store", HealthStatus::Healthy, None),
            Ok(Err(error)) => {
                self.check("event-store", HealthStatus::Unhealthy, Some(error.to_string()))
            }
            Err(_) => {
                let detail = "it does not answer in time".to_owned();
                self.check("event-store", HealthStatus::Unhealthy, Some(detail))
            }
        };
        let mut checks = vec![store];
        for projection in self.projectors.status().await.unwrap_or_default() {
            let (status, detail) = match projection.state {
                ProjectionState::Live | ProjectionState::CatchingUp
                    if projection.error.is_none() =>
                {
                    (HealthStatus::Healthy, None)
                }
                ProjectionState::Rebuilding => {
                    (HealthStatus::Degraded, Some("it is being posted from the start".to_owned()))
                }
                _ => (HealthStatus::Degraded, projection.error),
            };
            checks.push(self.check(&format!("projection-{}", projection.name), status, detail));
        }
        for (name, stopped) in self.commands.iter().flat_map(Commands::followers) {
            // Orders cannot be placed without the catalogue; what the watch owes can wait.
            let status = match &stopped {
                None => HealthStatus::Healthy,
                Some(_) if name == "catalogue" && self.takes_orders => HealthStatus::Unhealthy,
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
