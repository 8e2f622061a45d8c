//! What projections pass over instead of stopping, where they are told to: only events that this
//! Daybook does not know. One that it knows and cannot decode always stops them.

use std::{str::FromStr, sync::Arc};

use event_schemas::{CATEGORIES, DecodeError, Event, Logged};
use infra::read_models::Skipped;
use thiserror::Error;

use crate::Poison;

/// The most kinds of events that one projection passes over: each is kept with its checkpoint.
const MOST_KINDS: usize = 100;

/// The events that are passed over; none unless said otherwise. Cheap to clone.
///
/// As text: `all`, or kinds parted by commas: `TYPE` is any version of a type that is unknown,
/// `TYPE@VERSION` one version, also the newer one of a type that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skip(Arc<[Kind]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    All,
    Type(String),
    Version(String, u32),
}

/// Why a text names nothing that can be passed over.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InvalidSkip {
    /// It is no name.
    #[error("{0:?} is no event type: say all, or types such as OrderGifted,OrderPlaced@2")]
    NoName(String),
    /// It names what is never passed over.
    #[error(
        "{name:?} is known to this version of Daybook, up to schema version {known}, and is never \
         passed over: leave it out, or name a newer version, such as {event_type}@{newer}",
        newer = known + 1
    )]
    Known {
        /// What was named.
        name: String,
        /// The type.
        event_type: String,
        /// Its newest version.
        known: u32,
    },
}

impl Skip {
    /// Notes that the event is passed over.
    ///
    /// # Errors
    /// [`Poison`] if it is not to be.
    pub(crate) fn pass_over(
        &self,
        logged: &Logged,
        error: &DecodeError,
        skipped: &mut Vec<Skipped>,
    ) -> Result<(), Poison> {
        let Some(found) = unknown(logged, error) else { return Err(Poison::new(logged, error)) };
        if !self.covers(&found) {
            let name = name(&found);
            let advice = format!(
                "{error}: start the version that wrote it, or pass over it with --skip-unknown {name}"
            );
            return Err(Poison::new(logged, &advice));
        }
        if let Some(same) = skipped.iter_mut().find(|other| is_same_kind(other, &found)) {
            same.events += 1;
        } else if skipped.len() < MOST_KINDS {
            skipped.push(found);
        } else {
            let reason =
                format!("{error}, and {MOST_KINDS} kinds of events are passed over already");
            return Err(Poison::new(logged, &reason));
        }
        Ok(())
    }

    fn covers(&self, found: &Skipped) -> bool {
        self.0.iter().any(|kind| match kind {
            Kind::All => true,
            Kind::Type(name) => *name == found.event_type,
            Kind::Version(name, version) => {
                *name == found.event_type && Some(*version) == found.schema_version
            }
        })
    }
}

/// What an event is, if this Daybook does not know it; it counts as one.
fn unknown(logged: &Logged, error: &DecodeError) -> Option<Skipped> {
    let schema_version = match error {
        DecodeError::UnknownType { version, .. } => *version,
        DecodeError::NewerVersion { version, .. } => Some(*version),
        DecodeError::Malformed { .. } | DecodeError::System(_) | DecodeError::Foreign(_) => {
            return None;
        }
    };
    Some(Skipped {
        category: logged.stream.category().to_owned(),
        event_type: logged.event_type.to_string(),
        schema_version,
        events: 1,
        first: logged.position,
    })
}

pub(crate) fn is_same_kind(one: &Skipped, other: &Skipped) -> bool {
    one.schema_version == other.schema_version
        && one.event_type == other.event_type
        && one.category == other.category
}

/// The first of what was passed over that this Daybook knows: the rows lack it for no reason.
pub(crate) fn known_meanwhile(skipped: &[Skipped]) -> Option<&Skipped> {
    skipped.iter().find(|skipped| {
        let known = Event::known_version(&skipped.category, &skipped.event_type);
        known.is_some_and(|known| skipped.schema_version.is_none_or(|version| version <= known))
    })
}

/// How the setting names it.
fn name(found: &Skipped) -> String {
    let named = match found.schema_version {
        Some(version) => format!("{}@{version}", found.event_type),
        None => found.event_type.clone(),
    };
    // A type of another category can be named by no name of its own.
    if named.parse::<Skip>().is_ok() { named } else { "all".to_owned() }
}

impl FromStr for Skip {
    type Err = InvalidSkip;

