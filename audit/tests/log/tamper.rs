//! A thousand ways to change the embedded store's file behind its back: each is found, or every
//! event still reads byte for byte as it was.

use std::{collections::HashMap, fs, path::Path};

use audit::{Difference, Hash, SignedHead, StoredTree, hash::of_event, verify};
use event_schemas::{Revision, StreamName};
use infra::event_store::{Direction, EventStore};
use rusqlite::{Connection, params};

use crate::support::{append, event, log, open, signed, stream};

const EVENTS: u64 = 240;
const FLIPS: u64 = 500;
const EACH: u64 = 125;

/// Numbers that are the same in every run (SplitMix64, Steele et al. 2014).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

struct Known {
    tree: StoredTree,
    head: SignedHead,
    file: Vec<u8>,
    /// Every event's leaf, in the log and in its stream.
    leaves: Vec<Hash>,
    streams: HashMap<StreamName, Vec<Hash>>,
}

/// What came of a look at a file.
#[derive(Debug)]
enum Found {
    /// The file was refused.
    Refused(String),
    Different(Difference),
    Nothing,
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_changed_in_the_file_is_found_and_located_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let known = known(dir.path()).await;
    let (mut refused, mut located, mut harmless) = (0, 0, 0);
    for seed in 0..FLIPS + 4 * EACH {
        let path = dir.path().join(format!("{seed}.sqlite"));
        let mut numbers = Numbers(seed);
        let (what, expected) = match seed.checked_sub(FLIPS).map(|n| n / EACH) {
            None => flip(&known, &path, &mut numbers),
            Some(0) => remove(&known, &path, &mut numbers),
            Some(1) => insert(&known, &path, &mut numbers),
            Some(2) => swap(&known, &path, &mut numbers),
            Some(_) => truncate(&known, &path, &mut numbers),
        };
        let found = look(&known, &path).await;
        let said = format!("seed {seed}, {what}: {found:?}");
        match (&found, expected) {
            (Found::Different(difference), Some(expected)) => {
                assert_eq!(place(difference), expected, "{said}");
                located += 1;
            }
            (_, Some(_)) => panic!("{said}"),
            (Found::Refused(reason), None) => {
                assert!(!reason.is_empty(), "{said}");
                refused += 1;
            }
            (Found::Different(difference), None) => {
                assert!(!difference.to_string().is_empty());
                located += 1;
            }
            (Found::Nothing, None) => {
                assert_eq!(differs(&known, &path).await, None, "{said}");
                harmless += 1;
            }
        }
        for file in [path.clone(), wal(&path, "-wal"), wal(&path, "-shm")] {
            let _ = fs::remove_file(file);
        }
    }
    eprintln!("located {located}, refused {refused}, harmless {harmless}");
    assert!(located > 0 && harmless > 0);
}

fn wal(path: &Path, end: &str) -> std::path::PathBuf {
    path.with_extension(format!("sqlite{end}"))
}

async fn known(dir: &Path) -> Known {
    let store = open(dir).await;
    append(&store, 0..EVENTS).await;
    let (tree, head) = signed(&store, &dir.join("audit")).await;
    let mut streams: HashMap<StreamName, Vec<Hash>> = HashMap::new();
    let mut leaves = Vec::new();
    for event in log(&store).await {
        leaves.push(of_event(&event));
        streams.entry(event.stream.clone()).or_default().push(of_event(&event));
    }
    store.close().await.unwrap();
    let file = fs::read(dir.join("events.sqlite")).unwrap();
    Known { tree, head, file, leaves, streams }
}

async fn look(known: &Known, path: &Path) -> Found {
    let store = match EventStore::read_sqlite(path).await {
        Ok(store) => store,
        Err(error) => return Found::Refused(error.to_string()),
    };
    match verify(&store, Some(&known.tree), vec![known.head.clone()], |_| {}).await {
        Err(error) => Found::Refused(error.to_string()),
        Ok(verified) => verified.difference.map_or(Found::Nothing, Found::Different),
    }
}

