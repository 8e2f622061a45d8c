//! `daybook bench eventstore`: what the adapter does to a server that speaks EventStoreDB's
//! protocol. Appender and follower are two stores with a connection each.

use std::time::Duration;

use anyhow::Context;
use event_schemas::{ExpectedRevision, NewEvent, Position, Revision, StreamName};
use hdrhistogram::Histogram;
use infra::event_store::{AppendError, Direction, EventStore, EventStoreDbUrl, Filter};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use uuid::Uuid;

use super::{
    load::{histogram, record},
    report::{Report, rounded},
};
use crate::{cli::BenchEventstoreArgs, failure::Failure, output};

/// The category of what the bench appends.
const CATEGORY: &str = "bench";
/// Events in one append where the log is only to be filled.
const BATCH: u32 = 500;

struct Bench {
    store: EventStore,
    url: EventStoreDbUrl,
    args: BenchEventstoreArgs,
    time: Duration,
}

/// Runs all parts, one after the other, and prints their figures.
pub(crate) async fn run(args: BenchEventstoreArgs) -> Result<(), Failure> {
    let url: EventStoreDbUrl =
        args.url.parse().map_err(|error| Failure::usage(format!("--url: {error}")))?;
    let store = open(&url).await?;
    let time = Duration::from_secs(args.seconds.into());
    let bench = Bench { store, url, args, time };
    let mut report = Report::new();
    bench.sequential(&mut report).await?;
    bench.writers(&mut report).await?;
    bench.long_stream(&mut report).await?;
    bench.read_log(&mut report).await?;
    bench.live(&mut report).await?;
    bench.store.close().await.context("the store was not closed cleanly")?;
    report.print(bench.args.format)
}

async fn open(url: &EventStoreDbUrl) -> Result<EventStore, Failure> {
    Ok(EventStore::open_eventstoredb(url.clone()).await.context("the server cannot be used")?)
}

impl Bench {
    /// One append after another, each to a stream of its own.
    async fn sequential(&self, report: &mut Report) -> Result<(), Failure> {
        let (mut latency, end) = (histogram(), Instant::now() + self.time);
        while Instant::now() < end {
            let begun = Instant::now();
            append(&self.store, fresh_stream(), ExpectedRevision::NoStream, vec![self.event()])
                .await?;
            record(&mut latency, begun.elapsed());
        }
        report.quantiles("sequential_append_ms", &latency);
        Ok(())
    }

    /// Writers side by side, each with one event at a time at the end of its own stream.
    async fn writers(&self, report: &mut Report) -> Result<(), Failure> {
        let (begun, end) = (Instant::now(), Instant::now() + self.time);
        let mut writers = JoinSet::new();
        for _ in 0..self.args.writers {
            let (store, size) = (self.store.clone(), self.args.size);
            writers.spawn(async move {
                let (stream, mut latency) = (fresh_stream(), histogram());
                let mut expected = ExpectedRevision::NoStream;
                while Instant::now() < end {
                    let begun = Instant::now();
                    let last = append(&store, stream.clone(), expected, vec![event(size)]).await?;
                    record(&mut latency, begun.elapsed());
                    expected = ExpectedRevision::Exact(last);
                }
                Ok::<_, Failure>(latency)
            });
        }
        let mut latency = histogram();
        while let Some(done) = writers.join_next().await {
            latency += done.context("a writer panicked")??;
        }
        report.add("writers", self.args.writers);
        report.add("writers_events_per_second", rate(latency.len(), begun.elapsed()));
        report.quantiles("writers_append_ms", &latency);
        Ok(())
    }

    /// A stream of many events, as it is read where there is no snapshot.
    async fn long_stream(&self, report: &mut Report) -> Result<(), Failure> {
        let (stream, mut written) = (fresh_stream(), 0);
        let mut expected = ExpectedRevision::NoStream;
        let begun = Instant::now();
        while written < self.args.events {
            let count = BATCH.min(self.args.events - written).min(self.per_append());
            let events = (0..count).map(|_| self.event()).collect();
            let last = append(&self.store, stream.clone(), expected, events).await?;
            expected = ExpectedRevision::Exact(last);
            written += count;
        }
        report.add("batched_events_per_second", rate(written.into(), begun.elapsed()));
        let (begun, mut from, mut at_end) = (Instant::now(), Revision(0), false);
        while !at_end {
            let page = self.store.read_stream(&stream, from, Direction::Forwards, 1_000).await;
            let page = page.context("the stream cannot be read")?;
            from = page.events.last().map_or(from, |last| last.revision.next());
            at_end = page.at_end;
        }
        report.add("stream_events", from.0);
        report.add("stream_read_seconds", rounded(begun.elapsed().as_secs_f64(), 3));
        Ok(())
    }

