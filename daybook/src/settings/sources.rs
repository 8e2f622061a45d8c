//! Where a setting's value comes from: flag, `DAYBOOK_X`, `DAYBOOK_X_FILE`, the file of settings,
//! the default, in this order.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use crate::failure::Failure;

/// The names of all settings, as flags and in the file of settings.
pub(crate) const NAMES: [&str; 22] = [
    "listen",
    "host",
    "allow-anonymous",
    "roles",
    "eventstore-listen",
    "eventstore-access",
    "data",
    "event-store",
    "bus",
    "relay-from",
    "read-models",
    "read-models-replica",
    "search",
    "skip-unknown",
    "keys",
    "master-key",
    "currency",
    "reservation-timeout",
    "audit-key",
    "audit-publish",
    "audit-every",
    "log-format",
];

const DEFAULT_FILE: &str = "./daybook.toml";

/// Where a value was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag(&'static str),
    Environment(String),
    FileNamedBy(String, PathBuf),
    SettingsFile(PathBuf),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Environment(variable) => f.write_str(variable),
            Self::FileNamedBy(variable, file) => write!(f, "{variable}: {}", file.display()),
            Self::SettingsFile(file) => write!(f, "{}", file.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The flags that were given, the environment, and the file of settings.
pub(crate) struct Sources {
    flags: BTreeMap<&'static str, String>,
    environment: BTreeMap<String, OsString>,
    file: Option<(PathBuf, BTreeMap<String, String>)>,
}

impl Sources {
    /// Reads the file of settings: `config`, else `./daybook.toml` where it exists.
    pub(crate) fn new(
        flags: BTreeMap<&'static str, String>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        config: Option<&Path>,
    ) -> Result<Self, Failure> {
        let environment = environment
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, value)| name.starts_with("DAYBOOK_") && !value.is_empty())
            .collect();
        let file = match config {
            Some(path) => Some((path.to_owned(), read_settings(path)?)),
            None if Path::new(DEFAULT_FILE).exists() => {
                Some((DEFAULT_FILE.into(), read_settings(Path::new(DEFAULT_FILE))?))
            }
            None => None,
        };
        Ok(Self { flags, environment, file })
    }

    /// The value of a setting and where it came from; none if nobody set it.
    pub(crate) fn find(&self, name: &'static str) -> Result<Option<(String, Origin)>, Failure> {
        debug_assert!(NAMES.contains(&name));
        if let Some(value) = self.flags.get(name) {
            return Ok(Some((value.clone(), Origin::Flag(name))));
        }
        let variable = format!("DAYBOOK_{}", name.to_uppercase().replace('-', "_"));
        if let Some(value) = self.environment.get(&variable) {
            let value = value
                .clone()
                .into_string()
                .map_err(|_| Failure::usage(format!("{variable} is not valid UTF-8")))?;
            return Ok(Some((value, Origin::Environment(variable))));
        }
        let variable = format!("{variable}_FILE");
        if let Some(path) = self.environment.get(&variable).map(PathBuf::from) {
            let value = std::fs::read_to_string(&path).map_err(|error| {
                Failure::usage(format!(
                    "{variable} names {}, which cannot be read: {error}",
                    path.display()
                ))
            })?;
            let value = value.trim_end_matches(['\n', '\r']).to_owned();
            return Ok(Some((value, Origin::FileNamedBy(variable, path))));
        }
        Ok(self.file.as_ref().and_then(|(path, values)| {
            Some((values.get(name)?.clone(), Origin::SettingsFile(path.clone())))
        }))
    }
}

fn read_settings(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("{shown} cannot be read: {error}")))?;
    // The parser's own message quotes the line, and a line may hold a secret.
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error
            .span()
            .map_or(1, |span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
        Failure::usage(format!("{shown}, line {line}, is not TOML: {}", error.message()))
    })?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let name = key.replace('_', "-");
        if !NAMES.contains(&name.as_str()) {
            let nearest = nearest(&name)
                .map_or_else(String::new, |nearest| format!("; did you mean {nearest:?}?"));
            return Err(Failure::usage(format!("{shown}: there is no setting {key:?}{nearest}")));
        }
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Boolean(flag) => flag.to_string(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Array(items) if name == "roles" => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| Failure::usage(format!("{shown}: {key} is a list of strings")))?
                .join(","),
            _ => {
                return Err(Failure::usage(format!(
                    "{shown}: {key} has to be a string, true or false"
                )));
            }
        };
        if values.insert(name, value).is_some() {
            return Err(Failure::usage(format!("{shown}: {key} is set twice")));
        }
    }
    Ok(values)
}

