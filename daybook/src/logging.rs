use std::io::IsTerminal;

use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{output, settings::LogFormat};

/// The workspace's crates; all others are libraries.
const OURS: [&str; 11] = [
    "audit",
    "commands",
    "daybook",
    "domain",
    "event_schemas",
    "gateway",
    "history",
    "infra",
    "nodelay",
    "projections",
    "query_api",
];

/// Sends the log to standard error, once for the whole process. `loudness` is the number of `-v`
/// less the number of `-q`: 0 is warnings and information. Libraries are heard at 2.
pub(crate) fn start(format: LogFormat, loudness: i8) {
    let (level, of_libraries) = match loudness {
        i8::MIN..=-1 => (LevelFilter::ERROR, LevelFilter::OFF),
        0 => (LevelFilter::INFO, LevelFilter::ERROR),
        1 => (LevelFilter::DEBUG, LevelFilter::WARN),
        2..=i8::MAX => (LevelFilter::TRACE, LevelFilter::TRACE),
    };
    let filter =
        Targets::new().with_default(of_libraries).with_targets(OURS.map(|target| (target, level)));
    let lines = fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines
            .with_ansi(std::io::stderr().is_terminal() && output::colours())
            .with_target(false)
            .with_filter(filter)
            .boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    };
    // A second subscriber could only come of a second call; the first goes on.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

#[cfg(test)]
mod tests {
    use super::OURS;

    #[test]
    fn every_crate_of_the_workspace_is_ours() {
        let workspace = include_str!("../../Cargo.toml");
        let members = workspace.split_once("members = [").unwrap().1.split_once(']').unwrap().0;
        let mut members: Vec<String> = members
            .split(',')
            .map(|member| member.trim().trim_matches('"').replace('-', "_"))
            .filter(|member| !member.is_empty())
            .collect();
        members.sort();
        assert_eq!(members, OURS);
    }
}
