//! What every engine of read models owes its callers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use event_schemas::{Position, StoreId};
use infra::read_models::{
    Changes, Checkpoint, Column, Index, ReadModelError, ReadModels, Row, Schema, Skipped, Table,
    Value, Writer,
};
use servers::{Database, Place, over_every_engine};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use uuid::Uuid;

mod servers;

over_every_engine!(
    rows_are_loaded_written_over_and_deleted_in_any_number,
    rows_of_any_size_are_stored_as_they_are,
    texts_compare_by_their_bytes,
    a_checkpoint_that_is_elsewhere_changes_nothing,
    what_was_passed_over_is_kept_with_the_checkpoint,
    a_batch_that_fails_halfway_leaves_nothing,
    a_snapshot_sees_one_state,
    queries_cannot_write,
    a_generation_is_seen_once_it_is_installed,
    a_writer_goes_on_in_the_generation_that_took_the_place_of_its_own,
    a_generation_takes_no_place_before_it_is_as_far,
    readers_see_another_generation_from_the_next_snapshot_on,
    what_was_left_unfinished_is_gone_on_with,
    two_that_begin_together_make_one,
    what_is_missing_or_of_other_code_is_told,
    sums_are_integers,
    a_lease_is_one_holders_until_its_term_is_over,
    a_deadlock_is_tried_again,
    a_commit_that_is_cut_off_leaves_nothing,
    a_connection_that_is_lost_is_made_anew,
    a_commit_of_unknown_outcome_is_found_out,
);

static NOTES: Table = Table {
    name: "notes",
    columns: &[Column::text("id"), Column::integer("size"), Column::document("body").or_null()],
    key: 1,
    clustered: false,
    indexes: &[Index { name: "notes_by_size", columns: &["size", "id"] }],
};
static PAIRS: Table = Table {
    name: "pairs",
    columns: &[Column::text("left_side"), Column::integer("right_side")],
    key: 2,
    clustered: true,
    indexes: &[],
};
static SCHEMA: Schema = Schema { name: "notes", version: 1, tables: &[&NOTES, &PAIRS] };
static OTHER: Schema = Schema { name: "notes", version: 2, tables: &[&NOTES] };
static NEWER: Schema = Schema { name: "notes", version: 2, tables: &[&NOTES, &PAIRS] };

const STORE: StoreId = StoreId(Uuid::from_u128(7));

fn at(position: u64) -> Checkpoint {
    let last = (position > 0).then(|| (Position(position), Uuid::from_u128(position.into())));
    Checkpoint { store: STORE, position: Position(position), last, skipped: Vec::new() }
}

fn note(at: usize, size: i64) -> [Value; 3] {
    let body = if at.is_multiple_of(2) { Value::Null } else { format!("body {at}").into() };
    [format!("id {at:04}").into(), size.into(), body]
}

fn pair(at: usize) -> [Value; 2] {
    [format!("left {}", at % 7).into(), (at as i64).into()]
}

fn upserts(table: &'static Table, upserts: Vec<Value>) -> Changes {
    Changes { table, upserts, deletes: Vec::new() }
}

async fn query(models: &ReadModels, sql: &str, parameters: &[Value]) -> Vec<Row> {
    let mut snapshot = models.reader(&SCHEMA).snapshot().await.unwrap();
    snapshot.query(sql, parameters).await.unwrap()
}

async fn add_one(writer: &mut Writer, from: u64) {
    let changes = [upserts(&NOTES, note(usize::try_from(from).unwrap(), 1).into())];
    writer.commit(&at(from), &at(from + 1), &changes).await.unwrap();
}

/// A statement of somebody else's, such as a user at the engine's own prompt.
async fn by_hand(place: &Place, statement: &str) -> u64 {
    match place {
        Place::Directory(dir) => {
            let file = dir.path().join("models/notes-1.sqlite");
            rusqlite::Connection::open(file).unwrap().execute(statement, []).unwrap() as u64
        }
        Place::Database(database) => {
            let statement = statement.replace(" notes ", " notes_1_notes ");
            let mut connection = database.connect().await;
            connection.execute(AssertSqlSafe(statement)).await.unwrap().rows_affected()
        }
    }
}

