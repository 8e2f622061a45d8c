//! A server that answers as a test wants it to, right or wrong: HTTP/2 and gRPC by hand.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use uuid::Uuid;

/// What a call is answered with.
pub(crate) enum Reply {
    /// These messages, then this status: 0 is well.
    Messages(Vec<Bytes>, u16),
    /// A status and trailers, no message.
    Status(u16, Vec<(&'static str, String)>),
    /// The call is reset.
    Reset,
}

pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    calls: Arc<AtomicUsize>,
    authorized: Arc<Mutex<Vec<Option<String>>>>,
}

impl Fake {
    /// Answers each call (its method's name, the whole request) by the script.
    pub(crate) async fn start(
        script: impl Fn(&str, Bytes) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (calls, script) = (Arc::new(AtomicUsize::new(0)), Arc::new(script));
        let authorized: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
        let (counted, seen) = (calls.clone(), authorized.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let (script, counted) = (script.clone(), counted.clone());
                let seen = seen.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    let header = request.headers().get("authorization");
                    let header = header.map(|value| value.to_str().unwrap().to_owned());
                    seen.lock().unwrap().push(header);
                    answer(request, script.clone())
                });
                let served = http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(served);
            }
        });
        Self { address, calls, authorized }
    }

    /// The `authorization` of each call so far.
    pub(crate) fn authorized(&self) -> Vec<Option<String>> {
        self.authorized.lock().unwrap().clone()
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

async fn answer(
    request: Request<Incoming>,
    script: Arc<impl Fn(&str, Bytes) -> Reply>,
) -> Result<Response<Body>, &'static str> {
    let path = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let body = request.into_body().collect().await.map_err(|_| "cut")?.to_bytes();
    let (messages, trailers) = match script(&path, body) {
        Reply::Messages(messages, status) => (messages, trailers(status, vec![])),
        Reply::Status(status, further) => (vec![], trailers(status, further)),
        Reply::Reset => return Err("reset"),
    };
    let frames = messages
        .into_iter()
        .map(|message| {
            let mut framed = BytesMut::new();
            framed.put_u8(0);
            framed.put_u32(u32::try_from(message.len()).unwrap());
            framed.put(message);
            Frame::data(framed.freeze())
        })
        .chain([Frame::trailers(trailers)]);
    let body = StreamBody::new(futures::stream::iter(frames.map(Ok::<_, Infallible>)));
    let response = Response::builder().header("content-type", "application/grpc");
    Ok(response.body(body.boxed()).unwrap())
}

fn trailers(status: u16, further: Vec<(&'static str, String)>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(status));
    for (name, value) in further {
        trailers.insert(name, value.parse().unwrap());
    }
    trailers
}

/// A protobuf field that holds bytes: a text or another message.
pub(crate) fn field(number: u32, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [varint(u64::from(number << 3 | 2)), varint(value.len() as u64), value.to_vec()].concat()
}

/// A protobuf field that holds a number.
pub(crate) fn number(number: u32, value: u64) -> Vec<u8> {
    [varint(u64::from(number << 3)), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// A ReadResp with an event.
pub(crate) fn event(
    stream: &str,
    revision: u64,
    position: u64,
    id: Uuid,
    event_type: &str,
    data: &str,
) -> Bytes {
    let entry = |name: &str, value: &str| field(6, [field(1, name), field(2, value)].concat());
    let recorded = [
        field(1, field(2, id.to_string())),
        field(2, field(3, stream)),
        number(3, revision),
        number(4, position),
        number(5, position),
        entry("type", event_type),
        entry("content-type", "application/json"),
        field(7, "{}"),
        field(8, data),
    ];
    field(1, [field(1, recorded.concat()), number(3, position)].concat()).into()
}

/// The first event of the stream that says who the store is.
pub(crate) fn founded() -> Bytes {
    founded_as(&Uuid::from_u128(7).to_string())
}

/// The same of the store with this id.
pub(crate) fn founded_as(id: &str) -> Bytes {
    let data = format!("{{\"store_id\":\"{id}\"}}");
    event("daybook-store", 0, 10, Uuid::from_u128(8), "StoreFounded", &data)
}

/// An AppendResp: done, the last event at this revision and position.
pub(crate) fn appended(revision: u64, position: u64) -> Bytes {
    let place = [number(1, position), number(2, position)].concat();
    field(1, [number(1, revision), field(3, place)].concat()).into()
}

/// An AppendResp: the stream is at this revision.
pub(crate) fn conflict(current: u64, expected: u64) -> Bytes {
    field(2, [number(6, current), number(8, expected)].concat()).into()
}
