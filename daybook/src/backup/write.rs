//! `daybook backup`.

use std::path::Path;

use anyhow::Context;
use audit::{
    PublicKey, SignedHead, StoredTree,
    backup::{Backup, BackupError, Checked, Manifest, WriteError, write},
};
use indicatif::HumanBytes;
use infra::{event_store::EventStore, keys::KeysFile, unfinished::Unfinished};

use super::{copy_keys, keys_failure, log_of, not_made, proven};
use crate::{
    audit::key,
    cli::BackupArgs,
    failure::Failure,
    output,
    progress::Progress,
    settings::{KeysUrl, Settings},
};

/// Writes the log to a file and reads that again, to hold it against the newest signed head. The file
/// has its name only when it is whole and right.
pub(crate) async fn backup(
    settings: &Settings,
    args: BackupArgs,
    quiet: bool,
) -> Result<(), Failure> {
    log_of(settings)?;
    let keys_to = match &args.keys_to {
        None => None,
        Some(to) if *to == args.file => {
            return Err(Failure::usage(
                "the keys need a file of their own: name another --keys-to",
            ));
        }
        // Whatever is in the way of them is told before anything is written.
        Some(to) => Some((keys_file(settings)?, to, Unfinished::database(to).map_err(not_made)?)),
    };
    let (store, keys) = key::stores(settings).await?;
    let key = match &args.public_key {
        Some(named) => key::public_key(named)?,
        None => key::signer(settings, &keys).await?.public_key(),
    };
    let file = Unfinished::begin(&args.file).map_err(not_made)?;
    // The head first: what it covers is in the log by then.
    let head = key::newest_head(&keys, &key).await?;
    let events = store.head().await.context("the event store cannot be read")?.0;
    let of = (store.id(), keys.fingerprint().to_owned());
    let manifest = Manifest::new(env!("CARGO_PKG_VERSION"), of, events, head);
    let (bytes, checked) = match copy(&store, &manifest, &key, &file, quiet).await {
        Ok(copied) => copied,
        Err(NotCopied::Failed(failure)) => return Err(failure),
        Err(NotCopied::Different(why)) => {
            return Err(different(settings, &store, manifest.head, &why).await);
        }
    };
    // The keys last: of everybody in the copy of the log the key is there by now.
    if let Some((from, to, file)) = keys_to {
        let keys = KeysFile::open(from, settings.master_key.clone())
            .map_err(|error| keys_failure(from, error))?;
        let copied = copy_keys((from, &keys), (to, file), checked.leaves)?;
        let (persons, to) = (copied.persons, to.display());
        output::line(&format!("copied the keys of {persons} persons to {to}"))?;
    }
    file.publish().map_err(not_made)?;
    output::line(&format!(
        "backed up {events} events to {} ({}); {}",
        args.file.display(),
        HumanBytes(bytes),
        proven(&manifest, &checked)
    ))?;
    if !quiet {
        output::say(&note(settings, &args, &manifest));
    }
    Ok(())
}

enum NotCopied {
    Failed(Failure),
    /// What was written is not what was signed.
    Different(String),
}

/// Writes the log to the file, and checks what stands there.
async fn copy(
    store: &EventStore,
    manifest: &Manifest,
    key: &PublicKey,
    file: &Unfinished,
    quiet: bool,
) -> Result<(u64, Checked), NotCopied> {
    let failed = |error| NotCopied::Failed(Failure::Failed(error));
    let to = file.file().try_clone().context("the backup cannot be written").map_err(failed)?;
    let mut progress = Progress::new("events written", Some(manifest.events), quiet);
    let written = write(store, manifest, to, |written| progress.at(written)).await;
    progress.finish();
    let bytes = written.map_err(|error| match error {
        WriteError::Io(_) => failed(anyhow::Error::new(error)),
        WriteError::Log(_) | WriteError::Gap(_) => NotCopied::Different(error.to_string()),
    })?;
    let (part, key) = (file.part().to_owned(), *key);
    let checking = move || {
        let backup = Backup::open(&part, Some(&key))?;
        let mut progress = Progress::new("events checked", Some(backup.manifest().events), quiet);
        let mut done = 0;
        let checked = backup.check(|_| {
            done += 1;
            progress.at(done);
            Ok(())
        });
        progress.finish();
        checked
    };
    let checked = tokio::task::spawn_blocking(checking).await;
    let checked = checked.context("the backup cannot be checked").map_err(failed)?;
    let checked = checked.map_err(|error| match error {
        BackupError::Unreadable { .. } => failed(anyhow::Error::new(error)),
        error => NotCopied::Different(error.to_string()),
    })?;
    Ok((bytes, checked))
}

/// Where the log differs from what was signed: it was the log that was copied.
async fn different(
    settings: &Settings,
    store: &EventStore,
    head: SignedHead,
    why: &str,
) -> Failure {
    let tree = StoredTree::open(&settings.audit_tree(), store.id()).unwrap_or_default();
    match audit::verify(store, tree.as_ref(), vec![head], |_| {}).await {
        Ok(verified) => match verified.difference {
            Some(difference) => Failure::Different(format!(
                "nothing was backed up: the log is not what was signed: {difference}"
            )),
            None => Failure::failed(format!(
                "nothing was backed up: {why}; but the log is what was signed: look at the disk that \
                 the backup was written to"
            )),
        },
        Err(error) => Failure::failed(format!("nothing was backed up: {why}; {error}")),
    }
}

/// The file of the key store.
fn keys_file(settings: &Settings) -> Result<&Path, Failure> {
    match &settings.keys {
        KeysUrl::Sqlite(path) => Ok(path),
        KeysUrl::Mysql(url) => Err(Failure::usage(format!(
            "the key store lies in {url}: back it up with that server's own tools, and leave \
             --keys-to out"
        ))),
    }
}

/// What else has to be kept.
fn note(settings: &Settings, args: &BackupArgs, manifest: &Manifest) -> String {
    let Some(keys) = &args.keys_to else {
        let how = match &settings.keys {
            KeysUrl::Sqlite(_) => "--keys-to FILE copies it",
            KeysUrl::Mysql(_) => "its server's tools copy it",
        };
        return format!(
            "note: the key store {} is not in it, and without that nobody opens what is personal, \
             nor the shop: {how}; keep it apart from this file",
            manifest.keys
        );
    };
    let folder = |path: &Path| path.parent().and_then(|folder| folder.canonicalize().ok());
    let mut note = if folder(keys) == folder(&args.file) {
        "note: the keys lie beside the backup: move them to another place, and".to_owned()
    } else {
        "note:".to_owned()
    };
    note += " do not keep the keys for long: with them and a backup everything can be read that was \
             forgotten since";
    if let Some(master) = &settings.master_key {
        note += &format!("; they are wrapped by the master key {}", master.fingerprint());
    }
    note
}
