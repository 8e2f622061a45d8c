//! A client that sends what it is told, well-formed or not.

use std::{convert::Infallible, net::SocketAddr};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;
use tonic::Code;

/// One connection.
#[derive(Clone)]
pub(crate) struct Raw(http2::SendRequest<Said>);

/// What is said in a request, piece by piece.
pub(crate) struct Said(std::pin::Pin<Box<dyn Stream<Item = Bytes> + Send>>);

impl Body for Said {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_next_unpin(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) trailers: HeaderMap,
}

impl Ended {
    pub(crate) fn trailer(&self, name: &str) -> &str {
        self.trailers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The answers of one call.
pub(crate) struct Answers {
    body: Incoming,
    head: HeaderMap,
    trailers: Option<HeaderMap>,
    buffer: BytesMut,
}

/// A message with gRPC's prefix.
pub(crate) fn framed(message: &impl Message) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut frame).unwrap();
    frame.freeze()
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// Sends a request with these headers and bytes as they come.
    pub(crate) async fn send(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        said: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Response<Incoming> {
        let mut request = Request::post(format!("http://gateway{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Said(Box::pin(said))).unwrap();
        let mut sender = self.0.clone();
        sender.ready().await.unwrap();
        sender.send_request(request).await.unwrap()
    }

    /// A call of `Streams` with these messages, all at once.
    pub(crate) async fn streams(&self, method: &str, messages: &[impl Message]) -> Answers {
        let pieces: Vec<_> = messages.iter().map(framed).collect();
        self.call(method, &[], stream::iter(pieces)).await
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        further: &[(&str, &str)],
        said: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Answers {
        let path = match method.starts_with('/') {
            true => method.to_owned(),
            false => format!("/event_store.client.streams.Streams/{method}"),
        };
        let headers = [&[("content-type", "application/grpc"), ("te", "trailers")], further];
        let response = self.send(&path, &headers.concat(), said).await;
        assert_eq!(response.status(), 200);
        let (head, body) = response.into_parts();
        Answers { body, head: head.headers, trailers: None, buffer: BytesMut::new() }
    }

    /// A call with one message that is answered by one.
    pub(crate) async fn unary<A: Message + Default>(
        &self,
        method: &str,
        message: &impl Message,
    ) -> Result<A, Ended> {
        let answers = self.call(method, &[], stream::iter([framed(message)])).await;
        answers.only().await
    }
}

impl Answers {
    /// The next answer; `None` once the call has ended.
    pub(crate) async fn next<A: Message + Default>(&mut self) -> Option<A> {
        loop {
            if self.buffer.len() >= 5 {
                let length = (&self.buffer[1..5]).get_u32() as usize;
                if self.buffer.len() >= 5 + length {
                    self.buffer.advance(5);
                    return Some(A::decode(self.buffer.split_to(length)).unwrap());
                }
            }
            let frame = http_body_util::BodyExt::frame(&mut self.body).await?;
            match frame.unwrap().into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(frame) => {
                    self.trailers = frame.into_trailers().ok();
                    return None;
                }
            }
        }
    }

    /// The answers up to the end.
    pub(crate) async fn all<A: Message + Default>(&mut self) -> Vec<A> {
        let mut all = Vec::new();
        while let Some(answer) = self.next().await {
            all.push(answer);
        }
        all
    }

    /// How the call ended; what was not read is passed over.
    pub(crate) async fn end(mut self) -> Ended {
        while self.trailers.is_none() {
            let Some(frame) = http_body_util::BodyExt::frame(&mut self.body).await else { break };
            self.trailers = frame.unwrap().into_trailers().ok();
        }
        // Without answers the status stands in the head.
        let trailers = self.trailers.unwrap_or(self.head);
        let text = |name| trailers.get(name).map_or("", |value| value.to_str().unwrap());
        let message = percent_decoded(text("grpc-message"));
        Ended { code: Code::from_bytes(text("grpc-status").as_bytes()), message, trailers }
    }

    pub(crate) async fn only<A: Message + Default>(mut self) -> Result<A, Ended> {
        let answer = self.next().await;
        let ended = self.end().await;
        match answer {
            Some(answer) if ended.code == Code::Ok => Ok(answer),
            _ => Err(ended),
        }
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        match (first, behind) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}
