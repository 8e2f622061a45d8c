//! The bus: events on their way from the event store to whoever follows them, over NATS JetStream.
//!
//! It is trusted for nothing: a message may be lost, doubled, late or wiped, and the event store
//! is asked for what is missing. Each message therefore says where its event stands and what stood
//! before it.

mod consumer;
mod message;
mod relay;
mod url;

use std::time::Duration;

use async_nats::{
    Client, ConnectOptions, ServerAddr,
    connection::State,
    jetstream::{
        self, Context,
        context::GetStreamErrorKind,
        stream::{Config, DiscardPolicy, Stream},
    },
    rustls::crypto::aws_lc_rs,
};

pub use consumer::{Consumer, Delivery};
pub use message::{Message, subject};
pub use relay::{Relay, RelayFrom, RelayState, RelayStatus};
pub use url::{BusUrl, InvalidBusUrl};

/// How long the server may take to answer before it counts as away.
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection that is half open is found out after two of these.
const PING: Duration = Duration::from_secs(2);
/// How long a message stays on a stream that Daybook made. Whoever was away for longer reads the
/// event store.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The bus cannot do it now; it is to be tried again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the bus: {0}")]
pub struct BusError(String);

impl From<tokio::task::JoinError> for BusError {
    fn from(error: tokio::task::JoinError) -> Self {
        away(error)
    }
}

/// A connection to NATS, which comes back by itself. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bus {
    client: Client,
    jetstream: Context,
    /// The stream's name, and the first token of every subject.
    name: String,
}

impl Bus {
    /// Begins to connect, and goes on until it succeeds: the server may be away.
    ///
    /// # Errors
    /// If the address cannot be used at all.
    pub async fn connect(url: &BusUrl) -> Result<Self, BusError> {
        // Two of them are built in, and rustls does not choose. Set already: as well.
        let _ = aws_lc_rs::default_provider().install_default();
        let mut options = ConnectOptions::new()
            .name("daybook")
            .retry_on_initial_connect()
            .connection_timeout(PATIENCE)
            .request_timeout(Some(PATIENCE))
            .ping_interval(PING)
            .reconnect_delay_callback(|attempts| {
                Duration::from_millis(50 << attempts.min(5)).min(Duration::from_secs(1))
            });
        if let Some((user, password)) = url.user() {
            options = match password {
                Some(password) => options.user_and_password(user.to_owned(), password.to_owned()),
                None => options.token(user.to_owned()),
            };
        }
        let servers: Result<Vec<ServerAddr>, _> = url.servers().map(|at| at.parse()).collect();
        let servers = servers.map_err(|error| BusError(format!("{url}: {error}")))?;
        let client = options.connect(servers).await;
        let client = client.map_err(|error| BusError(format!("{url}: {error}")))?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(PATIENCE);
        Ok(Self { client, jetstream, name: url.name().to_owned() })
    }

    /// Whether the connection stands.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// The stream, if there is one.
    async fn stream(&self) -> Result<Option<Stream>, BusError> {
        match self.jetstream.get_stream(&self.name).await {
            Ok(stream) => Ok(Some(stream)),
            Err(error) => match error.kind() {
                // No such stream (JetStream API error 10059).
                GetStreamErrorKind::JetStream(error) if error.code() == 404 => Ok(None),
                _ => Err(away(error)),
            },
        }
    }

    /// The stream; made if there is none. One that somebody made with limits of their own stays as
    /// it is.
    async fn stream_or_new(&self) -> Result<Stream, BusError> {
        let config = Config {
            name: self.name.clone(),
            description: Some("Daybook's events, in the order of its log".to_owned()),
            subjects: vec![format!("{}.>", self.name)],
            discard: DiscardPolicy::Old,
            max_age: KEPT,
            ..Config::default()
        };
        self.jetstream.get_or_create_stream(config).await.map_err(away)
    }
}

fn away(error: impl std::fmt::Display) -> BusError {
    BusError(error.to_string())
}
