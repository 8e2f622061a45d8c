//! The reservation watch: follows the log, keeps for each order its open holds and its outcome,
//! and sees to what is owed. The rules are [`Reservation`]'s; this is their clock and their hands.

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::{
    Decider,
    order::{self, Order},
    reservation::{Owed, Reservation, order_of},
    stock::{self, StockItem},
};
use event_schemas::{ActorKind, Decoded, Event, Logged, Position, Revision, StreamName};
use futures::{StreamExt as _, stream};
use infra::{
    event_store::{Direction, EventStore, Filter, LogPage, MAX_PAGE, ReadError},
    snapshots::{SnapshotAt, Snapshots},
};
use serde::{Deserialize, Serialize};
use tokio::{sync::watch::Receiver, time::Instant};
use uuid::Uuid;

use crate::{
    Commands,
    context::Context,
    crash::crash_point,
    executor::{ExecuteError, Failure},
    outcome::NoOutcome,
    streams,
};

const NAME: &str = "reservation-watch";
/// The version of the watch's code: a snapshot of another is thrown away.
const STATE_VERSION: u32 = 1;
/// Handlers do at once what the watch does after this time.
const GRACE: Duration = Duration::from_secs(1);
/// What did not succeed is tried again after this time.
const RETRY: Duration = Duration::from_secs(2);
/// Orders that are seen to side by side.
const AT_ONCE: usize = 32;
const SNAPSHOT_EVENTS: usize = 50_000;

/// How far the watch has come, for those who ask.
#[derive(Default)]
pub(crate) struct Progress {
    position: AtomicU64,
    orders: AtomicUsize,
    imports: AtomicUsize,
    stopped: OnceLock<String>,
}

impl Progress {
    /// The position followed to, and the orders that are seen to.
    pub(crate) fn at(&self) -> (Position, usize) {
        (Position(self.position.load(Ordering::Relaxed)), self.orders.load(Ordering::Relaxed))
    }

    /// Why the watch cannot go on, if it cannot.
    pub(crate) fn stopped(&self) -> Option<String> {
        self.stopped.get().cloned()
    }

    /// Orders of imports with holds and no outcome.
    pub(crate) fn import_orders(&self) -> usize {
        self.imports.load(Ordering::Relaxed)
    }
}

/// What the watch knows.
#[derive(Default, Serialize, Deserialize)]
struct Watch {
    orders: HashMap<String, Entry>,
    /// The last event folded in.
    last: Option<SnapshotAt>,
    #[serde(skip)]
    due: BTreeSet<(Instant, String)>,
}

/// An order that is not settled.
#[derive(Serialize, Deserialize)]
struct Entry {
    reservation: Reservation,
    /// Its newest event: what the watch reacts to.
    event: Uuid,
    correlation_id: String,
    /// Holds of an import wait for the import to be run again.
    import: bool,
    #[serde(skip)]
    due: Option<Instant>,
}

/// Follows the log until told to stop.
pub(crate) async fn run(commands: Commands, mut stop: Receiver<bool>) {
    let store = &commands.0.engines.store;
    let mut watch = Watch::restore(store, commands.0.engines.snapshots.as_ref()).await;
    for id in watch.orders.keys().cloned().collect::<Vec<_>>() {
        watch.schedule(&id, commands.0.settings.reservation_timeout);
    }
    let mut subscription = store.subscribe(watch.position(), followed());
    // With nothing behind the snapshot there is no page to wait for.
    let mut live = store.head().await.is_ok_and(|head| head <= watch.position());
    let mut unsaved = 0;
    loop {
        // Nothing is done before the log has been read to its end: what is owed may be done there.
        let next = watch.next_due().filter(|_| live);
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            // Before the log: a shop that is never idle has orphans too.
            () = due => watch.act(&commands).await,
            page = subscription.next() => match page {
                Ok(page) => {
                    live |= page.at_end;
                    unsaved += page.events.len();
                    if let Err(reason) = watch.fold(&commands, &page) {
                        tracing::error!(reason, "the reservation watch stopped");
                        commands.0.watch.stopped.get_or_init(|| reason);
                        return;
                    }
                }
                Err(ReadError::Closed) => break,
                Err(error @ ReadError::Unavailable(_)) => {
                    tracing::warn!(%error, "the reservation watch waits for the event store");
                    tokio::time::sleep(RETRY).await;
                }
            },
        }
        if unsaved >= SNAPSHOT_EVENTS {
            unsaved = 0;
            watch.save(&commands);
        }
    }
    watch.save(&commands);
}

