//! `daybook audit prove` and `daybook audit consistent`.

use anyhow::Context;
use audit::{EventName, ProveError, PublicKey, SignedHead, StoredTree, document::ProofDocument};
use infra::{event_store::EventStore, keys::KeyStore};
use uuid::Uuid;

use super::{key, verify::head_of_file};
use crate::{
    cli::{AuditConsistentArgs, AuditProveArgs},
    failure::Failure,
    output,
    settings::Settings,
};

/// Prints a proof that an event is in the log.
pub(crate) async fn prove(settings: &Settings, args: AuditProveArgs) -> Result<(), Failure> {
    let name: EventName = args.event.parse().map_err(Failure::usage)?;
    let (store, keys) = key::stores(settings).await?;
    let key = key::signer(settings, &keys).await?.public_key();
    let head = match args.size {
        None => key::newest_head(&keys, &key).await?,
        Some(size) => of_size(&keys, &key, size).await?,
    };
    let tree = tree(settings, &store, head.size).await?;
    let proof = audit::prove(&store, &tree, &head, &name).await;
    print(&proof.map_err(failure)?)
}

/// Prints a proof that the log of one head goes on from that of another.
pub(crate) async fn consistent(
    settings: &Settings,
    args: AuditConsistentArgs,
) -> Result<(), Failure> {
    let (store, keys) = key::stores(settings).await?;
    let key = key::signer(settings, &keys).await?.public_key();
    let old = named(&keys, &key, &args.old).await?;
    let new = named(&keys, &key, &args.new).await?;
    let tree = tree(settings, &store, old.size.max(new.size)).await?;
    print(&audit::consistent(&tree, (old, new)).map_err(failure)?)
}

fn print(proof: &ProofDocument) -> Result<(), Failure> {
    output::json(proof)
}

/// A head by its size, or in a file.
async fn named(keys: &KeyStore, key: &PublicKey, text: &str) -> Result<SignedHead, Failure> {
    match text.parse() {
        Ok(size) => of_size(keys, key, size).await,
        Err(_) => head_of_file(text.as_ref(), key),
    }
}

async fn of_size(keys: &KeyStore, key: &PublicKey, size: u64) -> Result<SignedHead, Failure> {
    let row = keys.head_of_size(&key.id(), size).await.context("the key store cannot be read")?;
    if let Some(row) = row {
        let head: Option<SignedHead> = serde_json::from_str(&row.head).ok();
        return head.filter(|head| head.is_by(key)).ok_or_else(|| {
            Failure::Different(format!("head {} in the key store is not what was signed", row.n))
        });
    }
    let newest = key::newest_head(keys, key).await?.size;
    let next = keys.heads_from(&key.id(), size, 1).await.context("the key store cannot be read")?;
    Err(Failure::usage(match next.first() {
        Some(row) => {
            format!("no head over exactly {size} events was signed; the next is over {}", row.size)
        }
        None => format!("the newest head covers {newest} events, fewer than {size}"),
    }))
}

/// This machine's tree, or one made of the log for this once.
async fn tree(settings: &Settings, store: &EventStore, size: u64) -> Result<StoredTree, Failure> {
    let known = StoredTree::open(&settings.audit_tree(), store.id());
    if let Some(tree) = known.context("the audit tree cannot be read")?
        && tree.size() >= size
    {
        return Ok(tree);
    }
    let dir = std::env::temp_dir().join(format!("daybook-audit-{}", Uuid::new_v4()));
    let made = audit::tree_of_log(store, &dir).await;
    // What is open stays readable.
    let _ = std::fs::remove_dir_all(&dir);
    Ok(made.context("the tree cannot be made from the log")?)
}

fn failure(error: ProveError) -> Failure {
    match error {
        ProveError::NoStream(_) | ProveError::NoRevision { .. } | ProveError::NotSigned => {
            Failure::usage(error.to_string())
        }
        ProveError::Different(_) | ProveError::Foreign(_) => Failure::Different(error.to_string()),
        error => Failure::Failed(anyhow::Error::new(error)),
    }
}
