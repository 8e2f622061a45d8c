//! `daybook import`: past facts from a CSV file, through the same use cases as HTTP.
//!
//! A thread reads and parses; the rows, grouped into what they ask for, are brought in side by
//! side. Every row has a key, so whatever was interrupted is run again as it was.

mod bring_in;
mod input;
mod money;
mod orders;
mod products;
mod refused;
mod rows;
mod stock;
mod values;

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, anyhow};
use commands::Commands;
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    cli::{ImportArgs, ImportKind},
    failure::Failure,
    output,
    progress::Progress,
    settings::Settings,
    signals::Signals,
    wire::Shop,
};
use bring_in::{Asked, NotBroughtIn, Outcome, bring_in};
use input::{Input, InputError};
use refused::Refused;

/// What is brought in side by side.
const IN_FLIGHT: usize = 512;
/// What is parsed ahead of it.
const AHEAD: usize = 512;
/// How long the read models may take at the end.
const POSTING: std::time::Duration = std::time::Duration::from_secs(600);

/// What the reading thread hands over.
#[derive(Debug)]
struct Step {
    /// The line of the file that it begins on.
    line: u64,
    /// How many rows of the file it is made of.
    rows: u64,
    /// Its key in the file, as it stands there.
    key: String,
    /// What is asked for, or why it cannot be.
    asked: Result<Asked, String>,
}

/// Where the reading thread puts its steps; false if nobody takes them any more.
struct Steps(mpsc::Sender<Result<Step, InputError>>);

impl Steps {
    fn give(&self, step: Step) -> bool {
        self.0.blocking_send(Ok(step)).is_ok()
    }
}

/// What came of the file.
#[derive(Debug, Default)]
struct Tally {
    rows: u64,
    new: u64,
    there_before: u64,
    refused: u64,
}

/// Imports one file.
pub(crate) async fn run(settings: &Settings, args: ImportArgs, quiet: bool) -> Result<(), Failure> {
    let ImportArgs { kind, file, batch, refused, .. } = args;
    if batch.is_some() && kind != ImportKind::Stock {
        return Err(Failure::usage("--batch names a delivery of stock; leave it out here"));
    }
    let batch = values::batch(batch)?;
    // Read before anything is opened: a file that cannot be right makes no data directory.
    let input = Input::open(&file)?;
    let plan = Plan::new(kind, &input, settings, batch)?;
    if !plan.ignored().is_empty() && !quiet {
        output::say(&format!("these columns are ignored: {}", plan.ignored().join(", ")));
    }
    let total = input::count_rows(&file);
    let mut signals = Signals::new()?;
    let shop = Shop::open(settings).await?;
    let done =
        import(&shop, settings, kind, Source { input, plan, total, refused }, &mut signals, quiet);
    let done = done.await;
    let closed = shop.close().await;
    done.and(closed)
}

/// What is read, how, and where refusals go.
struct Source {
    input: Input,
    plan: Plan,
    total: Option<u64>,
    refused: Option<std::path::PathBuf>,
}

async fn import(
    shop: &Shop,
    settings: &Settings,
    kind: ImportKind,
    source: Source,
    signals: &mut Signals,
    quiet: bool,
) -> Result<(), Failure> {
    let Source { input, plan, total, refused } = source;
    let path = refused.unwrap_or_else(|| settings.data.join(format!("refused-{}.csv", name(kind))));
    let mut list = Refused::create(&path, plan.key())?;
    let (steps, from_file) = mpsc::channel(AHEAD);
    std::thread::Builder::new()
        .name("import".to_owned())
        .spawn(move || read(input, &plan, steps))
        .context("no thread could be started")?;
    let progress = Progress::new("rows", total, quiet);
    let mut tally = Tally::default();
    let work = Work { commands: shop.commands()?, progress, list: &mut list, tally: &mut tally };
    let ended = work.run(from_file, signals).await;
    list.finish().with_context(|| cannot_write(&path))?;
    summary(kind, &tally, quiet);
    ended?;
    if let Err(failure) = shop.posted(POSTING).await {
        output::say(&format!("{failure}; `daybook serve` posts the rest"));
    }
    if tally.refused > 0 {
        let text = format!("{} refused, listed in {}", tally.refused, path.display());
        return Err(Failure::InPart(text));
    }
    Ok(())
}

/// How a row of the file becomes what is asked for.
enum Plan {
    Products(products::Columns),
    Stock(stock::Columns),
    Orders(orders::Columns),
}

impl Plan {
    fn new(
        kind: ImportKind,
        input: &Input,
        settings: &Settings,
        batch: String,
    ) -> Result<Self, Failure> {
        let (header, currency) = (input.header(), settings.currency);
        Ok(match kind {
            ImportKind::Products => Self::Products(products::Columns::find(header, currency)?),
            ImportKind::Stock => Self::Stock(stock::Columns::find(header, batch)?),
            ImportKind::Orders => Self::Orders(orders::Columns::find(header, currency)?),
            ImportKind::Events => return Err(Failure::usage("events do not come from a CSV file")),
        })
    }

