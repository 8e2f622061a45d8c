//! `daybook backup` and `daybook restore`: the embedded event store's log in one file, held against a
//! signed head when it is written and when it is read.

mod restore;
mod write;

use std::path::Path;

use anyhow::Context;
use audit::{
    SignedHead,
    backup::{BackupError, Checked, Manifest},
};
use infra::{
    keys::{CopiedKeys, KeysError, KeysFile},
    unfinished::{Unfinished, UnfinishedError},
};

use crate::{
    failure::Failure,
    settings::{EventStoreUrl, Settings},
};

pub(crate) use restore::restore;
pub(crate) use write::backup;

/// The embedded event store's file.
fn log_of(settings: &Settings) -> Result<&Path, Failure> {
    match &settings.event_store {
        EventStoreUrl::Sqlite(path) => Ok(path),
        EventStoreUrl::EventStoreDb(_) => Err(Failure::usage(
            "the log lies in an EventStoreDB: back it up and restore it as that server's manual \
             says, or write it to files with `daybook audit export` and bring those in with \
             `daybook import events`",
        )),
    }
}

/// What a backup was held against.
fn proven(manifest: &Manifest, checked: &Checked) -> String {
    let SignedHead { size, time, public_key, .. } = &manifest.head;
    let beyond = checked.beyond;
    format!(
        "they are what was signed: the head over {size} events of {time} by the key {public_key} \
         ({beyond} lie behind it)"
    )
}

/// What is there and is not right has exit code 4.
fn failure(error: BackupError) -> Failure {
    match error {
        BackupError::Unreadable { .. } => Failure::Failed(anyhow::Error::new(error)),
        BackupError::Newer { .. } => Failure::usage(error.to_string()),
        BackupError::Changed { .. } | BackupError::Unproven { .. } => {
            Failure::Different(error.to_string())
        }
    }
}

fn not_made(error: UnfinishedError) -> Failure {
    match error {
        UnfinishedError::Exists(_) | UnfinishedError::Beside(_) | UnfinishedError::Busy(_) => {
            Failure::usage(error.to_string())
        }
        UnfinishedError::Io { .. } => Failure::Failed(anyhow::Error::new(error)),
    }
}

/// Copies the keys, and of the signed heads those over as many events or fewer.
fn copy_keys(
    (from, keys): (&Path, &KeysFile),
    (to, file): (&Path, Unfinished),
    events: u64,
) -> Result<CopiedKeys, Failure> {
    let copied = keys.copy(file.part(), events).with_context(|| {
        format!("the keys of {} cannot be copied to {}", from.display(), to.display())
    })?;
    file.publish().map_err(not_made)?;
    Ok(copied)
}

/// Why a file of keys cannot be used.
fn keys_failure(path: &Path, error: KeysError) -> Failure {
    let said = format!("the key store {} cannot be read", path.display());
    match error {
        KeysError::MasterKeyNeeded { .. }
        | KeysError::OtherMasterKey { .. }
        | KeysError::NotWrapped
        | KeysError::NotAKeyStore(_) => Failure::usage(format!("{said}: {error}")),
        error => Failure::Failed(anyhow::Error::new(error).context(said)),
    }
}
