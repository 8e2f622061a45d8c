//! `daybook rebuild --check`: what is read, held against what the log says.

use std::{fs, path::Path};

use anyhow::Context;
use infra::{event_store::EventStore, read_models::ReadModels};
use projections::{Difference, Rebuild, SCHEMAS, differences};

use super::SEARCH;
use crate::{engines, failure::Failure, output, progress::Progress, settings::Settings};

/// The most differences of a read model that are printed; all are counted.
const SHOWN: u64 = 100;

/// Builds each read model in a folder of its own, up to the place that the rows that are read are
/// posted up to, and compares them. Beside a running server, too.
pub(super) async fn run(
    settings: &Settings,
    store: &EventStore,
    names: &[&str],
    quiet: bool,
) -> Result<(), Failure> {
    let folder = settings.data.join(format!("check-{}", std::process::id()));
    let checked = check_all(settings, store, names, &folder, quiet).await;
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            output::say(&format!("{} cannot be removed: {error}", folder.display()));
        }
        _ => {}
    }
    match checked? {
        0 => Ok(()),
        count => Err(Failure::Different(format!("{count} rows differ; nothing was changed"))),
    }
}

async fn check_all(
    settings: &Settings,
    store: &EventStore,
    names: &[&str],
    folder: &Path,
    quiet: bool,
) -> Result<u64, Failure> {
    let (live, built) = (engines::read_models_to_read(settings).await?, ReadModels::sqlite(folder));
    let mut count = 0;
    for name in names {
        if *name == SEARCH {
            output::say("search is not checked: its documents are no rows");
            continue;
        }
        count += check(settings, store, (&live, &built), name, quiet).await?;
    }
    Ok(count)
}

async fn check(
    settings: &Settings,
    store: &EventStore,
    (live, built): (&ReadModels, &ReadModels),
    name: &str,
    quiet: bool,
) -> Result<u64, Failure> {
    let Some(schema) = SCHEMAS.into_iter().find(|schema| schema.name == name) else {
        return Ok(0);
    };
    let mut read = live.reader(schema).snapshot().await.context("what is read cannot be read")?;
    let checkpoint = read.checkpoint().clone();
    let head = store.head().await.context("the event store cannot be read")?;
    let divergence = projections::divergence(store, &checkpoint, head).await;
    if let Some(reason) = divergence.context("the event store cannot be read")? {
        return Err(Failure::failed(format!("{name} cannot be compared, rebuild it: {reason}")));
    }
    let end = checkpoint.position;
    let mut rebuild =
        Rebuild::new(store.clone()).up_to(end).skipping(settings.skip_unknown.clone());
    rebuild.add_sql(built, name).context("no thread could be started")?;
    let mut progress = Progress::new("events", Some(end.0), quiet);
    let rebuilt = rebuild.run(|at| progress.at(at.events)).await;
    progress.finish();
    for rebuilt in rebuilt.context("the log cannot be read")? {
        rebuilt.outcome.map_err(|error| Failure::failed(format!("{name}: {error}")))?;
    }
    let mut anew = built.reader(schema).snapshot().await.context("what was built is gone")?;
    let mut shown = 0;
    let mut lines = Vec::new();
    let count = differences(schema, &mut read, &mut anew, |difference| {
        shown += 1;
        if shown <= SHOWN {
            lines.push(line(name, &difference));
        }
    });
    let count = count.await.context("the rows cannot be compared")?;
    for line in lines {
        output::line(&line)?;
    }
    if !quiet {
        output::say(&format!("{name}: {count} rows differ at position {end}"));
    }
    Ok(count)
}

fn line(name: &str, difference: &Difference) -> String {
    let Difference { table, key, one, other } = difference;
    let row = |row: &Option<infra::read_models::Row>| match row {
        Some(row) => format!("{:?}", row.0),
        None => "not there".to_owned(),
    };
    format!("{name} {table} {key:?}: read {}, by the log {}", row(one), row(other))
}
