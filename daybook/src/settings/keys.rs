//! The settings of the key store.

use std::path::{Path, PathBuf};

use infra::keys::MasterKey;

use super::{Origin, Sources, value, wrong};
use crate::failure::Failure;

/// The name of the master key's setting. As a flag it names a file; elsewhere it is the key itself.
pub(super) const MASTER_KEY: &str = "master-key";

/// The key that the key store is wrapped by, if any.
pub(super) fn master_key(sources: &Sources, data: &Path) -> Result<Option<MasterKey>, Failure> {
    let (value, origin) = value(sources, data, MASTER_KEY)?;
    match &origin {
        _ if value.is_empty() => Ok(None),
        Origin::Flag(name) => read_master_key(name, &PathBuf::from(value)).map(Some),
        // What is wrong with it is said without it.
        _ => {
            let parsed = value.parse::<MasterKey>();
            parsed.map(Some).map_err(|invalid| wrong(MASTER_KEY, &origin, &invalid.to_string()))
        }
    }
}

/// The master key in a file that a flag names.
pub(crate) fn read_master_key(flag: &str, file: &Path) -> Result<MasterKey, Failure> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::usage(format!("--{flag} names {shown}, which cannot be read: {error}"))
    })?;
    text.parse().map_err(|invalid| Failure::usage(format!("--{flag}: {shown}: {invalid}")))
}