/// The files or tables of a read model, each generation's one.
async fn generations(place: &Place) -> Vec<String> {
    let mut found = match place {
        Place::Directory(dir) => {
            let names = std::fs::read_dir(dir.path().join("models")).unwrap();
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }
        Place::Database(database) => {
            let sql = "SELECT CONVERT(table_name USING utf8mb4) FROM information_schema.tables \
                       WHERE table_schema = DATABASE() AND table_name LIKE '%notes'";
            let mut connection = database.connect().await;
            sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap()
        }
    };
    found.sort_unstable();
    found
}

async fn rows_are_loaded_written_over_and_deleted_in_any_number(place: Place) {
    let models = place.models().await;
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    assert_eq!(writer.checkpoint().await.unwrap(), at(0));
    let mut position = 0;
    for count in [0, 1, 7, 8, 9, 63, 64, 65, 200] {
        let notes: Vec<Value> = (0..count).flat_map(|at| note(at, 5)).collect();
        let pairs: Vec<Value> = (0..count).flat_map(pair).collect();
        let changes = [upserts(&NOTES, notes), upserts(&PAIRS, pairs.clone())];
        writer.commit(&at(position), &at(position + 1), &changes).await.unwrap();
        // Written over, and asked for beside some that are not there.
        let notes: Vec<Value> = (0..count).flat_map(|at| note(at, 6)).collect();
        let changes = [upserts(&NOTES, notes)];
        writer.commit(&at(position + 1), &at(position + 2), &changes).await.unwrap();
        let keys: Vec<Value> = (0..count + 3).map(|at| note(at, 0)[0].clone()).collect();
        let mut found = writer.load(&NOTES, &keys).await.unwrap();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        let expected: Vec<_> = (0..count).map(|at| Row(note(at, 6).into())).collect();
        assert_eq!(found, expected);
        assert_eq!(writer.load(&PAIRS, &pairs).await.unwrap().len(), count);

        let changes = [
            Changes { table: &NOTES, upserts: Vec::new(), deletes: keys },
            Changes { table: &PAIRS, upserts: Vec::new(), deletes: pairs },
        ];
        writer.commit(&at(position + 2), &at(position + 3), &changes).await.unwrap();
        let left = query(&models, "SELECT (SELECT count(*) FROM notes) + count(*) FROM pairs", &[]);
        assert_eq!(left.await, [Row(vec![0.into()])]);
        position += 3;
    }
    assert_eq!(writer.checkpoint().await.unwrap(), at(position));
}

async fn a_checkpoint_that_is_elsewhere_changes_nothing(place: Place) {
    let models = place.models().await;
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    add_one(&mut writer, 0).await;
    let changes = [upserts(&NOTES, note(9, 9).into())];
    let other_store = Checkpoint { store: StoreId(Uuid::from_u128(8)), ..at(1) };
    for from in [at(0), at(2), other_store] {
        let moved = writer.commit(&from, &at(5), &changes).await;
        assert!(matches!(moved, Err(ReadModelError::Moved("notes"))), "{moved:?}");
    }
    assert_eq!(writer.checkpoint().await.unwrap(), at(1));
    assert_eq!(query(&models, "SELECT id FROM notes WHERE size = 9", &[]).await, []);
    // It is still of use.
    add_one(&mut writer, 1).await;
}

fn passed_over(events: u64) -> Skipped {
    Skipped {
        category: "notes".to_owned(),
        event_type: "Notëd".to_owned(),
        schema_version: Some(3),
        events,
        first: Position(2),
    }
}

