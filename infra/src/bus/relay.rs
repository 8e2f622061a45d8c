use std::{convert::Infallible, time::Duration};

use async_nats::jetstream::{
    context::{PublishAckFuture, PublishErrorKind},
    message::PublishMessage,
    stream::{LastRawMessageErrorKind, Stream},
};
use event_schemas::{Logged, Position};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use uuid::Uuid;

use super::{Bus, BusError, Message, away, subject};
use crate::event_store::{EventStore, Filter, ReadError};

/// How often a relay that stands by looks whether the other one still works.
const LOOK: Duration = Duration::from_millis(500);
/// How long the stream may stand still, with events to come, before another relay takes over.
const STILL: Duration = Duration::from_secs(2);
/// How long a relay waits after a failure.
const AGAIN: Duration = Duration::from_millis(250);

/// Where the relay begins on a stream without messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayFrom {
    /// With what comes from now on: projectors read from the event store what went before.
    Head,
    /// With the first event, for the sake of others.
    Start,
}

/// What a relay does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayState {
    /// It publishes.
    Working,
    /// Another one does.
    StandingBy,
    /// The bus or the event store is away.
    Waiting,
}

/// How a relay is doing.
#[derive(Clone, Debug)]
pub struct RelayStatus {
    /// What it does.
    pub state: RelayState,
    /// The last place that it has brought onto the bus.
    pub position: Position,
    /// What it waits for.
    pub error: Option<String>,
}

/// Brings every event onto the bus, in order and each once. Any number may run: one works.
#[derive(Debug)]
pub struct Relay {
    store: EventStore,
    bus: Bus,
    from: RelayFrom,
    status: watch::Sender<RelayStatus>,
}

/// Why publishing came to an end.
enum End {
    /// Somebody else has published.
    Overtaken,
    /// It is tried again.
    Away(String),
}

/// Where the stream has come to.
struct Place {
    /// The stream's last sequence number: the fence.
    sequence: u64,
    /// Whether its last message is of this log.
    ours: bool,
    position: Position,
    last: Option<(Position, Uuid)>,
}

/// A message under way.
struct Sent {
    position: Position,
    acknowledged: PublishAckFuture,
}

impl From<BusError> for End {
    fn from(error: BusError) -> Self {
        Self::Away(error.to_string())
    }
}

impl From<ReadError> for End {
    fn from(error: ReadError) -> Self {
        Self::Away(error.to_string())
    }
}

impl Relay {
    /// A relay that does nothing yet.
    pub fn new(store: EventStore, bus: Bus, from: RelayFrom) -> Self {
        let status =
            RelayStatus { state: RelayState::Waiting, position: Position::START, error: None };
        Self { store, bus, from, status: watch::Sender::new(status) }
    }

    /// How it is doing, from now on.
    pub fn status(&self) -> watch::Receiver<RelayStatus> {
        self.status.subscribe()
    }

    /// Works, stands by and waits until it is dropped: all that it leaves behind is on the stream.
    pub async fn run(self) -> Infallible {
        loop {
            let Err(end) = self.work().await;
            match end {
                End::Overtaken => {
                    tracing::info!("another relay works; this one stands by");
                    self.tell(RelayState::StandingBy, None);
                    if let Err(End::Away(error)) = self.stand_by().await {
                        self.wait(error).await;
                    }
                }
                End::Away(error) => self.wait(error).await,
            }
        }
    }

    async fn wait(&self, error: String) {
        tracing::warn!(%error, "the relay waits");
        self.tell(RelayState::Waiting, Some(error));
        sleep(AGAIN).await;
    }

    fn tell(&self, state: RelayState, error: Option<String>) {
        self.status.send_modify(|status| {
            status.state = state;
            status.error = error;
        });
        metrics::gauge!("relay_working").set(f64::from(u8::from(state == RelayState::Working)));
    }

    fn published(&self, position: Position) {
        #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
        metrics::gauge!("relay_position").set(position.0 as f64);
        self.status.send_modify(|status| status.position = position);
    }

