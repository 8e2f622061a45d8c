use std::{sync::Arc, thread};

use event_schemas::{Logged, Position};
use infra::{
    event_store::{Direction, EventStore, Filter, LogPage, MAX_PAGE, ReadError},
    read_models::{Checkpoint, ReadModels},
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use uuid::Uuid;

use crate::{
    Projection, Sink, SinkError, Skip, SqlSink, divergence, feed::Taken, orders::Orders,
    products::Products, projector::batch, sales::Sales, skip::known_meanwhile, stock::Stock,
    users::Users,
};

/// Pages read ahead of the slowest sink.
const AHEAD: usize = 12;
/// Pages in a batch.
const PAGES: usize = 8;
/// A sink rests once it has not been concerned for so many pages, and for [`REST_PART`] of those
/// that did concern it.
const REST_PAGES: usize = 16;
const REST_PART: usize = 8;

/// Posts projections anew from the start of the log, all from one reading of it: each event is
/// read and decoded once, and each sink folds on a thread of its own. A sink sees the pages that
/// hold an event of its categories, and the last one. What was begun and left is gone on with. At
/// the log's end each sink posts what came meanwhile and takes the place of what is read, which may
/// be posted further all the time.
#[derive(Debug)]
pub struct Rebuild {
    store: EventStore,
    sinks: Vec<Task>,
    stop: watch::Receiver<bool>,
    /// Where the log is taken to end.
    end: Position,
    skip: Skip,
}

#[derive(Debug)]
struct Task {
    name: &'static str,
    categories: &'static [&'static str],
    opened: Option<oneshot::Receiver<Opened>>,
    steps: mpsc::Sender<Step>,
    done: oneshot::Receiver<Result<Checkpoint, SinkError>>,
    thread: thread::JoinHandle<()>,
    /// Pages that concerned it.
    concerned: usize,
    /// Pages since the last of them.
    passed: usize,
}

/// What a sink tells the reader.
#[derive(Debug)]
struct Opened {
    checkpoint: Checkpoint,
    generation: Option<u64>,
}

/// What the reader tells a sink.
#[derive(Debug)]
enum Step {
    Post(Arc<Page>),
    /// The log goes on without it for a while.
    Rest,
}

#[derive(Debug)]
struct Page {
    taken: Taken,
    /// The last event of the program's own up to its end, in this page or before it.
    last: Option<(Position, Uuid)>,
}

