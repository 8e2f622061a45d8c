//! The key store: sealing, forgetting, several processes, files that are not ours.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use event_schemas::StreamName;
use futures::future::join_all;
use infra::keys::{
    CopiedKeys, HeadRow, InvalidMasterKey, KeyStore, KeysError, KeysFile, MasterKey,
    associated_data,
};
use servers::{Place, over_every_engine};
use sqlx::Executor as _;
use tempfile::TempDir;
use uuid::Uuid;

mod servers;

over_every_engine!(
    what_is_sealed_opens_and_is_never_the_same_twice,
    it_opens_nowhere_else_and_unchanged_only,
    a_destroyed_key_is_gone_for_ever,
    hashes_depend_on_secret_purpose_and_data,
    several_may_open_it_and_agree_on_every_key,
    a_database_of_something_else_is_refused_and_left_alone,
    heads_are_only_ever_added_each_behind_the_one_before,
    many_are_forgotten_at_once,
    a_first_master_key_wraps_all_and_the_next_wraps_it_anew,
    a_fresh_one_is_wrapped_from_its_beginning,
);

const PLAIN: &[u8] = br#"{"name":"Ada","email":"ada@example.com"}"#;

async fn make() -> (KeyStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (KeyStore::open_sqlite(file(folder.path())).await.unwrap(), folder)
}

fn file(folder: &Path) -> PathBuf {
    folder.join("keys.sqlite")
}

async fn what_is_sealed_opens_and_is_never_the_same_twice(place: Place) {
    let keys = place.keys().await.unwrap();
    let sealed = keys.seal("u1", b"here", PLAIN).await.unwrap();
    assert_ne!(sealed, keys.seal("u1", b"here", PLAIN).await.unwrap());
    assert_eq!(keys.unseal("u1", b"here", &sealed).await.unwrap().as_deref(), Some(PLAIN));
    let empty = keys.seal("u1", b"", b"").await.unwrap();
    assert_eq!(keys.unseal("u1", b"", &empty).await.unwrap().as_deref(), Some(&b""[..]));
}

async fn it_opens_nowhere_else_and_unchanged_only(place: Place) {
    let keys = place.keys().await.unwrap();
    let (stream, id) = (StreamName::new("user", "u1"), Uuid::new_v4());
    let here = associated_data(&stream, id);
    let sealed = keys.seal("u1", &here, PLAIN).await.unwrap();
    keys.seal("u2", &here, PLAIN).await.unwrap();
    let elsewhere = [
        associated_data(&StreamName::new("user", "u2"), id),
        associated_data(&stream, Uuid::nil()),
    ];
    for place in elsewhere {
        assert!(matches!(keys.unseal("u1", &place, &sealed).await, Err(KeysError::Invalid)));
    }
    assert!(matches!(keys.unseal("u2", &here, &sealed).await, Err(KeysError::Invalid)));
    let mut changed = sealed.clone().into_bytes();
    changed[20] ^= 1;
    for text in
        [String::from_utf8(changed).unwrap(), "%".to_owned(), "AAAA".to_owned(), String::new()]
    {
        assert!(matches!(keys.unseal("u1", &here, &text).await, Err(KeysError::Invalid)), "{text}");
    }
}

async fn a_destroyed_key_is_gone_for_ever(place: Place) {
    let keys = place.keys().await.unwrap();
    let sealed = keys.seal("u1", b"", PLAIN).await.unwrap();
    assert_eq!(keys.unseal("nobody", b"", &sealed).await.unwrap(), None);
    keys.destroy("u1").await.unwrap();
    keys.destroy("u1").await.unwrap();
    keys.destroy("never sealed").await.unwrap();
    for keys in [keys, place.keys().await.unwrap()] {
        assert_eq!(keys.unseal("u1", b"", &sealed).await.unwrap(), None);
        for person in ["u1", "never sealed"] {
            let refused = keys.seal(person, b"", PLAIN).await;
            assert!(matches!(refused, Err(KeysError::Destroyed)));
        }
        keys.seal("u2", b"", PLAIN).await.unwrap();
    }
}

