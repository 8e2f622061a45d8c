use std::{fmt, time::Duration};

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, DeliverPolicy, pull},
};
use futures::{FutureExt, StreamExt};

use super::{Bus, BusError, Message, away};

/// The most messages that are taken at once, and that wait unacknowledged.
const MOST: usize = 4_000;
/// A message that is not acknowledged by then comes again.
const REDELIVERED: Duration = Duration::from_secs(30);
/// A consumer that nobody asks for so long is forgotten by the server.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);
/// A server that says nothing for two of these is away.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// A durable consumer of all that is on the stream: the server remembers what was acknowledged.
pub struct Consumer {
    messages: pull::Stream,
}

/// A message as it was delivered.
pub struct Delivery {
    /// What it says; `None` if it is none of Daybook's.
    pub message: Option<Message>,
    /// How many more wait on the stream.
    pub waiting: u64,
    acker: jetstream::message::Acker,
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Consumer")
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Delivery").field(&self.message).finish()
    }
}

impl Bus {
    /// The durable consumer of that name; one that is new begins with what comes from now on, since
    /// what went before lies in the event store. `None` if there is no stream yet.
    ///
    /// # Errors
    /// [`BusError`]
    pub async fn consumer(&self, durable: &str) -> Result<Option<Consumer>, BusError> {
        let Some(stream) = self.stream().await? else { return Ok(None) };
        let most = i64::try_from(2 * MOST).unwrap_or(i64::MAX);
        let config = pull::Config {
            durable_name: Some(durable.to_owned()),
            deliver_policy: DeliverPolicy::New,
            ack_policy: AckPolicy::All,
            ack_wait: REDELIVERED,
            max_ack_pending: most,
            inactive_threshold: FORGOTTEN,
            ..pull::Config::default()
        };
        // Made, or found as it is.
        let consumer = stream.get_or_create_consumer(durable, config).await.map_err(away)?;
        let messages = consumer.stream().max_messages_per_batch(MOST).heartbeat(HEARTBEAT);
        let messages = messages.expires(10 * HEARTBEAT).messages().await.map_err(away)?;
        Ok(Some(Consumer { messages }))
    }
}

impl Consumer {
    /// Waits for a message and takes what else is there. May be dropped while it waits.
    ///
    /// # Errors
    /// [`BusError`]: the consumer or its stream is gone, or the server is away; to be opened anew.
    pub async fn next(&mut self) -> Result<Vec<Delivery>, BusError> {
        let first = self.messages.next().await;
        let mut taken = vec![delivery(first)?];
        while taken.len() < MOST {
            let Some(next) = self.messages.next().now_or_never() else { break };
            match delivery(next) {
                Ok(next) => taken.push(next),
                // It will be said again; what was taken is not lost for it.
                Err(_) => break,
            }
        }
        Ok(taken)
    }
}

impl Delivery {
    /// Acknowledges it, and all before it.
    ///
    /// # Errors
    /// [`BusError`]: it will come again.
    pub async fn acknowledge(&self) -> Result<(), BusError> {
        self.acker.ack().await.map_err(away)
    }
}

type Said = Option<Result<jetstream::Message, pull::MessagesError>>;

fn delivery(next: Said) -> Result<Delivery, BusError> {
    let message = next.ok_or_else(|| away("the consumer has ended"))?.map_err(away)?;
    let waiting = message.info().map_err(away)?.pending;
    let (message, acker) = message.split();
    let headers = message.headers.as_ref();
    let message = headers.and_then(|headers| Message::decode(headers, message.payload));
    Ok(Delivery { message, waiting, acker })
}
