use event_schemas::Position;

use super::{EventStore, Filter, LogPage, MAX_PAGE, PageSize, ReadError};

/// A reader that follows the log. It holds no transaction and no connection between two pages.
#[derive(Debug)]
pub struct Subscription {
    store: EventStore,
    after: Position,
    filter: Filter,
}

impl Subscription {
    pub(super) fn new(store: EventStore, after: Position, filter: Filter) -> Self {
        Self { store, after, filter }
    }

    /// The next page: at once if something lies beyond the last one, else as soon as it does. A
    /// page without events says that all up to `scanned_to` was left out by the filter. May be
    /// dropped while it waits and called again: nothing is lost.
    ///
    /// # Errors
    /// [`ReadError`]; after [`ReadError::Unavailable`] it can be called again.
    pub async fn next(&mut self) -> Result<LogPage, ReadError> {
        let page = match &self.store {
            EventStore::Sqlite(store) => {
                store.page_beyond(self.after, &self.filter, PageSize::events(MAX_PAGE)).await?
            }
            EventStore::EventStoreDb(store) => store.page_beyond(self.after, &self.filter).await?,
        };
        self.after = page.scanned_to;
        Ok(page)
    }
}
