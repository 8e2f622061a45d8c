//! The connection: one node at a time, chosen here. The official client, once a connect has
//! failed, never connects again, and it does not move on from a node that is unavailable. So a
//! client is thrown away when a call over it fails, and one task makes the next, for all callers.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use event_schemas::{Position, StoreId};
use eventstore::{Client, Credentials, Endpoint};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};
use uuid::Uuid;

use super::{
    identity,
    trouble::{Trouble, call},
    url::{EventStoreDbUrl, name},
};
use crate::event_store::ReadError;

/// The wait before the next attempt to reach a node, first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// A node that was used for so long was a good one: the next attempt need not wait.
const GOOD: Duration = Duration::from_secs(5);
/// How often a node may name another one as its leader before the next host is asked.
const HOPS: usize = 3;
/// How long a caller waits for a node while none can be reached.
const WAIT: Duration = Duration::from_secs(3);
/// How often is looked whether the client has made a new socket by itself.
const LOOK: Duration = Duration::from_secs(1);

/// A node and the client that talks to it.
pub(super) struct Node {
    pub(super) client: Client,
    pub(super) credentials: Option<Credentials>,
    /// How long an answer, or the next part of one, may take.
    pub(super) patience: Duration,
    host: Endpoint,
}

/// Whom to talk to, now. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    url: EventStoreDbUrl,
    state: watch::Sender<State>,
    known: Mutex<Known>,
}

#[derive(Clone, Debug)]
enum State {
    /// No node is connected: why, as of the last attempt, and whom to ask first.
    Away {
        reason: Option<String>,
        leader: Option<Endpoint>,
    },
    Up(Arc<Node>),
    /// The server does not hold any more what it held.
    Replaced(Arc<str>),
    Closed,
}

/// What this process knows the store to hold; it is looked for behind every new connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    pub(super) id: Option<StoreId>,
    /// The newest event of Daybook's own that was met in the log: its place and its id.
    pub(super) event: Option<(Position, Uuid)>,
}

impl Connection {
    /// Begins to look for a node.
    pub(super) fn start(url: EventStoreDbUrl) -> Self {
        let state = watch::Sender::new(State::Away { reason: None, leader: None });
        let inner = Arc::new(Inner { url, state, known: Mutex::default() });
        tokio::spawn(keep_connected(Arc::downgrade(&inner), inner.state.subscribe()));
        tokio::spawn(look_at_sockets(Arc::downgrade(&inner)));
        Self(inner)
    }

    pub(super) fn deadline(&self) -> Duration {
        self.0.url.deadline()
    }

    /// The node to talk to; waits for one, but not for long.
    pub(super) async fn node(&self, until: Instant) -> Result<Arc<Node>, Trouble> {
        let mut state = self.0.state.subscribe();
        let until = until.min(Instant::now() + WAIT);
        let settled = state.wait_for(|state| !matches!(state, State::Away { .. }));
        // The outcome is read from the state itself.
        let _ = timeout_at(until, settled).await.is_ok();
        match &*self.0.state.borrow() {
            State::Up(node) => Ok(node.clone()),
            State::Away { reason, .. } => Err(Trouble::not_done(format!(
                "{} cannot be reached: {}",
                self.0.url,
                reason.as_deref().unwrap_or("not yet connected")
            ))),
            State::Replaced(reason) => Err(Trouble::Refused(reason.to_string())),
            State::Closed => Err(Trouble::Refused("the event store is closed".to_owned())),
        }
    }

    /// Runs a call that changes nothing until it succeeds, the server refuses it, or time is up.
    pub(super) async fn read<T, F>(&self, work: impl Fn(Arc<Node>) -> F) -> Result<T, ReadError>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let until = Instant::now() + self.deadline();
        loop {
            if self.is_closed() {
                return Err(ReadError::Closed);
            }
            let done = match self.node(until).await {
                Ok(node) => {
                    let done = work(node.clone()).await;
                    done.inspect_err(|trouble| self.report(&node, trouble))
                }
                Err(trouble) => return Err(self.unreadable(&trouble)),
            };
            match done {
                Ok(value) => return Ok(value),
                Err(trouble) if trouble.is_of_the_connection() && Instant::now() < until => {}
                Err(trouble) => return Err(self.unreadable(&trouble)),
            }
        }
    }

    fn unreadable(&self, trouble: &Trouble) -> ReadError {
        if self.is_closed() {
            return ReadError::Closed;
        }
        ReadError::Unavailable(trouble.to_string())
    }

    /// Lets go of a node over which a call failed, if that says something of the node.
    pub(super) fn report(&self, node: &Arc<Node>, trouble: &Trouble) {
        if !trouble.is_of_the_connection() {
            return;
        }
        let leader = match trouble {
            Trouble::NotDone { leader, .. } => leader.clone(),
            _ => None,
        };
        self.0.leave(node, &trouble.to_string(), leader);
    }

    /// Notes what the store is known to hold from now on.
    pub(super) fn note(&self, learn: impl FnOnce(&mut Known)) {
        learn(&mut self.0.known());
    }

    /// Notes the newest of Daybook's own events, as it was read from the log.
    pub(super) fn note_event(&self, position: Position, id: Uuid) {
        let mut known = self.0.known();
        if known.event.is_none_or(|(before, _)| before < position) {
            known.event = Some((position, id));
        }
    }

    pub(super) fn close(&self) {
        self.0.state.send_replace(State::Closed);
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(*self.0.state.borrow(), State::Closed)
    }

    /// Waits until the store was closed.
    pub(super) async fn closed(&self) {
        let mut state = self.0.state.subscribe();
        let _ = state.wait_for(|state| matches!(state, State::Closed)).await.is_ok();
    }

    /// Waits until the server turns out to hold something else than it did, and says what.
    pub(super) async fn replaced(&self) -> String {
        let mut state = self.0.state.subscribe();
        if let Ok(state) = state.wait_for(|state| matches!(state, State::Replaced(_))).await
            && let State::Replaced(reason) = &*state
        {
            return reason.to_string();
        }
        std::future::pending().await
    }
}