    /// Publishes behind what is on the stream. A page is under way while the next one is read.
    async fn work(&self) -> Result<Infallible, End> {
        let stream = self.bus.stream_or_new().await?;
        let Place { mut sequence, mut position, mut last, .. } = self.place(&stream).await?;
        self.published(position);
        self.tell(RelayState::Working, None);
        let mut subscription = self.store.subscribe(position, Filter::default());
        let mut under_way = Vec::new();
        loop {
            let page = subscription.next().await?;
            let mut sent = Vec::with_capacity(page.events.len());
            for event in page.events.into_iter().filter(|event| !event.is_systems()) {
                if event.is_ours() {
                    last = Some((event.position, event.id));
                }
                let (before, at) = (position, event.position);
                position = at;
                let message =
                    Message { store: self.store.id(), position, before, last, event: Some(event) };
                let acknowledged = self.send(message, sequence).await?;
                sequence += 1;
                sent.push(Sent { position: at, acknowledged });
            }
            self.settle(std::mem::replace(&mut under_way, sent)).await?;
            if page.at_end {
                self.settle(std::mem::take(&mut under_way)).await?;
            }
        }
    }

    /// Sends a message that the server takes only behind `sequence`.
    async fn send(&self, message: Message, sequence: u64) -> Result<PublishAckFuture, End> {
        let Some(event) = &message.event else { return Err(End::Away("no event".to_owned())) };
        let subject = subject(&self.bus.name, event);
        match self.try_send(&subject, &message, sequence).await {
            Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                let bare = Message { event: None, ..message };
                let sent = self.try_send(&subject, &bare, sequence).await;
                sent.map_err(|error| End::Away(error.to_string()))
            }
            sent => sent.map_err(|error| End::Away(error.to_string())),
        }
    }

    async fn try_send(
        &self,
        subject: &str,
        message: &Message,
        sequence: u64,
    ) -> Result<PublishAckFuture, async_nats::jetstream::context::PublishError> {
        let (headers, body) = message.encode();
        let message =
            PublishMessage::build().headers(headers).payload(body).expected_last_sequence(sequence);
        self.bus.jetstream.send_publish(subject.to_owned(), message).await
    }

    /// Waits until all of them are on the stream.
    async fn settle(&self, sent: Vec<Sent>) -> Result<(), End> {
        let Some(newest) = sent.last().map(|sent| sent.position) else { return Ok(()) };
        let count = sent.len() as u64;
        for Sent { acknowledged, .. } in sent {
            acknowledged.await.map_err(|error| match error.kind() {
                PublishErrorKind::WrongLastSequence => End::Overtaken,
                _ => End::Away(error.to_string()),
            })?;
        }
        metrics::counter!("relay_messages_total").increment(count);
        self.published(newest);
        Ok(())
    }

    /// Where to go on: behind the last message, if it is of this log.
    async fn place(&self, stream: &Stream) -> Result<Place, End> {
        // The fence first: whatever comes between the two reads makes the first message fail.
        let sequence = stream.get_info().await.map_err(away)?.state.last_sequence;
        let message = self.last_message(stream).await?;
        let head = self.store.head().await?;
        let (ours, position, last) = match message {
            Some(Some(message)) if self.is_of_this_log(&message, head).await? => {
                (true, message.position, message.last)
            }
            // Another log's, or nobody's: what this one holds up to here is in the store.
            Some(_) => (false, head, None),
            None if self.from == RelayFrom::Start => (false, Position::START, None),
            None => (false, head, None),
        };
        Ok(Place { sequence, ours, position, last })
    }

    /// The last message on the stream, with what it says if it is one of Daybook's.
    async fn last_message(&self, stream: &Stream) -> Result<Option<Option<Message>>, End> {
        let all = format!("{}.>", self.bus.name);
        match stream.get_last_raw_message_by_subject(&all).await {
            Ok(message) => Ok(Some(Message::decode(&message.headers, message.payload))),
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => Ok(None),
                _ => Err(End::Away(error.to_string())),
            },
        }
    }

    /// Whether the log that the message comes from is the one that this relay follows: it may have
    /// been restored from a copy that did not hold the message's event.
    async fn is_of_this_log(&self, message: &Message, head: Position) -> Result<bool, ReadError> {
        if message.store != self.store.id() || message.position > head {
            return Ok(false);
        }
        let Some((position, id)) = message.last else { return Ok(true) };
        let found = self.store.event_at(position).await?;
        Ok(found.is_some_and(|event: Logged| event.id == id))
    }

    /// Returns when the other relay seems to be gone: the store holds events beyond the stream's
    /// last message, and the stream stands still.
    async fn stand_by(&self) -> Result<(), End> {
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            sleep(LOOK).await;
            let Some(stream) = self.bus.stream().await? else { return Ok(()) };
            let Place { sequence, ours, position, .. } = self.place(&stream).await?;
            if !ours {
                return Ok(());
            }
            self.published(position);
            if sequence != seen || position >= self.store.head().await? {
                (seen, since) = (sequence, Instant::now());
            } else if since.elapsed() >= STILL {
                return Ok(());
            }
        }
    }
}