/// What reads otherwise than it did, in the log or in a stream.
async fn differs(known: &Known, path: &Path) -> Option<String> {
    let store = EventStore::read_sqlite(path).await.unwrap();
    let leaves: Vec<Hash> = log(&store).await.iter().map(|event| of_event(event)).collect();
    if leaves != known.leaves {
        return Some("the log".to_owned());
    }
    for (stream, known) in &known.streams {
        let page = store.read_stream(stream, Revision(0), Direction::Forwards, 1_000).await;
        let found = page.map(|page| page.events.iter().map(|e| of_event(e)).collect::<Vec<_>>());
        if found.as_ref().ok() != Some(known) {
            return Some(format!("{stream}: {found:?}"));
        }
        let last = store.stream_head(stream).await.ok().flatten();
        if last != Some(Revision(known.len() as u64 - 1)) {
            return Some(format!("the end of {stream}: {last:?}"));
        }
    }
    None
}

/// The number of the event that a difference names.
fn place(difference: &Difference) -> (&'static str, u64) {
    match difference {
        Difference::Changed(at) => ("changed", at.index),
        Difference::Missing(at) => ("missing", at.index),
        Difference::Added(at) => ("added", at.index),
        Difference::Moved(at) => ("moved", at.index),
        other => panic!("{other}"),
    }
}

type Done = (String, Option<(&'static str, u64)>);

fn flip(known: &Known, path: &Path, numbers: &mut Numbers) -> Done {
    let (at, bit) = (numbers.below(known.file.len() as u64), numbers.below(8));
    let mut bytes = known.file.clone();
    bytes[at as usize] ^= 1 << bit;
    fs::write(path, bytes).unwrap();
    (format!("bit {bit} of byte {at}"), None)
}

fn truncate(known: &Known, path: &Path, numbers: &mut Numbers) -> Done {
    let at = numbers.below(known.file.len() as u64);
    fs::write(path, &known.file[..at as usize]).unwrap();
    (format!("cut at {at}"), None)
}

fn sql(known: &Known, path: &Path) -> Connection {
    fs::write(path, &known.file).unwrap();
    Connection::open(path).unwrap()
}

/// The position of the event of this number.
fn row(index: u64) -> i64 {
    i64::try_from(index).unwrap() + 1
}

fn remove(known: &Known, path: &Path, numbers: &mut Numbers) -> Done {
    let index = numbers.below(EVENTS);
    let removed = sql(known, path).execute("DELETE FROM events WHERE position = ?1", [row(index)]);
    assert_eq!(removed.unwrap(), 1);
    (format!("event {index} removed"), Some(("missing", index)))
}

fn insert(known: &Known, path: &Path, numbers: &mut Numbers) -> Done {
    let index = numbers.below(EVENTS);
    let connection = sql(known, path);
    // In its place, all others behind it; or forged in between without moving any.
    connection
        .execute("UPDATE events SET position = -position - 1 WHERE position > ?1", [row(index) - 1])
        .unwrap();
    connection.execute("UPDATE events SET position = -position WHERE position < 0", []).unwrap();
    let forged = event(10_000 + index);
    connection
        .execute(
            "INSERT INTO events (position, stream, revision, kind, id, data, metadata)
             VALUES (?1, ?2, (SELECT max(revision) + 1 FROM events WHERE stream = ?2), 1, ?3, ?4, ?5)",
            params![
                row(index),
                stream(index).as_str(),
                forged.id.as_bytes(),
                &forged.data[..],
                &forged.metadata[..]
            ],
        )
        .unwrap();
    (format!("an event inserted as {index}"), Some(("added", index)))
}

fn swap(known: &Known, path: &Path, numbers: &mut Numbers) -> Done {
    let one = numbers.below(EVENTS - 1);
    let other = one + 1 + numbers.below(EVENTS - 1 - one);
    let connection = sql(known, path);
    for (from, to) in [(row(one), 0), (row(other), row(one)), (0, row(other))] {
        let moved = connection
            .execute("UPDATE events SET position = ?2 WHERE position = ?1", params![from, to]);
        assert_eq!(moved.unwrap(), 1);
    }
    (format!("events {one} and {other} swapped"), Some(("moved", one)))
}
