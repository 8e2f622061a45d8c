//! `daybook audit export` and `daybook import events`.

use anyhow::Context;
use audit::{
    check::{self, CheckError},
    export::{ExportError, Wanted, export},
    restore::{RestoreError, restore},
};

use super::{check::failure, key};
use crate::{
    cli::{AuditExportArgs, ImportArgs},
    engines::{self, Opened},
    failure::Failure,
    output,
    progress::Progress,
    settings::Settings,
    times,
};

/// Writes the log, or a part of it, as files.
pub(crate) async fn run(
    settings: &Settings,
    args: AuditExportArgs,
    quiet: bool,
) -> Result<(), Failure> {
    let time = |name: &str, text: &Option<String>| {
        text.as_deref().map(|text| times::read(name, text)).transpose()
    };
    let wanted =
        Wanted { since: time("--since", &args.since)?, until: time("--until", &args.until)? };
    if let Some(since) = wanted.since.filter(|since| *since > jiff::Timestamp::now().into()) {
        return Err(Failure::usage(format!(
            "--since {since} lies in the future: nothing is recorded yet"
        )));
    }
    if let (Some(since), Some(until)) = (wanted.since, wanted.until)
        && until < since
    {
        return Err(Failure::usage("--until is before --since; swap them"));
    }
    let (store, keys) = key::stores(settings).await?;
    let key = key::signer(settings, &keys).await?.public_key();
    let head = key::newest_head(&keys, &key).await?;
    let mut progress = Progress::new("events", Some(head.size), quiet);
    let exported = export(&store, head, wanted, &args.dir, |read| progress.at(read)).await;
    progress.finish();
    let manifest = exported.map_err(|error| match error {
        ExportError::NotEmpty(_) | ExportError::Busy(_) => Failure::usage(error.to_string()),
        ExportError::Different => Failure::Different(error.to_string()),
        error => Failure::Failed(anyhow::Error::new(error)),
    })?;
    let (count, size) = (manifest.end - manifest.begin, manifest.head.size);
    output::line(&format!("exported {count} of {size} events to {}", args.dir.display()))
}

/// Brings an export into an empty store.
pub(crate) async fn import(
    settings: &Settings,
    args: ImportArgs,
    quiet: bool,
) -> Result<(), Failure> {
    if args.batch.is_some() || args.refused.is_some() {
        return Err(Failure::usage("--batch and --refused are not for events; leave them out"));
    }
    let dir = args.file;
    if !dir.is_dir() {
        return Err(Failure::usage(format!(
            "{} is no directory: name one that `daybook audit export` wrote",
            dir.display()
        )));
    }
    // All of it before anything is made: a broken export makes no data directory.
    let manifest = check::manifest(&dir).map_err(failure)?;
    if manifest.begin > 0 {
        return Err(Failure::usage(RestoreError::Part(manifest.begin).to_string()));
    }
    check::check(&dir, &manifest, None, |_, _| Ok::<_, CheckError>(())).map_err(failure)?;
    let Opened { store, lock: _lock } = engines::event_store(settings).await?;
    let mut progress = Progress::new("events", Some(manifest.end), quiet);
    let restored = restore(&store, &dir, &manifest, |done| progress.at(done)).await;
    progress.finish();
    let signed = match restored {
        Ok(()) => sign(settings, &store).await,
        Err(error) => Err(match error {
            RestoreError::NotEmpty(_) | RestoreError::Part(_) | RestoreError::Written(_) => {
                Failure::usage(error.to_string())
            }
            RestoreError::Export(error) => failure(error),
            error => Failure::Failed(anyhow::Error::new(error)),
        }),
    };
    store.close().await.context("the event store was not closed cleanly")?;
    let tree = signed?;
    if tree.size() != manifest.end
        || (manifest.end == manifest.head.size
            && tree.root(manifest.end).context("the audit tree cannot be read")?
                != manifest.head.root)
    {
        return Err(Failure::Different(
            "what stands in the event store is not what was exported: somebody else wrote into it \
             meanwhile; empty it and begin again"
                .to_owned(),
        ));
    }
    output::line(&format!(
        "restored {} events; `daybook serve` posts the read models",
        manifest.end
    ))
}

/// Notes which key store belongs to the store, makes its tree and signs the first head.
async fn sign(
    settings: &Settings,
    store: &infra::event_store::EventStore,
) -> Result<audit::StoredTree, Failure> {
    let keys = engines::keys(settings, store).await?;
    let signer = key::signer(settings, &keys).await?;
    let signed = audit::sign_now(store, &keys, &settings.audit_tree(), &signer).await;
    Ok(signed.context("the restored log could not be signed")?.tree)
}