async fn what_was_passed_over_is_kept_with_the_checkpoint(place: Place) {
    let models = place.models().await;
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    add_one(&mut writer, 0).await;
    let unversioned = Skipped { schema_version: None, ..passed_over(1) };
    let mut from = at(1);
    for position in 2..5 {
        let skipped = vec![passed_over(position), unversioned.clone()];
        let to = Checkpoint { skipped, ..at(position) };
        writer.commit(&from, &to, &[]).await.unwrap();
        assert_eq!(writer.checkpoint().await.unwrap(), to);
        let snapshot = models.reader(&SCHEMA).snapshot().await.unwrap();
        assert_eq!(snapshot.checkpoint(), &to);
        from = to;
    }
    drop(writer);
    let models = place.models().await;
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    assert_eq!(writer.checkpoint().await.unwrap(), from);
    // A generation of its own begins with nothing, and says what it has passed over itself.
    let mut built = models.build(&SCHEMA, STORE).await.unwrap();
    assert_eq!(built.checkpoint().await.unwrap(), at(0));
    let to = Checkpoint { skipped: vec![passed_over(1)], ..at(4) };
    built.commit(&at(0), &to, &[]).await.unwrap();
    built.install().await.unwrap();
    assert_eq!(writer.checkpoint().await.unwrap(), to);
    let garbage = "UPDATE checkpoint SET skipped = '[1]'";
    let garbage = match &place {
        Place::Directory(dir) => {
            let file = dir.path().join("models/notes-2.sqlite");
            rusqlite::Connection::open(file).unwrap().execute(garbage, []).unwrap()
        }
        Place::Database(database) => {
            let garbage = garbage.replace("checkpoint", "checkpoints");
            let done = database.connect().await.execute(AssertSqlSafe(garbage)).await.unwrap();
            usize::try_from(done.rows_affected()).unwrap()
        }
    };
    assert!(garbage > 0);
    let damaged = writer.checkpoint().await;
    assert!(matches!(damaged, Err(ReadModelError::Damaged { .. })), "{damaged:?}");
}

async fn a_batch_that_fails_halfway_leaves_nothing(place: Place) {
    let models = place.models().await;
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    add_one(&mut writer, 0).await;
    let refuse = match place {
        Place::Directory(_) => {
            "CREATE TRIGGER refuse BEFORE INSERT ON notes WHEN NEW.size = 13 \
             BEGIN SELECT RAISE(ABORT, 'refused'); END"
        }
        Place::Database(_) => "ALTER TABLE notes ADD CONSTRAINT refuse CHECK (size <> 13)",
    };
    by_hand(&place, refuse).await;
    let changes = [upserts(&NOTES, note(9, 9).into()), upserts(&NOTES, note(8, 13).into())];
    let failed = writer.commit(&at(1), &at(2), &changes).await;
    assert!(matches!(failed, Err(ReadModelError::Unavailable(_))), "{failed:?}");
    assert_eq!(writer.checkpoint().await.unwrap(), at(1));
    assert_eq!(query(&models, "SELECT id FROM notes WHERE size = 9", &[]).await, []);
    add_one(&mut writer, 1).await;
}

async fn a_snapshot_sees_one_state(place: Place) {
    let models = place.models().await;
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    add_one(&mut writer, 0).await;
    let reader = models.reader(&SCHEMA);
    let mut before = reader.snapshot().await.unwrap();
    add_one(&mut writer, 1).await;
    let mut after = reader.snapshot().await.unwrap();
    let count = "SELECT count(*) FROM notes";
    assert_eq!(before.checkpoint(), &at(1));
    assert_eq!(before.query(count, &[]).await.unwrap()[0].integer(0).unwrap(), 1);
    assert_eq!(before.scan(count, vec![]).await.unwrap()[0].integer(0).unwrap(), 1);
    assert_eq!(after.checkpoint(), &at(2));
    assert_eq!(after.scan(count, vec![]).await.unwrap()[0].integer(0).unwrap(), 2);
    // Given back, a connection begins a new state.
    drop(before);
    assert_eq!(reader.snapshot().await.unwrap().checkpoint(), &at(2));
}

