use std::{sync::Arc, thread::JoinHandle};

use event_schemas::Position;
use infra::{
    event_store::{Direction, EventStore, Filter, MAX_PAGE, ReadError},
    read_models::{Checkpoint, ReadModels},
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use crate::{
    Projection, Sink, SinkError, SqlSink,
    orders::Orders,
    products::Products,
    projector::{Taken, batch},
    sales::Sales,
    stock::Stock,
    users::Users,
};

/// Pages read ahead of the slowest sink.
const AHEAD: usize = 12;
/// Pages in a batch.
const PAGES: usize = 8;

/// Posts projections anew from the start of the log, all from one reading of it: each event is
/// read and decoded once, and each sink folds on a thread of its own.
#[derive(Debug)]
pub struct Rebuild {
    store: EventStore,
    sinks: Vec<Task>,
}

#[derive(Debug)]
struct Task {
    name: &'static str,
    pages: mpsc::Sender<Arc<Taken>>,
    done: oneshot::Receiver<Result<Checkpoint, SinkError>>,
    thread: JoinHandle<()>,
}

/// How far a rebuild is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The place read up to.
    pub position: Position,
    /// Where the log ended when it began.
    pub head: Position,
    /// Events read.
    pub events: u64,
}

/// What became of one projection.
#[derive(Debug)]
pub struct Rebuilt {
    /// Its name.
    pub name: &'static str,
    /// Its checkpoint, or why what was posted before stays in its place.
    pub outcome: Result<Checkpoint, SinkError>,
}

impl Rebuild {
    /// Of no projection yet.
    pub fn new(store: EventStore) -> Self {
        Self { store, sinks: Vec::new() }
    }

    /// Adds a sink that posts beside what is read. Called within a tokio runtime.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn add(&mut self, sink: impl Sink) -> std::io::Result<()> {
        let name = sink.name();
        let (pages, from_reader) = mpsc::channel(AHEAD);
        let (tell, done) = oneshot::channel();
        let runtime = Handle::current();
        let thread =
            std::thread::Builder::new().name(format!("rebuild-{name}")).spawn(move || {
                let outcome = runtime.block_on(post_all(sink, from_reader));
                // Nobody listens any more if the reader failed.
                let _ = tell.send(outcome);
            })?;
        self.sinks.push(Task { name, pages, done, thread });
        Ok(())
    }

    /// Adds the read model of that name; false if there is none.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn add_sql(&mut self, models: &ReadModels, name: &str) -> std::io::Result<bool> {
        let before = self.sinks.len();
        self.add_if::<Orders>(models, name)?;
        self.add_if::<Stock>(models, name)?;
        self.add_if::<Products>(models, name)?;
        self.add_if::<Users>(models, name)?;
        self.add_if::<Sales>(models, name)?;
        Ok(self.sinks.len() > before)
    }

    fn add_if<P: Projection>(&mut self, models: &ReadModels, name: &str) -> std::io::Result<()> {
        if name != P::SCHEMA.name {
            return Ok(());
        }
        self.add(SqlSink::<P>::anew(models.clone(), self.store.id()))
    }

    /// Reads the log to its end and posts it. A projection that fails keeps what it had; the
    /// others go on.
    ///
    /// # Errors
    /// If the log cannot be read: nothing is replaced then.
    pub async fn run(self, mut progress: impl FnMut(Progress)) -> Result<Vec<Rebuilt>, ReadError> {
        let head = self.store.head().await?;
        let (mut position, mut events, mut at_end) = (Position::START, 0, false);
        while !at_end {
            let page = self
                .store
                .read_log(position, Direction::Forwards, &Filter::default(), MAX_PAGE)
                .await?;
            (position, at_end) = (page.scanned_to, page.at_end);
            events += page.events.len() as u64;
            // Decoded here, beside the sinks; what cannot be decoded is poison to the sink it concerns.
            for logged in &page.events {
                let _ = logged.decode();
            }
            let page = Taken { events: page.events, scanned_to: position, at_end };
            let page = Arc::new(page);
            for sink in &self.sinks {
                // A sink that has failed says so at the end.
                let _ = sink.pages.send(Arc::clone(&page)).await;
            }
            progress(Progress { position, head, events });
        }
        let mut rebuilt = Vec::with_capacity(self.sinks.len());
        for Task { name, pages, done, thread } in self.sinks {
            drop(pages);
            let ended = done.await;
            let _ = thread.join();
            let outcome = ended.unwrap_or_else(|_| {
                Err(SinkError::Damaged("the projector panicked; see the log".to_owned()))
            });
            rebuilt.push(Rebuilt { name, outcome });
        }
        Ok(rebuilt)
    }
}

async fn post_all(
    mut sink: impl Sink,
    mut pages: mpsc::Receiver<Arc<Taken>>,
) -> Result<Checkpoint, SinkError> {
    let mut checkpoint = sink.checkpoint().await?;
    let mut at_end = false;
    let mut gathered = Vec::with_capacity(PAGES);
    while !at_end {
        gathered.clear();
        while gathered.len() < PAGES && !at_end {
            // Without an end the reader has failed, and nothing is to be put in place.
            let page = pages.recv().await;
            let page =
                page.ok_or_else(|| SinkError::Unavailable("the log's end is missing".to_owned()))?;
            at_end = page.at_end;
            gathered.push(page);
        }
        checkpoint = post(&mut sink, checkpoint, &gathered).await?;
    }
    sink.install().await?;
    Ok(checkpoint)
}

async fn post(
    sink: &mut impl Sink,
    from: Checkpoint,
    pages: &[Arc<Taken>],
) -> Result<Checkpoint, SinkError> {
    let mut whole = crate::Batch { from: from.clone(), to: from, events: Vec::new() };
    for page in pages {
        let (part, poison) = batch(whole.to.clone(), page, sink.categories());
        if let Some(poison) = poison {
            return Err(poison.into());
        }
        whole.to = part.to;
        whole.events.extend(part.events);
    }
    if whole.to.position > whole.from.position {
        sink.apply(&whole).await?;
    }
    Ok(whole.to)
}