/// The bytes of a destroyed key stand in none of the files.
#[tokio::test]
async fn a_destroyed_key_leaves_no_trace() {
    let (keys, folder) = make().await;
    keys.seal("u1", b"", PLAIN).await.unwrap();
    let connection = rusqlite::Connection::open(file(folder.path())).unwrap();
    let select = "SELECT key FROM persons WHERE person = 'u1'";
    let key: Vec<u8> = connection.query_row(select, [], |row| row.get(0)).unwrap();
    drop(connection);
    let holds_key = || {
        fs::read_dir(folder.path()).unwrap().any(|entry| {
            fs::read(entry.unwrap().path()).unwrap().windows(key.len()).any(|bytes| bytes == key)
        })
    };
    assert!(holds_key());
    keys.destroy("u1").await.unwrap();
    assert!(!holds_key());
}

async fn hashes_depend_on_secret_purpose_and_data(place: Place) {
    let keys = place.keys().await.unwrap();
    let (other, _other) = make().await;
    let hash = keys.keyed_hash("email", b"ada@example.com");
    assert_eq!(hash, keys.keyed_hash("email", b"ada@example.com"));
    assert_ne!(hash, keys.keyed_hash("email", b"ada@example.org"));
    assert_ne!(keys.keyed_hash("ab", b"c"), keys.keyed_hash("a", b"bc"));
    assert_ne!(hash, other.keyed_hash("email", b"ada@example.com"));
    assert_ne!(keys.fingerprint(), other.fingerprint());
    let again = place.keys().await.unwrap();
    assert_eq!(again.fingerprint(), keys.fingerprint());
    assert_eq!(again.keyed_hash("email", b"ada@example.com"), hash);
    assert_eq!(keys.fingerprint().len(), 16);
    assert!(!format!("{keys:?}").contains("secret"));
}

async fn several_may_open_it_and_agree_on_every_key(place: Place) {
    let opened = join_all((0..4).map(|_| place.keys())).await;
    let stores: Vec<KeyStore> = opened.into_iter().map(Result::unwrap).collect();
    for keys in &stores {
        assert_eq!(keys.fingerprint(), stores[0].fingerprint());
    }
    for n in 0..20 {
        let person = format!("u{n}");
        let sealed = join_all(stores.iter().map(|keys| keys.seal(&person, b"", PLAIN))).await;
        for sealed in sealed {
            let sealed = sealed.unwrap();
            for keys in &stores {
                let plain = keys.unseal(&person, b"", &sealed).await.unwrap();
                assert_eq!(plain.as_deref(), Some(PLAIN));
            }
        }
    }
}

async fn a_database_of_something_else_is_refused_and_left_alone(place: Place) {
    let Place::Database(database) = &place else { return };
    let mut by_hand = database.connect().await;
    by_hand.execute("CREATE TABLE notes (id INT)").await.unwrap();
    let refused = place.keys().await.map(drop).unwrap_err();
    assert!(matches!(refused, KeysError::NotAKeyDatabase(_)), "{refused:?}");
    let said = refused.to_string();
    assert!(said.contains(&database.url().to_string()) && !said.contains(":app@"), "{said}");
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE()";
    assert_eq!(sqlx::query_scalar::<_, i64>(tables).fetch_one(&mut by_hand).await.unwrap(), 1);
    // Nor do keys and read models lie in one database, whichever came first.
    by_hand.execute("DROP TABLE notes").await.unwrap();
    place.models().await;
    assert!(matches!(place.keys().await, Err(KeysError::NotAKeyDatabase(_))));
}

#[tokio::test]
async fn its_files_are_its_owners_alone() {
    let (keys, folder) = make().await;
    keys.seal("u1", b"", PLAIN).await.unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
}

#[tokio::test]
async fn what_is_no_key_store_is_refused_and_left_alone() {
    let (keys, folder) = make().await;
    drop(keys);
    let open = || KeyStore::open_sqlite(file(folder.path()));
    let connection = rusqlite::Connection::open(file(folder.path())).unwrap();
    connection.pragma_update(None, "user_version", 4).unwrap();
    assert!(matches!(open().await, Err(KeysError::NewerVersion { found: 4, known: 3 })));
    connection.pragma_update(None, "application_id", 7).unwrap();
    assert!(matches!(open().await, Err(KeysError::NotAKeyStore(_))));
    drop(connection);
    let notes = "these are my notes, not a database, and they are long enough to be one";
    fs::write(file(folder.path()), notes).unwrap();
    assert!(matches!(open().await, Err(KeysError::NotAKeyStore(_))));
    assert_eq!(fs::read_to_string(file(folder.path())).unwrap(), notes);
    let nowhere = KeyStore::open_sqlite(folder.path().join("no/such/folder")).await;
    assert!(matches!(nowhere, Err(KeysError::Io { .. })));
    let a_folder = KeyStore::open_sqlite(folder.path()).await;
    assert!(matches!(a_folder, Err(KeysError::Io { .. })));
}

