//! `daybook replay`: the events as they stand in the log or in one stream.

mod print;

use anyhow::Context;
use event_schemas::{Logged, Position, StreamName, Timestamp};
use history::{Clock, Selection};
use infra::event_store::{Direction, EventStore, Filter, LogPage, ReadError};

use self::print::Printer;
use crate::{cli::ReplayArgs, engines, failure::Failure, settings::Settings, show, times};

const PAGE: usize = 1_000;

/// Which part of the log, and which way.
struct Asked {
    filter: Filter,
    direction: Direction,
    from: Option<Position>,
    to: Option<Position>,
    /// Up to here nothing is as late as is asked for.
    too_early: Position,
    follow: bool,
}

/// Prints the events page by page, in bounded memory.
pub(crate) async fn run(settings: &Settings, args: ReplayArgs) -> Result<(), Failure> {
    let now = Timestamp::from(jiff::Timestamp::now());
    let selection = selection(&args, now)?;
    let mut asked = Asked::new(&args)?;
    let store = engines::event_store_to_read(settings).await?;
    asked.check(&store).await?;
    if let Some(since) = selection.since.filter(|_| selection.clock == Clock::Recorded) {
        asked.too_early = show::past_of(settings, store.clone()).await?.known_before(since);
    }
    let printer = Printer::new(args.format, store.id(), selection, args.limit);
    asked.replay(store, printer?).await
}

fn selection(args: &ReplayArgs, now: Timestamp) -> Result<Selection, Failure> {
    let time = |name: &str, text: &Option<String>| {
        text.as_deref().map(|text| times::read(name, text)).transpose()
    };
    let (since, until) = (time("--since", &args.since)?, time("--until", &args.until)?);
    if let (Some(since), Some(until)) = (since, until)
        && until < since
    {
        return Err(Failure::usage("--until is before --since: swap them"));
    }
    if let Some(since) = since.filter(|since| *since > now && !args.follow) {
        return Err(Failure::usage(format!(
            "--since {since} lies in the future: nothing is recorded yet; --follow waits for it"
        )));
    }
    let (correlation, actor) = (args.correlation.clone(), args.actor.clone());
    Ok(Selection { clock: args.clock.into(), since, until, correlation, actor })
}

impl Asked {
    fn new(args: &ReplayArgs) -> Result<Self, Failure> {
        let stream = args.stream.as_ref().map(|name| {
            StreamName::parse(name)
                .map_err(|error| Failure::usage(format!("--stream {name:?}: {error}")))
        });
        let filter = Filter {
            categories: args.category.clone(),
            types: args.types.clone(),
            stream: stream.transpose()?,
        };
        if let (Some(from), Some(to)) = (args.from, args.to)
            && to < from
        {
            return Err(Failure::usage(
                "--to is before --from: swap them; --backwards begins at --to",
            ));
        }
        let direction = if args.backwards { Direction::Backwards } else { Direction::Forwards };
        let (from, to) = (args.from.map(Position), args.to.map(Position));
        let too_early = Position::START;
        Ok(Self { filter, direction, from, to, too_early, follow: args.follow })
    }

    /// What is asked for has to be there, unless it is waited for.
    async fn check(&self, store: &EventStore) -> Result<(), Failure> {
        let head = store.head().await.context("the log cannot be read")?;
        for (name, position) in [("--from", self.from), ("--to", self.to)] {
            if let Some(position) = position.filter(|position| *position > head && !self.follow) {
                return Err(Failure::usage(format!(
                    "{name} {position} is beyond the head of the log, {head}; --follow waits for it"
                )));
            }
        }
        if let Some(stream) = self.filter.stream.as_ref().filter(|_| !self.follow) {
            let there = store.stream_head(stream).await.context("the log cannot be read")?;
            if there.is_none() {
                return Err(Failure::failed(format!(
                    "there is no stream {stream}; `daybook replay --category {}` shows which there are",
                    stream.category()
                )));
            }
        }
        Ok(())
    }

    async fn replay(self, store: EventStore, mut printer: Printer) -> Result<(), Failure> {
        let mut place = self.begin(&store, &mut printer).await?;
        let mut next = read(&store, place, &self);
        loop {
            let page = next.await.context("the log cannot be read")?;
            let page = page.context("the log cannot be read")?;
            place = page.scanned_to;
            let done = page.at_end || self.is_behind(place);
            // The next page comes while this one is printed.
            next = read(&store, place, &self);
            for event in page.events.iter().filter(|event| self.takes(event)) {
                printer.print(event)?;
            }
            if done || printer.is_done() {
                break;
            }
        }
        printer.flush()?;
        if self.follow && !printer.is_done() && !self.is_behind(place) {
            self.go_on(&store, place, printer).await?;
        }
        Ok(())
    }

    /// Where to read from. Backwards, what stands at the very place is printed here.
    async fn begin(&self, store: &EventStore, printer: &mut Printer) -> Result<Position, Failure> {
        let missing = |position| {
            Failure::failed(format!(
                "no event stands at position {position}; name one that replay shows"
            ))
        };
        match (self.direction, self.from, self.to) {
            (Direction::Backwards, _, Some(to)) => {
                let event = store.event_at(to).await.context("the log cannot be read")?;
                let event = event.ok_or_else(|| missing(to))?;
                if self.filter.matches(&event) {
                    printer.print(&event)?;
                }
                Ok(to)
            }
            (Direction::Backwards, _, None) => Ok(Position(u64::MAX)),
            (Direction::Forwards, Some(from), _) => {
                let before = store.place_before(from).await.context("the log cannot be read")?;
                Ok(before.ok_or_else(|| missing(from))?.max(self.too_early))
            }
            (Direction::Forwards, None, _) => Ok(self.too_early),
        }
    }

    fn takes(&self, event: &Logged) -> bool {
        self.from.is_none_or(|from| event.position >= from)
            && self.to.is_none_or(|to| event.position <= to)
    }

    /// Whether nothing that is asked for lies further on.
    fn is_behind(&self, place: Position) -> bool {
        match self.direction {
            Direction::Forwards => self.to.is_some_and(|to| place >= to),
            Direction::Backwards => {
                place <= self.too_early || self.from.is_some_and(|from| place <= from)
            }
        }
    }

    /// Prints what comes, as it comes.
    async fn go_on(
        &self,
        store: &EventStore,
        after: Position,
        mut printer: Printer,
    ) -> Result<(), Failure> {
        let mut subscription = store.subscribe(after, self.filter.clone());
        loop {
            let page = subscription.next().await.context("the log cannot be read")?;
            for event in page.events.iter().filter(|event| self.takes(event)) {
                printer.print(event)?;
            }
            printer.flush()?;
            if printer.is_done() || self.is_behind(page.scanned_to) {
                return Ok(());
            }
        }
    }
}

fn read(
    store: &EventStore,
    from: Position,
    asked: &Asked,
) -> tokio::task::JoinHandle<Result<LogPage, ReadError>> {
    let (store, filter, direction) = (store.clone(), asked.filter.clone(), asked.direction);
    tokio::spawn(async move { store.read_log(from, direction, &filter, PAGE).await })
}