async fn queries_cannot_write(place: Place) {
    let models = place.models().await;
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    add_one(&mut writer, 0).await;
    let mut snapshot = models.reader(&SCHEMA).snapshot().await.unwrap();
    assert!(snapshot.query("DELETE FROM notes", &[]).await.is_err());
    assert!(snapshot.query("SELECT nonsense", &[]).await.is_err());
}

async fn a_generation_is_seen_once_it_is_installed(place: Place) {
    let models = place.models().await;
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    add_one(&mut writer, 0).await;
    drop(writer);
    // Begun and left: nothing of it is seen, and nothing is in the way.
    let mut left = models.build(&SCHEMA, STORE).await.unwrap();
    add_one(&mut left, 0).await;
    drop(left);
    let mut building = models.build(&SCHEMA, STORE).await.unwrap();
    assert_eq!(building.checkpoint().await.unwrap(), at(0));
    for position in 0..3 {
        add_one(&mut building, position).await;
        // Once or often, it is there once.
        building.index().await.unwrap();
    }
    let count = "SELECT count(*) FROM notes";
    assert_eq!(query(&models, count, &[]).await, [Row(vec![1.into()])]);
    building.install().await.unwrap();
    assert_eq!(query(&models, count, &[]).await, [Row(vec![3.into()])]);
    add_one(&mut building, 3).await;
    assert_eq!(query(&models, count, &[]).await, [Row(vec![4.into()])]);
    let explain = match place {
        Place::Directory(_) => "EXPLAIN QUERY PLAN SELECT id FROM notes WHERE size = ?",
        Place::Database(_) => "EXPLAIN SELECT id FROM notes WHERE size = ?",
    };
    let plan = query(&models, explain, &[1.into()]).await;
    assert!(format!("{plan:?}").contains("notes_by_size"), "{plan:?}");
    drop(building);
    // What was replaced stays until somebody drops it.
    assert_eq!(generations(&place).await.len(), 2);
    drop(models.open(&SCHEMA, STORE).await.unwrap());
    assert_eq!(generations(&place).await.len(), 2);
    assert_eq!(models.drop_old(&SCHEMA).await.unwrap(), 1);
    assert_eq!(generations(&place).await.len(), 1);
    assert_eq!(query(&models, count, &[]).await, [Row(vec![4.into()])]);
    assert_eq!(models.drop_old(&SCHEMA).await.unwrap(), 0);
}

async fn a_generation_takes_no_place_before_it_is_as_far(place: Place) {
    let models = place.models().await;
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    for position in 0..3 {
        add_one(&mut writer, position).await;
    }
    let mut building = models.build(&SCHEMA, STORE).await.unwrap();
    add_one(&mut building, 0).await;
    let behind = building.install().await;
    assert!(matches!(behind, Err(ReadModelError::Behind { live: Position(3), .. })), "{behind:?}");
    // The one is posted into meanwhile, and the other goes on.
    add_one(&mut writer, 3).await;
    for position in 1..4 {
        add_one(&mut building, position).await;
    }
    building.install().await.unwrap();
    assert_eq!(writer.checkpoint().await.unwrap(), at(4));
    // What was posted from a log that is no more is no reason to wait.
    let mut shorter = models.build(&SCHEMA, STORE).await.unwrap();
    add_one(&mut shorter, 0).await;
    shorter.replace().await.unwrap();
    assert_eq!(models.reader(&SCHEMA).snapshot().await.unwrap().checkpoint(), &at(1));
}