async fn heads_are_only_ever_added_each_behind_the_one_before(place: Place) {
    let keys = place.keys().await.unwrap();
    assert_eq!(keys.newest_head(None).await.unwrap(), None);
    for (n, signer, size) in [(1, "a", 0), (2, "a", 10), (3, "b", 10), (4, "a", 25)] {
        let head = format!("{signer} {size}");
        assert!(keys.add_head(n, signer, size, &head).await.unwrap());
        assert!(!keys.add_head(n, "c", size, &head).await.unwrap(), "{n} is taken");
    }
    let other = place.keys().await.unwrap();
    let row = |n, size, head: &str| HeadRow { n, size, head: head.to_owned() };
    assert_eq!(other.newest_head(None).await.unwrap(), Some(row(4, 25, "a 25")));
    assert_eq!(other.newest_head(Some("b")).await.unwrap(), Some(row(3, 10, "b 10")));
    assert_eq!(other.newest_head(Some("c")).await.unwrap(), None);
    assert_eq!(other.head_of_size("a", 10).await.unwrap(), Some(row(2, 10, "a 10")));
    assert_eq!(other.head_of_size("a", 11).await.unwrap(), None);
    let rest = other.heads_from("a", 1, 10).await.unwrap();
    assert_eq!(rest, [row(2, 10, "a 10"), row(4, 25, "a 25")]);
    assert_eq!(other.heads_from("a", 0, 1).await.unwrap(), [row(1, 0, "a 0")]);
    let seeds = join_all([&keys, &other].map(KeyStore::signing_seed)).await;
    assert_eq!(seeds[0].as_ref().unwrap(), seeds[1].as_ref().unwrap());
    assert_ne!(seeds[0].as_ref().unwrap(), &[0; 32]);
}

#[tokio::test]
async fn the_file_itself_refuses_to_change_a_head_and_one_of_format_1_gets_room_for_them() {
    let (keys, folder) = make().await;
    assert!(keys.add_head(1, "a", 5, "head").await.unwrap());
    let fingerprint = keys.fingerprint().to_owned();
    drop(keys);
    let raw = rusqlite::Connection::open(file(folder.path())).unwrap();
    for change in ["UPDATE heads SET size = 6", "DELETE FROM heads"] {
        let refused = raw.execute(change, []).unwrap_err().to_string();
        assert!(refused.contains("only ever added"), "{refused}");
    }
    raw.execute_batch("DROP TABLE heads; DROP TABLE signing; PRAGMA user_version = 1;").unwrap();
    drop(raw);
    let keys = KeyStore::open_sqlite(file(folder.path())).await.unwrap();
    assert_eq!(keys.fingerprint(), fingerprint);
    assert!(keys.add_head(1, "a", 5, "head").await.unwrap());
}

async fn many_are_forgotten_at_once(place: Place) {
    let keys = place.keys().await.unwrap();
    let sealed = keys.seal("u1", b"", PLAIN).await.unwrap();
    keys.destroy_all(Vec::new()).await.unwrap();
    assert!(keys.unseal("u1", b"", &sealed).await.unwrap().is_some());
    let persons: Vec<String> = (0..1_000).map(|n| format!("u{n}")).collect();
    keys.destroy_all(persons.clone()).await.unwrap();
    keys.destroy_all(persons).await.unwrap();
    for keys in [keys, place.keys().await.unwrap()] {
        assert_eq!(keys.unseal("u1", b"", &sealed).await.unwrap(), None);
        assert!(matches!(keys.seal("u999", b"", PLAIN).await, Err(KeysError::Destroyed)));
        keys.seal("u1000", b"", PLAIN).await.unwrap();
    }
}

fn master(n: u8) -> MasterKey {
    format!("{n:02x}").repeat(32).parse().unwrap()
}