    fn ignored(&self) -> &[String] {
        match self {
            Self::Products(_) => &[],
            Self::Stock(columns) => columns.ignored(),
            Self::Orders(columns) => columns.ignored(),
        }
    }

    /// The column that holds the key.
    fn key(&self) -> &'static str {
        match self {
            Self::Products(_) | Self::Stock(_) => "sku",
            Self::Orders(_) => "order_id",
        }
    }
}

/// Reads the file to its end, on a thread of its own.
fn read(mut input: Input, plan: &Plan, steps: mpsc::Sender<Result<Step, InputError>>) {
    let to = Steps(steps.clone());
    let read = match plan {
        Plan::Products(columns) => rows::each(&mut input, &to, |row| columns.step(row)),
        Plan::Stock(columns) => rows::each(&mut input, &to, |row| columns.step(row)),
        Plan::Orders(columns) => orders::each(&mut input, &to, columns),
    };
    if let Err(error) = read {
        // Nobody takes it any more: the import has ended for another reason.
        let _ = steps.blocking_send(Err(error));
    }
}

/// What the import works with.
struct Work<'a> {
    commands: &'a Commands,
    progress: Progress,
    list: &'a mut Refused,
    tally: &'a mut Tally,
}

/// What became of one step.
struct Done {
    line: u64,
    rows: u64,
    key: String,
    outcome: Result<Outcome, NotBroughtIn>,
}

impl Work<'_> {
    /// Brings in what the file asks for, until its end, an error or a signal. What is on its way
    /// is finished in any case.
    async fn run(
        mut self,
        mut from_file: mpsc::Receiver<Result<Step, InputError>>,
        signals: &mut Signals,
    ) -> Result<(), Failure> {
        let mut running = JoinSet::new();
        let mut lines = BTreeSet::new();
        let mut ended = None;
        while ended.is_none() || !running.is_empty() {
            tokio::select! {
                biased;
                asked = signals.next() => {
                    if ended.is_some() {
                        std::process::exit(asked.exit_code());
                    }
                    ended = Some(Err(Failure::Interrupted));
                }
                Some(done) = running.join_next() => {
                    let done: Done = done.map_err(|error| anyhow!("an import task failed: {error}"))?;
                    lines.remove(&done.line);
                    if let Err(failure) = self.note(done) {
                        // The first reason is the one to tell.
                        ended = Some(ended.and_then(Result::err).map_or(Err(failure), Err));
                    }
                    let before = lines.first().copied().unwrap_or(u64::MAX);
                    self.list.write_before(before).context("the list of refusals cannot be written")?;
                }
                step = from_file.recv(), if ended.is_none() && running.len() < IN_FLIGHT => {
                    match step {
                        None => ended = Some(Ok(())),
                        Some(Err(error)) => ended = Some(Err(error.into())),
                        Some(Ok(Step { line, rows, key, asked: Ok(asked) })) => {
                            lines.insert(line);
                            let commands = self.commands.clone();
                            running.spawn(async move {
                                Done { line, rows, key, outcome: bring_in(&commands, asked).await }
                            });
                        }
                        Some(Ok(Step { line, rows, key, asked: Err(reason) })) => {
                            self.refuse(line, rows, key, reason);
                        }
                    }
                }
            }
        }
        self.progress.finish();
        ended.unwrap_or(Ok(()))
    }

    fn note(&mut self, done: Done) -> Result<(), Failure> {
        let Done { line, rows, key, outcome } = done;
        match outcome {
            Ok(Outcome::New) => self.tally.new += 1,
            Ok(Outcome::ThereBefore) => self.tally.there_before += 1,
            Err(NotBroughtIn::Refused(reason)) => {
                self.refuse(line, rows, key, reason);
                return Ok(());
            }
            Err(NotBroughtIn::Failed(failure)) => {
                let text = "the import stopped; run it again, it goes on where it was";
                return Err(anyhow::Error::new(failure)
                    .context(format!("line {line}: {text}"))
                    .into());
            }
        }
        self.count(rows);
        Ok(())
    }

    fn refuse(&mut self, line: u64, rows: u64, key: String, reason: String) {
        self.tally.refused += 1;
        self.list.add(line, key, reason);
        self.count(rows);
    }

    fn count(&mut self, rows: u64) {
        self.tally.rows += rows;
        self.progress.at(self.tally.rows);
    }
}

/// Says how much came in; what was refused is told last of all.
fn summary(kind: ImportKind, tally: &Tally, quiet: bool) {
    if quiet {
        return;
    }
    let Tally { rows, new, there_before, .. } = tally;
    output::say(&format!("{rows} rows: {new} {} new, {there_before} there before", name(kind)));
}

const fn name(kind: ImportKind) -> &'static str {
    match kind {
        ImportKind::Products => "products",
        ImportKind::Stock => "stock",
        ImportKind::Orders => "orders",
        ImportKind::Events => "events",
    }
}

fn cannot_write(path: &Path) -> String {
    format!("the list of refusals {} cannot be written", path.display())
}
