//! What every engine of read models owes its callers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use event_schemas::{Position, StoreId};
use infra::read_models::{
    Changes, Checkpoint, Column, Index, ReadModelError, ReadModels, Row, Schema, Table, Value,
    Writer,
};
use uuid::Uuid;

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
static NEWER: Schema = Schema { name: "notes", version: 2, tables: &[&NOTES, &PAIRS] };

const STORE: StoreId = StoreId(Uuid::from_u128(7));

fn at(position: u64) -> Checkpoint {
    let last = (position > 0).then(|| (Position(position), Uuid::from_u128(position.into())));
    Checkpoint { store: STORE, position: Position(position), last }
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

fn new() -> (tempfile::TempDir, ReadModels) {
    let dir = tempfile::tempdir().unwrap();
    let models = ReadModels::sqlite(dir.path().join("models"));
    (dir, models)
}

#[tokio::test]
async fn rows_are_loaded_written_over_and_deleted_in_any_number() {
    let (_dir, models) = new();
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

#[tokio::test]
async fn a_checkpoint_that_is_elsewhere_changes_nothing() {
    let (_dir, models) = new();
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

#[tokio::test]
async fn a_batch_that_fails_halfway_leaves_nothing() {
    let (dir, models) = new();
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    add_one(&mut writer, 0).await;
    let other = rusqlite::Connection::open(dir.path().join("models/notes-1.sqlite")).unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON notes WHEN NEW.size = 13 \
                  BEGIN SELECT RAISE(ABORT, 'refused'); END";
    other.execute(refuse, []).unwrap();
    let changes = [upserts(&NOTES, note(9, 9).into()), upserts(&NOTES, note(8, 13).into())];
    let failed = writer.commit(&at(1), &at(2), &changes).await;
    assert!(matches!(failed, Err(ReadModelError::Unavailable(_))), "{failed:?}");
    assert_eq!(writer.checkpoint().await.unwrap(), at(1));
    assert_eq!(query(&models, "SELECT id FROM notes WHERE size = 9", &[]).await, []);
    add_one(&mut writer, 1).await;
}

#[tokio::test]
async fn a_snapshot_sees_one_state() {
    let (_dir, models) = new();
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

#[tokio::test]
async fn queries_cannot_write() {
    let (_dir, models) = new();
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    add_one(&mut writer, 0).await;
    let mut snapshot = models.reader(&SCHEMA).snapshot().await.unwrap();
    assert!(snapshot.query("DELETE FROM notes", &[]).await.is_err());
    assert!(snapshot.query("SELECT nonsense", &[]).await.is_err());
}

#[tokio::test]
async fn a_generation_is_seen_once_it_is_installed() {
    let (dir, models) = new();
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
    let plan = "EXPLAIN QUERY PLAN SELECT id FROM notes WHERE size = ?";
    let plan = query(&models, plan, &[1.into()]).await;
    assert!(format!("{plan:?}").contains("notes_by_size"), "{plan:?}");
    drop(building);
    let names = || std::fs::read_dir(dir.path().join("models")).unwrap();
    let left: Vec<_> = names().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["notes-2.sqlite"]);
}

#[tokio::test]
async fn what_is_missing_or_of_other_code_is_told_and_made_anew() {
    let (_dir, models) = new();
    let missing = models.reader(&SCHEMA).snapshot().await;
    assert!(matches!(missing, Err(ReadModelError::Missing("notes"))), "{missing:?}");
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    add_one(&mut writer, 0).await;
    drop(writer);
    let newer = models.reader(&NEWER).snapshot().await;
    assert!(matches!(newer, Err(ReadModelError::OtherVersion("notes"))), "{newer:?}");
    let mut writer = models.open(&SCHEMA, STORE).await.unwrap();
    assert_eq!(writer.checkpoint().await.unwrap(), at(1));
    drop(writer);
    let mut writer = models.open(&NEWER, STORE).await.unwrap();
    assert_eq!(writer.checkpoint().await.unwrap(), at(0));
}

#[tokio::test]
async fn a_damaged_file_is_made_anew() {
    let (dir, models) = new();
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
