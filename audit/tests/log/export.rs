//! Exports: any part is proven to be that part; the whole is restored on either engine.

use audit::{
    check::{CheckError, check, manifest},
    export::{ExportError, Wanted, export},
    restore::{RestoreError, restore},
};
use event_schemas::Timestamp;

use crate::support::{append, log, open, served, signed, signer};

#[tokio::test]
async fn any_part_is_proven_and_the_whole_is_restored_on_either_engine() {
    let (here, trees) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(here.path()).await;
    append(&store, 0..100).await;
    let (_, head) = signed(&store, &trees.path().join("tree")).await;
    append(&store, 100..103).await;
    let at = |n: i64| Some(Timestamp::from_micros(1_780_000_000_000_000 + n).unwrap());
    let key = signer().public_key();
    let parts = [
        ((None, None), (0, 100)),
        ((at(0), at(1)), (0, 1)),
        ((at(37), at(64)), (37, 64)),
        ((at(99), None), (99, 100)),
        ((at(100), None), (0, 0)),
    ];
    for (n, ((since, until), (begin, end))) in parts.into_iter().enumerate() {
        let dir = trees.path().join(format!("export-{n}"));
        let wanted = Wanted { since, until };
        let made = export(&store, head.clone(), wanted, &dir, |_| {}).await.unwrap();
        assert_eq!((made.begin, made.end), (begin, end));
        let read = manifest(&dir).unwrap();
        assert_eq!(read, made);
        let mut met = Vec::new();
        let each = |index, event: audit::EventDocument| {
            met.push((index, event.id));
            Ok::<_, CheckError>(())
        };
        check(&dir, &read, Some(&key), each).unwrap();
        let log = log(&store).await;
        let expected: Vec<_> = (begin..end).map(|n| (n, log[n as usize].id)).collect();
        assert_eq!(met, expected);
        // The same events are not another part.
        if end > begin {
            let mut moved = read.clone();
            moved.head.size += 1;
            assert!(check(&dir, &moved, Some(&key), |_, _| Ok::<_, CheckError>(())).is_err());
        }
    }

    // What was cut short is written anew, but nothing else is taken away, and by one at a time.
    let left = trees.path().join("left");
    std::fs::create_dir(&left).unwrap();
    for part in ["events-000001.ndjson.gz", "events-000002.ndjson.gz"] {
        std::fs::write(left.join(part), "half").unwrap();
    }
    let everything = || Wanted { since: None, until: None };
    let busy = std::fs::File::open(&left).unwrap();
    busy.lock().unwrap();
    let made = export(&store, head.clone(), everything(), &left, |_| {}).await;
    assert!(matches!(made, Err(ExportError::Busy(_))), "{made:?}");
    drop(busy);
    export(&store, head.clone(), everything(), &left, |_| {}).await.unwrap();
    assert!(!left.join("events-000002.ndjson.gz").exists());
    check(&left, &manifest(&left).unwrap(), Some(&key), |_, _| Ok::<_, CheckError>(())).unwrap();
    let made = export(&store, head.clone(), everything(), &left, |_| {}).await;
    assert!(matches!(made, Err(ExportError::NotEmpty(_))), "{made:?}");

    let whole = trees.path().join("export-0");
    let read = manifest(&whole).unwrap();
    let there = tempfile::tempdir().unwrap();
    let embedded = open(there.path()).await;
    restore(&embedded, &whole, &read, |_| {}).await.unwrap();
    let (_, again) = signed(&embedded, &trees.path().join("embedded")).await;
    assert_eq!((again.size, again.root), (head.size, head.root));
    assert_ne!(embedded.id(), store.id());
    // Once more there is nothing to do, unless something else stands there by now.
    restore(&embedded, &whole, &read, |_| {}).await.unwrap();
    assert_eq!(embedded.event_count().await.unwrap(), Some(100));
    append(&embedded, 100..101).await;
    let more = restore(&embedded, &whole, &read, |_| {}).await;
    assert!(matches!(more, Err(RestoreError::NotEmpty(_))), "{more:?}");
    // What was cut short is gone on with; another beginning is none of it.
    for (begun, fits) in [(0..37, true), (1..37, false)] {
        let there = tempfile::tempdir().unwrap();
        let store = open(there.path()).await;
        append(&store, begun).await;
        let restored = restore(&store, &whole, &read, |_| {}).await;
        if fits {
            restored.unwrap();
            let (_, again) = signed(&store, &there.path().join("tree")).await;
            assert_eq!((again.size, again.root), (head.size, head.root));
        } else {
            assert!(matches!(restored, Err(RestoreError::NotEmpty(_))), "{restored:?}");
        }
    }

    let served = served().await;
    let server = served.client().await;
    restore(&server, &whole, &read, |_| {}).await.unwrap();
    let (_, again) = signed(&server, &trees.path().join("server")).await;
    assert_eq!((again.size, again.root), (head.size, head.root));
    let part = manifest(&trees.path().join("export-2")).unwrap();
    let refused = restore(&server, &whole, &part, |_| {}).await;
    assert!(matches!(refused, Err(RestoreError::Part(37))), "{refused:?}");
}