async fn readers_see_another_generation_from_the_next_snapshot_on(place: Place) {
    let models = place.models().await;
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    add_one(&mut writer, 0).await;
    let reader = models.reader(&SCHEMA);
    // Some connections lie idle, one is at work.
    let idle = [reader.snapshot().await.unwrap(), reader.snapshot().await.unwrap()];
    let generation = idle[0].generation();
    drop(idle);
    let mut at_work = reader.snapshot().await.unwrap();
    let mut building = models.build(&SCHEMA, STORE).await.unwrap();
    for position in 0..2 {
        add_one(&mut building, position).await;
    }
    building.install().await.unwrap();
    let count = "SELECT count(*) FROM notes";
    let mut snapshot = reader.snapshot().await.unwrap();
    assert_eq!((snapshot.checkpoint(), snapshot.generation()), (&at(2), generation + 1));
    assert_eq!(snapshot.query(count, &[]).await.unwrap()[0].integer(0).unwrap(), 2);
    assert_eq!(at_work.checkpoint(), &at(1));
    assert_eq!(at_work.query(count, &[]).await.unwrap()[0].integer(0).unwrap(), 1);
    drop((at_work, snapshot));
    assert_eq!(reader.snapshot().await.unwrap().checkpoint(), &at(2));
}

async fn what_was_left_unfinished_is_gone_on_with(place: Place) {
    let models = place.models().await;
    drop(models.open(&SCHEMA, STORE).await.unwrap());
    assert!(models.unfinished(&SCHEMA, STORE).await.unwrap().is_none());
    let mut building = models.build(&SCHEMA, STORE).await.unwrap();
    for position in 0..3 {
        add_one(&mut building, position).await;
    }
    building.index().await.unwrap();
    drop(building);
    // Opening what is read does not take it away.
    drop(models.open(&SCHEMA, STORE).await.unwrap());
    let other = StoreId(Uuid::from_u128(8));
    assert!(models.unfinished(&NEWER, STORE).await.unwrap().is_none());
    assert!(models.unfinished(&SCHEMA, other).await.unwrap().is_none());
    // A server may learn a moment later that the one before is gone.
    let end = Instant::now() + Duration::from_secs(180);
    let mut building = loop {
        if let Some(building) = models.unfinished(&SCHEMA, STORE).await.unwrap() {
            break building;
        }
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(building.checkpoint().await.unwrap(), at(3));
    add_one(&mut building, 3).await;
    building.install().await.unwrap();
    let count = "SELECT count(*) FROM notes";
    assert_eq!(query(&models, count, &[]).await, [Row(vec![4.into()])]);
}

async fn rows_of_any_size_are_stored_as_they_are(place: Place) {
    let models = place.models().await;
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    let body = |at: usize| format!("{at} \u{1f375} \\' {}", "x".repeat(at * 100_000));
    let row = |at: usize| [format!("id {at}").into(), (at as i64).into(), body(at).into()];
    let notes: Vec<Value> = (0..70).rev().flat_map(row).collect();
    writer.commit(&at(0), &at(1), &[upserts(&NOTES, notes)]).await.unwrap();
    for found in [3, 69] {
        let rows = writer.load(&NOTES, &[format!("id {found}").into()]).await.unwrap();
        assert_eq!(rows, [Row(row(found).into())]);
    }
    let longest = "SELECT body FROM notes WHERE size = ?";
    assert_eq!(query(&models, longest, &[69.into()]).await, [Row(vec![body(69).into()])]);
}

async fn texts_compare_by_their_bytes(place: Place) {
    let models = place.models().await;
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    let mut ids = ["a", "a ", "A", "b", "ä", "z", "a\u{0}", "\u{ffff}", "\u{1f375}", "a  ", ""];
    let notes = ids.iter().flat_map(|id| [(*id).into(), 1.into(), Value::Null]).collect();
    writer.commit(&at(0), &at(1), &[upserts(&NOTES, notes)]).await.unwrap();
    ids.sort_unstable();
    let found = query(&models, "SELECT id FROM notes ORDER BY id", &[]).await;
    assert_eq!(found, ids.map(|id| Row(vec![id.into()])));
    for id in ids {
        let found = writer.load(&NOTES, &[id.into()]).await.unwrap();
        assert_eq!(found, [Row(vec![id.into(), 1.into(), Value::Null])]);
        let found = query(&models, "SELECT id FROM notes WHERE id = ?", &[id.into()]).await;
        assert_eq!(found, [Row(vec![id.into()])]);
    }
}

async fn a_writer_goes_on_in_the_generation_that_took_the_place_of_its_own(place: Place) {
    let models = place.models().await;
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    add_one(&mut writer, 0).await;
    let mut building = models.build(&SCHEMA, STORE).await.unwrap();
    // Meanwhile nobody removes what is being built.
    drop(models.open(&SCHEMA, STORE).await.unwrap());
    for position in 0..5 {
        add_one(&mut building, position).await;
    }
    building.install().await.unwrap();
    let moved = writer.commit(&at(1), &at(2), &[upserts(&NOTES, note(9, 9).into())]).await;
    assert!(matches!(moved, Err(ReadModelError::Moved("notes"))), "{moved:?}");
    assert_eq!(writer.checkpoint().await.unwrap(), at(5));
    add_one(&mut writer, 5).await;
    let count = "SELECT count(*) FROM notes";
    assert_eq!(query(&models, count, &[]).await, [Row(vec![6.into()])]);
}

async fn two_that_begin_together_make_one(place: Place) {
    let Place::Database(_) = place else { return };
    let models = futures::future::join_all((0..4).map(|_| place.models())).await;
    let opened = models.iter().map(|models| models.open(&SCHEMA, STORE));
    for opened in futures::future::join_all(opened).await {
        assert_eq!(opened.unwrap().checkpoint().await.unwrap(), at(0));
    }
    assert_eq!(generations(&place).await, ["notes_1_notes"]);
}

async fn sums_are_integers(place: Place) {
    let models = place.models().await;
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    let most = i64::MAX / 2;
    let notes = (0..2).flat_map(|at| note(at, most)).collect();
    writer.commit(&at(0), &at(1), &[upserts(&NOTES, notes)]).await.unwrap();
    let sum = query(&models, "SELECT sum(size), count(*), min(body) FROM notes", &[]).await;
    assert_eq!(sum, [Row(vec![(most * 2).into(), 2.into(), "body 1".into()])]);
    let none = query(&models, "SELECT sum(size) FROM notes WHERE id = ?", &["no".into()]).await;
    assert_eq!(none, [Row(vec![Value::Null])]);
}

async fn a_lease_is_one_holders_until_its_term_is_over(place: Place) {
    let models = place.models().await;
    assert!(models.lease("orders", "one").await.unwrap());
    if matches!(place, Place::Directory(_)) {
        // The event store's lock keeps everybody else out.
        assert!(models.lease("orders", "other").await.unwrap());
        models.release("orders", "one").await.unwrap();
        return;
    }
    let begun = Instant::now();
    assert!(!models.lease("orders", "other").await.unwrap());
    assert!(models.lease("stock", "other").await.unwrap());
    assert!(models.lease("orders", "one").await.unwrap());
    // Not what somebody else has.
    models.release("orders", "other").await.unwrap();
    while !models.lease("orders", "other").await.unwrap() {
        assert!(begun.elapsed() < Duration::from_secs(180));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(!models.lease("orders", "one").await.unwrap());
    models.release("orders", "other").await.unwrap();
    assert!(models.lease("orders", "one").await.unwrap());
}

async fn a_deadlock_is_tried_again(place: Place) {
    let Place::Database(database) = &place else { return };
    let models = place.models().await;
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    let notes = (0..50).flat_map(|at| note(at, 1)).collect();
    writer.commit(&at(0), &at(1), &[upserts(&NOTES, notes)]).await.unwrap();
    let mut other = database.connect().await;
    let mut other = other.begin().await.unwrap();
    // The one that changed more is spared.
    other.execute("UPDATE notes_1_notes SET size = 2").await.unwrap();
    let committing = async {
        let changes = [upserts(&NOTES, note(3, 3).into())];
        writer.commit(&at(1), &at(2), &changes).await
    };
    let crossing = async {
        somebody_waits_for_a_note(database).await;
        other.execute("UPDATE checkpoints SET last_position = 0").await.unwrap();
        other.commit().await.unwrap();
    };
    let (committed, ()) = tokio::join!(committing, crossing);
    committed.unwrap();
    assert_eq!(writer.checkpoint().await.unwrap(), at(2));
    let sizes = query(&models, "SELECT size FROM notes WHERE size = 3", &[]).await;
    assert_eq!(sizes.len(), 1);
}

/// Until a writer has moved its checkpoint, and waits for a row that somebody else holds.
async fn somebody_waits_for_a_note(database: &Database) {
    let waiting = "SELECT count(*) FROM information_schema.processlist \
                   WHERE db = DATABASE() AND info LIKE 'INSERT INTO notes%'";
    let mut watching = database.connect().await;
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut watching).await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
}

/// As when the lease is lost amid a transaction.
async fn a_commit_that_is_cut_off_leaves_nothing(place: Place) {
    let Place::Database(database) = &place else { return };
    let models = place.models().await;
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    add_one(&mut writer, 0).await;
    let mut other = database.connect().await;
    let mut other = other.begin().await.unwrap();
    other.execute("UPDATE notes_1_notes SET size = 2").await.unwrap();
    let changes = [upserts(&NOTES, note(0, 9).into()), upserts(&PAIRS, pair(1).into())];
    let (from, to) = (at(1), at(2));
    tokio::select! {
        committed = writer.commit(&from, &to, &changes) => panic!("{committed:?}"),
        () = somebody_waits_for_a_note(database) => {}
    }
    other.rollback().await.unwrap();
    assert_eq!(writer.checkpoint().await.unwrap(), at(1));
    add_one(&mut writer, 1).await;
    let notes = query(&models, "SELECT size FROM notes ORDER BY id", &[]).await;
    assert_eq!(notes, [Row(vec![1.into()]), Row(vec![1.into()])]);
    assert!(query(&models, "SELECT right_side FROM pairs", &[]).await.is_empty());
}

async fn a_connection_that_is_lost_is_made_anew(place: Place) {
    let Place::Database(database) = &place else { return };
    let models = place.models().await;
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    add_one(&mut writer, 0).await;
    let reader = models.reader(&SCHEMA);
    let mut snapshot = reader.snapshot().await.unwrap();
    let mut other = database.connect().await;
    let all = "SELECT CAST(id AS SIGNED) FROM information_schema.processlist \
               WHERE db = DATABASE() AND id <> CONNECTION_ID()";
    let all: Vec<i64> = sqlx::query_scalar(all).fetch_all(&mut other).await.unwrap();
    for id in all {
        // One of them may have ended by itself.
        let _ = other.execute(AssertSqlSafe(format!("KILL {id}"))).await;
    }
    let lost = snapshot.query("SELECT id FROM notes", &[]).await;
    assert!(matches!(lost, Err(ReadModelError::Unavailable(_))), "{lost:?}");
    let lost = writer.commit(&at(1), &at(2), &[]).await;
    assert!(matches!(lost, Err(ReadModelError::Unavailable(_))), "{lost:?}");
    assert_eq!(writer.checkpoint().await.unwrap(), at(1));
    add_one(&mut writer, 1).await;
    assert_eq!(reader.snapshot().await.unwrap().checkpoint(), &at(2));
}

/// The connection is cut when the commit has been passed on, and before its answer comes back.
async fn a_commit_of_unknown_outcome_is_found_out(place: Place) {
    let Place::Database(database) = &place else { return };
    let cut = Arc::new(AtomicBool::new(false));
    let url = database.through(cutting(database.address(), b"COMMIT", Arc::clone(&cut)).await);
    let models = ReadModels::open_mysql(url, None).await.unwrap();
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    cut.store(true, Ordering::SeqCst);
    add_one(&mut writer, 0).await;
    assert!(!cut.load(Ordering::SeqCst), "nothing was cut");
    assert_eq!(query(&models, "SELECT count(*) FROM notes", &[]).await, [Row(vec![1.into()])]);
    add_one(&mut writer, 1).await;
}

/// A way to a server that passes everything on and, when told to, ends a connection behind the
/// first piece with these bytes in it.
async fn cutting(server: String, bytes: &'static [u8], cut: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(&server).await.unwrap();
            let cut = Arc::clone(&cut);
            tokio::spawn(async move {
                let (mut to_server, mut to_client) = (vec![0; 65_536], vec![0; 65_536]);
                loop {
                    tokio::select! {
                        read = client.read(&mut to_server) => {
                            let Ok(read @ 1..) = read else { return };
                            let piece = &to_server[..read];
                            if server.write_all(piece).await.is_err() { return }
                            let found = piece.windows(bytes.len()).any(|part| part == bytes);
                            if found && cut.swap(false, Ordering::SeqCst) { return }
                        }
                        read = server.read(&mut to_client) => {
                            let Ok(read @ 1..) = read else { return };
                            if client.write_all(&to_client[..read]).await.is_err() { return }
                        }
                    }
                }
            });
        }
    });
    port
}

