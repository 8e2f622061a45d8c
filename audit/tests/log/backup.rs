//! Backups: byte for byte and place for place what the log was, and nothing else passes for one.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use audit::{
    PublicKey, SignedHead, Unproven,
    backup::{Backup, BackupError, Checked, Manifest, WriteError, write},
};
use bytes::Bytes;
use event_schemas::{
    ExpectedRevision, NewEvent, Position, Received, Recorded, Revision, StreamName, Timestamp,
};
use flate2::{Compression, GzBuilder, read::MultiGzDecoder, write::GzEncoder};
use infra::event_store::{
    Direction, EventStore, FillError, Filling, Filter, IndexCheck, OpenError,
};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{append, event, open, signed, signer, stream};

/// A log of a hundred events and of what the store keeps for itself, three events behind its head.
async fn shop() -> (TempDir, EventStore, SignedHead) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    append(&store, 0..60).await;
    let metadata = NewEvent::raw(
        Uuid::from_u128(9_000),
        "$metadata".to_owned(),
        b"{\"$tb\":1}".to_vec().into(),
        Vec::new().into(),
    );
    let at = Timestamp::from_micros(1_780_000_000_000_001).unwrap();
    let metadata = metadata.received(Received { at, json: true });
    let of = StreamName::parse("$$things-1").unwrap();
    store.append(of, ExpectedRevision::NoStream, vec![metadata]).await.unwrap();
    append(&store, 60..100).await;
    let (_, head) = signed(&store, &dir.path().join("tree")).await;
    append(&store, 100..103).await;
    (dir, store, head)
}

async fn back_up(store: &EventStore, head: &SignedHead, file: &Path) -> Result<u64, WriteError> {
    let events = store.head().await.unwrap().0;
    let manifest = Manifest::new("0.0.0", (store.id(), "keys".to_owned()), events, head.clone());
    write(store, &manifest, fs::File::create(file).unwrap(), |_| {}).await
}

fn check(file: &Path, key: Option<&PublicKey>) -> Result<Checked, BackupError> {
    Backup::open(file, key)?.check(|_| Ok(()))
}

/// An event with its place, as far as it can be compared.
type Placed = (Position, Uuid, StreamName, Revision, String, Bytes, Bytes, Option<Received>);

/// All that a store holds, its own events too.
async fn everything(store: &EventStore) -> Vec<Placed> {
    let filter = Filter::all();
    let page = store.read_log(Position::START, Direction::Forwards, &filter, 1_000).await.unwrap();
    assert!(page.at_end);
    let placed = page.events.into_iter().map(|event| {
        let (data, metadata) = (event.data.clone(), event.metadata.clone());
        let (stream, kind) = (event.stream.clone(), event.event_type.to_string());
        (event.position, event.id, stream, event.revision, kind, data, metadata, event.received)
    });
    placed.collect()
}

#[tokio::test]
async fn a_backup_is_the_log_at_one_moment_and_becomes_the_same_log_again() {
    let (dir, store, head) = shop().await;
    let file = dir.path().join("backup");
    let bytes = back_up(&store, &head, &file).await.unwrap();
    assert_eq!(fs::metadata(&file).unwrap().len(), bytes);
    let then = everything(&store).await;
    append(&store, 103..110).await;

    let key = signer().public_key();
    let checked = check(&file, Some(&key)).unwrap();
    assert_eq!((checked.leaves, checked.beyond), (103, 3));
    let (there, mut met) = (tempfile::tempdir().unwrap(), 0);
    let path = there.path().join("events.sqlite");
    let mut filling = Filling::begin(&path).unwrap();
    let backup = Backup::open(&file, Some(&key)).unwrap();
    assert_eq!((backup.manifest().events, backup.manifest().store), (104, store.id()));
    backup
        .check(|event| {
            met += 1;
            filling.push(event).unwrap();
            Ok::<_, BackupError>(())
        })
        .unwrap();
    assert_eq!(met, 104);
    assert!(!path.exists());
    let id = filling.complete("keys").unwrap().publish().unwrap();

    let again = open(there.path()).await;
    assert_eq!((again.id(), again.key_fingerprint().await), (id, Ok(Some("keys".to_owned()))));
    assert_ne!(again.id(), store.id());
    assert_eq!(everything(&again).await, then);
    let (_, again_signed) = signed(&again, &there.path().join("tree")).await;
    assert_eq!(again_signed.root, checked.root);
    let indexes = again.check_indexes().await.unwrap();
    assert_eq!(indexes, IndexCheck::Sound);
    // It goes on.
    append(&again, 103..104).await;
    assert_eq!(again.head().await.unwrap().0, 105);
}

#[tokio::test]
async fn every_bit_counts() {
    let (dir, store, head) = shop().await;
    let file = dir.path().join("backup");
    back_up(&store, &head, &file).await.unwrap();
    let whole = fs::read(&file).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        match check(&file, None) {
            Err(BackupError::Changed { .. }) => {}
            other => panic!("{other:?}"),
        }
    };
    let (first, last) = (0..200, whole.len() - 200..whole.len());
    for at in first.chain((200..whole.len()).step_by(7)).chain(last) {
        let mut bent = whole.clone();
        bent[at] ^= 1 << (at % 8);
        refused(&bent);
    }
    for length in (0..whole.len()).step_by(97).chain([whole.len() - 1]) {
        refused(&whole[..length]);
    }
    refused(&[&whole[..], b"\n"].concat());
    refused(&[&whole[..], &whole[..]].concat());
    fs::write(&file, &whole).unwrap();
    check(&file, None).unwrap();
}

/// The file that holds these lines, as whoever knows the form would write it.
fn forge(file: &Path, lines: &[String]) {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    lines.iter().for_each(|line| writeln!(gzip, "{line}").unwrap());
    finish(file, gzip.finish().unwrap());
}

