//! Whether what is posted belongs to this log: a store that was restored from a copy does not hold
//! what was posted after it. Whoever posts finds that out; a process that only reads looks itself.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use infra::{
    event_store::{EventStore, ReadError},
    read_models::Checkpoint,
};
use projections::divergence;
use tokio::time::Instant;

/// How long a look is good for.
const GOOD: Duration = Duration::from_secs(1);

/// What is known of one read model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Belongs(Arc<Mutex<Option<Look>>>);

/// A look after which it belonged.
#[derive(Clone, Copy, Debug)]
struct Look {
    begun: Instant,
}

impl Belongs {
    /// Why it does not, if it does not. What belonged a moment ago is answered at once, and looked at
    /// beside it: the store may be away, and queries go on meanwhile.
    ///
    /// # Errors
    /// If the store cannot be read, and it was not yet seen to belong.
    pub(crate) async fn otherwise(
        &self,
        store: &EventStore,
        checkpoint: &Checkpoint,
    ) -> Result<Option<String>, ReadError> {
        let begun = Instant::now();
        let look = *self.look();
        match look {
            Some(look) if checkpoint.store == store.id() => {
                if look.begun + GOOD < begun {
                    // One at a time.
                    *self.look() = Some(Look { begun });
                    let this = self.clone();
                    let (store, checkpoint) = (store.clone(), checkpoint.clone());
                    // A store that cannot be read now is looked at again in a moment.
                    tokio::spawn(async move { this.check(&store, &checkpoint, begun).await });
                }
                Ok(None)
            }
            _ => self.check(store, checkpoint, begun).await,
        }
    }

    async fn check(
        &self,
        store: &EventStore,
        checkpoint: &Checkpoint,
        begun: Instant,
    ) -> Result<Option<String>, ReadError> {
        let found = divergence(store, checkpoint, store.head().await?).await?;
        *self.look() = found.is_none().then_some(Look { begun });
        Ok(found)
    }

    fn look(&self) -> MutexGuard<'_, Option<Look>> {
        // Nothing panics while it holds this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use event_schemas::{ExpectedRevision, NewEvent, StreamName};
    use infra::event_store::SqliteOptions;
    use uuid::Uuid;

    use super::*;

    async fn open(path: &std::path::Path) -> EventStore {
        EventStore::open_sqlite(SqliteOptions::new(path)).await.unwrap()
    }

    /// Appends an event; the checkpoint of whoever has posted it.
    async fn posted(store: &EventStore) -> Checkpoint {
        let id = Uuid::new_v4();
        let event = NewEvent::raw(id, "Happened".into(), b"{}"[..].into(), b"{}"[..].into());
        let stream = StreamName::new("order", &id.to_string());
        store.append(stream, ExpectedRevision::NoStream, vec![event]).await.unwrap();
        let position = store.head().await.unwrap();
        Checkpoint { store: store.id(), position, last: Some((position, id)), skipped: Vec::new() }
    }

    #[tokio::test]
    async fn what_was_posted_from_a_lost_history_does_not_belong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.sqlite");
        let store = open(&path).await;
        let yesterday = posted(&store).await;
        store.close().await.unwrap();
        let copy = std::fs::read(&path).unwrap();
        let store = open(&path).await;
        let today = posted(&store).await;
        let belongs = Belongs::default();
        assert_eq!(belongs.otherwise(&store, &today).await.unwrap(), None);
        store.close().await.unwrap();

        std::fs::write(&path, copy).unwrap();
        let store = open(&path).await;
        let anew = Belongs::default();
        assert_eq!(anew.otherwise(&store, &yesterday).await.unwrap(), None);
        let anew = Belongs::default();
        let reason = anew.otherwise(&store, &today).await.unwrap().unwrap();
        assert!(reason.contains("the log ends at"), "{reason}");
        // The log goes on, past where it was.
        let after = posted(&store).await;
        let reason = anew.otherwise(&store, &today).await.unwrap().unwrap();
        assert!(reason.contains("no longer at position"), "{reason}");
        // Who has looked before looks again, beside the answer.
        while belongs.otherwise(&store, &today).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // What was mended belongs at once.
        assert_eq!(belongs.otherwise(&store, &after).await.unwrap(), None);
        store.close().await.unwrap();
    }
}
