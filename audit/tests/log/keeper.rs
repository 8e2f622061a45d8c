//! The keeper: heads that go on from each other, whoever signs them, and none over another log.

use std::time::Duration;

use audit::{
    GrowingTree, Keeper, KeeperSettings, KeeperState, SignedHead, StoredTree, proof, sign_now,
};
use infra::{event_store::EventStore, keys::KeyStore};
use tokio::time::timeout;

use crate::support::{append, event, open, served, signer};

const PATIENCE: Duration = Duration::from_secs(180);

fn settings(dir: &std::path::Path) -> KeeperSettings {
    KeeperSettings { dir: dir.to_owned(), signer: signer(), publish: None }
}

async fn heads(keys: &KeyStore) -> Vec<SignedHead> {
    let id = signer().public_key().id();
    let rows = keys.heads_from(&id, 0, 10_000).await.unwrap();
    rows.iter().map(|row| serde_json::from_str(&row.head).unwrap()).collect()
}

async fn covers(keeper: &Keeper, store: &EventStore) {
    let head = store.head().await.unwrap();
    let mut status = keeper.status();
    let covered = status
        .wait_for(|status| status.signed.as_ref().is_some_and(|signed| signed.position >= head));
    timeout(PATIENCE, covered).await.unwrap().unwrap();
}

#[tokio::test]
async fn two_nodes_on_one_server_sign_one_line_of_heads() {
    let (served, here) = (served().await, tempfile::tempdir().unwrap());
    let keys = KeyStore::open_sqlite(here.path().join("keys.sqlite")).await.unwrap();
    let (one, other) = (served.client().await, served.client().await);
    let keeper_one = Keeper::start(one.clone(), keys.clone(), settings(&here.path().join("one")));
    let keeper_other =
        Keeper::start(other.clone(), keys.clone(), settings(&here.path().join("other")));
    for round in 0..4 {
        append(&one, round * 20..round * 20 + 10).await;
        append(&other, round * 20 + 10..round * 20 + 20).await;
        covers(&keeper_one, &one).await;
        covers(&keeper_other, &other).await;
    }
    append(&one, 80..85).await;
    keeper_one.stop().await;
    keeper_other.stop().await;
    let heads = heads(&keys).await;
    assert!(heads.len() >= 4, "{heads:?}");
    assert_eq!(heads.last().unwrap().size, 85, "{heads:?}");
    let tree = StoredTree::open(&here.path().join("other"), other.id()).unwrap().unwrap();
    for pair in heads.windows(2) {
        let (old, new) = (&pair[0], &pair[1]);
        assert!(old.size < new.size && new.is_by(&signer().public_key()));
        let path = tree.consistency(old.size, new.size).unwrap();
        assert!(proof::is_consistent((old.size, old.root), (new.size, new.root), &path));
    }
}

#[tokio::test]
async fn nothing_is_signed_over_a_log_that_does_not_go_on_from_what_was_signed() {
    let here = tempfile::tempdir().unwrap();
    let keys = KeyStore::open_sqlite(here.path().join("keys.sqlite")).await.unwrap();
    let store = open(here.path()).await;
    append(&store, 0..30).await;
    let signed = sign_now(&store, &keys, &here.path().join("audit"), &signer()).await.unwrap();
    assert_eq!(signed.head.size, 30);

    // Another log of the same length, a shorter one and a longer one, each with a tree of its own.
    for (name, numbers) in [("same", 100..130), ("shorter", 0..20), ("longer", 100..140)] {
        let dir = tempfile::tempdir().unwrap();
        let other = open(dir.path()).await;
        append(&other, numbers).await;
        let keeper =
            Keeper::start(other.clone(), keys.clone(), settings(&dir.path().join("audit")));
        let mut status = keeper.status();
        let diverged = status.wait_for(|status| matches!(status.state, KeeperState::Diverged(_)));
        timeout(PATIENCE, diverged).await.expect(name).unwrap();
        append(&other, 200..201).await;
        keeper.stop().await;
        assert_eq!(heads(&keys).await.len(), 1, "{name}");
    }

    // A log that lost its end and grew another, beside the tree that knows of the former.
    store.close().await.unwrap();
    let file = rusqlite::Connection::open(here.path().join("events.sqlite")).unwrap();
    let set = "UPDATE events SET id = ?1 WHERE position = 30";
    file.execute(set, [[0_u8; 16]]).unwrap();
    let changed = open(here.path()).await;
    let keeper = Keeper::start(changed.clone(), keys.clone(), settings(&here.path().join("audit")));
    let mut status = keeper.status();
    let diverged = status.wait_for(|status| matches!(status.state, KeeperState::Diverged(_)));
    timeout(PATIENCE, diverged).await.unwrap().unwrap();
    keeper.stop().await;
    changed.close().await.unwrap();
    file.execute(set, [event(29).id.as_bytes()]).unwrap();
    drop(file);
    let store = open(here.path()).await;

    // One that goes on is signed, also by a node that has no tree yet.
    append(&store, 30..31).await;
    let signed = sign_now(&store, &keys, &here.path().join("new"), &signer()).await.unwrap();
    assert_eq!(signed.head.size, 31);
    assert_eq!(heads(&keys).await.len(), 2);
}

#[tokio::test]
async fn the_tree_goes_on_from_what_was_synced_and_from_nothing_else() {
    let here = tempfile::tempdir().unwrap();
    let store = open(here.path()).await;
    let dir = here.path().join("audit");
    append(&store, 0..75).await;
    let whole = audit::tree_of_log(&store, &here.path().join("whole")).await.unwrap();
    let leaf = |n| (whole.leaf(n).unwrap(), whole.place(n).unwrap());
    let push = |tree: &mut GrowingTree, n| {
        let (hash, (position, id)) = leaf(n);
        tree.push(hash, position, id).unwrap();
    };
    for end in [0, 1, 31, 32, 64, 75] {
        let mut tree = GrowingTree::open(&dir, store.id()).unwrap();
        (tree.size()..end).for_each(|n| push(&mut tree, n));
        let synced = tree.sync().unwrap()().unwrap();
        assert_eq!(synced.root(end).unwrap(), whole.root(end).unwrap());
        // These are lost.
        (end..75).for_each(|n| push(&mut tree, n));
        drop(tree);
        let read = StoredTree::open(&dir, store.id()).unwrap().unwrap();
        assert_eq!((read.size(), read.root(end).unwrap()), (end, whole.root(end).unwrap()));
        let leaves: Vec<_> = read.leaves().map(Result::unwrap).collect();
        assert_eq!(leaves, (0..end).map(|n| whole.leaf(n).unwrap()).collect::<Vec<_>>());
    }
    assert_eq!(whole.find(leaf(40).1.1, 0).unwrap(), Some((40, leaf(40).1.0)));
    assert_eq!(whole.find(leaf(40).1.1, 41).unwrap(), None);

    // Damaged, it is made anew from nothing; another store's is put aside.
    let nodes = std::fs::OpenOptions::new().write(true).open(dir.join("nodes")).unwrap();
    nodes.set_len(100).unwrap();
    assert!(StoredTree::open(&dir, store.id()).unwrap().is_none());
    assert_eq!(GrowingTree::open(&dir, store.id()).unwrap().size(), 0);
    let other = open(tempfile::tempdir().unwrap().path()).await;
    assert!(StoredTree::open(&dir, other.id()).unwrap().is_none());
    assert_eq!(GrowingTree::open(&dir, other.id()).unwrap().size(), 0);
    assert!(dir.with_extension(store.id().to_string()).join("nodes").exists());
}