impl Inner {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, node: &Arc<Node>, reason: &str, leader: Option<Endpoint>) {
        let left = self.state.send_if_modified(|state| {
            let in_use = matches!(state, State::Up(current) if Arc::ptr_eq(current, node));
            if in_use {
                *state = State::Away { reason: Some(reason.to_owned()), leader };
            }
            in_use
        });
        if left {
            tracing::warn!(node = name(&node.host), reason, "the event store's node is left");
        }
    }

    fn replace(&self, difference: String) {
        tracing::error!(difference, "the event store does not hold any more what it held");
        self.state.send_if_modified(|state| {
            let open = !matches!(state, State::Closed);
            if open {
                *state = State::Replaced(difference.into());
            }
            open
        });
    }

    /// Connects to a node, or to the one that it names as its leader, and sees that it holds the
    /// store that it should.
    async fn reach(&self, host: &Endpoint) -> Result<Node, Missed> {
        let mut host = host.clone();
        for _ in 0..HOPS {
            let node = self.connect(&host).await?;
            let known = *self.known();
            match identity::look(&node, known).await {
                Ok(None) => return Ok(node),
                Ok(Some(difference)) => return Err(Missed::Replaced(difference)),
                Err(Trouble::NotDone { leader: Some(leader), .. }) => host = leader,
                Err(trouble) => return Err(Missed::Trouble(trouble)),
            }
        }
        Err(Missed::Trouble(Trouble::not_done("each node names another one as the leader")))
    }

    async fn connect(&self, host: &Endpoint) -> Result<Node, Missed> {
        let settings = self.url.settings(host).map_err(|error| Trouble::Refused(error.to_string()));
        let runtime = tokio::runtime::Handle::current();
        let settings = settings.map_err(Missed::Trouble)?;
        // It reads the system's certificates.
        let made =
            tokio::task::spawn_blocking(move || Client::with_runtime_handle(runtime, settings));
        let client = match made.await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(Missed::Trouble(Trouble::Refused(format!("{error:#}")))),
            Err(error) => return Err(Missed::Trouble(Trouble::Refused(error.to_string()))),
        };
        call(self.url.connect(), client.server_info()).await.map_err(Missed::Trouble)?;
        let node = Node {
            client,
            credentials: self.url.credentials(),
            patience: self.url.deadline() / 2,
            host: host.clone(),
        };
        send_at_once(&node);
        Ok(node)
    }
}

/// Why an attempt did not end with a node.
enum Missed {
    Trouble(Trouble),
    Replaced(String),
}

/// Makes connections, one attempt at a time, for as long as anybody has the store.
async fn keep_connected(inner: Weak<Inner>, mut state: watch::Receiver<State>) {
    let (mut turn, mut pause) = (0_usize, PAUSE.0);
    loop {
        let leader = match state.wait_for(|state| !matches!(state, State::Up(_))).await.as_deref() {
            Ok(State::Away { leader, .. }) => leader.clone(),
            Ok(_) | Err(_) => return,
        };
        let Some(this) = inner.upgrade() else { return };
        let hosts = this.url.hosts();
        let host = leader.unwrap_or_else(|| hosts[turn % hosts.len()].clone());
        let reached = this.reach(&host).await;
        let next = match reached {
            Ok(node) => {
                tracing::info!(node = name(&node.host), "connected to the event store");
                State::Up(Arc::new(node))
            }
            Err(Missed::Replaced(difference)) => return this.replace(difference),
            Err(Missed::Trouble(trouble)) => {
                let reason = format!("{}: {trouble}", name(&host));
                tracing::warn!(reason, "the event store cannot be reached");
                State::Away { reason: Some(reason), leader: None }
            }
        };
        this.state.send_if_modified(|state| {
            let wanted = matches!(state, State::Away { .. });
            if wanted {
                *state = next;
            }
            wanted
        });
        drop(this);
        // Whatever comes next: another host is asked, and not at once unless this one was good.
        turn += 1;
        let begun = Instant::now();
        let up = state.wait_for(|state| !matches!(state, State::Up(_))).await.is_ok();
        pause = if up && begun.elapsed() >= GOOD { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
        sleep(pause).await;
    }
}

/// A socket that the client made by itself, behind our back, is one to a server that went away and
/// came again: what it holds is looked at anew.
async fn look_at_sockets(inner: Weak<Inner>) {
    loop {
        sleep(LOOK).await;
        let Some(this) = inner.upgrade() else { return };
        let node = match &*this.state.borrow() {
            State::Closed => return,
            State::Up(node) => node.clone(),
            _ => continue,
        };
        if send_at_once(&node) == 0 {
            continue;
        }
        let known = *this.known();
        match identity::look(&node, known).await {
            Ok(None) => {}
            Ok(Some(difference)) => this.replace(difference),
            Err(trouble) if trouble.is_of_the_connection() => {
                this.leave(&node, &trouble.to_string(), None);
            }
            Err(trouble) => tracing::warn!(%trouble, "the event store's id cannot be read"),
        }
    }
}

/// Has the client's sockets send at once what there is to send.
fn send_at_once(node: &Node) -> usize {
    nodelay::set(&[u16::try_from(node.host.port).unwrap_or(0)])
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("host", &self.host).finish_non_exhaustive()
    }
}
