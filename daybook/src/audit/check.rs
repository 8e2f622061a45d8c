//! `daybook audit check`: a proof or an export, with nothing at hand but the public key.

use std::path::Path;

use audit::{
    ProofDocument, PublicKey,
    check::{CheckError, check, manifest},
};

use super::key;
use crate::{cli::AuditCheckArgs, failure::Failure, output, progress::Progress};

/// Says what is proven; exit code 4 if nothing is.
pub(crate) fn run(args: &AuditCheckArgs, quiet: bool) -> Result<(), Failure> {
    let key = key::public_key(&args.public_key)?;
    if args.path.is_dir() { export(&args.path, &key, quiet) } else { proof(&args.path, &key) }
}

fn proof(path: &Path, key: &PublicKey) -> Result<(), Failure> {
    let shown = path.display();
    let text = std::fs::read(path)
        .map_err(|error| Failure::failed(format!("{shown} cannot be read: {error}")))?;
    let proof: ProofDocument = serde_json::from_slice(&text)
        .map_err(|error| Failure::Different(format!("{shown} is no whole proof: {error}")))?;
    proof
        .check(key)
        .map_err(|unproven| Failure::Different(format!("{shown} proves nothing: {unproven}")))?;
    output::line(&format!("proven: {proof}"))
}

fn export(dir: &Path, key: &PublicKey, quiet: bool) -> Result<(), Failure> {
    let manifest = manifest(dir).map_err(failure)?;
    let count = manifest.end - manifest.begin;
    let mut progress = Progress::new("events", Some(count), quiet);
    let mut done = 0;
    let checked = check(dir, &manifest, Some(key), |_, _| {
        done += 1;
        progress.at(done);
        Ok::<_, CheckError>(())
    });
    progress.finish();
    checked.map_err(failure)?;
    let (head, whole) = (&manifest.head, count == manifest.head.size);
    let which = if whole {
        "all events".to_owned()
    } else {
        format!("events number {} to {}", manifest.begin, manifest.end.saturating_sub(1))
    };
    output::line(&format!(
        "proven: these {count} events are {which} of the log of {} events signed at {}",
        head.size, head.time
    ))
}

/// What cannot be read was not checked.
pub(super) fn failure(error: CheckError) -> Failure {
    match error {
        CheckError::Unreadable(..) => Failure::Failed(anyhow::Error::new(error)),
        CheckError::Changed(..) | CheckError::Unproven(_) => Failure::Different(error.to_string()),
    }
}
