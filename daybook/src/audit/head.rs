//! `daybook audit head`.

use super::key;
use crate::{failure::Failure, output, settings::Settings};

/// Prints the newest signed head.
pub(crate) async fn run(settings: &Settings) -> Result<(), Failure> {
    let (_, keys) = key::stores(settings).await?;
    let signer = key::signer(settings, &keys).await?;
    let head = key::newest_head(&keys, &signer.public_key()).await?;
    if let Some(beside) = key::beside_the_data(settings) {
        output::say(&format!("note: {beside}"));
    }
    output::json(&head)
}