/// How far a rebuild is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The place where it began.
    pub begin: Position,
    /// The place read up to.
    pub position: Position,
    /// Where the log ended when it began.
    pub head: Position,
    /// Events read.
    pub events: u64,
    /// The generation that is being built, if one alone is.
    pub generation: Option<u64>,
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
        // Nobody asks it to stop.
        let stop = watch::Sender::new(false).subscribe();
        let (end, skip) = (Position(u64::MAX), Skip::default());
        Self { store, sinks: Vec::new(), stop, end, skip }
    }

    /// The same, given up as soon as `stop` says so: what is built by then is gone on with.
    pub fn until(self, stop: watch::Receiver<bool>) -> Self {
        Self { stop, ..self }
    }

    /// The same, of the log as it was when it ended there.
    pub fn up_to(self, end: Position) -> Self {
        Self { end, ..self }
    }

    /// The same, passing over these events.
    pub fn skipping(self, skip: Skip) -> Self {
        Self { skip, ..self }
    }

    /// Adds a sink that posts beside what is read. Called within a tokio runtime.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn add(&mut self, sink: impl Sink) -> std::io::Result<()> {
        let (name, categories) = (sink.name(), sink.categories());
        let (steps, from_reader) = mpsc::channel(AHEAD);
        let (tell, done) = oneshot::channel();
        let (open, opened) = oneshot::channel();
        let runtime = Handle::current();
        let (store, stop, end) = (self.store.clone(), self.stop.clone(), self.end);
        let skip = self.skip.clone();
        let thread = thread::Builder::new().name(format!("rebuild-{name}")).spawn(move || {
            let building = Building { sink, store, stop, end, skip };
            let outcome = runtime.block_on(building.post_all(open, from_reader));
            // Nobody listens any more if the reader failed.
            let _ = tell.send(outcome);
        })?;
        let (opened, concerned, passed) = (Some(opened), 0, 0);
        self.sinks.push(Task { name, categories, opened, steps, done, thread, concerned, passed });
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
    pub async fn run(
        mut self,
        mut progress: impl FnMut(Progress),
    ) -> Result<Vec<Rebuilt>, ReadError> {
        let head = self.store.head().await?;
        let opened = self.opened().await;
        let generation = match opened.as_slice() {
            [one] => one.generation,
            _ => None,
        };
        let begin = opened.into_iter().map(|opened| opened.checkpoint);
        let begin = begin.min_by_key(|checkpoint| checkpoint.position);
        let begin = begin.unwrap_or_else(|| Checkpoint::start(self.store.id()));
        let (mut events, mut last) = (0, begin.last);
        let mut next = Some(read_ahead(&self.store, begin.position));
        while let Some(reading) = next.take_if(|_| !*self.stop.borrow()) {
            let page = reading.await.map_err(|e| ReadError::Unavailable(e.to_string()))??;
            let page = cut(page, self.end);
            let position = page.scanned_to;
            next = (!page.at_end).then(|| read_ahead(&self.store, position));
            events += page.events.len() as u64;
            // Decoded here, beside the sinks; what cannot be decoded is poison to the sink it concerns.
            for logged in &page.events {
                let _ = logged.decode();
            }
            let ours = page.events.iter().rev().find(|logged| logged.is_ours());
            last = ours.map(|logged| (logged.position, logged.id)).or(last);
            let page = Arc::new(Page { taken: page.into(), last });
            for sink in &mut self.sinks {
                sink.tell(&page).await;
            }
            progress(Progress { begin: begin.position, position, head, events, generation });
        }
        let mut rebuilt = Vec::with_capacity(self.sinks.len());
        for Task { name, steps, done, thread, .. } in self.sinks {
            drop(steps);
            let ended = done.await;
            let _ = thread.join();
            let outcome = ended.unwrap_or_else(|_| {
                Err(SinkError::Damaged("the projector panicked; see the log".to_owned()))
            });
            rebuilt.push(Rebuilt { name, outcome });
        }
        Ok(rebuilt)
    }

    /// Waits until every sink knows from where it goes on; those that cannot begin say so at the
    /// end.
    async fn opened(&mut self) -> Vec<Opened> {
        let mut opened = Vec::with_capacity(self.sinks.len());
        for sink in &mut self.sinks {
            if let Some(opening) = sink.opened.take() {
                opened.extend(opening.await.ok());
            }
        }
        opened
    }
}

/// What of a page stands up to `end`.
fn cut(mut page: LogPage, end: Position) -> LogPage {
    if page.scanned_to >= end {
        page.events.retain(|logged| logged.position <= end);
        (page.scanned_to, page.at_end) = (end, true);
    }
    page
}

/// The page behind `from`, read beside whatever the caller does meanwhile.
fn read_ahead(store: &EventStore, from: Position) -> JoinHandle<Result<LogPage, ReadError>> {
    let store = store.clone();
    tokio::spawn(async move {
        store.read_log(from, Direction::Forwards, &Filter::default(), MAX_PAGE).await
    })
}

impl Task {
    /// Hands a page on to the sink, if it concerns it. One that has failed says so at the end.
    async fn tell(&mut self, page: &Arc<Page>) {
        let concerns = |logged: &Logged| self.categories.contains(&logged.stream.category());
        if page.taken.at_end || page.taken.events.iter().any(concerns) {
            (self.concerned, self.passed) = (self.concerned + 1, 0);
            let _ = self.steps.send(Step::Post(Arc::clone(page))).await;
        } else if self.concerned > 0 {
            self.passed += 1;
            if self.passed == REST_PAGES.max(self.concerned / REST_PART) {
                let _ = self.steps.send(Step::Rest).await;
            }
        }
    }
}

/// A sink on its thread.
struct Building<S> {
    sink: S,
    store: EventStore,
    stop: watch::Receiver<bool>,
    end: Position,
    skip: Skip,
}

