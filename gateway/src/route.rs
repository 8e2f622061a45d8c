//! From a path to the call.

use std::{net::SocketAddr, sync::Arc};

use http::{HeaderMap, Request, Response, StatusCode, header::CONTENT_TYPE};
use hyper::body::Incoming;
use prost::Message;
use tokio::time::Instant;
use tonic::{Status, Streaming, body::Body, server::Grpc};
use tower::service_fn;

use crate::{
    Gateway, append,
    batch_append::batch_append,
    budget::Metered,
    codec::Wire,
    deadline::{self, Call, by},
    delete,
    failure::Failure,
    features, gossip, read,
    server::Stage,
};

/// The most bytes of a message with events; one that is larger is larger than an append may be.
const EVENTS: usize = 8 << 20;
/// The most bytes of any other message.
const MESSAGE: usize = 256 << 10;

/// Answers a request that came to the address `local`.
pub(crate) async fn route(
    gateway: Arc<Gateway>,
    local: SocketAddr,
    request: Request<Incoming>,
) -> Response<Body> {
    if !is_grpc(request.headers()) {
        let mut refused = Response::new(Body::empty());
        *refused.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return refused;
    }
    if *gateway.stage.borrow() != Stage::Open {
        return Status::from(Failure::NotReady).into_http();
    }
    let Ok(permit) = gateway.calls.clone().try_acquire_owned() else {
        return Status::from(Failure::Exhausted("too many calls are under way")).into_http();
    };
    let until = deadline::asked(request.headers());
    let path = request.uri().path().to_owned();
    let (head, body) = request.into_parts();
    let (body, account) = gateway.budget.meter(body);
    let request = Request::from_parts(head, body);
    let call = Call::new(gateway.clone(), until, permit);
    match path.as_str() {
        "/event_store.client.streams.Streams/Read" => {
            let mut call = Some(call);
            let service = service_fn(|asked: tonic::Request<_>| {
                let (gateway, call) = (gateway.clone(), call.take());
                async move {
                    let call = call.ok_or(Failure::NotReady)?;
                    answer(read::read(gateway, asked.into_inner(), call).await)
                }
            });
            grpc(MESSAGE).server_streaming(service, request).await
        }
        "/event_store.client.streams.Streams/BatchAppend" => {
            let mut call = Some(call);
            let service = service_fn(|asked: tonic::Request<Streaming<_>>| {
                let (gateway, call) = (gateway.clone(), call.take());
                let account = account.clone();
                async move {
                    let call = call.ok_or(Failure::NotReady)?;
                    answer(Ok(batch_append(gateway, asked.into_inner(), account, call)))
                }
            });
            grpc(EVENTS).streaming(service, request).await
        }
        "/event_store.client.streams.Streams/Append" => {
            let service = service_fn(|asked: tonic::Request<Streaming<_>>| {
                let work = by(until, append::append(&gateway, asked.into_inner()));
                async move { answer(work.await) }
            });
            grpc(EVENTS).client_streaming(service, request).await
        }
        "/event_store.client.streams.Streams/Delete" => {
            unary(until, request, |asked| delete::delete(&gateway, asked)).await
        }
        "/event_store.client.streams.Streams/Tombstone" => {
            unary(until, request, |asked| delete::tombstone(&gateway, asked)).await
        }
        "/event_store.client.server_features.ServerFeatures/GetSupportedMethods" => {
            unary(until, request, async |()| Ok(features::supported())).await
        }
        "/event_store.client.gossip.Gossip/Read" => {
            unary(until, request, async |()| Ok(gossip::read(&gateway, local))).await
        }
        path => Status::unimplemented(format!("{path} is not implemented here")).into_http(),
    }
}

/// One question, one answer, by a deadline.
async fn unary<Q, A, F>(
    until: Option<Instant>,
    request: Request<Metered>,
    handle: impl Fn(Q) -> F,
) -> Response<Body>
where
    Q: Message + Default + Send + 'static,
    A: Message + Send + 'static,
    F: Future<Output = Result<A, Failure>>,
{
    let service = service_fn(|asked: tonic::Request<Q>| {
        let work = by(until, handle(asked.into_inner()));
        async move { answer(work.await) }
    });
    grpc(MESSAGE).unary(service, request).await
}

fn grpc<A, Q>(most: usize) -> Grpc<Wire<A, Q>>
where
    Q: Message + Default + Send + 'static,
    A: Message + Send + 'static,
{
    Grpc::new(Wire::new()).max_decoding_message_size(most)
}

#[expect(clippy::result_large_err, reason = "tonic asks for a status as it is")]
fn answer<A>(answered: Result<A, Failure>) -> Result<tonic::Response<A>, Status> {
    answered.map(tonic::Response::new).map_err(Status::from)
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let named = headers.get(CONTENT_TYPE);
    named.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}
