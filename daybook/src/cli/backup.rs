//! Backups.

use std::path::PathBuf;

use clap::Args;

use super::{AuditFlags, EngineFlags};

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The new file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Copy the key store too, into a file of its own: keep it apart from the other, and not for
    /// long, since with both everything can be read that was forgotten since
    #[arg(long, value_name = "FILE")]
    pub(crate) keys_to: Option<PathBuf>,
    /// Whose signature the head has to bear: base64 or a file [default: the key in use]
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) public_key: Option<String>,
    #[command(flatten)]
    pub(crate) audit: AuditFlags,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// What `daybook backup` wrote
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Check all of it and restore nothing (exit code 4 if it is not what was signed)
    #[arg(long, conflicts_with = "keys_from")]
    pub(crate) check: bool,
    /// The key that has to have signed it: base64, or a file with it (PEM, or a head) [default:
    /// whichever did]
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) public_key: Option<String>,
    /// A copy of the key store that belongs to it, to be put in its place too
    #[arg(long, value_name = "FILE")]
    pub(crate) keys_from: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}
