//! A bound on the bytes of requests that are held, over all clients.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use crate::failure::Failure;

/// Bytes that may be held.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Semaphore>);

/// Bytes that are held, until this is dropped.
pub(crate) type Held = Option<OwnedSemaphorePermit>;

/// What a call holds of the body that it has received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account(Arc<Mutex<Held>>);

/// A request's body whose bytes count as held once they are received.
#[derive(Debug)]
pub(crate) struct Metered {
    body: Incoming,
    budget: Budget,
    account: Account,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    pub(crate) fn meter(&self, body: Incoming) -> (Metered, Account) {
        let account = Account::default();
        (Metered { body, budget: self.clone(), account: account.clone() }, account)
    }

    fn hold(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Failure> {
        let exhausted = Failure::Exhausted("too many bytes of requests are held already");
        let bytes = u32::try_from(bytes).map_err(|_| exhausted.clone())?;
        self.0.clone().try_acquire_many_owned(bytes).map_err(|_| exhausted)
    }
}

impl Account {
    /// What was received since the last time: it is held by whoever takes it.
    pub(crate) fn take(&self) -> Held {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn add(&self, more: OwnedSemaphorePermit) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        join(&mut held, Some(more));
    }
}

/// Holds both from now on.
pub(crate) fn join(held: &mut Held, more: Held) {
    match (held.as_mut(), more) {
        (Some(held), Some(more)) => held.merge(more),
        (None, more) => *held = more,
        (Some(_), None) => {}
    }
}

impl Body for Metered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(|error| Status::from_error(error.into()))?;
        if let Some(data) = frame.data_ref() {
            let held = self.budget.hold(data.len())?;
            self.account.add(held);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