async fn what_is_missing_or_of_other_code_is_told(place: Place) {
    let models = place.models().await;
    let missing = models.reader(&SCHEMA).snapshot().await;
    assert!(matches!(missing, Err(ReadModelError::Missing("notes"))), "{missing:?}");
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    add_one(&mut writer, 0).await;
    drop(writer);
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    assert_eq!(writer.checkpoint().await.unwrap(), at(1));
    // The old one is read until the new one is posted; one with other tables is not.
    let newer = models.open(&NEWER, STORE).await;
    assert!(matches!(newer, Err(ReadModelError::OtherVersion("notes"))), "{newer:?}");
    let count = "SELECT count(*) FROM notes";
    let mut read = models.reader(&NEWER).snapshot().await.unwrap();
    assert_eq!(read.query(count, &[]).await.unwrap(), [Row(vec![1.into()])]);
    drop(read);
    let other = models.reader(&OTHER).snapshot().await;
    assert!(matches!(other, Err(ReadModelError::OtherVersion("notes"))), "{other:?}");
    let mut building = models.build(&NEWER, STORE).await.unwrap();
    assert_eq!(building.checkpoint().await.unwrap(), at(0));
    for position in 0..2 {
        add_one(&mut building, position).await;
    }
    building.install().await.unwrap();
    assert_eq!(models.reader(&NEWER).snapshot().await.unwrap().checkpoint(), &at(2));
    // Who is older does not take it back.
    let late = writer.commit(&at(1), &at(2), &[]).await;
    assert!(matches!(late, Err(ReadModelError::Moved("notes"))), "{late:?}");
    let late = writer.checkpoint().await;
    assert!(matches!(late, Err(ReadModelError::NewerVersion("notes"))), "{late:?}");
}

#[tokio::test]
async fn a_damaged_file_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let models = ReadModels::sqlite(dir.path().join("models"));
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    add_one(&mut writer, 0).await;
    drop(writer);
    let file = dir.path().join("models/notes-1.sqlite");
    std::fs::write(&file, vec![7; 8_192]).unwrap();
    let damaged = models.reader(&SCHEMA).snapshot().await;
    assert!(matches!(damaged, Err(ReadModelError::Damaged { .. })), "{damaged:?}");
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    assert_eq!(writer.checkpoint().await.unwrap(), at(0));
    assert!(!file.exists());
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let failed = ReadModels::sqlite(file.join("models")).open(&SCHEMA, STORE).await;
    assert!(matches!(failed, Err(ReadModelError::Unavailable(_))), "{failed:?}");
}
