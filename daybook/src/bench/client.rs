//! A plain HTTP/1.1 client: one connection, kept alive, one request at a time.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::failure::Failure;

/// A request is given up after this time; its outcome is then unknown.
const PATIENCE: Duration = Duration::from_secs(40);

/// The server under load.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    address: SocketAddr,
    authority: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// No connection could be made; nothing was asked.
    Connect,
    /// The connection broke; whether the request was carried out is unknown.
    Broken,
    /// No answer in [`PATIENCE`].
    Timeout,
}

/// An answer that does not end, line by line.
pub(crate) type Lines = tokio::io::Lines<BufReader<TcpStream>>;

/// One connection; made anew by itself when the server has closed it.
pub(crate) struct Connection {
    target: Target,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Target {
    /// Of `http://HOST:PORT`.
    pub(crate) async fn parse(url: &str) -> Result<Self, Failure> {
        let problem = |why: &str| Failure::usage(format!("the URL {url:?}: {why}"));
        let uri: Uri = url.parse().map_err(|_| problem("this is no URL"))?;
        if uri.scheme_str() != Some("http") || !matches!(uri.path(), "" | "/") {
            return Err(problem("it has to look like http://127.0.0.1:8080"));
        }
        let authority = uri.authority().ok_or_else(|| problem("it names no host"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let address = tokio::net::lookup_host((host, authority.port_u16().unwrap_or(80)))
            .await
            .map_err(|error| Failure::failed(format!("{host} cannot be found: {error}")))?
            .next()
            .ok_or_else(|| Failure::failed(format!("{host} has no address")))?;
        Ok(Self { address, authority: authority.as_str().to_owned() })
    }

    /// The server at this address.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { address, authority: address.to_string() }
    }

    /// Listens to server-sent events, from when the server has said that it sends them.
    pub(crate) async fn listen(&self, path: &str) -> Result<Lines, Lost> {
        let mut stream = TcpStream::connect(self.address).await.map_err(|_| Lost::Connect)?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.authority);
        stream.write_all(request.as_bytes()).await.map_err(|_| Lost::Broken)?;
        let mut lines = BufReader::new(stream).lines();
        let begun = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.starts_with("retry: ") {
                    return Ok(());
                }
            }
            Err(Lost::Broken)
        };
        tokio::time::timeout(PATIENCE, begun).await.unwrap_or(Err(Lost::Timeout))?;
        Ok(lines)
    }

    /// A request without a body.
    pub(crate) fn get(&self, path: &str) -> Request<Full<Bytes>> {
        self.request(Method::GET, path, None, Bytes::new())
    }

    /// A command: `key` is its idempotency key.
    pub(crate) fn post(
        &self,
        path: &str,
        key: &str,
        body: impl Into<Bytes>,
    ) -> Request<Full<Bytes>> {
        self.request(Method::POST, path, Some(key), body.into())
    }

    #[expect(clippy::expect_used, reason = "callers pass paths and keys of visible ASCII only")]
    fn request(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Bytes,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.authority.as_str());
        if let Some(key) = key {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .header("idempotency-key", key);
        }
        request.body(Full::new(body)).expect("path and key are legal in a request")
    }
}

impl Connection {
    /// Connects at once.
    pub(crate) async fn open(target: &Target) -> Result<Self, Lost> {
        let mut connection = Self { target: target.clone(), sender: None };
        connection.connect().await?;
        Ok(connection)
    }

    /// Sends one request and reads the whole answer.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Lost> {
        let answer = tokio::time::timeout(PATIENCE, self.exchange(request)).await;
        let answer = answer.unwrap_or(Err(Lost::Timeout));
        if answer.is_err() {
            self.sender = None;
        }
        answer
    }

    async fn connect(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, Lost> {
        let stream = TcpStream::connect(self.target.address).await.map_err(|_| Lost::Connect)?;
        stream.set_nodelay(true).map_err(|_| Lost::Connect)?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(|_| Lost::Connect)?;
        // The driver ends with the connection; what it would say, the next request finds out.
        tokio::spawn(async move { driver.await.ok() });
        Ok(self.sender.insert(sender))
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Lost> {
        // A connection that the server closed while it was idle carries no request.
        let usable = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            self.connect().await?;
        }
        let sender = self.sender.as_mut().ok_or(Lost::Connect)?;
        let response = sender.send_request(request).await.map_err(|_| Lost::Broken)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|_| Lost::Broken)?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

impl Answer {
    /// The body as JSON; `Null` if it is none.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The `Daybook-Position` that came with it.
    pub(crate) fn position(&self) -> Option<&str> {
        self.headers.get("daybook-position")?.to_str().ok()
    }

    /// What kind of answer it is, for counting: the status and, of a problem, its name.
    pub(crate) fn kind(&self) -> String {
        if self.status.is_success() {
            return self.status.as_str().to_owned();
        }
        let problem = self.json();
        let name = problem["type"].as_str().and_then(|name| name.rsplit('/').next());
        format!("{} {}", self.status.as_str(), name.unwrap_or("(no problem document)"))
    }
}

impl Lost {
    /// For counting.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Connect => "no connection",
            Self::Broken => "connection broken",
            Self::Timeout => "no answer in 40 s",
        }
    }
}