fn finish(file: &Path, mut bytes: Vec<u8>) {
    let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let ending = GzBuilder::new().comment(hash).write(Vec::new(), Compression::fast());
    let mut ending = ending.finish().unwrap();
    // What the builder notes of its level and system.
    (ending[8], ending[9]) = (0, 0xff);
    bytes.extend(ending);
    fs::write(file, bytes).unwrap();
}

/// What a forger does to the lines.
type Change<'a> = &'a dyn Fn(&mut Vec<String>);

fn lines(file: &Path) -> Vec<String> {
    let mut text = String::new();
    MultiGzDecoder::new(fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn what_is_forged_does_not_lead_to_the_signed_root() {
    let (dir, store, head) = shop().await;
    let file = dir.path().join("backup");
    back_up(&store, &head, &file).await.unwrap();
    let written = lines(&file);
    assert_eq!(written.len(), 105);
    let forged: PathBuf = dir.path().join("forged");
    let outcome = |lines: Vec<String>| {
        forge(&forged, &lines);
        check(&forged, None)
    };
    // The forger's own hand, to begin with.
    assert_eq!(outcome(written.clone()).unwrap().beyond, 3);

    let with = |change: Change<'_>| {
        let mut lines = written.clone();
        change(&mut lines);
        outcome(lines)
    };
    let manifest = |from: &str, to: &str| {
        assert!(written[0].contains(from), "{}", written[0]);
        with(&|lines| lines[0] = lines[0].replacen(from, to, 1))
    };
    let unproven: [Change<'_>; 4] = [
        &|lines| lines.swap(20, 21),
        &|lines| lines[33] = lines[33].replacen("e", "f", 1).replacen("Ünï", "Uni", 1),
        &|lines| lines[50] = lines[51].clone(),
        &|lines| {
            let _ = (lines.remove(40), lines.push(written[104].clone()));
        },
    ];
    for change in unproven {
        let refused = with(change);
        let root = matches!(refused, Err(BackupError::Unproven { why: Unproven::Root, .. }));
        assert!(root || matches!(refused, Err(BackupError::Changed { .. })), "{refused:?}");
    }
    let refused = manifest("\"size\":100", "\"size\":101");
    let unsigned = |found: &_| {
        matches!(found, Err(BackupError::Unproven { why: Unproven::Signature { .. }, .. }))
    };
    assert!(unsigned(&refused), "{refused:?}");
    let changed = [
        manifest("\"events\":104", "\"events\":103"),
        manifest("\"events\":104", "\"events\":105"),
        manifest("\"daybook\":\"backup\"", "\"daybook\":\"export\""),
        manifest("\"version\":1", "\"version\":1,\"more\":1"),
        with(&|lines| lines.truncate(0)),
        with(&|lines| lines[0] = "no manifest".to_owned()),
        with(&|lines| lines[7] = "{}".to_owned()),
        with(&|lines| lines[7] = lines[7].replacen("things", "thi\\u0000ngs", 1)),
        with(&|lines| lines[7] = lines[7].replacen("\"metadata\":", "\"metadata_base64\":", 1)),
        with(&|lines| lines.push("{}".to_owned())),
    ];
    for found in &changed {
        assert!(matches!(found, Err(BackupError::Changed { .. })), "{found:?}");
    }
    let newer = manifest("\"version\":1", "\"version\":2");
    assert!(matches!(newer, Err(BackupError::Newer { found: 2, .. })), "{newer:?}");
    // A second member, and what is no gzip at all.
    let mut two = GzEncoder::new(Vec::new(), Compression::fast());
    written.iter().for_each(|line| writeln!(two, "{line}").unwrap());
    let two = two.finish().unwrap();
    finish(&forged, [&two[..], &two[..]].concat());
    assert!(matches!(check(&forged, None), Err(BackupError::Changed { .. })));
    finish(&forged, b"these are my notes".to_vec());
    assert!(matches!(check(&forged, None), Err(BackupError::Changed { .. })));

    // Somebody else's signature is somebody else's.
    let other: PublicKey = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=".parse().unwrap();
    assert!(unsigned(&check(&file, Some(&other))));
    let missing = check(&dir.path().join("nowhere"), None);
    assert!(matches!(missing, Err(BackupError::Unreadable { .. })), "{missing:?}");
}

#[tokio::test]
async fn an_event_that_is_gone_is_missed_while_the_backup_is_written() {
    let (dir, store, head) = shop().await;
    store.close().await.unwrap();
    let raw = rusqlite::Connection::open(dir.path().join("events.sqlite")).unwrap();
    raw.execute("DELETE FROM events WHERE position = 50", []).unwrap();
    drop(raw);
    let store = open(dir.path()).await;
    let refused = back_up(&store, &head, &dir.path().join("backup")).await;
    assert!(matches!(refused, Err(WriteError::Gap(place)) if place.0 == 50), "{refused:?}");
}

#[tokio::test]
async fn two_events_in_one_place_are_no_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.sqlite");
    let mut filling = Filling::begin(&path).unwrap();
    // Nor do two fill one store, or one fill what a server has opened.
    assert!(matches!(Filling::begin(&path), Err(FillError::Open(OpenError::Locked { .. }))));
    for n in [0, 11] {
        filling.push(&Recorded::written(event(n), stream(n), Revision(0))).unwrap();
    }
    let refused = filling.complete("keys").unwrap_err();
    assert!(matches!(refused, FillError::Doubled), "{refused}");
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["events.sqlite.lock"]);
    let store = open(dir.path()).await;
    assert!(matches!(Filling::begin(&path), Err(FillError::Exists(_))));
    store.close().await.unwrap();
}
