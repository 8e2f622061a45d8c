//! `daybook restore`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use audit::backup::{Backup, BackupError, Checked, Manifest};
use event_schemas::StoreId;
use infra::{
    event_store::{FillError, Filled, Filling, OpenError},
    keys::KeysFile,
    unfinished::Unfinished,
};

use super::{copy_keys, failure, keys_failure, log_of, not_made, proven};
use crate::{
    audit::key,
    cli::RestoreArgs,
    engines,
    failure::Failure,
    output,
    progress::Progress,
    settings::{KeysUrl, ReadModelsUrl, Settings},
};

/// Makes the event store anew from a backup. It has its name only when every event is there and was
/// held against the head.
pub(crate) async fn restore(
    settings: &Settings,
    args: RestoreArgs,
    quiet: bool,
) -> Result<(), Failure> {
    let settings = settings.clone();
    let work = move || match args.check {
        true => check(&args, quiet),
        false => make(&settings, &args, quiet),
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.context("the backup cannot be restored")?
}

fn open(args: &RestoreArgs) -> Result<Backup, Failure> {
    let key = args.public_key.as_deref().map(key::public_key).transpose()?;
    Backup::open(&args.file, key.as_ref()).map_err(failure)
}

/// Says whether the backup is whole and what was signed.
fn check(args: &RestoreArgs, quiet: bool) -> Result<(), Failure> {
    let backup = open(args)?;
    let manifest = backup.manifest().clone();
    let checked = each(backup, quiet, |_| Ok::<_, BackupError>(())).map_err(failure)?;
    output::line(&format!(
        "whole: {} events of the store {} as of {}; {}",
        manifest.events,
        manifest.store,
        manifest.time,
        proven(&manifest, &checked)
    ))
}

fn make(settings: &Settings, args: &RestoreArgs, quiet: bool) -> Result<(), Failure> {
    let log = log_of(settings)?;
    if log.exists() {
        return Err(not_filled(FillError::Exists(log.to_owned())));
    }
    let backup = open(args)?;
    let manifest = backup.manifest().clone();
    let keys = keys(settings, args.keys_from.as_deref(), &manifest)?;
    keys.bear(manifest.events)?;
    engines::make_data_directory(&settings.data)?;
    let copy = keys.copy_to().map(Unfinished::database).transpose().map_err(not_made)?;
    let (filled, checked) = fill(log, backup, &manifest, quiet)?;
    keys.bear(checked.leaves)?;
    let note = match (keys, copy) {
        (Keys::Given { from, keys, to }, Some(copy)) => {
            let copied = copy_keys((&from, &keys), (&to, copy), checked.leaves)?;
            let mut note =
                format!("the keys of {} persons are in {}", copied.persons, to.display());
            if copied.heads_left_out > 0 {
                note += &format!(
                    "; {} signed heads cover more events than were restored and were left out: who \
                     was handed one out can tell that the log did not go on from it",
                    copied.heads_left_out
                );
            }
            Some(note)
        }
        (Keys::Absent(note), _) => Some(note),
        _ => None,
    };
    let id = filled.publish().map_err(not_filled)?;
    told(log, &manifest, &checked, id)?;
    if !quiet {
        let again = format!("who was forgotten after {} has to be forgotten again", manifest.time);
        note.into_iter().chain(read_models(settings)).chain([again]).for_each(|note| {
            output::say(&format!("note: {note}"));
        });
    }
    Ok(())
}

fn told(log: &Path, manifest: &Manifest, checked: &Checked, id: StoreId) -> Result<(), Failure> {
    output::line(&format!(
        "restored {} events of the store {}, as of {}, to {}, as the store {id}; {}",
        manifest.events,
        manifest.store,
        manifest.time,
        log.display(),
        proven(manifest, checked)
    ))
}

/// Gives each event of the backup, and shows how far that is.
fn each<E: From<BackupError>>(
    backup: Backup,
    quiet: bool,
    mut take: impl FnMut(&event_schemas::Recorded) -> Result<(), E>,
) -> Result<Checked, E> {
    let mut progress = Progress::new("events", Some(backup.manifest().events), quiet);
    let mut done = 0;
    let checked = backup.check(|event| {
        take(event)?;
        done += 1;
        progress.at(done);
        Ok(())
    });
    progress.finish();
    checked
}

/// An error of either side.
enum NotRestored {
    Backup(BackupError),
    Store(FillError),
}

impl From<BackupError> for NotRestored {
    fn from(error: BackupError) -> Self {
        Self::Backup(error)
    }
}

impl From<NotRestored> for Failure {
    fn from(error: NotRestored) -> Self {
        match error {
            NotRestored::Backup(error) => failure(error),
            NotRestored::Store(error) => not_filled(error),
        }
    }
}

fn fill(
    log: &Path,
    backup: Backup,
    manifest: &Manifest,
    quiet: bool,
) -> Result<(Filled, Checked), NotRestored> {
    let mut filling = Filling::begin(log).map_err(NotRestored::Store)?;
    let checked = each(backup, quiet, |event| filling.push(event).map_err(NotRestored::Store))?;
    let filled = filling.complete(&manifest.keys).map_err(NotRestored::Store)?;
    Ok((filled, checked))
}

fn not_filled(error: FillError) -> Failure {
    match error {
        FillError::Exists(_) => Failure::usage(error.to_string()),
        FillError::File(error) => not_made(error),
        FillError::Open(error @ OpenError::Locked { .. }) => {
            Failure::Failed(anyhow::Error::new(error))
        }
        FillError::Doubled => Failure::Different(format!("the backup cannot be restored: {error}")),
        error => Failure::Failed(anyhow::Error::new(error).context("nothing was restored")),
    }
}

/// The key store of the restored shop.
enum Keys {
    /// A copy is to be put in its place.
    Given { from: PathBuf, keys: KeysFile, to: PathBuf },
    /// It is there.
    Here { at: PathBuf, keys: KeysFile },
    /// It is elsewhere, or still to be put there: what is to be said of that.
    Absent(String),
}

/// Finds the key store, and refuses one of another shop: with it the store would not open.
fn keys(settings: &Settings, from: Option<&Path>, manifest: &Manifest) -> Result<Keys, Failure> {
    let at = match (&settings.keys, from) {
        (KeysUrl::Sqlite(path), _) => path,
        (KeysUrl::Mysql(url), Some(_)) => {
            return Err(Failure::usage(format!(
                "the key store lies in {url}: restore it with that server's own tools, and leave \
                 --keys-from out"
            )));
        }
        (KeysUrl::Mysql(url), None) => {
            let wanted = &manifest.keys;
            return Ok(Keys::Absent(format!(
                "{url} has to hold the key store with the fingerprint {wanted}"
            )));
        }
    };
    let open = |path: &Path| {
        let keys = KeysFile::open(path, settings.master_key.clone())
            .map_err(|error| keys_failure(path, error))?;
        if keys.fingerprint() == manifest.keys {
            return Ok(keys);
        }
        Err(Failure::usage(format!(
            "the backup belongs to the key store with the fingerprint {}, and {} has {}: give that \
             one's copy with --keys-from, or name it with --keys",
            manifest.keys,
            path.display(),
            keys.fingerprint()
        )))
    };
    match from {
        Some(from) if at.exists() => Err(Failure::usage(format!(
            "there is a key store at {} already, and nothing is written over it: move it away, or \
             leave --keys-from {} out to go on with the one that is there",
            at.display(),
            from.display()
        ))),
        Some(from) => Ok(Keys::Given { from: from.to_owned(), keys: open(from)?, to: at.clone() }),
        None if at.exists() => Ok(Keys::Here { at: at.clone(), keys: open(at)? }),
        None => Ok(Keys::Absent(format!(
            "without the key store with the fingerprint {} the shop does not open: put it at {}, or \
             name it with --keys",
            manifest.keys,
            at.display()
        ))),
    }
}

impl Keys {
    fn copy_to(&self) -> Option<&Path> {
        match self {
            Self::Given { to, .. } => Some(to),
            Self::Here { .. } | Self::Absent(_) => None,
        }
    }

    /// Refuses a key store in which more was signed than is restored: nothing would ever be signed
    /// under its key again.
    fn bear(&self, events: u64) -> Result<(), Failure> {
        let Self::Here { at, keys } = self else { return Ok(()) };
        let signed = keys.signed_events().map_err(|error| keys_failure(at, error))?;
        if signed <= events {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "the key store {at} holds a signed head over {signed} events, and the backup has \
             {events}: the log could not be signed any more. Move the key store away and give it \
             with --keys-from, which leaves such heads out",
            at = at.display()
        )))
    }
}

/// What is posted of another store's log is not answered from.
fn read_models(settings: &Settings) -> Option<String> {
    let shown = match &settings.read_models {
        ReadModelsUrl::Sqlite(dir) if !dir.exists() => return None,
        ReadModelsUrl::Sqlite(dir) => dir.display().to_string(),
        ReadModelsUrl::Mysql(url) => url.to_string(),
    };
    Some(format!("what was posted into {shown} is of another store: `daybook rebuild --all`"))
}
