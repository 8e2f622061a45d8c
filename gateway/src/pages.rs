//! Answers that come in pages: while a client takes no more, the next page is not read.

use std::pin::Pin;

use futures::{Stream, TryStreamExt, stream};
use tonic::Status;

use crate::{
    deadline::Call,
    event::{Ids, Told},
    failure::Failure,
    messages::read::ReadResp,
};

/// The answers of one call.
pub(crate) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The next page and what comes after it; `None` at the end.
pub(crate) type Next<S> = Result<Option<(Vec<Told>, S)>, Failure>;

/// Goes on from page to page until there is none, an error comes, or the call has to end.
pub(crate) fn answers<S, F>(
    call: Call,
    ids: Ids,
    state: S,
    next: impl Fn(S) -> F + Clone + Send + 'static,
) -> Answers<ReadResp>
where
    S: Send + 'static,
    F: Future<Output = Next<S>> + Send,
{
    let pages = stream::try_unfold((state, call), move |(state, mut call)| {
        let next = next.clone();
        async move {
            let page = tokio::select! {
                biased;
                failure = call.ended() => Err(failure),
                page = next(state) => page,
            };
            Ok::<_, Failure>(page?.map(|(page, state)| (page, (state, call))))
        }
    });
    let told = pages.map_ok(|page| stream::iter(page.into_iter().map(Ok::<_, Failure>)));
    Box::pin(told.try_flatten().map_ok(move |told| ids.answer(told)).map_err(Status::from))
}
