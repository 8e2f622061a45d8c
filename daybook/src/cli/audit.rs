//! The audit.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{AuditFlags, EngineFlags, Format};

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Print the newest signed tree head
    #[command(after_help = "Example:\n  daybook audit head > head.json")]
    Head(AuditHeadArgs),
    /// Read the whole log again and hold it against the newest head, or one given
    #[command(
        after_help = "Examples:\n  daybook audit verify\n  daybook audit verify head.json\n  daybook audit verify --heads published.ndjson"
    )]
    Verify(AuditVerifyArgs),
    /// Print a proof that an event is in the signed log
    #[command(
        after_help = "Examples:\n  daybook audit prove order-31198570044@0 > proof.json\n  daybook audit prove 4b6a3c1e-5a43-5d6c-9d8e-0f1f7ce1a2b3 --size 1000"
    )]
    Prove(AuditProveArgs),
    /// Print a proof that the log goes on from what was signed before
    #[command(
        after_help = "Example:\n  daybook audit consistent old-head.json head.json > proof.json"
    )]
    Consistent(AuditConsistentArgs),
    /// Check a proof or an export, with nothing at hand but the public key
    #[command(
        after_help = "Examples:\n  daybook audit check proof.json --public-key head.json\n  daybook audit check EXPORT --public-key 3q2+7wPY...="
    )]
    Check(AuditCheckArgs),
    /// Write the signed log, or a part of it, as files that can be checked and restored
    #[command(
        after_help = "Examples:\n  daybook audit export ./export\n  daybook audit export ./march --since 2026-03-01T00:00:00Z --until 2026-04-01T00:00:00Z"
    )]
    Export(AuditExportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AuditProveArgs {
    /// The event: its id, or its stream and revision
    #[arg(value_name = "EVENT|STREAM@REVISION")]
    pub(crate) event: String,
    /// In the log of the head over so many events [default: the newest head]
    #[arg(long, value_name = "EVENTS")]
    pub(crate) size: Option<u64>,
    #[command(flatten)]
    pub(crate) audit: AuditFlags,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}

#[derive(Debug, Args)]
pub(crate) struct AuditConsistentArgs {
    /// What was signed before: a head's file, or how many events it covers
    #[arg(value_name = "OLD")]
    pub(crate) old: String,
    /// What was signed later
    #[arg(value_name = "NEW")]
    pub(crate) new: String,
    #[command(flatten)]
    pub(crate) audit: AuditFlags,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}

#[derive(Debug, Args)]
pub(crate) struct AuditCheckArgs {
    /// A proof's file, or an export's directory
    #[arg(value_name = "FILE|DIR")]
    pub(crate) path: PathBuf,
    /// The key that has to have signed it: base64, or a file with it (PEM, or a head)
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) public_key: String,
}

#[derive(Debug, Args)]
pub(crate) struct AuditExportArgs {
    /// A new or empty directory
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// From the first event recorded then or later
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Up to the last event recorded before
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    #[command(flatten)]
    pub(crate) audit: AuditFlags,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}

#[derive(Debug, Args)]
pub(crate) struct AuditHeadArgs {
    #[command(flatten)]
    pub(crate) audit: AuditFlags,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}

#[derive(Debug, Args)]
pub(crate) struct AuditVerifyArgs {
    /// A head as `audit head` printed it [default: the newest one in the key store]
    #[arg(value_name = "HEAD")]
    pub(crate) head: Option<PathBuf>,
    /// A file of heads, one a line, as --audit-publish writes it: all of them are checked
    #[arg(long, value_name = "FILE", conflicts_with = "head")]
    pub(crate) heads: Option<PathBuf>,
    /// Whose signature heads have to bear: base64 or a file [default: the key in use]
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) public_key: Option<String>,
    /// How to print the outcome
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) audit: AuditFlags,
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
}
