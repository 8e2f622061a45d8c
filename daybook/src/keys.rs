//! `daybook keys`: the key store itself.

use anyhow::Context;

use crate::{
    cli::KeysCommand,
    engines,
    failure::Failure,
    output,
    settings::{KeysUrl, Settings, read_master_key},
};

/// Runs one of the commands.
pub(crate) async fn run(
    settings: &Settings,
    command: KeysCommand,
    quiet: bool,
) -> Result<(), Failure> {
    let KeysCommand::Rotate(args) = command;
    let new = read_master_key("new-master-key", &args.new_master_key)?;
    if let KeysUrl::Sqlite(path) = &settings.keys
        && !path.exists()
    {
        let shown = path.display();
        return Err(Failure::usage(format!(
            "there is no key store at {shown}; name it with --keys"
        )));
    }
    // A server that runs could not read them any more.
    let (store, _lock) = engines::take(settings).await?;
    let fingerprint = new.fingerprint();
    let rotated = match engines::open_keys(settings).await {
        Ok(keys) => keys.rotate(new).await.context("nothing was changed").map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    if let Some(store) = store {
        store.close().await.context("the event store was not closed cleanly")?;
    }
    let count = rotated?;
    if !quiet {
        output::say(&format!(
            "the secrets of the key store and the keys of {count} persons are wrapped by the master \
             key {fingerprint}; start the servers with it, and keep the one before as long as \
             backups are wrapped by it"
        ));
    }
    Ok(())
}
