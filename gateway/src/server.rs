//! Connections: HTTP/2 without TLS, and the limits that hold for each.

use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use infra::event_store::EventStore;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};
use uuid::Uuid;

use crate::{Access, Gateway, budget::Budget, metadata::Remembered, route::route, store};

/// What an HTTP/2 connection begins with (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long a client may take for that.
const GREETING: Duration = Duration::from_secs(10);
/// How long a client without a call may take to close its connection at the end.
const GOODBYE: Duration = Duration::from_millis(250);

/// How the gateway treats its clients.
#[derive(Clone, Debug)]
pub struct Options {
    /// What they may do.
    pub access: Access,
    /// The most connections at once; further ones wait in the listener's backlog.
    pub max_connections: usize,
    /// The most calls at once, subscriptions included; further ones are refused. A client that
    /// takes nothing makes its call hold a page: 128 KiB, or one event.
    pub max_calls: usize,
    /// The most bytes of requests that are held at once, over all clients.
    pub max_request_bytes: usize,
    /// How long calls may go on after the shutdown began.
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            access: Access::Read,
            max_connections: 2_048,
            max_calls: 4_096,
            max_request_bytes: 256 << 20,
            drain: Duration::from_secs(4),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Open,
    Draining,
    Closed,
}

/// Serves the store until `shutdown` is ready; then takes no more connections, ends subscriptions
/// with Unavailable, lets the other calls end, and returns, at the latest after `options.drain`.
///
/// # Errors
/// If the store is not the embedded one, which speaks through nobody else.
pub async fn serve(
    store: EventStore,
    listener: TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    if options.access.writes() {
        store.let_others_write();
    }
    let EventStore::Sqlite(store) = store else {
        let reason = "only an embedded event store is served";
        return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
    };
    let (stage, open) = watch::channel(Stage::Open);
    let gateway = Arc::new(Gateway {
        store,
        access: options.access,
        instance: Uuid::new_v4(),
        remembered: Remembered::default(),
        turns: Arc::new(Semaphore::new(store::AT_ONCE)),
        calls: Arc::new(Semaphore::new(options.max_calls)),
        budget: Budget::new(options.max_request_bytes),
        stage: open,
    });
    let permits = Arc::new(Semaphore::new(options.max_connections));
    // Each connection holds a receiver: once all are dropped, nobody holds anything any more.
    let connections = watch::Sender::new(());
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let Some((stream, permit)) = accepted else { continue };
        let (gateway, connection) = (gateway.clone(), connections.subscribe());
        tokio::spawn(async move {
            serve_connection(gateway, stream).await;
            drop((connection, permit));
        });
    }
    drop(listener);
    stage.send_replace(Stage::Draining);
    let ended = async {
        // All calls are over once nobody holds a place among them.
        let all = u32::try_from(options.max_calls).unwrap_or(u32::MAX);
        let _ = gateway.calls.acquire_many(all).await;
    };
    if timeout(options.drain, ended).await.is_err() {
        tracing::warn!("calls to the gateway did not end in time and are cut off");
    }
    // A client that takes no notice of the end is not waited for.
    let _ = timeout(GOODBYE, connections.closed()).await;
    stage.send_replace(Stage::Closed);
    connections.closed().await;
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            // A client that is gone already, or no file descriptor is left: others end meanwhile.
            tracing::debug!(%error, "the gateway cannot accept a connection");
            sleep(Duration::from_millis(10)).await;
            None
        }
    }
}

async fn serve_connection(gateway: Arc<Gateway>, stream: TcpStream) {
    // Answers are small and waited for.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else { return };
    let mut stage = gateway.stage.clone();
    tokio::select! {
        greeted = timeout(GREETING, greeting(&stream)) => match greeted {
            Ok(Ok(true)) => {}
            Ok(Ok(false) | Err(_)) | Err(_) => return,
        },
        () = gateway.ending() => return,
    }
    let service = service_fn(|request: Request<Incoming>| {
        let gateway = gateway.clone();
        async move { Ok::<_, Infallible>(route(gateway, local, request).await) }
    });
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(2_048)
            .max_header_list_size(16 << 10)
            .max_send_buf_size(128 << 10)
            .keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(10))
            .serve_connection(TokioIo::new(stream), service)
    );
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection to the gateway ended early");
                }
                return;
            }
            changed = stage.changed() => match changed.map(|()| *stage.borrow_and_update()) {
                Ok(Stage::Draining) => connection.as_mut().graceful_shutdown(),
                Ok(Stage::Open) => {}
                Ok(Stage::Closed) | Err(_) => return,
            }
        }
    }
}

/// Whether the client speaks HTTP/2.
async fn greeting(stream: &TcpStream) -> io::Result<bool> {
    let mut begin = [0; PREFACE.len()];
    loop {
        let there = stream.peek(&mut begin).await?;
        if there == 0 || begin[..there] != PREFACE[..there] {
            return Ok(false);
        }
        if there == PREFACE.len() {
            return Ok(true);
        }
        // What was looked at is still there to be read: looking again would not wait.
        sleep(Duration::from_millis(10)).await;
    }
}
