//! `daybook rebuild`: read models posted anew from the log, while no server runs.

use anyhow::Context;
use infra::event_store::EventStore;
use projections::{Rebuild, SCHEMAS};

use crate::{
    cli::RebuildArgs,
    engines::{self, Opened},
    failure::Failure,
    output,
    progress::Progress,
    settings::Settings,
};

const SEARCH: &str = "search";

/// Rebuilds what was named. The store's lock is held meanwhile, so that no server posts beside it.
pub(crate) async fn run(
    settings: &Settings,
    args: RebuildArgs,
    quiet: bool,
) -> Result<(), Failure> {
    let known: Vec<&str> = SCHEMAS.iter().map(|schema| schema.name).chain([SEARCH]).collect();
    if let Some(name) = args.names.iter().find(|name| !known.contains(&name.as_str())) {
        let known = known.join(", ");
        return Err(Failure::usage(format!("there is no read model {name:?}; there are {known}")));
    }
    let named = |name: &&str| args.all || args.names.iter().any(|asked| asked == name);
    let names: Vec<&str> = known.into_iter().filter(named).collect();
    // Without a store there is nothing to rebuild from, and opening it would make one.
    engines::event_store_to_read(settings).await?;
    let Opened { store, lock: _lock } = engines::event_store(settings).await?;
    let done = rebuild(settings, &store, &names, quiet).await;
    store.close().await.context("the event store was not closed cleanly")?;
    done
}

async fn rebuild(
    settings: &Settings,
    store: &EventStore,
    names: &[&str],
    quiet: bool,
) -> Result<(), Failure> {
    let models = engines::read_models(settings).await?;
    let mut rebuild = Rebuild::new(store.clone());
    let mut search = None;
    for name in names {
        if *name == SEARCH {
            search = Some(engines::add_search(settings, store, &mut rebuild).await?);
        } else {
            rebuild.add_sql(&models, name).context("no thread could be started")?;
        }
    }
    let total = store.event_count().await.context("the event store cannot be read")?;
    let mut progress = Progress::new("events", total, quiet);
    let rebuilt = rebuild
        .run(|at| progress.at(at.events))
        .await
        .context("the log cannot be read; what was posted before stays")?;
    progress.finish();
    if let Some(index) = search {
        index.close().await.context("the search index was not closed cleanly")?;
    }
    let mut failed = Vec::new();
    for projection in &rebuilt {
        match &projection.outcome {
            Ok(checkpoint) if !quiet => output::say(&format!(
                "{} is posted up to position {}",
                projection.name, checkpoint.position
            )),
            Ok(_) => {}
            Err(error) => failed.push(format!("{}: {error}", projection.name)),
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let text = format!("not rebuilt:\n{}", failed.join("\n"));
    if failed.len() < rebuilt.len() {
        return Err(Failure::InPart(text));
    }
    Err(Failure::failed(text))
}
