//! Where a projector gets its events from: straight from the event store, or from the bus, which is
//! trusted for nothing. What the bus says is held against the checkpoint; what is missing is read
//! from the store.

use std::{collections::VecDeque, time::Duration};

use event_schemas::{Logged, Position, StoreId};
use infra::{
    bus::{Bus, BusError, Consumer, Delivery, Message},
    event_store::{Direction, EventStore, Filter, LogPage, MAX_PAGE, ReadError, Subscription},
};
use serde::Serialize;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

/// The most events in one batch.
const MAX_BATCH: usize = 8_000;
/// When the checkpoint has not moved for so long, whatever was heard, the store is asked.
const QUIET: Duration = Duration::from_secs(1);
/// How long to wait before the bus is looked for again.
const AGAIN: Duration = Duration::from_millis(500);

/// Where the events of a batch came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The event store itself.
    Store,
    /// The bus.
    Bus,
}

/// What is posted together: pages of the log, one after the other.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) events: Vec<Logged>,
    pub(crate) scanned_to: Position,
    pub(crate) at_end: bool,
}

impl From<LogPage> for Taken {
    fn from(page: LogPage) -> Self {
        Self { events: page.events, scanned_to: page.scanned_to, at_end: page.at_end }
    }
}

impl Taken {
    /// Whether there is more to take, and a batch holds it.
    fn has_room(&self) -> bool {
        !self.at_end && self.events.len() < MAX_BATCH
    }

    /// What of it stands before `position`.
    pub(crate) fn before(&self, position: Position) -> Self {
        let end = self.events.partition_point(|logged| logged.position < position);
        let events = self.events[..end].to_vec();
        let scanned_to = events.last().map_or(Position::START, |logged| logged.position);
        Self { events, scanned_to, at_end: false }
    }

    /// Takes the page behind it too.
    fn extend(&mut self, page: LogPage) {
        self.events.extend(page.events);
        self.scanned_to = page.scanned_to;
        self.at_end = page.at_end;
    }
}

/// A projector's source of events.
#[derive(Debug)]
pub(crate) enum Feed {
    Store(Subscription),
    Bus(Box<BusFeed>),
}

/// The bus, with the store behind it.
#[derive(Debug)]
pub(crate) struct BusFeed {
    store: EventStore,
    bus: Bus,
    /// The durable consumer's name.
    durable: String,
    line: Line,
    /// What was delivered and is not posted yet, in the order in which it came.
    heard: VecDeque<Delivery>,
    /// The newest of what is posted or was not needed, to be acknowledged.
    done: Option<Delivery>,
    /// When the checkpoint moved last.
    moved: Instant,
}

/// How a projector stands to the bus.
#[derive(Debug)]
enum Line {
    Open(Box<Consumer>),
    /// Meanwhile the store is followed directly.
    Opening(JoinHandle<Result<Option<Consumer>, BusError>>),
}

/// What a message is to a checkpoint (invariant 6 of the design).
#[derive(Debug, PartialEq, Eq)]
enum Worth {
    /// It is posted already, or of another log.
    Nothing,
    /// It is the next one.
    Next,
    /// Something before it is missing, or its body is.
    Gap,
}

fn worth(message: &Message, store: StoreId, checkpoint: Position) -> Worth {
    if message.store != store || message.position <= checkpoint {
        Worth::Nothing
    } else if message.before <= checkpoint && message.event.is_some() {
        Worth::Next
    } else {
        Worth::Gap
    }
}

impl Feed {
    /// Follows the log behind `after`.
    pub(crate) fn new(store: &EventStore, bus: Option<(Bus, String)>, after: Position) -> Self {
        match bus {
            None => Self::Store(store.subscribe(after, Filter::default())),
            Some((bus, durable)) => Self::Bus(Box::new(BusFeed {
                store: store.clone(),
                line: Line::Opening(open(&bus, &durable, Duration::ZERO)),
                bus,
                durable,
                heard: VecDeque::new(),
                done: None,
                moved: Instant::now(),
            })),
        }
    }

    /// Waits for something behind the checkpoint, and takes what is there. May be dropped while it
    /// waits.
    pub(crate) async fn take(
        &mut self,
        checkpoint: Position,
    ) -> Result<(Taken, Source), ReadError> {
        match self {
            Self::Store(subscription) => Ok((from_store(subscription).await?, Source::Store)),
            Self::Bus(feed) => feed.take(checkpoint).await,
        }
    }

    /// What was taken is posted.
    pub(crate) async fn posted(&mut self) {
        let Self::Bus(feed) = self else { return };
        feed.moved = Instant::now();
        feed.acknowledge().await;
    }
}

async fn from_store(subscription: &mut Subscription) -> Result<Taken, ReadError> {
    let mut taken = Taken::from(subscription.next().await?);
    while taken.has_room() {
        taken.extend(subscription.next().await?);
    }
    Ok(taken)
}