/// What the watch follows.
fn followed() -> Filter {
    Filter::categories([StockItem::CATEGORY, Order::CATEGORY])
}

/// How many orders of imports have holds and no outcome, seen from outside of the process that
/// follows the log: from the watch's snapshot in `snapshots`, where there is one, to the head.
///
/// # Errors
/// If the log cannot be read, or an event in it.
pub async fn import_holds(store: &EventStore, snapshots: PathBuf) -> Result<usize, Failure> {
    // To look is not to make a folder.
    let folder = Some(snapshots).filter(|folder| folder.exists());
    let snapshots = folder.and_then(|folder| Snapshots::open(folder, store.id()).ok());
    let mut watch = Watch::restore(store, snapshots.as_ref()).await;
    let mut position = watch.position();
    loop {
        let page = store.read_log(position, Direction::Forwards, &followed(), MAX_PAGE).await?;
        for logged in &page.events {
            watch.apply(logged, Duration::ZERO).map_err(Failure::Unreadable)?;
        }
        position = page.scanned_to;
        if page.at_end {
            return Ok(watch.import_orders());
        }
    }
}

/// Until the watch is told to stop, or nobody is left who could.
async fn stopped(stop: &mut Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

impl Watch {
    fn position(&self) -> Position {
        self.last.map_or(Position::START, |last| Position(last.at.0))
    }

    async fn restore(store: &EventStore, snapshots: Option<&Snapshots>) -> Self {
        let found = snapshots.and_then(|all| all.load::<Self>(NAME, STATE_VERSION));
        let Some((last, watch)) = found else { return Self::default() };
        let there = store.event_at(Position(last.at.0)).await;
        if !there.is_ok_and(|event| event.is_some_and(|event| event.id == last.event)) {
            tracing::warn!("the reservation watch's snapshot is of another log and is thrown away");
            return Self::default();
        }
        watch
    }

    fn save(&self, commands: &Commands) {
        let (Some(snapshots), Some(last)) = (&commands.0.engines.snapshots, self.last) else {
            return;
        };
        match snapshots.encode(NAME, STATE_VERSION, last, self) {
            Ok(bytes) => snapshots.write(NAME, &bytes),
            Err(error) => tracing::warn!(%error, "no snapshot of the reservation watch"),
        }
    }

    fn fold(&mut self, commands: &Commands, page: &LogPage) -> Result<(), String> {
        let timeout = commands.0.settings.reservation_timeout;
        for logged in &page.events {
            self.apply(logged, timeout)?;
        }
        let progress = &commands.0.watch;
        progress.position.store(page.scanned_to.0, Ordering::Relaxed);
        self.show(progress);
        Ok(())
    }

    fn show(&self, progress: &Progress) {
        progress.orders.store(self.orders.len(), Ordering::Relaxed);
        progress.imports.store(self.import_orders(), Ordering::Relaxed);
    }

    /// Orders of imports with holds and no outcome.
    fn import_orders(&self) -> usize {
        let waiting = |entry: &&Entry| entry.import && entry.reservation.is_orphan();
        self.orders.values().filter(waiting).count()
    }

    fn apply(&mut self, logged: &Logged, timeout: Duration) -> Result<(), String> {
        if logged.is_systems() {
            return Ok(());
        }
        let decoded = logged.decode().map_err(|error| {
            format!("{}@{} (event {}): {error}", logged.stream, logged.revision, logged.id)
        })?;
        self.last = Some(SnapshotAt { at: Revision(logged.position.0), event: logged.id });
        let Some(order_id) = order_of(logged.stream.id(), &decoded.event) else { return Ok(()) };
        let metadata = &decoded.metadata;
        if !self.orders.contains_key(order_id) {
            let entry = Entry {
                reservation: Reservation::default(),
                event: logged.id,
                correlation_id: String::new(),
                import: metadata.actor.kind == ActorKind::Import,
                due: None,
            };
            self.orders.insert(order_id.to_owned(), entry);
        }
        if let Some(entry) = self.orders.get_mut(order_id) {
            entry.reservation.evolve(logged.stream.id(), &decoded.event);
            entry.event = logged.id;
            entry.correlation_id.clone_from(&metadata.correlation_id);
        }
        let id = order_id.to_owned();
        self.schedule(&id, timeout);
        Ok(())
    }

    /// Sets when the order is to be seen to, or forgets it.
    fn schedule(&mut self, id: &str, timeout: Duration) {
        let Some(entry) = self.orders.get_mut(id) else { return };
        if let Some(due) = entry.due.take() {
            self.due.remove(&(due, id.to_owned()));
        }
        if entry.reservation.is_settled() {
            self.orders.remove(id);
            return;
        }
        let patience = if entry.reservation.is_orphan() {
            if entry.import {
                return;
            }
            timeout
        } else {
            GRACE
        };
        self.put(id, Instant::now() + patience);
    }

    fn put(&mut self, id: &str, at: Instant) {
        if let Some(entry) = self.orders.get_mut(id) {
            entry.due = Some(at);
            self.due.insert((at, id.to_owned()));
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Sees to every order whose time has come. The events that come of it are met in the log.
    async fn act(&mut self, commands: &Commands) {
        let now = Instant::now();
        let mut ids = Vec::new();
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            ids.extend(self.due.pop_first().map(|(_, id)| id));
        }
        for id in &ids {
            self.put(id, now + RETRY);
        }
        let mut tasks = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(entry) = self.orders.get(&id) {
                let (reservation, context) = (entry.reservation.clone(), entry.context());
                tasks.push(see_to(commands.clone(), id, reservation, context));
            }
        }
        let results: Vec<_> = stream::iter(tasks).buffer_unordered(AT_ONCE).collect().await;
        for (id, seen) in results {
            match seen {
                Ok(seen) => self.finish(&id, seen),
                Err(error) => {
                    tracing::warn!(order_id = id, %error, "the reservation watch tries again");
                }
            }
        }
        self.show(&commands.0.watch);
    }

    /// Takes in what was learnt on the way.
    fn finish(&mut self, id: &str, seen: Seen) {
        let Some(entry) = self.orders.get_mut(id) else { return };
        for event in &seen.outcome {
            entry.reservation.evolve(id, event);
        }
        for owed in &seen.done {
            entry.reservation.done(owed);
        }
        if entry.reservation.is_settled()
            && let Some(due) = entry.due.take()
        {
            self.due.remove(&(due, id.to_owned()));
            self.orders.remove(id);
        }
    }
}

impl Entry {
    fn context(&self) -> Context {
        Context::reaction(NAME, self.event, &self.correlation_id)
    }
}

/// What came of seeing to an order.
#[derive(Default)]
struct Seen {
    /// The events of its own stream, where they had to be read.
    outcome: Vec<Event>,
    /// What is owed no more.
    done: Vec<Owed>,
}

/// Abandons an orphan, or finds its outcome after all; does what is owed.
async fn see_to(
    commands: Commands,
    id: String,
    reservation: Reservation,
    context: Context,
) -> (String, Result<Seen, Failure>) {
    let seen = async {
        if reservation.is_orphan() {
            let outcome = abandon(&commands, &id, &context).await?;
            return Ok(Seen { outcome, ..Seen::default() });
        }
        let mut seen = Seen::default();
        for owed in reservation.owed() {
            carry_out(&commands, &id, &owed, &context).await?;
            seen.done.push(owed);
        }
        Ok(seen)
    };
    let seen = seen.await;
    (id, seen)
}

/// Rules out that the order is ever placed. If it has an outcome after all, its stream tells.
async fn abandon(commands: &Commands, id: &str, context: &Context) -> Result<Vec<Event>, Failure> {
    match commands.append_outcome(id, order::Command::Abandon, context).await {
        Ok(_) => {}
        Err(NoOutcome::Failed(failure)) => return Err(failure),
        Err(error @ (NoOutcome::KeyReused | NoOutcome::Rejected(_))) => {
            return Err(Failure::Unreadable(error.to_string()));
        }
    }
    tracing::info!(order_id = id, "an order's holds had no outcome; it has one now");
    let stream = StreamName::new(Order::CATEGORY, id);
    let store = &commands.0.engines.store;
    let push = |mut events: Vec<Event>, decoded: &Decoded| {
        events.push(decoded.event.clone());
        events
    };
    streams::fold_until(store, &stream, Revision(u64::MAX), Vec::new(), push).await
}

async fn carry_out(
    commands: &Commands,
    id: &str,
    owed: &Owed,
    context: &Context,
) -> Result<(), Failure> {
    let order_id = id.to_owned();
    let (sku, command) = match owed {
        Owed::Release { sku, .. } => {
            crash_point("before-release");
            (sku, stock::Command::Release { order_id })
        }
        Owed::Dispatch { sku, hold } => (sku, stock::Command::Dispatch { order_id, hold: *hold }),
    };
    match commands.0.stock.execute(sku, command, context.clone()).await {
        Ok(_) => Ok(()),
        Err(ExecuteError::Failed(failure)) => Err(failure),
        Err(error) => Err(Failure::Unreadable(error.to_string())),
    }
}
