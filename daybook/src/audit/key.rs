//! The key that heads are signed with, and the heads that lie in the key store.

use std::{os::unix::fs::PermissionsExt, path::Path};

use anyhow::Context;
use audit::{HeadSigner, PublicKey, SignedHead};
use infra::{event_store::EventStore, keys::KeyStore};

use crate::{
    engines,
    failure::Failure,
    settings::{KeysUrl, Settings},
};

/// The key in use: the file's, where one is named, else the key store's, made if there is none.
pub(crate) async fn signer(settings: &Settings, keys: &KeyStore) -> Result<HeadSigner, Failure> {
    match &settings.audit_key {
        None => {
            let seed = keys.signing_seed().await.context("the signing key cannot be read")?;
            Ok(HeadSigner::from_seed(&seed))
        }
        Some(path) => of_file(path),
    }
}

fn of_file(path: &Path) -> Result<HeadSigner, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!(
            "--audit-key {shown} cannot be read: {error}; `openssl genpkey -algorithm ed25519 -out \
             FILE` makes a key"
        ))
    })?;
    let signer = HeadSigner::parse(&text)
        .map_err(|error| Failure::usage(format!("--audit-key {shown}: {error}")))?;
    let open = std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0);
    if open {
        tracing::warn!(key = %shown, "others may read the signing key: chmod 600");
    }
    Ok(signer)
}

/// Where the key lies, if that is beside the data that it signs: whoever can change the log can sign
/// it anew then.
pub(crate) fn beside_the_data(settings: &Settings) -> Option<String> {
    let path = match (&settings.audit_key, &settings.keys) {
        (Some(path), _) => path.as_path(),
        (None, KeysUrl::Sqlite(path)) => path.as_path(),
        (None, KeysUrl::Mysql(_)) => return None,
    };
    let (inside, data) = (path.canonicalize().ok()?, settings.data.canonicalize().ok()?);
    inside.starts_with(data).then(|| {
        format!(
            "the signing key lies beside the data that it signs ({}): whoever can change the log \
             can sign it anew; keep it elsewhere with --audit-key FILE, or hand heads out with \
             --audit-publish FILE|URL",
            path.display()
        )
    })
}

/// The event store and the key store that belongs to it, to be read only.
pub(crate) async fn stores(settings: &Settings) -> Result<(EventStore, KeyStore), Failure> {
    let store = engines::event_store_to_read(settings).await?;
    let wanted = store.key_fingerprint().await.context("the event store's keys are unknown")?;
    if wanted.is_none() {
        return Err(Failure::failed(
            "no key store belongs to this event store yet, so nothing was ever signed: `daybook \
             serve` makes one",
        ));
    }
    let keys = engines::keys(settings, &store).await?;
    Ok((store, keys))
}

/// The newest head in the key store under this key. It covers all others: each was signed only
/// because it went on from the one before.
pub(crate) async fn newest_head(keys: &KeyStore, key: &PublicKey) -> Result<SignedHead, Failure> {
    head_if_any(keys, key).await?.ok_or_else(|| {
        Failure::failed(format!(
            "nothing was signed with the key {key} yet: `daybook serve` signs the log"
        ))
    })
}

/// The same where nothing may be signed yet.
pub(super) async fn head_if_any(
    keys: &KeyStore,
    key: &PublicKey,
) -> Result<Option<SignedHead>, Failure> {
    let row = keys.newest_head(Some(&key.id())).await.context("the key store cannot be read")?;
    let Some(row) = row else { return Ok(None) };
    let head: Option<SignedHead> = serde_json::from_str(&row.head).ok();
    head.filter(|head| head.is_by(key) && head.size == row.size).map(Some).ok_or_else(|| {
        Failure::Different(format!("head {} in the key store is not what was signed", row.n))
    })
}

/// A key as somebody names it: base64, or a file that holds base64, PEM or a head.
pub(crate) fn public_key(named: &str) -> Result<PublicKey, Failure> {
    if let Ok(key) = named.parse() {
        return Ok(key);
    }
    let text = std::fs::read_to_string(named).map_err(|error| {
        Failure::usage(format!("--public-key {named:?} is no key, and no file: {error}"))
    })?;
    text.parse().map_err(|error| Failure::usage(format!("--public-key {named:?}: {error}")))
}