impl<S: Sink> Building<S> {
    async fn post_all(
        mut self,
        open: oneshot::Sender<Opened>,
        mut steps: mpsc::Receiver<Step>,
    ) -> Result<Checkpoint, SinkError> {
        let mut checkpoint = self.begin().await?;
        let generation = self.sink.generation();
        // If the reader is gone, so are the steps.
        let _ = open.send(Opened { checkpoint: checkpoint.clone(), generation });
        let mut at_end = false;
        let mut gathered = Vec::with_capacity(PAGES);
        while !at_end {
            // Without an end the reader has failed, and nothing is to be put in place.
            let step = steps.recv().await;
            let step =
                step.ok_or_else(|| SinkError::Unavailable("the log's end is missing".to_owned()))?;
            let rest = matches!(step, Step::Rest);
            if let Step::Post(page) = step {
                at_end = page.taken.at_end;
                gathered.push(page);
            }
            if rest || at_end || gathered.len() == PAGES {
                checkpoint = post(&mut self.sink, checkpoint, &gathered, &self.skip).await?;
                gathered.clear();
            }
            if rest {
                self.sink.rest().await?;
            }
        }
        self.sink.prepare().await?;
        self.switch(checkpoint).await
    }

    /// Where it goes on: what was posted before has to be of this very log, and lack nothing that is
    /// known.
    async fn begin(&mut self) -> Result<Checkpoint, SinkError> {
        let checkpoint = self.sink.checkpoint().await?;
        let head = self.store.head().await?;
        let fits = divergence(&self.store, &checkpoint, head).await?.is_none()
            && known_meanwhile(&checkpoint.skipped).is_none();
        if fits { Ok(checkpoint) } else { self.sink.afresh().await }
    }

    /// Posts what came meanwhile until it takes the place of what is read.
    async fn switch(&mut self, mut checkpoint: Checkpoint) -> Result<Checkpoint, SinkError> {
        checkpoint = self.catch_up(checkpoint).await?;
        // Most of it is on the disk then: the switch itself is short.
        self.sink.prepare().await?;
        loop {
            checkpoint = self.catch_up(checkpoint).await?;
            match self.sink.install().await {
                Ok(()) => return Ok(checkpoint),
                Err(SinkError::Behind(live)) => {
                    // Read behind it: what is posted further than the log goes is of no log that is.
                    if self.store.head().await? < live {
                        self.sink.replace().await?;
                        return Ok(checkpoint);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Posts up to the log's end.
    async fn catch_up(&mut self, mut checkpoint: Checkpoint) -> Result<Checkpoint, SinkError> {
        loop {
            if *self.stop.borrow() {
                return Err(SinkError::Unavailable("the process ends".to_owned()));
            }
            let (from, all) = (checkpoint.position, Filter::default());
            let page = self.store.read_log(from, Direction::Forwards, &all, MAX_PAGE).await?;
            let page = cut(page, self.end);
            let at_end = page.at_end;
            let ours = page.events.iter().rev().find(|logged| logged.is_ours());
            let last = ours.map(|logged| (logged.position, logged.id)).or(checkpoint.last);
            let page = Arc::new(Page { taken: page.into(), last });
            checkpoint = post(&mut self.sink, checkpoint, &[page], &self.skip).await?;
            if at_end {
                return Ok(checkpoint);
            }
        }
    }
}

/// Posts pages, but for what is posted already.
async fn post(
    sink: &mut impl Sink,
    from: Checkpoint,
    pages: &[Arc<Page>],
    skip: &Skip,
) -> Result<Checkpoint, SinkError> {
    let mut whole = crate::Batch { from: from.clone(), to: from, events: Vec::new() };
    for page in pages {
        if page.taken.scanned_to <= whole.to.position {
            continue;
        }
        let (part, poison) = batch(whole.to.clone(), &page.taken, sink.categories(), skip);
        if let Some(poison) = poison {
            return Err(poison.into());
        }
        whole.to = Checkpoint { last: page.last, ..part.to };
        whole.events.extend(part.events);
    }
    if whole.to.position > whole.from.position {
        sink.apply(&whole).await?;
    }
    Ok(whole.to)
}
