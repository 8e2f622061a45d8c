//! How fast a log is verified: `cargo run --release -p audit --example verify_speed DATA`, the data
//! directory of a shop that was closed. The head is signed here, by a key of no meaning.
#![allow(clippy::print_stdout)]

use std::{error::Error, path::PathBuf, time::Instant};

use audit::{HeadSigner, StoredTree, verify};
use event_schemas::Timestamp;
use infra::event_store::EventStore;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let data = PathBuf::from(std::env::args().nth(1).ok_or("name a data directory")?);
    let store = EventStore::read_sqlite(data.join("events.sqlite")).await?;
    let tree = StoredTree::open(&data.join("audit"), store.id())?.ok_or("there is no tree")?;
    let (size, root) = (tree.size(), tree.root(tree.size())?);
    let head = HeadSigner::from_seed(&[0; 32]).sign(size, root, Timestamp::saturating(0));
    for _ in 0..5 {
        let begun = Instant::now();
        let verified = verify(&store, Some(&tree), vec![head.clone()], |_| {}).await?;
        let seconds = begun.elapsed().as_secs_f64();
        if let Some(difference) = verified.difference {
            return Err(difference.to_string().into());
        }
        println!("{size} events in {seconds:.2} s: {:.0} a second", size as f64 / seconds);
    }
    Ok(())
}
