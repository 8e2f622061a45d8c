use event_schemas::{Position, StoreId};
use infra::read_models::{Checkpoint, ReadModelError, ReadModels, Schema, Writer};

use crate::{Batch, Projection, Sink, SinkError};

/// A projection into tables.
#[derive(Debug)]
pub struct SqlSink<P> {
    models: ReadModels,
    store: StoreId,
    /// Whether a new generation is built beside the one that is read.
    anew: bool,
    writer: Option<Writer>,
    projection: P,
}

impl<P: Projection> SqlSink<P> {
    /// Posts into the read model as it is; nothing is opened yet.
    pub fn live(models: ReadModels, store: StoreId) -> Self {
        Self { models, store, anew: false, writer: None, projection: P::default() }
    }

    /// Posts into a new generation that takes the read model's place when it is installed.
    pub fn anew(models: ReadModels, store: StoreId) -> Self {
        Self { anew: true, ..Self::live(models, store) }
    }

    fn writer(&mut self) -> Result<&mut Writer, SinkError> {
        self.writer.as_mut().ok_or_else(|| SinkError::Unavailable("not opened yet".to_owned()))
    }

    async fn load_wanted(&mut self) -> Result<(), SinkError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        for rows in self.projection.tables() {
            let wanted = rows.take_wanted();
            if !wanted.is_empty() {
                rows.loaded(writer.load(rows.table(), &wanted).await?)?;
            }
        }
        Ok(())
    }

    async fn post(&mut self, batch: &Batch<'_>) -> Result<(), SinkError> {
        for &entry in &batch.events {
            self.projection.touch(entry);
        }
        self.load_wanted().await?;
        for &entry in &batch.events {
            self.projection.fold(entry).map_err(|error| entry.poison(&error))?;
        }
        let changes: Vec<_> =
            self.projection.tables().into_iter().map(|rows| rows.changes()).collect();
        self.writer()?.commit(&batch.from, &batch.to, &changes).await?;
        for rows in self.projection.tables() {
            rows.committed();
        }
        Ok(())
    }

    fn forget(&mut self, empty: bool) {
        for rows in self.projection.tables() {
            rows.forget(empty);
        }
    }
}

/// Opens the read model as it is. What other code has posted is looked at, too.
async fn open(
    models: &ReadModels,
    schema: &'static Schema,
    store: StoreId,
) -> Result<Writer, SinkError> {
    let error = match models.open(schema, store).await {
        Ok(writer) => return Ok(writer),
        Err(error) => error,
    };
    if let ReadModelError::OtherVersion(_) = error
        && let Ok(shown) = models.reader(schema).snapshot().await
    {
        let shown = (shown.checkpoint().position, Some(shown.generation()));
        return Err(SinkError::Outdated { reason: error.to_string(), shown });
    }
    Err(error.into())
}

impl<P: Projection> Sink for SqlSink<P> {
    fn name(&self) -> &'static str {
        P::SCHEMA.name
    }

    fn categories(&self) -> &'static [&'static str] {
        P::CATEGORIES
    }

    async fn checkpoint(&mut self) -> Result<Checkpoint, SinkError> {
        if self.writer.is_none() {
            self.writer = Some(if self.anew {
                match self.models.unfinished(P::SCHEMA, self.store).await? {
                    Some(unfinished) => unfinished,
                    None => self.models.build(P::SCHEMA, self.store).await?,
                }
            } else {
                open(&self.models, P::SCHEMA, self.store).await?
            });
        }
        let checkpoint = self.writer()?.checkpoint().await?;
        // Rows and checkpoint commit together: at the start there are no rows.
        self.forget(checkpoint.position == Position::START);
        Ok(checkpoint)
    }

    async fn apply(&mut self, batch: &Batch<'_>) -> Result<(), SinkError> {
        let posted = self.post(batch).await;
        if posted.is_err() {
            self.forget(false);
        }
        posted
    }

    async fn rest(&mut self) -> Result<(), SinkError> {
        Ok(self.writer()?.index().await?)
    }

    fn anew(&self) -> Self {
        Self::anew(self.models.clone(), self.store)
    }

    async fn afresh(&mut self) -> Result<Checkpoint, SinkError> {
        self.writer = None;
        self.writer = Some(self.models.build(P::SCHEMA, self.store).await?);
        self.checkpoint().await
    }

    async fn prepare(&mut self) -> Result<(), SinkError> {
        let writer = self.writer()?;
        writer.index().await?;
        Ok(writer.sync()?)
    }

    async fn install(&mut self) -> Result<(), SinkError> {
        Ok(self.writer()?.install().await?)
    }

    async fn replace(&mut self) -> Result<(), SinkError> {
        Ok(self.writer()?.replace().await?)
    }

    fn generation(&self) -> Option<u64> {
        self.writer.as_ref().map(Writer::generation)
    }
}
