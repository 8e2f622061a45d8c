//! `daybook rebuild`: read models posted anew from the log. A server that has the data directory
//! does it itself when it is asked.

mod check;
mod server;

use anyhow::Context;
use infra::event_store::EventStore;
use projections::{Rebuild, SCHEMAS};

use crate::{
    cli::RebuildArgs,
    engines::{self, Opened},
    failure::Failure,
    output,
    progress::Progress,
    settings::{EventStoreUrl, ReadModelsUrl, SearchUrl, Settings},
};

const SEARCH: &str = "search";

/// Rebuilds what was named. The store's lock is held meanwhile; if a server holds it, the server is
/// asked.
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
    let reading = engines::event_store_to_read(settings).await?;
    if args.check {
        return check::run(settings, &reading, &names, quiet).await;
    }
    if args.drop_old {
        return drop_old(settings, &names, quiet).await;
    }
    if beside_others(settings, &names) {
        return rebuild(settings, &reading, &names, quiet).await;
    }
    // Two at once would leave more beside the store than its file.
    let store = reading.id();
    drop(reading);
    let Opened { store, lock: _lock } = match engines::event_store(settings).await {
        Ok(opened) => opened,
        Err(failure) if engines::is_in_use(&failure) => {
            return server::hand_over(
                settings,
                args.server.as_deref(),
                (store, &names),
                quiet,
                &failure,
            )
            .await;
        }
        Err(failure) => return Err(failure),
    };
    let done = rebuild(settings, &store, &names, quiet).await;
    store.close().await.context("the event store was not closed cleanly")?;
    done
}

/// Whether nothing of it lies in the data directory: then a process of its own does it beside those
/// that post.
fn beside_others(settings: &Settings, names: &[&str]) -> bool {
    let searches = names.contains(&SEARCH);
    let models = names.iter().any(|name| *name != SEARCH);
    matches!(settings.event_store, EventStoreUrl::EventStoreDb(_))
        && (!models || matches!(settings.read_models, ReadModelsUrl::Mysql(_)))
        && (!searches || matches!(settings.search, SearchUrl::Elasticsearch(_)))
}

/// Removes what was replaced. What is read and what is being built stays, so a server may run.
async fn drop_old(settings: &Settings, names: &[&str], quiet: bool) -> Result<(), Failure> {
    let models = engines::read_models(settings).await?;
    for name in names {
        let dropped = match SCHEMAS.iter().find(|schema| schema.name == *name) {
            Some(schema) => {
                models.drop_old(schema).await.context("a generation could not be removed")?
            }
            None => engines::drop_old_search(settings).await?,
        };
        if !quiet {
            output::say(&format!("{name}: {dropped} replaced generations removed"));
        }
    }
    Ok(())
}

async fn rebuild(
    settings: &Settings,
    store: &EventStore,
    names: &[&str],
    quiet: bool,
) -> Result<(), Failure> {
    let models = engines::read_models(settings).await?;
    let mut rebuild = Rebuild::new(store.clone()).skipping(settings.skip_unknown.clone());
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
            Ok(checkpoint) if !quiet => {
                let (name, position) = (projection.name, checkpoint.position);
                output::say(&format!("{name} is posted up to position {position}"));
                for skipped in &checkpoint.skipped {
                    output::say(&format!("{name} has passed over {skipped}"));
                }
            }
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
