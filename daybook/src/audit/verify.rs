//! `daybook audit verify`: the whole log against signed heads.

use std::{path::Path, time::Instant};

use anyhow::Context;
use audit::{Difference, PublicKey, SignedHead, StoredTree, Verified};
use infra::event_store::EventStore;
use serde_json::json;

use super::key;
use crate::{
    cli::{AuditVerifyArgs, Format},
    failure::Failure,
    output::{self, Table},
    progress::Progress,
    settings::Settings,
};

/// Reads the log and says whether it is what was signed. Exit code 4 if it is not.
pub(crate) async fn run(
    settings: &Settings,
    args: AuditVerifyArgs,
    quiet: bool,
) -> Result<(), Failure> {
    let (store, keys) = key::stores(settings).await?;
    let key = match &args.public_key {
        Some(named) => key::public_key(named)?,
        None => key::signer(settings, &keys).await?.public_key(),
    };
    let heads = match (&args.head, &args.heads) {
        (Some(path), _) => vec![head_of_file(path, &key)?],
        (None, Some(path)) => {
            let mut heads = heads_of_file(path, &key)?;
            // The file's say nothing of what came after them.
            let newest = key::head_if_any(&keys, &key).await?;
            heads.extend(newest.filter(|newest| {
                heads.iter().all(|head| (head.size, head.root) != (newest.size, newest.root))
            }));
            heads
        }
        (None, None) => vec![key::newest_head(&keys, &key).await?],
    };
    let tree = StoredTree::open(&settings.audit_tree(), store.id())
        .context("the audit tree cannot be read")?;
    let total = store.event_count().await.context("the event store cannot be read")?;
    let mut progress = Progress::new("events", total, quiet);
    let begun = Instant::now();
    let verified = audit::verify(&store, tree.as_ref(), heads, |read| progress.at(read)).await;
    progress.finish();
    let verified = verified.context("the log could not be verified")?;
    print(&verified, args.format, begun)?;
    match &verified.difference {
        None => Ok(()),
        Some(difference) => Err(differs(&store, difference).await),
    }
}

/// One head, as `audit head` prints it.
pub(super) fn head_of_file(path: &Path, key: &PublicKey) -> Result<SignedHead, Failure> {
    let text = read(path)?;
    let head: SignedHead = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("{} is no head: {error}", path.display())))?;
    signed(head, key, &path.display().to_string())
}

/// Many heads, one a line.
fn heads_of_file(path: &Path, key: &PublicKey) -> Result<Vec<SignedHead>, Failure> {
    let text = read(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let heads: Result<Vec<SignedHead>, Failure> = lines
        .map(|(at, line)| {
            let place = format!("{}, line {}", path.display(), at + 1);
            let head = serde_json::from_str(line)
                .map_err(|error| Failure::usage(format!("{place}, is no head: {error}")))?;
            signed(head, key, &place)
        })
        .collect();
    match heads?.as_slice() {
        [] => Err(Failure::usage(format!("{} holds no head", path.display()))),
        heads => Ok(heads.to_vec()),
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))
}

fn signed(head: SignedHead, key: &PublicKey, place: &str) -> Result<SignedHead, Failure> {
    if head.is_by(key) {
        return Ok(head);
    }
    let why = if head.public_key == *key {
        "its signature does not fit it".to_owned()
    } else {
        format!("it names the key {}", head.public_key)
    };
    Err(Failure::Different(format!("{place}: this head was not signed with {key}: {why}")))
}

async fn differs(store: &EventStore, difference: &Difference) -> Failure {
    let is_gone = matches!(difference, Difference::Missing(_) | Difference::Between { .. });
    if is_gone && store.was_scavenged().await != Some(false) {
        let hint = match store.was_scavenged().await {
            Some(_) => "this EventStoreDB was scavenged (it says so in $scavenges)",
            None => "if this EventStoreDB was scavenged",
        };
        return Failure::failed(format!(
            "the log cannot be verified: {difference}; {hint}, what it took away is gone from the \
             log, and a root over it can never be computed again"
        ));
    }
    Failure::Different(format!("the log is not what was signed: {difference}"))
}

fn print(verified: &Verified, format: Format, begun: Instant) -> Result<(), Failure> {
    let seconds = begun.elapsed().as_secs_f64();
    let Verified { events, beyond, heads, difference } = verified;
    match format {
        Format::Json => output::json(&json!({
            "outcome": if difference.is_none() { "verified" } else { "different" },
            "events": events,
            "beyond": beyond,
            "heads": heads,
            "difference": difference.as_ref().map(ToString::to_string),
            "seconds": seconds,
        })),
        Format::Table => {
            let mut table = Table::new(&["what", "value"]);
            let outcome = if difference.is_none() { "verified" } else { "different" };
            for (what, value) in [
                ("outcome", outcome.to_owned()),
                ("events", events.to_string()),
                ("events after the newest head", beyond.to_string()),
                ("heads checked", heads.to_string()),
                ("seconds", format!("{seconds:.2}")),
            ] {
                table.row(vec![what.to_owned(), value]);
            }
            table.print()
        }
    }
}