#[test]
fn a_master_key_is_32_bytes_in_base64_or_hex_and_never_shown() {
    let (hex, base64) = ("00".repeat(32), format!("{}=\n", "A".repeat(43)));
    let [hex, base64] = [&hex, &base64].map(|text| text.parse::<MasterKey>().unwrap());
    assert_eq!(hex.fingerprint(), base64.fingerprint());
    assert_ne!(hex.fingerprint(), master(1).fingerprint());
    assert_eq!(format!("{hex:?}"), format!("MasterKey({:?})", hex.fingerprint()));
    for wrong in ["", "secret", &"g0".repeat(32), &"\u{e9}".repeat(32), &"00".repeat(31), "AAAA"] {
        assert_eq!(wrong.parse::<MasterKey>().unwrap_err(), InvalidMasterKey, "{wrong}");
    }
}

async fn a_first_master_key_wraps_all_and_the_next_wraps_it_anew(place: Place) {
    let keys = place.keys().await.unwrap();
    let (fingerprint, seed) = (keys.fingerprint().to_owned(), keys.signing_seed().await.unwrap());
    let sealed = keys.seal("u1", b"", PLAIN).await.unwrap();
    keys.seal("gone", b"", PLAIN).await.unwrap();
    keys.destroy("gone").await.unwrap();
    for n in 0..1_001 {
        keys.seal(&format!("p{n:04}"), b"", b"").await.unwrap();
    }
    let refused = place.keys_with(Some(master(1))).await;
    assert!(matches!(refused, Err(KeysError::NotWrapped)));

    assert_eq!(keys.rotate(master(1)).await.unwrap(), 1_002);
    let one = master(1).fingerprint();
    match place.keys().await {
        Err(KeysError::MasterKeyNeeded { needed }) => assert_eq!(needed, one),
        other => panic!("{other:?}"),
    }
    match place.keys_with(Some(master(2))).await {
        Err(KeysError::OtherMasterKey { needed, given }) => {
            assert_eq!((needed, given), (one, master(2).fingerprint()));
        }
        other => panic!("{other:?}"),
    }
    // A process from before makes no key that nobody could read later, and rotates nothing.
    assert!(matches!(keys.seal("new", b"", PLAIN).await, Err(KeysError::Rotated)));
    assert!(matches!(keys.rotate(master(3)).await, Err(KeysError::Rotated)));

    let mut at = master(1);
    for next in [2, 3] {
        let keys = place.keys_with(Some(at)).await.unwrap();
        assert_eq!((keys.fingerprint(), keys.signing_seed().await.unwrap()), (&*fingerprint, seed));
        let plain = keys.unseal("u1", b"", &sealed).await.unwrap();
        assert_eq!(plain.as_deref(), Some(PLAIN));
        assert!(matches!(keys.seal("gone", b"", PLAIN).await, Err(KeysError::Destroyed)));
        keys.seal("p0000", b"", b"").await.unwrap();
        at = master(next);
        assert_eq!(keys.rotate(at.clone()).await.unwrap(), 1_002);
    }
}

async fn a_fresh_one_is_wrapped_from_its_beginning(place: Place) {
    let keys = place.keys_with(Some(master(1))).await.unwrap();
    let sealed = keys.seal("u1", b"", PLAIN).await.unwrap();
    let seed = keys.signing_seed().await.unwrap();
    assert!(matches!(place.keys().await, Err(KeysError::MasterKeyNeeded { .. })));
    let again = place.keys_with(Some(master(1))).await.unwrap();
    assert_eq!(again.unseal("u1", b"", &sealed).await.unwrap().as_deref(), Some(PLAIN));
    assert_eq!(
        (again.fingerprint(), again.signing_seed().await.unwrap()),
        (keys.fingerprint(), seed)
    );
}

/// A wrapped key opens nothing in another person's row.
#[tokio::test]
async fn a_wrapped_key_is_bound_to_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let open = || KeyStore::open_sqlite_with(file(folder.path()), Some(master(1)));
    let keys = open().await.unwrap();
    for person in ["u1", "u2"] {
        keys.seal(person, b"", PLAIN).await.unwrap();
    }
    drop(keys);
    let raw = rusqlite::Connection::open(file(folder.path())).unwrap();
    let change = "UPDATE persons SET key = (SELECT key FROM persons WHERE person = 'u2')";
    raw.execute(change, []).unwrap();
    drop(raw);
    let keys = open().await.unwrap();
    assert!(matches!(keys.seal("u1", b"", PLAIN).await, Err(KeysError::Invalid)));
    keys.seal("u2", b"", PLAIN).await.unwrap();
}

