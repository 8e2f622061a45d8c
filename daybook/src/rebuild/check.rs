//! `daybook rebuild --check`: what is read, held against what the log says.

use std::{fs, path::Path};

use anyhow::Context;
use infra::{
    event_store::EventStore,
    read_models::{ReadModels, Row, Schema, Value},
};
use projections::{Difference, Rebuild, SCHEMAS, differences};

use super::SEARCH;
use crate::{engines, failure::Failure, output, progress::Progress, settings::Settings};

/// The most differences of a read model that are printed; all are counted.
const SHOWN: u64 = 100;
/// The folder of a process that checks is named so, and by the process's id.
const FOLDER: &str = "check-";

/// Builds each read model in a folder of its own, up to the place that the rows that are read are
/// posted up to, and compares them. Beside a running server, too.
pub(super) async fn run(
    settings: &Settings,
    store: &EventStore,
    names: &[&str],
    quiet: bool,
) -> Result<(), Failure> {
    if names == [SEARCH] {
        return Err(Failure::usage(
            "the search cannot be checked: its documents are no rows; `daybook rebuild search` makes \
             them anew",
        ));
    }
    remove_left_behind(&settings.data);
    let folder = settings.data.join(format!("{FOLDER}{}", std::process::id()));
    let checked = check_all(settings, store, names, &folder, quiet).await;
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            output::say(&format!("{} cannot be removed: {error}", folder.display()));
        }
        _ => {}
    }
    match checked? {
        0 => Ok(()),
        count => Err(Failure::Different(format!("{count} rows differ; nothing was changed"))),
    }
}

/// Removes what checks left that were killed, where the system tells which processes there are.
fn remove_left_behind(data: &Path) {
    if !Path::new("/proc/self").exists() {
        return;
    }
    for entry in fs::read_dir(data).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(FOLDER)?.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists())
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            output::say(&format!("{} cannot be removed: {error}", entry.path().display()));
        }
    }
}

async fn check_all(
    settings: &Settings,
    store: &EventStore,
    names: &[&str],
    folder: &Path,
    quiet: bool,
) -> Result<u64, Failure> {
    let (live, built) = (engines::read_models_to_read(settings).await?, ReadModels::sqlite(folder));
    let mut count = 0;
    for name in names {
        if *name == SEARCH {
            output::say("search is not checked: its documents are no rows");
            continue;
        }
        count += check(settings, store, (&live, &built), name, quiet).await?;
    }
    Ok(count)
}

async fn check(
    settings: &Settings,
    store: &EventStore,
    (live, built): (&ReadModels, &ReadModels),
    name: &str,
    quiet: bool,
) -> Result<u64, Failure> {
    let Some(schema) = SCHEMAS.into_iter().find(|schema| schema.name == name) else {
        return Ok(0);
    };
    let mut read = live.reader(schema).snapshot().await.context("what is read cannot be read")?;
    let checkpoint = read.checkpoint().clone();
    let head = store.head().await.context("the event store cannot be read")?;
    let divergence = projections::divergence(store, &checkpoint, head).await;
    if let Some(reason) = divergence.context("the event store cannot be read")? {
        return Err(Failure::failed(format!("{name} cannot be compared, rebuild it: {reason}")));
    }
    let end = checkpoint.position;
    let mut rebuild =
        Rebuild::new(store.clone()).up_to(end).skipping(settings.skip_unknown.clone());
    rebuild.add_sql(built, name).context("no thread could be started")?;
    let mut progress = Progress::new("events", Some(end.0), quiet);
    let rebuilt = rebuild.run(|at| progress.at(at.events)).await;
    progress.finish();
    for rebuilt in rebuilt.context("the log cannot be read")? {
        rebuilt.outcome.map_err(|error| Failure::failed(format!("{name}: {error}")))?;
    }
    let mut anew = built.reader(schema).snapshot().await.context("what was built is gone")?;
    let mut shown = 0;
    let mut lines = Vec::new();
    let count = differences(schema, &mut read, &mut anew, |difference| {
        shown += 1;
        if shown <= SHOWN {
            lines.push(line(schema, &difference));
        }
    });
    let count = count.await.context("the rows cannot be compared")?;
    for line in lines {
        output::line(&line)?;
    }
    if !quiet {
        output::say(&format!("{name}: {count} rows differ at position {end}"));
    }
    Ok(count)
}

fn line(schema: &Schema, difference: &Difference) -> String {
    let Difference { table, key, one, other } = difference;
    let found = schema.tables.iter().find(|found| found.name == *table);
    let columns = found.map_or(&[][..], |table| table.columns);
    let named = |values: &[Value]| {
        let named = columns.iter().zip(values).map(|(column, value)| match value {
            Value::Null => format!("{}=null", column.name),
            Value::Integer(number) => format!("{}={number}", column.name),
            Value::Text(text) => format!("{}={text:?}", column.name),
        });
        named.collect::<Vec<_>>().join(" ")
    };
    let row = |row: &Option<Row>| row.as_ref().map_or("not there".to_owned(), |row| named(&row.0));
    let (name, key) = (schema.name, named(key));
    format!("{name} {table} {key}: read [{}], by the log [{}]", row(one), row(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_by_its_columns() {
        let schema = SCHEMAS.into_iter().find(|schema| schema.name == "stock").unwrap();
        let table = schema.tables[0];
        let values = |number| -> Vec<Value> {
            let value = |at| if at == 0 { "mug".into() } else { Value::Integer(number) };
            (0..table.columns.len()).map(value).collect()
        };
        let one = Some(Row(values(1)));
        let difference =
            Difference { table: table.name, key: vec!["mug".into()], one, other: None };
        let told = line(schema, &difference);
        let key = table.columns[0].name;
        let begin = format!("stock {} {key}=\"mug\": read [{key}=\"mug\" ", table.name);
        assert!(
            told.starts_with(&begin) && told.ends_with("=1], by the log [not there]"),
            "{told}"
        );
    }

    #[test]
    fn what_a_killed_check_left_is_removed() {
        let data = tempfile::tempdir().unwrap();
        // No process has such an id, and this one has its own.
        let (left, mine) = ("check-4294967295", format!("check-{}", std::process::id()));
        for name in [left, mine.as_str(), "check-book"] {
            fs::create_dir(data.path().join(name)).unwrap();
        }
        remove_left_behind(data.path());
        let there = |name: &str| data.path().join(name).exists();
        assert_eq!((there(left), there(&mine), there("check-book")), (false, true, true));
    }
}