/// The setting whose name is most like this one; always one, since the list is short and a guess
/// costs nothing.
fn nearest(name: &str) -> Option<&'static str> {
    NAMES.into_iter().min_by_key(|known| strsim::damerau_levenshtein(name, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(
        flags: &[(&'static str, &str)],
        environment: &[(&str, &str)],
        config: Option<&Path>,
    ) -> Result<Sources, Failure> {
        Sources::new(
            flags.iter().map(|&(name, value)| (name, value.to_owned())).collect(),
            environment.iter().map(|&(name, value)| (name.into(), value.into())),
            config,
        )
    }

    #[test]
    fn a_flag_wins_over_the_environment_a_file_of_it_and_the_settings() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("shop.toml");
        let secret = dir.path().join("secret");
        std::fs::write(&config, "data = 'settings'\n").unwrap();
        std::fs::write(&secret, "secret\n").unwrap();
        let flag = [("data", "flag")];
        let plain = ("DAYBOOK_DATA", "plain");
        let file = ("DAYBOOK_DATA_FILE", secret.to_str().unwrap());
        let found = |flags: &[(&'static str, &str)], environment: &[(&str, &str)]| {
            let found = sources(flags, environment, Some(&config)).unwrap().find("data");
            found.unwrap().unwrap()
        };
        assert_eq!(found(&flag, &[plain, file]), ("flag".into(), Origin::Flag("data")));
        let (value, origin) = found(&[], &[plain, file]);
        assert_eq!((value.as_str(), origin.to_string().as_str()), ("plain", "DAYBOOK_DATA"));
        let (value, origin) = found(&[], &[file, ("DAYBOOK_DATA", "")]);
        assert_eq!(value, "secret");
        assert_eq!(origin, Origin::FileNamedBy("DAYBOOK_DATA_FILE".into(), secret.clone()));
        assert_eq!(found(&[], &[]), ("settings".into(), Origin::SettingsFile(config.clone())));
        assert_eq!(sources(&[], &[], Some(&config)).unwrap().find("host").unwrap(), None);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_name() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("shop.toml");
        for (key, nearest) in
            [("lisen", "listen"), ("readmodels", "read-models"), ("event_stroe", "event-store")]
        {
            std::fs::write(&config, format!("{key} = 'x'\n")).unwrap();
            let failure = sources(&[], &[], Some(&config)).err().unwrap();
            assert!(matches!(failure, Failure::Usage(_)), "{failure}");
            assert!(
                failure.to_string().contains(&format!("did you mean {nearest:?}")),
                "{failure}"
            );
        }
    }

    #[test]
    fn a_bad_file_of_settings_is_refused_without_showing_its_lines() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("shop.toml");
        for (text, said) in [
            ("data = 'a'\nkeys = mysql://me:hunter2@db", "line 2"),
            ("data = { x = 1 }", "data has to be a string"),
            ("roles = [1]", "roles is a list of strings"),
            ("event-store = 'a'\nevent_store = 'b'", "twice"),
        ] {
            std::fs::write(&config, text).unwrap();
            let failure = sources(&[], &[], Some(&config)).err().unwrap().to_string();
            assert!(failure.contains(said), "{failure}");
            assert!(!failure.contains("hunter2"), "{failure}");
        }
        assert!(sources(&[], &[], Some(&dir.path().join("none"))).is_err());
        let missing = sources(&[], &[("DAYBOOK_KEYS_FILE", "/nowhere/at-all")], None).unwrap();
        assert!(missing.find("keys").unwrap_err().to_string().contains("DAYBOOK_KEYS_FILE"));
    }

    #[test]
    fn the_settings_file_may_hold_flags_and_lists() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("shop.toml");
        std::fs::write(&config, "allow_anonymous = true\nroles = ['query', 'command']\n").unwrap();
        let sources = sources(&[], &[], Some(&config)).unwrap();
        assert_eq!(sources.find("allow-anonymous").unwrap().unwrap().0, "true");
        assert_eq!(sources.find("roles").unwrap().unwrap().0, "query,command");
    }
}