/// After the rotation no key stands in the file as it is.
#[tokio::test]
async fn what_was_not_wrapped_leaves_no_trace() {
    let (keys, folder) = make().await;
    keys.seal("u1", b"", PLAIN).await.unwrap();
    let seed = keys.signing_seed().await.unwrap().to_vec();
    let raw = rusqlite::Connection::open(file(folder.path())).unwrap();
    let read = |select| raw.query_row(select, [], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let secrets = [read("SELECT key FROM persons"), read("SELECT hash_secret FROM secret"), seed];
    drop(raw);
    let held = |secret: &Vec<u8>| {
        fs::read_dir(folder.path()).unwrap().any(|entry| {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(secret.len()).any(|window| window == secret)
        })
    };
    assert!(secrets.iter().all(held));
    keys.rotate(master(1)).await.unwrap();
    assert!(!secrets.iter().any(held));
}

#[tokio::test]
async fn a_copy_holds_all_but_the_heads_that_a_shorter_log_cannot_bear() {
    let (keys, folder) = make().await;
    let (here, copy) = (file(folder.path()), folder.path().join("copy.sqlite"));
    let sealed = keys.seal("u1", b"here", PLAIN).await.unwrap();
    let gone = keys.seal("u2", b"here", PLAIN).await.unwrap();
    keys.destroy("u2").await.unwrap();
    let seed = keys.signing_seed().await.unwrap();
    for (n, size) in [(1, 5), (2, 9)] {
        assert!(keys.add_head(n, "a", size, "head").await.unwrap());
    }

    // Beside the process that uses it.
    let source = KeysFile::open(&here, None).unwrap();
    assert_eq!(source.signed_events().unwrap(), 9);
    fs::write(&copy, b"").unwrap();
    let copied = source.copy(&copy, 5).unwrap();
    assert_eq!(copied, CopiedKeys { persons: 2, heads_left_out: 1 });
    let again = KeyStore::open_sqlite(&copy).await.unwrap();
    assert_eq!(again.fingerprint(), keys.fingerprint());
    assert_eq!(again.unseal("u1", b"here", &sealed).await.unwrap().as_deref(), Some(PLAIN));
    assert_eq!(again.unseal("u2", b"here", &gone).await.unwrap(), None);
    assert!(matches!(again.seal("u2", b"here", PLAIN).await, Err(KeysError::Destroyed)));
    assert_eq!(again.signing_seed().await.unwrap(), seed);
    let head = HeadRow { n: 1, size: 5, head: "head".to_owned() };
    assert_eq!(again.newest_head(None).await.unwrap(), Some(head));
    drop((again, keys, source));

    // One of the time before anything was signed.
    let raw = rusqlite::Connection::open(&here).unwrap();
    raw.execute_batch("DROP TABLE heads; DROP TABLE signing; PRAGMA user_version = 1;").unwrap();
    drop(raw);
    let source = KeysFile::open(&here, None).unwrap();
    assert_eq!(source.signed_events().unwrap(), 0);
    let older = folder.path().join("older.sqlite");
    fs::write(&older, b"").unwrap();
    let copied = source.copy(&older, 5).unwrap();
    assert_eq!(copied, CopiedKeys { persons: 2, heads_left_out: 0 });
    let again = KeyStore::open_sqlite(&older).await.unwrap();
    assert_eq!(again.unseal("u1", b"here", &sealed).await.unwrap().as_deref(), Some(PLAIN));

    // A newer Daybook's is left to that.
    let raw = rusqlite::Connection::open(&here).unwrap();
    raw.execute_batch("PRAGMA user_version = 4;").unwrap();
    drop(raw);
    let newer = KeysFile::open(&here, None).unwrap_err();
    assert!(matches!(newer, KeysError::NewerVersion { found: 4, known: 3 }), "{newer}");

    // What is none is said to be none, and what is there is not copied over.
    assert!(source.copy(&older, 5).is_err());
    fs::write(folder.path().join("notes"), "these are my notes, and no keys").unwrap();
    for (name, what) in [("notes", "is no Daybook key store"), ("nowhere", "entity not found")] {
        let error = KeysFile::open(&folder.path().join(name), None).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}
