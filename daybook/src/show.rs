//! `daybook show`: something as it was, and what changed since.

use std::sync::Arc;

use anyhow::Context;
use event_schemas::{Position, Revision, Timestamp};
use history::{AsOf, At, Chronology, Clock, Kind, Past, PastError, Step};
use infra::{event_store::EventStore, snapshots::Snapshots};
use serde_json::{Value, json};

use crate::{
    cli::{Format, ShowArgs, ShownKind},
    engines,
    failure::Failure,
    output::{self, Table},
    settings::Settings,
    times,
};

/// Prints a past state, or what changed from one to another.
pub(crate) async fn run(settings: &Settings, args: ShowArgs) -> Result<(), Failure> {
    let now = Timestamp::from(jiff::Timestamp::now());
    let clock = args.clock.into();
    let at = args.at.as_deref().map(|text| moment("--at", text, clock)).transpose()?;
    let other = args.diff.as_deref().map(|text| moment("--diff", text, clock)).transpose()?;
    if other.is_some() && clock == Clock::Occurred {
        return Err(Failure::usage(
            "--diff goes through the events as they were recorded; leave out --clock occurred",
        ));
    }
    let past = past(settings).await?;
    let kind = match args.kind {
        ShownKind::Order => Kind::Order,
        ShownKind::Stock => Kind::Stock,
        ShownKind::User => Kind::User,
        ShownKind::Product => Kind::Product,
    };
    let as_of = async |at| past.as_of(kind, &args.id, at, now).await.map_err(failure);
    let shown = as_of(at.unwrap_or(At::Newest)).await?;
    let Some(other) = other else { return print(&shown, args.format) };
    let other = as_of(other).await?;
    let (from, to) =
        if other.last.revision <= shown.last.revision { (other, shown) } else { (shown, other) };
    let steps = past.steps(kind, &from, &to).await.map_err(failure)?;
    print_steps(&from, &to, &steps, args.format)
}

/// A time, a position of the log, or `@` and a revision of the stream.
fn moment(name: &str, text: &str, clock: Clock) -> Result<At, Failure> {
    let number =
        |text: &str| text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    if let Some(revision) = text.strip_prefix('@') {
        let revision = number(revision).ok_or_else(|| {
            Failure::usage(format!("{name} {text:?}: a revision is @ and a number, such as @3"))
        })?;
        return Ok(At::Revision(Revision(revision)));
    }
    match number(text) {
        Some(position) => Ok(At::Position(Position(position))),
        None => Ok(At::Time(times::read(name, text)?, clock)),
    }
}

async fn past(settings: &Settings) -> Result<Past, Failure> {
    past_of(settings, engines::event_store_to_read(settings).await?).await
}

/// What was, of a store that is read.
pub(crate) async fn past_of(settings: &Settings, store: EventStore) -> Result<Past, Failure> {
    // Beside a running server what it kept helps; without a data directory nothing does.
    let folder = settings.snapshots();
    let snapshots = folder.is_dir().then(|| Snapshots::open(folder, store.id()).ok()).flatten();
    let chronology = match &snapshots {
        Some(snapshots) => {
            Chronology::load(&store, snapshots).await.context("the log cannot be read")?
        }
        None => Chronology::default(),
    };
    Ok(Past::new(store, snapshots, Arc::new(chronology)))
}

fn failure(error: PastError) -> Failure {
    match error {
        PastError::Future { .. }
        | PastError::BeyondLog { .. }
        | PastError::BeyondStream { .. }
        | PastError::NoPlaces => Failure::usage(error.to_string()),
        PastError::NeverWas { .. }
        | PastError::NotYet { .. }
        | PastError::Unreadable { .. }
        | PastError::Store(_) => Failure::Failed(anyhow::Error::new(error)),
    }
}

fn print(shown: &AsOf, format: Format) -> Result<(), Failure> {
    let state = serde_json::to_value(&shown.state).context("the state cannot be shown")?;
    match format {
        Format::Json => output::json(&with_as_of(state, shown)),
        Format::Table => {
            let mut table = Table::new(&["what", "value"]);
            for (name, value) in members(&state) {
                table.row(vec![name, value]);
            }
            for (name, value) in members(&made_by(shown)) {
                table.row(vec![format!("as of {name}"), value]);
            }
            table.print()
        }
    }
}

fn print_steps(from: &AsOf, to: &AsOf, steps: &[Step], format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        let step = |step: &Step| {
            let mut told = told(step);
            told["changes"] = json!(step.changes);
            told
        };
        let steps: Vec<Value> = steps.iter().map(step).collect();
        return output::json(&json!({
            "from": made_by(from), "to": made_by(to), "events": steps,
        }));
    }
    let mut table =
        Table::new(&["revision", "recorded_at", "type", "actor", "path", "before", "after"]);
    for step in steps {
        let told = told(step);
        let event = ["revision", "recorded_at", "type"].map(|name| text(&told[name]));
        let actor = text(&told["actor"]["id"]);
        let row = |path: &str, before: &Option<Value>, after: &Option<Value>| {
            let shown = |value: &Option<Value>| value.as_ref().map(text).unwrap_or_default();
            let tail = [actor.clone(), path.to_owned(), shown(before), shown(after)];
            event.iter().cloned().chain(tail).collect()
        };
        // An event that changed nothing that is shown is one of its history all the same.
        if step.changes.is_empty() {
            table.row(row("", &None, &None));
        }
        for change in &step.changes {
            table.row(row(&change.path, &change.before, &change.after));
        }
    }
    table.print()
}

/// Which event, and who did it.
fn told(step: &Step) -> Value {
    let metadata = history::metadata(&step.event);
    json!({
        "revision": step.event.revision,
        "id": step.event.id,
        "type": step.event.event_type,
        "occurred_at": metadata.as_ref().map(|metadata| metadata.occurred_at),
        "recorded_at": metadata.as_ref().map(|metadata| metadata.recorded_at),
        "actor": metadata.as_ref().map(|metadata| &metadata.actor),
        "correlation_id": metadata.as_ref().map(|metadata| &metadata.correlation_id),
    })
}

fn with_as_of(mut state: Value, shown: &AsOf) -> Value {
    if let Value::Object(members) = &mut state {
        members.insert("as_of".to_owned(), made_by(shown));
    }
    state
}

fn made_by(shown: &AsOf) -> Value {
    json!({
        "revision": shown.last.revision,
        "position": shown.position,
        "event_id": shown.last.id,
        "event_type": shown.last.event_type,
        "recorded_at": shown.last.recorded_at(),
        "clocks_ran_back": shown.clocks_ran_back,
    })
}

fn members(document: &Value) -> Vec<(String, String)> {
    let members = document.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.clone(), text(value))).collect()
}

/// A text as it is, anything else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