    /// How many events fit one append.
    fn per_append(&self) -> u32 {
        (1_000_000 / (self.args.size + 100)).max(1)
    }

    /// The whole log, forwards.
    async fn read_log(&self, report: &mut Report) -> Result<(), Failure> {
        let (begun, mut events, mut from, mut at_end) =
            (Instant::now(), 0_u64, Position::START, false);
        while !at_end {
            let page = self.store.read_log(from, Direction::Forwards, &Filter::all(), 1_000).await;
            let page = page.context("the log cannot be read")?;
            (from, at_end) = (page.scanned_to, page.at_end);
            events += page.events.len() as u64;
        }
        report.add("log_events", events);
        report.add("log_events_per_second", rate(events, begun.elapsed()));
        Ok(())
    }

    /// From the moment an append is meant to be sent to the moment a follower has its event.
    async fn live(&self, report: &mut Report) -> Result<(), Failure> {
        let follower = open(&self.url).await?;
        let head = follower.head().await.context("the log cannot be read")?;
        let mut following = follower.subscribe(head, Filter::categories([CATEGORY]));
        let count = u64::from(self.args.rate) * u64::from(self.args.seconds);
        let start = Instant::now() + Duration::from_millis(200);
        let watching = tokio::spawn(async move {
            let (mut latency, mut seen) = (histogram(), 0);
            while seen < count {
                let page = following.next().await?;
                for event in &page.events {
                    let meant = start + sent_after(&event.data);
                    record(&mut latency, Instant::now().saturating_duration_since(meant));
                    seen += 1;
                }
            }
            Ok::<Histogram<u64>, infra::event_store::ReadError>(latency)
        });
        let mut tick = interval(Duration::from_secs(1) / self.args.rate);
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        tick.reset_at(start);
        let mut appends = JoinSet::new();
        for _ in 0..count {
            let meant = tick.tick().await;
            let (store, size) = (self.store.clone(), self.args.size);
            let after = meant.saturating_duration_since(start);
            appends.spawn(async move {
                let none = ExpectedRevision::NoStream;
                append(&store, fresh_stream(), none, vec![event_sent(after, size)]).await
            });
        }
        while let Some(done) = appends.join_next().await {
            done.context("an append panicked")??;
        }
        let latency = watching.await.context("the follower panicked")?;
        let latency = latency.context("the log cannot be followed")?;
        report.add("live_rate", self.args.rate);
        report.quantiles("live_ms", &latency);
        follower.close().await.context("the store was not closed cleanly")?;
        Ok(())
    }

    fn event(&self) -> NewEvent {
        event(self.args.size)
    }
}

/// Appends, and goes on where the outcome is unknown or the server busy: what is measured is time.
async fn append(
    store: &EventStore,
    stream: StreamName,
    expected: ExpectedRevision,
    events: Vec<NewEvent>,
) -> Result<Revision, Failure> {
    loop {
        match store.append(stream.clone(), expected, events.clone()).await {
            Ok(appended) => return Ok(appended.last_revision),
            Err(error @ (AppendError::Busy | AppendError::Unknown(_))) => {
                output::say(&format!("an append is sent again: {error}"));
            }
            Err(error) => return Err(Failure::Failed(anyhow::Error::new(error))),
        }
    }
}

fn fresh_stream() -> StreamName {
    StreamName::new(CATEGORY, &Uuid::new_v4().to_string())
}

fn event(size: u32) -> NewEvent {
    event_sent(Duration::ZERO, size)
}

/// An event that says when it was meant to be sent.
fn event_sent(after: Duration, size: u32) -> NewEvent {
    let micros = after.as_micros();
    let fill = "x".repeat((size as usize).saturating_sub(40));
    let data = format!("{{\"after\":{micros:>16},\"fill\":\"{fill}\"}}");
    let metadata = b"{\"schema_version\":1}";
    NewEvent::raw(Uuid::new_v4(), "Measured".to_owned(), data.into(), metadata[..].into())
}

fn sent_after(data: &[u8]) -> Duration {
    #[derive(serde::Deserialize)]
    struct Sent {
        after: u64,
    }
    serde_json::from_slice::<Sent>(data)
        .map_or(Duration::ZERO, |sent| Duration::from_micros(sent.after))
}

fn rate(count: u64, elapsed: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count of events is far below 2^53")]
    let count = count as f64;
    rounded(count / elapsed.as_secs_f64().max(f64::EPSILON), 1)
}
