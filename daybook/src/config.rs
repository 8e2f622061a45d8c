//! `daybook config`: each value and where it came from.

use serde_json::json;

use crate::{
    cli::Format,
    failure::Failure,
    output::{self, Table},
    settings::{self, Settings, Sources},
};

/// Prints every setting, secrets masked, then says what is wrong with them, if anything.
pub(crate) fn run(sources: &Sources, format: Format) -> Result<(), Failure> {
    let shown = settings::shown(sources)?;
    match format {
        Format::Json => {
            let members = shown.into_iter().map(|shown| {
                let origin = shown.origin.to_string();
                (shown.name.to_owned(), json!({ "value": shown.value, "from": origin }))
            });
            output::json(&serde_json::Value::Object(members.collect()))?;
        }
        Format::Table => {
            let mut table = Table::new(&["setting", "value", "from"]);
            for shown in shown {
                table.row(vec![shown.name.to_owned(), shown.value, shown.origin.to_string()]);
            }
            table.print()?;
        }
    }
    Settings::load(sources)?.check_anonymous()
}