    fn from_str(text: &str) -> Result<Self, InvalidSkip> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        text.split(',').map(|name| name.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Kind {
    type Err = InvalidSkip;

    fn from_str(name: &str) -> Result<Self, InvalidSkip> {
        if name == "all" {
            return Ok(Self::All);
        }
        let no_name = || InvalidSkip::NoName(name.to_owned());
        let (event_type, version) = match name.split_once('@') {
            Some((event_type, version)) => {
                (event_type, Some(version.parse().map_err(|_| no_name())?))
            }
            None => (name, None),
        };
        // What begins so is the store's own, and nothing that a projection meets.
        let strange = |c: char| c.is_whitespace() || c.is_control() || c == '@';
        if event_type.is_empty() || event_type.starts_with('$') || event_type.contains(strange) {
            return Err(no_name());
        }
        let known = CATEGORIES.iter().filter_map(|of| Event::known_version(of, event_type)).max();
        match (known, version) {
            (Some(known), version) if version.is_none_or(|version| version <= known) => {
                let (name, event_type) = (name.to_owned(), event_type.to_owned());
                Err(InvalidSkip::Known { name, event_type, known })
            }
            (_, Some(version)) => Ok(Self::Version(event_type.to_owned(), version)),
            (_, None) => Ok(Self::Type(event_type.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use event_schemas::{Position, Recorded, Revision, StreamName};
    use uuid::Uuid;

    use super::*;

    fn logged(stream: &str, event_type: &str, version: u32) -> Logged {
        let metadata = format!(
            r#"{{"schema_version":{version},"occurred_at":"2026-11-21T09:15:00.000000Z",
            "recorded_at":"2026-11-21T09:15:00.000000Z",
            "actor":{{"id":"x","kind":"user","proof":"none"}},
            "command_id":"00000000-0000-0000-0000-000000000001","$correlationId":"x",
            "$causationId":"00000000-0000-0000-0000-000000000001"}}"#
        );
        let (id, stream) = (Uuid::from_u128(1), StreamName::parse(stream).unwrap());
        let (data, name) = ("{}".into(), event_type.to_owned().into());
        let recorded = Recorded::new(id, stream, Revision(0), name, data, metadata.into());
        Logged { position: Position(7), recorded: recorded.into() }
    }

    /// What is noted, or why it stops.
    fn passed(skip: &str, logged: &Logged) -> Result<Vec<Skipped>, String> {
        let mut skipped = Vec::new();
        let error = logged.decode().unwrap_err();
        let skip: Skip = skip.parse().unwrap();
        let passed = skip.pass_over(logged, error, &mut skipped);
        passed.map(|()| skipped).map_err(|poison| poison.to_string())
    }

    #[test]
    fn only_what_is_named_is_passed_over() {
        let gifted = logged("order-1", "OrderGifted", 3);
        let newer = logged("order-1", "OrderPlaced", 2);
        for (skip, of_gifted, of_newer) in [
            ("", false, false),
            ("all", true, true),
            ("OrderGifted", true, false),
            ("OrderGifted@3", true, false),
            ("OrderGifted@2", false, false),
            ("OrderPlaced@2", false, true),
            ("OrderGifted@3, OrderPlaced@2", true, true),
            ("OrderPlaced@3,OrderLent", false, false),
        ] {
            assert_eq!(passed(skip, &gifted).is_ok(), of_gifted, "{skip}");
            assert_eq!(passed(skip, &newer).is_ok(), of_newer, "{skip}");
        }
    }

    #[test]
    fn what_is_known_and_cannot_be_decoded_is_never_passed_over() {
        let malformed = logged("order-1", "OrderPlaced", 1);
        let told = passed("all", &malformed).unwrap_err();
        assert!(!told.contains("--skip-unknown"), "{told}");
        let told = passed("", &logged("order-1", "OrderGifted", 3)).unwrap_err();
        assert!(told.ends_with("--skip-unknown OrderGifted@3"), "{told}");
        let told = passed("", &logged("order-1", "ProductCreated", 1)).unwrap_err();
        assert!(told.ends_with("--skip-unknown all"), "{told}");
    }

    #[test]
    fn kinds_are_counted_and_there_is_an_end_to_them() {
        let skip: Skip = "all".parse().unwrap();
        let mut skipped = Vec::new();
        let mut pass = |event_type: &str| {
            let logged = logged("order-1", event_type, 1);
            skip.pass_over(&logged, logged.decode().unwrap_err(), &mut skipped)
        };
        for number in 0..MOST_KINDS {
            pass(&format!("Order{number}")).unwrap();
            pass("Order0").unwrap();
        }
        let told = pass("OneMore").unwrap_err().to_string();
        assert!(told.contains("100 kinds"), "{told}");
        assert_eq!((skipped.len(), skipped[0].events, skipped[1].events), (100, 101, 1));
    }

    #[test]
    fn what_is_no_name_or_known_is_refused() {
        for text in [",", "OrderGifted,", "@1", "a@", "a@x", "a@1@2", "a b", "$metadata"] {
            assert!(matches!(text.parse::<Skip>(), Err(InvalidSkip::NoName(_))), "{text}");
        }
        for text in ["OrderPlaced", "OrderPlaced@1", "all,ProductCreated@2", "ProductCreated@1"] {
            let refused = text.parse::<Skip>().unwrap_err();
            assert!(refused.to_string().contains("never passed over"), "{text}: {refused}");
        }
        for text in ["", "all", "OrderGifted", "OrderGifted@3,OrderPlaced@2"] {
            assert!(text.parse::<Skip>().is_ok(), "{text}");
        }
    }

    #[test]
    fn what_was_passed_over_and_is_known_is_found() {
        let of = |category: &str, event_type: &str, schema_version| Skipped {
            category: category.to_owned(),
            event_type: event_type.to_owned(),
            schema_version,
            events: 2,
            first: Position(4),
        };
        for unknown in [
            of("order", "OrderGifted", Some(1)),
            of("order", "OrderPlaced", Some(2)),
            of("stock", "OrderPlaced", Some(1)),
            of("nowhere", "OrderPlaced", None),
        ] {
            assert_eq!(known_meanwhile(&[unknown]), None);
        }
        for known in [of("order", "OrderPlaced", Some(1)), of("order", "OrderPlaced", None)] {
            let all = [of("order", "OrderGifted", Some(1)), known.clone()];
            assert_eq!(known_meanwhile(&all), Some(&known));
        }
    }
}
