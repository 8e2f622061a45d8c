//! From a path to the call.

use std::{future::pending, sync::Arc, time::Duration};

use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use tokio::time::Instant;
use tonic::{Status, body::Body, codec::ProstCodec, server::Grpc};
use tower::service_fn;

use crate::{Gateway, append, failure, features, gossip, messages, read};

/// The service that most calls belong to.
pub(crate) const STREAMS: &str = "event_store.client.streams.Streams";

pub(crate) async fn route(gateway: Arc<Gateway>, request: Request<Incoming>) -> Response<Body> {
    let until = deadline(request.headers());
    match request.uri().path() {
        "/event_store.client.streams.Streams/Read" => {
            let service = service_fn(move |request: tonic::Request<messages::read::ReadReq>| {
                let gateway = gateway.clone();
                async move {
                    let stop = stop(gateway.clone(), until);
                    read::read(gateway, request.into_inner(), stop).await.map(tonic::Response::new)
                }
            });
            Grpc::new(ProstCodec::default()).server_streaming(service, request).await
        }
        "/event_store.client.streams.Streams/Append" => {
            let service = service_fn(move |request: tonic::Request<tonic::Streaming<_>>| {
                let gateway = gateway.clone();
                async move {
                    let work = append::append(&gateway, request.into_inner());
                    by(until, work).await.map(tonic::Response::new)
                }
            });
            Grpc::new(ProstCodec::default()).client_streaming(service, request).await
        }
        "/event_store.client.server_features.ServerFeatures/GetSupportedMethods" => {
            let service = service_fn(async |_: tonic::Request<()>| {
                Ok(tonic::Response::new(features::supported()))
            });
            Grpc::new(ProstCodec::default()).unary(service, request).await
        }
        "/event_store.client.gossip.Gossip/Read" => {
            let service = service_fn(move |_: tonic::Request<()>| {
                let info = gossip::read(&gateway);
                async move { Ok(tonic::Response::new(info)) }
            });
            Grpc::new(ProstCodec::default()).unary(service, request).await
        }
        path => Status::unimplemented(format!("{path} is not implemented here")).into_http(),
    }
}

/// Ends a call that would go on: at its deadline or when the gateway ends.
async fn stop(gateway: Arc<Gateway>, until: Option<Instant>) -> Status {
    tokio::select! {
        () = gateway.ended() => failure::ending(),
        status = passed(until) => status,
    }
}

async fn passed(until: Option<Instant>) -> Status {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => pending().await,
    }
    Status::deadline_exceeded("Deadline Exceeded")
}

async fn by<T>(
    until: Option<Instant>,
    work: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    tokio::select! {
        status = passed(until) => Err(status),
        done = work => done,
    }
}

/// `grpc-timeout`: up to eight digits and a unit. What cannot be read sets no deadline.
fn deadline(headers: &HeaderMap) -> Option<Instant> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    let time = match unit {
        "H" => Duration::from_secs(amount * 3_600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    };
    Instant::now().checked_add(time)
}
