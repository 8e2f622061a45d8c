//! Answers that come in pages: while a client takes no more, the next page is not read.

use std::pin::Pin;

use futures::{Stream, TryStreamExt, stream};
use tonic::Status;

/// The answers of one call.
pub(crate) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Goes on from page to page until there is none, an error comes, or `stop` is ready.
pub(crate) fn answers<S, T, N, F, E>(state: S, stop: E, next: N) -> Answers<T>
where
    S: Send + 'static,
    T: Send + 'static,
    N: Fn(S) -> F + Send + 'static,
    F: Future<Output = Result<Option<(Vec<T>, S)>, Status>> + Send,
    E: Future<Output = Status> + Send + 'static,
{
    let begin = (state, Box::pin(stop), next);
    let pages = stream::try_unfold(begin, |(state, mut stop, next)| async move {
        let page = tokio::select! {
            biased;
            status = &mut stop => Err(status),
            page = next(state) => page,
        };
        Ok::<_, Status>(page?.map(|(page, state)| (page, (state, stop, next))))
    });
    Box::pin(pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten())
}
