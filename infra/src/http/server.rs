use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::gauge;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};

use super::{
    answer::{Frame, frame},
    connection::Connection,
};

/// How the server treats its clients.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// The names that `Host` may have, without port; `None`: any.
    pub hosts: Option<Vec<String>>,
    /// The most connections at once; further ones wait in the listener's backlog.
    pub max_connections: usize,
    /// How long a client may take for the head of a request, and may stay without sending one.
    pub header_timeout: Duration,
    /// How long a client may take no byte of an answer.
    pub write_timeout: Duration,
    /// How long requests may go on after the shutdown began.
    pub drain: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            hosts: None,
            max_connections: 16_384,
            header_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}

impl HttpOptions {
    /// The names that a server on loopback answers to, `further` (`--host`) included.
    pub fn loopback_hosts(further: impl IntoIterator<Item = String>) -> Vec<String> {
        let own = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        own.into_iter().chain(further).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    Draining,
    Closed,
}

/// Tells a request whose answer would go on for ever that the server is about to end; it stands
/// among the request's extensions.
#[derive(Clone, Debug)]
pub struct Draining(watch::Receiver<Stage>);

impl Draining {
    /// Waits until the server takes no more requests.
    pub async fn begun(&mut self) {
        let _ = self.0.wait_for(|stage| *stage != Stage::Open).await;
    }
}

/// A listener with a backlog that outlasts a rush of new clients.
///
/// # Errors
/// If the address cannot be bound.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4_096)
}

/// Serves the router, framed, until `shutdown` is ready; then takes no more connections, lets the
/// requests under way end, and returns, at the latest after `options.drain`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: HttpOptions,
    shutdown: impl Future<Output = ()>,
) {
    let frame = frame(router, options.hosts.clone());
    let permits = Arc::new(Semaphore::new(options.max_connections));
    let (stage, _) = watch::channel(Stage::Open);
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let Some((stream, permit)) = accepted else { continue };
        let served = serve_connection(stage.subscribe(), stream, frame.clone(), options.clone());
        tokio::spawn(async move {
            served.await;
            drop(permit);
        });
    }
    drop(listener);
    stage.send_replace(Stage::Draining);
    if timeout(options.drain, stage.closed()).await.is_err() {
        tracing::warn!(
            connections = stage.receiver_count(),
            "requests did not end in time; their connections are closed"
        );
        stage.send_replace(Stage::Closed);
        stage.closed().await;
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) if is_the_clients(&error) => None,
        Err(error) => {
            // Most likely no file descriptor is left: others end meanwhile.
            tracing::error!(%error, "cannot accept a connection");
            sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// `stage` stands first, so that it is dropped last: who has seen it closed knows that the
/// connection holds nothing any more.
async fn serve_connection(
    mut stage: watch::Receiver<Stage>,
    stream: TcpStream,
    frame: Frame,
    options: HttpOptions,
) {
    let _ = stream.set_nodelay(true);
    let open = gauge!("http_connections");
    open.increment(1.0);
    let draining = Draining(stage.clone());
    let service = service_fn(|mut request: Request<Incoming>| {
        let frame = &frame;
        request.extensions_mut().insert(draining.clone());
        async move { Ok::<_, Infallible>(frame.answer(request.map(Body::new)).await) }
    });
    let io = TokioIo::new(Connection::new(stream, options.write_timeout));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(options.header_timeout)
            .max_header_size(64 << 10)
            .serve_connection(io, service)
    );
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                break;
            }
            changed = stage.changed() => match changed.map(|()| *stage.borrow_and_update()) {
                Ok(Stage::Draining) => connection.as_mut().graceful_shutdown(),
                Ok(Stage::Open) => {}
                Ok(Stage::Closed) | Err(_) => break,
            }
        }
    }
    open.decrement(1.0);
}
