//! `daybook schemas`: the shapes of all events, and whether older ones can still be read.

use std::path::Path;

use anyhow::Context;
use event_schemas::{
    Event,
    compatibility::{SchemaSet, breaches},
    schema,
};
use serde_json::{Map, Value, json};

use crate::{
    cli::{Format, SchemasCommand},
    failure::Failure,
    output::{self, Table},
};

/// Lists, shows or checks.
pub(crate) fn run(command: SchemasCommand) -> Result<(), Failure> {
    match command {
        SchemasCommand::List { format } => list(format),
        SchemasCommand::Show { name } => show(name.as_deref()),
        SchemasCommand::Check { against, format } => check(&against, format),
    }
}

fn list(format: Format) -> Result<(), Failure> {
    let all = schema::all();
    let reads = |name: &str| -> Vec<u32> {
        all.keys().filter(|(known, _)| known == name).map(|(_, version)| *version).collect()
    };
    let types = Event::types();
    if format == Format::Json {
        let item = |(name, version): &(&str, u32)| json!({ "type": name, "version": version, "reads": reads(name) });
        return output::json(&json!({ "items": types.iter().map(item).collect::<Vec<_>>() }));
    }
    let mut table = Table::new(&["type", "version", "reads"]);
    for (name, version) in types {
        let reads: Vec<_> = reads(name).iter().map(u32::to_string).collect();
        table.row(vec![name.to_owned(), version.to_string(), reads.join(", ")]);
    }
    table.print()
}

/// One schema, or all of them as `check --against` takes them.
fn show(name: Option<&str>) -> Result<(), Failure> {
    let all = schema::all();
    let Some(asked) = name else {
        let named = |((name, version), schema)| (format!("{name}.v{version}"), schema);
        return output::json(&Value::Object(all.into_iter().map(named).collect::<Map<_, _>>()));
    };
    let (name, version) = match parse(asked) {
        Some(found) => found,
        None => {
            let newest = all.keys().filter(|(known, _)| known == asked).max();
            newest.cloned().unwrap_or_else(|| (asked.to_owned(), 0))
        }
    };
    match all.get(&(name, version)) {
        Some(schema) => output::json(schema),
        None => Err(Failure::usage(format!(
            "there is no schema {asked:?}; `daybook schemas list` shows those that there are, and a \
             version of one is asked for as OrderPlaced.v1"
        ))),
    }
}

fn check(against: &Path, format: Format) -> Result<(), Failure> {
    let old = read(against)?;
    let found = breaches(&old);
    if format == Format::Json {
        let item = |breach: &event_schemas::compatibility::Breach| {
            json!({
                "type": breach.event_type, "version": breach.version,
                "path": breach.path, "why": breach.why,
            })
        };
        let items: Vec<_> = found.iter().map(item).collect();
        output::json(&json!({ "checked": old.len(), "items": items }))?;
    } else {
        for breach in &found {
            let place = format!("{}.v{}{}", breach.event_type, breach.version, breach.path);
            output::line(&format!("{place}: {}", breach.why))?;
        }
    }
    if found.is_empty() {
        output::say(&format!("all {} schemas can still be read", old.len()));
        return Ok(());
    }
    Err(Failure::Different(format!(
        "events written under {} of the {} schemas would not be read as they were meant",
        found
            .iter()
            .map(|breach| (&breach.event_type, breach.version))
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        old.len()
    )))
}

/// A folder of `TYPE.vN.json`, or one file that holds all of them by `TYPE.vN`.
fn read(path: &Path) -> Result<SchemaSet, Failure> {
    let shown = path.display();
    let unusable = |why: String| Failure::usage(format!("--against {shown}: {why}"));
    let json = |path: &Path| -> Result<Value, Failure> {
        let text =
            std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_slice(&text)
            .map_err(|error| unusable(format!("{} is no JSON: {error}", path.display())))
    };
    let mut found = SchemaSet::new();
    if path.is_dir() {
        let files = std::fs::read_dir(path).with_context(|| format!("{shown} cannot be read"))?;
        for file in files {
            let file = file.with_context(|| format!("{shown} cannot be read"))?.path();
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(name) = name.strip_suffix(".json") else { continue };
            let key = parse(name).ok_or_else(|| {
                unusable(format!("{name}.json is not named like OrderPlaced.v1.json"))
            })?;
            found.insert(key, json(&file)?);
        }
    } else {
        let Value::Object(all) = json(path)? else {
            return Err(unusable(
                "it is no object of schemas; `daybook schemas show` writes one".to_owned(),
            ));
        };
        for (name, schema) in all {
            let key = parse(&name)
                .ok_or_else(|| unusable(format!("{name:?} is not named like OrderPlaced.v1")))?;
            found.insert(key, schema);
        }
    }
    if found.is_empty() {
        return Err(unusable("it holds no schema; `daybook schemas show` writes them".to_owned()));
    }
    Ok(found)
}

/// `OrderPlaced.v1`
fn parse(name: &str) -> Option<(String, u32)> {
    let (name, version) = name.rsplit_once(".v")?;
    let digits = version.bytes().all(|byte| byte.is_ascii_digit());
    Some((name.to_owned(), version.parse().ok().filter(|_| digits)?))
}