/// Opens the consumer beside whatever else is done; made anew if it went with its stream.
fn open(
    bus: &Bus,
    durable: &str,
    wait: Duration,
) -> JoinHandle<Result<Option<Consumer>, BusError>> {
    let (bus, durable) = (bus.clone(), durable.to_owned());
    tokio::spawn(async move {
        sleep(wait).await;
        bus.consumer(&durable).await
    })
}

impl BusFeed {
    async fn take(&mut self, checkpoint: Position) -> Result<(Taken, Source), ReadError> {
        loop {
            if let Some(taken) = self.next_heard(checkpoint) {
                return Ok((taken, Source::Bus));
            }
            if let Some(next) = self.heard.front().and_then(|heard| heard.message.as_ref()) {
                // The gap before it.
                let wanted = next.position;
                let taken = self.read(checkpoint).await?;
                if taken.scanned_to > checkpoint {
                    return Ok((taken, Source::Store));
                }
                // The store knows nothing up to there: no message of ours.
                tracing::warn!(position = %wanted, "a message speaks of what the store does not hold");
                self.done = self.heard.pop_front();
                continue;
            }
            self.acknowledge().await;
            if let Some(taken) = self.listen(checkpoint).await? {
                return Ok((taken, Source::Store));
            }
        }
    }

    /// Waits for messages; answers what the store gave, if it was asked instead.
    async fn listen(&mut self, checkpoint: Position) -> Result<Option<Taken>, ReadError> {
        let quiet = self.moved + QUIET;
        match &mut self.line {
            Line::Open(consumer) => tokio::select! {
                heard = consumer.next() => match heard {
                    Ok(heard) => self.heard.extend(heard),
                    Err(error) => self.reopen(&error),
                },
                () = sleep_until(quiet) => {
                    self.moved = Instant::now();
                    let taken = self.read(checkpoint).await?;
                    return Ok((taken.scanned_to > checkpoint).then_some(taken));
                }
            },
            Line::Opening(opening) => {
                let mut subscription = self.store.subscribe(checkpoint, Filter::default());
                tokio::select! {
                    biased;
                    opened = opening => match opened {
                        Ok(Ok(Some(consumer))) => {
                            tracing::info!(consumer = self.durable, "fed by the bus");
                            self.line = Line::Open(Box::new(consumer));
                        }
                        // The relay makes it.
                        Ok(Ok(None)) => self.reopen_later(),
                        Ok(Err(error)) => self.reopen(&error),
                        Err(error) => self.reopen(&BusError::from(error)),
                    },
                    taken = from_store(&mut subscription) => return Ok(Some(taken?)),
                }
            }
        }
        Ok(None)
    }

    fn reopen(&mut self, error: &BusError) {
        tracing::warn!(%error, consumer = self.durable, "the event store is followed meanwhile");
        self.reopen_later();
    }

    fn reopen_later(&mut self) {
        // What was heard is not lost: it is in the store, and on the bus unacknowledged.
        self.heard.clear();
        self.done = None;
        self.line = Line::Opening(open(&self.bus, &self.durable, AGAIN));
    }

    /// What follows the checkpoint without a gap, of what was heard.
    fn next_heard(&mut self, checkpoint: Position) -> Option<Taken> {
        let mut taken = Taken { events: Vec::new(), scanned_to: checkpoint, at_end: false };
        while let Some(heard) = self.heard.front() {
            let worth = heard.message.as_ref().map_or(Worth::Nothing, |message| {
                worth(message, self.store.id(), taken.scanned_to)
            });
            if worth == Worth::Gap || taken.events.len() == MAX_BATCH {
                break;
            }
            let Some(heard) = self.heard.pop_front() else { break };
            if let (Worth::Next, Some(message)) = (worth, &heard.message) {
                taken.events.extend(message.event.clone());
                taken.scanned_to = message.position;
            }
            taken.at_end = self.heard.is_empty() && heard.waiting == 0;
            self.done = Some(heard);
        }
        (!taken.events.is_empty()).then_some(taken)
    }

    /// What lies in the store behind the checkpoint, without waiting for more.
    async fn read(&self, checkpoint: Position) -> Result<Taken, ReadError> {
        let mut taken = Taken { events: Vec::new(), scanned_to: checkpoint, at_end: false };
        while taken.has_room() {
            let (from, all) = (taken.scanned_to, Filter::default());
            taken.extend(self.store.read_log(from, Direction::Forwards, &all, MAX_PAGE).await?);
        }
        Ok(taken)
    }

    async fn acknowledge(&mut self) {
        let Some(done) = self.done.take() else { return };
        if let Err(error) = done.acknowledge().await {
            // It comes again and is posted already then.
            tracing::debug!(%error, "not acknowledged");
        }
    }
}
