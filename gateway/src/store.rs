//! Pages from the store, a few at a time: however many clients read much, whoever reads a little,
//! Daybook's own commands first of all, does not queue behind them.

use std::sync::Arc;

use event_schemas::{Position, Revision, StreamName};
use infra::event_store::{Direction, Filter, LogPage, PageSize, ReadError, Slice};

use crate::{Gateway, failure::Failure};

/// Large pages that are read at once; the store has more connections than these.
pub(crate) const AT_ONCE: usize = 2;
/// Up to so many events a page is read at once, as the store itself does.
const SMALL: usize = 64;

impl Gateway {
    /// A page of the log beyond `from`.
    pub(crate) async fn log_page(
        &self,
        from: Position,
        direction: Direction,
        filter: &Filter,
        most: PageSize,
    ) -> Result<LogPage, Failure> {
        let (store, filter) = (self.store.clone(), filter.clone());
        let read = async move { store.log_page(from, direction, &filter, most).await };
        self.in_turn(most, read).await
    }

    /// A page of a stream from `from` on.
    pub(crate) async fn stream_page(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        most: PageSize,
    ) -> Result<Slice, Failure> {
        let (store, stream) = (self.store.clone(), stream.clone());
        let read = async move { store.stream_page(&stream, from, direction, most).await };
        self.in_turn(most, read).await
    }

    /// Waits until something lies beyond `after`: what is new is in memory, the rest is read.
    pub(crate) async fn page_beyond(
        &self,
        after: Position,
        filter: &Filter,
        most: PageSize,
    ) -> Result<LogPage, Failure> {
        match self.store.recent_beyond(after, filter, most).await? {
            Some(page) => Ok(page),
            None => self.log_page(after, Direction::Forwards, filter, most).await,
        }
    }

    /// In a task of its own, so that it goes on and lets the next one in even if nobody asks for
    /// it: a call is only asked for more while its client takes it.
    async fn in_turn<T: Send + 'static>(
        &self,
        most: PageSize,
        read: impl Future<Output = Result<T, ReadError>> + Send + 'static,
    ) -> Result<T, Failure> {
        if most.events <= SMALL {
            return Ok(read.await?);
        }
        let turns = Arc::clone(&self.turns);
        let read = tokio::spawn(async move {
            // Nobody closes it.
            let _turn = turns.acquire_owned().await;
            read.await
        });
        match read.await {
            Ok(page) => Ok(page?),
            Err(error) => Err(Failure::Unavailable(error.to_string())),
        }
    }
}
