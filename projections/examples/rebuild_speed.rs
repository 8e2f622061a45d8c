//! How fast the SQL read models are built anew from the log of a data directory: into SQLite files,
//! or into a database of a MySQL or MariaDB server, and then the very same rows once more by plain
//! INSERTs of 512 rows, all over one connection. Three rounds, the two in turns. Leaves nothing
//! behind.
//!
//! `cargo run --release -p projections --example rebuild_speed -- DATA [mysql://USER:PASSWORD@HOST]`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]
#![allow(clippy::cast_precision_loss, reason = "a rate is a float")]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use infra::{
    event_store::EventStore,
    read_models::{ReadModels, Row, Schema, Table, Value},
};
use projections::{Rebuild, SCHEMAS, dump};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection};

// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 3;
const ROWS: usize = 512;
/// Statements in a transaction.
const STATEMENTS: usize = 16;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let data =
        arguments.next().expect("a data directory, such as one that `daybook import` filled");
    let server = arguments.next();
    let log = Path::new(&data).join("events.sqlite");
    let store = EventStore::read_sqlite(log).await.unwrap();
    let events = store.head().await.unwrap().0;
    let scratch = tempfile::tempdir().unwrap();
    for round in 1..=ROUNDS {
        match &server {
            None => {
                let models = ReadModels::sqlite(scratch.path().join(round.to_string()));
                report("rebuilt", events, build(&store, &models).await);
            }
            Some(server) => {
                let database = format!("daybook_speed_{}", std::process::id());
                on(server, format!("CREATE DATABASE {database}")).await;
                let url = format!("{server}/{database}");
                let models = ReadModels::open_mysql(url.parse().unwrap(), None).await.unwrap();
                let built = build(&store, &models).await;
                report("rebuilt", events, built);
                let (rows, raw) = by_hand(&url, &models).await;
                report("the same rows by INSERT", rows, raw);
                println!("{:.2} of it", raw.as_secs_f64() / built.as_secs_f64());
                on(server, format!("DROP DATABASE {database}")).await;
            }
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("peak memory of this process, {}", peak.trim_start_matches("VmHWM:").trim());
}

/// From the first event to the last switch.
async fn build(store: &EventStore, models: &ReadModels) -> Duration {
    let begun = Instant::now();
    let mut rebuild = Rebuild::new(store.clone());
    for schema in SCHEMAS {
        rebuild.add_sql(models, schema.name).unwrap();
    }
    for rebuilt in rebuild.run(|_| {}).await.unwrap() {
        rebuilt.outcome.unwrap();
    }
    begun.elapsed()
}

/// The rows of all read models once more, into tables made alike, their secondary indexes at the
/// end.
async fn by_hand(url: &str, models: &ReadModels) -> (u64, Duration) {
    let mut connection = MySqlConnection::connect(url).await.unwrap();
    let (mut took, mut count) = (Duration::ZERO, 0);
    for schema in SCHEMAS {
        for (table, (_, rows)) in schema.tables.iter().zip(dump(models, schema).await.unwrap()) {
            let statements: Vec<String> =
                rows.chunks(ROWS).map(|rows| insert(schema, table, rows)).collect();
            count += rows.len() as u64;
            drop(rows);
            let name = raw(schema, table);
            let like = format!("{}_1_{}", schema.name, table.name);
            run(&mut connection, format!("CREATE TABLE {name} LIKE {like}")).await;
            for index in table.indexes {
                run(&mut connection, format!("ALTER TABLE {name} DROP INDEX {}", index.name)).await;
            }
            let begun = Instant::now();
            for statements in statements.chunks(STATEMENTS) {
                run(&mut connection, "START TRANSACTION".to_owned()).await;
                for statement in statements {
                    run(&mut connection, statement.clone()).await;
                }
                run(&mut connection, "COMMIT".to_owned()).await;
            }
            let adding: Vec<_> = table
                .indexes
                .iter()
                .map(|index| format!("ADD INDEX {} ({})", index.name, index.columns.join(", ")))
                .collect();
            if !adding.is_empty() {
                run(&mut connection, format!("ALTER TABLE {name} {}", adding.join(", "))).await;
            }
            took += begun.elapsed();
        }
    }
    (count, took)
}

fn raw(schema: &Schema, table: &Table) -> String {
    format!("raw_{}_{}", schema.name, table.name)
}

fn insert(schema: &Schema, table: &Table, rows: &[Row]) -> String {
    let mut sql = format!("INSERT INTO {} VALUES ", raw(schema, table));
    for (at, Row(values)) in rows.iter().enumerate() {
        sql.push_str(if at == 0 { "(" } else { ", (" });
        for (at, value) in values.iter().enumerate() {
            sql.push_str(if at == 0 { "" } else { ", " });
            match value {
                Value::Null => sql.push_str("NULL"),
                Value::Integer(value) => sql.push_str(&value.to_string()),
                Value::Text(text) => {
                    let text = text.replace('\\', "\\\\").replace('\'', "''");
                    sql.push_str(&format!("'{text}'"));
                }
            }
        }
        sql.push(')');
    }
    sql
}

async fn on(server: &str, statement: String) {
    run(&mut MySqlConnection::connect(server).await.unwrap(), statement).await;
}

async fn run(connection: &mut MySqlConnection, statement: String) {
    connection.execute(AssertSqlSafe(statement)).await.unwrap();
}

fn report(what: &str, count: u64, took: Duration) {
    println!("{what}: {count} in {took:.2?}, {:.0} a second", count as f64 / took.as_secs_f64());
}
