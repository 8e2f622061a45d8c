//! One log, the same root everywhere; what differs is named.

use audit::{Difference, verify};
use event_schemas::{ExpectedRevision, NewEvent, StreamName};
use uuid::Uuid;

use crate::support::{append, log, open, served, signed};

#[tokio::test]
async fn the_same_log_has_the_same_root_on_both_engines() {
    let (here, trees) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let embedded = open(here.path()).await;
    append(&embedded, 0..120).await;
    let (_, head) = signed(&embedded, &trees.path().join("embedded")).await;

    let served = served().await;
    let server = served.client().await;
    append(&server, 0..60).await;
    // What is the store's own is no part of the log.
    let settings = StreamName::parse("$$things-1").unwrap();
    let metadata =
        NewEvent::raw(Uuid::new_v4(), "$metadata".into(), "{\"$tb\":0}".into(), "".into());
    served.behind.append(settings, ExpectedRevision::Any, vec![metadata]).await.unwrap();
    append(&server, 60..120).await;
    let (tree, through) = signed(&server, &trees.path().join("through")).await;
    let (_, behind) = signed(&served.behind, &trees.path().join("behind")).await;
    assert_eq!((through.size, through.root), (head.size, head.root));
    assert_eq!((behind.size, behind.root), (head.size, head.root));

    // Verified over the server, with a head that was signed over the other store.
    let verified = verify(&server, Some(&tree), vec![head], |_| {}).await.unwrap();
    assert_eq!((verified.difference, verified.events, verified.beyond), (None, 120, 0));
}

#[tokio::test]
async fn the_first_event_that_differs_is_named_and_what_comes_later_counted() {
    let (here, trees) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(here.path()).await;
    append(&store, 0..50).await;
    let (tree, head) = signed(&store, &trees.path().join("tree")).await;
    append(&store, 50..57).await;
    let mut told = 0;
    let verified =
        verify(&store, Some(&tree), vec![head.clone()], |read| told = read).await.unwrap();
    assert_eq!((verified.difference, verified.beyond, told), (None, 7, 57));

    // Heads of another log: the same for 20 events, then another.
    let (there, other) = (tempfile::tempdir().unwrap(), trees.path().join("other"));
    let changed = open(there.path()).await;
    append(&changed, 0..20).await;
    let (_, good) = signed(&changed, &other).await;
    append(&changed, 1_000..1_030).await;
    let verified = verify(&changed, None, vec![head.clone(), good.clone()], |_| {}).await.unwrap();
    assert_eq!(verified.difference, Some(Difference::Between { right: 20, wrong: 50 }));
    let verified = verify(&changed, Some(&tree), vec![head.clone(), good], |_| {}).await.unwrap();
    let Some(Difference::Changed(at)) = verified.difference else { panic!("{verified:?}") };
    assert_eq!((at.index, at.position.0, at.id), (20, 21, log(&store).await[20].id));

    // A log that ends too early, and a tree that does not lead to the head.
    let short = tempfile::tempdir().unwrap();
    let short = open(short.path()).await;
    append(&short, 0..49).await;
    let verified = verify(&short, Some(&tree), vec![head.clone()], |_| {}).await.unwrap();
    assert!(matches!(verified.difference, Some(Difference::Missing(at)) if at.index == 49));
    let (foreign, _) = signed(&changed, &trees.path().join("foreign")).await;
    let verified = verify(&short, Some(&foreign), vec![head], |_| {}).await.unwrap();
    assert_eq!(verified.difference, Some(Difference::Between { right: 0, wrong: 50 }));
}
