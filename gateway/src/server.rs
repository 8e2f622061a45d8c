//! Connections: HTTP/2 without TLS, and the limits that hold for each.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use infra::event_store::EventStore;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use uuid::Uuid;

use crate::{Access, Gateway, route::route};

/// How the gateway treats its clients.
#[derive(Clone, Debug)]
pub struct Options {
    /// What they may do.
    pub access: Access,
    /// The most connections at once; further ones wait in the listener's backlog.
    pub max_connections: usize,
    /// How long calls may go on after the shutdown began.
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { access: Access::Read, max_connections: 2_048, drain: Duration::from_secs(4) }
    }
}

/// Serves the store until `shutdown` is ready; then takes no more connections, ends subscriptions
/// with Unavailable, lets the other calls end, and returns, at the latest after `options.drain`.
///
/// # Errors
/// If the listener has no address.
pub async fn serve(
    store: EventStore,
    listener: TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let (end, ending) = watch::channel(false);
    let gateway = Arc::new(Gateway {
        store,
        access: options.access,
        address: listener.local_addr()?,
        instance: Uuid::new_v4(),
        ending,
    });
    let permits = Arc::new(Semaphore::new(options.max_connections));
    // Each connection holds a receiver; the last one gone says that all are.
    let open = watch::Sender::new(());
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let Some((stream, permit)) = accepted else { continue };
        let (gateway, open) = (gateway.clone(), open.subscribe());
        tokio::spawn(async move {
            serve_connection(gateway, stream).await;
            drop((open, permit));
        });
    }
    drop(listener);
    end.send_replace(true);
    if timeout(options.drain, open.closed()).await.is_err() {
        tracing::warn!(
            connections = open.receiver_count(),
            "calls to the gateway did not end in time; their connections are left to the end"
        );
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::debug!(%error, "the gateway cannot accept a connection");
            sleep(Duration::from_millis(10)).await;
            None
        }
    }
}

async fn serve_connection(gateway: Arc<Gateway>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: Request<Incoming>| {
        let gateway = gateway.clone();
        async move { Ok::<_, Infallible>(route(gateway, request).await) }
    });
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(1_024)
            .max_header_list_size(16 << 10)
            .keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(10))
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = gateway.ended() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the gateway ended early");
    }
}
