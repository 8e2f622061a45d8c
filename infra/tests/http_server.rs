//! The server against clients that behave badly, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    routing::{get, post},
};
use http::Request;
use infra::http::{HttpOptions, Problem, listen, read_body, serve};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Notify, oneshot},
    task::JoinHandle,
};

const LARGE: usize = 64 << 20;

struct Server {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
    /// Told when a request has come to `/waits`; lets it go on.
    arrived: Arc<Notify>,
    go_on: Arc<Notify>,
}

impl Server {
    fn start(options: HttpOptions) -> Self {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let state = (Arc::clone(&arrived), Arc::clone(&go_on));
        let router = Router::new()
            .route("/", get(async || "hello"))
            .route("/large", get(async || vec![b'x'; LARGE]))
            .route("/echo", post(echo))
            .route("/waits", get(waits))
            .with_state(state);
        let ended = tokio::spawn(serve(listener, router, options, async {
            let _ = stopped.await;
        }));
        Self { address, stop, ended, arrived, go_on }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap();
    }
}

async fn echo(request: Request<Body>) -> Result<Vec<u8>, Problem> {
    Ok(read_body(request, 1 << 20, &["text/plain"]).await?.to_vec())
}

async fn waits(State((arrived, go_on)): State<(Arc<Notify>, Arc<Notify>)>) -> &'static str {
    arrived.notify_one();
    go_on.notified().await;
    "done"
}

async fn all(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

fn get_request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}

fn impatient() -> HttpOptions {
    let moment = Duration::from_millis(50);
    HttpOptions { header_timeout: moment, write_timeout: moment, ..HttpOptions::default() }
}

#[tokio::test]
async fn a_body_cut_in_the_middle_harms_nobody() {
    let server = Server::start(HttpOptions::default());
    let mut cut = server
        .send("POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\nhalf")
        .await;
    cut.shutdown().await.unwrap();
    let answer = all(cut).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(all(server.send(&get_request("/")).await).await.ends_with("hello"));
    server.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_answered_while_it_is_still_coming() {
    let server = Server::start(HttpOptions::default());
    let mut stream = server
        .send("POST /echo HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 1048577\r\n\r\n")
        .await;
    stream.write_all(&vec![b'x'; 1_048_577]).await.unwrap();
    let answer = all(stream).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("payload-too-large"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_loses_its_connection() {
    let server = Server::start(impatient());
    let stream = server.send(&get_request("/large")).await;
    let address = server.address;
    // The server gives up by itself: it ends although nobody reads.
    server.stop().await;
    let answer = all(stream).await;
    assert!(answer.len() < LARGE, "{address}");
}

#[tokio::test]
async fn a_head_that_never_ends_is_not_waited_for() {
    let server = Server::start(impatient());
    let silent = server.connect().await;
    let slow = server.send("GET / HTTP/1.1\r\nhost: local").await;
    assert!(!all(silent).await.contains("200"));
    assert!(!all(slow).await.contains("200"));
    server.stop().await;
}

#[tokio::test]
async fn garbage_is_a_bad_request() {
    let server = Server::start(HttpOptions::default());
    let answer = all(server.send("\x16\x03\x01 what\r\n\r\n").await).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_request_under_way_ends_before_the_server_does() {
    let server = Server::start(HttpOptions::default());
    let under_way = server.send(&get_request("/waits")).await;
    let idle = server.connect().await;
    server.arrived.notified().await;
    server.stop.send(()).unwrap();
    assert_eq!(all(idle).await, "");
    assert!(!server.ended.is_finished());
    server.go_on.notify_one();
    assert!(all(under_way).await.ends_with("done"));
    server.ended.await.unwrap();
}

#[tokio::test]
async fn the_drain_has_a_deadline() {
    let drain = Duration::from_millis(20);
    let server = Server::start(HttpOptions { drain, ..HttpOptions::default() });
    let under_way = server.send(&get_request("/waits")).await;
    server.arrived.notified().await;
    server.stop().await;
    assert_eq!(all(under_way).await, "");
}

#[tokio::test]
async fn connections_are_bounded() {
    let server = Server::start(HttpOptions { max_connections: 1, ..HttpOptions::default() });
    let first = server.send(&get_request("/waits")).await;
    server.arrived.notified().await;
    let second = server.send(&get_request("/")).await;
    server.go_on.notify_one();
    assert!(all(first).await.ends_with("done"));
    assert!(all(second).await.ends_with("hello"));
    server.stop().await;
}
