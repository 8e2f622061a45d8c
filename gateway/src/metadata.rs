//! What a stream's metadata (`$metadata` events in `$$stream`) hides from its readers.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use event_schemas::{Revision, StreamName, Timestamp};
use infra::event_store::{Direction, PageSize};
use serde_json::{Map, Value};

use crate::{Gateway, event, failure::Failure};

/// The value of `$tb` that deletes a stream: softly, since appends may follow.
pub(crate) const DELETED: u64 = Revision::TOMBSTONE.0;
/// The type of the events that hold metadata.
pub(crate) const TYPE: &str = "$metadata";
/// Streams whose metadata is remembered; beyond that all of it is forgotten.
const REMEMBERED: usize = 8_192;

/// What metadata says of who may see what. (`$acl` and `$cacheControl` say nothing here.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// `$maxCount`: only the newest so many events.
    pub(crate) max_count: Option<u64>,
    /// `$maxAge`: only what is no older.
    pub(crate) max_age: Option<Duration>,
    /// `$tb`: only what stands at this revision or behind it.
    pub(crate) truncate_before: Option<u64>,
}

/// A stream's metadata as of one revision of its metadata's stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// `None` where there never was any.
    pub(crate) revision: Option<Revision>,
    pub(crate) limits: Limits,
}

/// A stream and its metadata at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Looked {
    /// The stream's last revision.
    pub(crate) head: Option<Revision>,
    pub(crate) known: Known,
}

/// What a reader may see of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// There is no such stream, or it was deleted.
    Nothing,
    /// It was ended for good.
    Ended,
    Events(Window),
}

/// The part of a stream that a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// The first revision; may lie behind the last one.
    pub(crate) first: u64,
    /// The last revision.
    pub(crate) last: u64,
    /// Only what was written then or later.
    pub(crate) since: Option<Timestamp>,
}

/// The metadata met last. What is remembered may have changed since: an append makes it a
/// condition, a read compares its revision.
#[derive(Debug, Default)]
pub(crate) struct Remembered(Mutex<HashMap<StreamName, Known>>);

impl Limits {
    const NONE: Self = Self { max_count: None, max_age: None, truncate_before: None };

    /// As the real server reads it: metadata that it cannot read limits nothing.
    fn parse(data: &[u8]) -> Self {
        let Some(members) = members(data) else { return Self::default() };
        let positive = |name: &str| match members.get(name) {
            None => Some(None),
            Some(value) => value.as_u64().filter(|value| *value > 0).map(Some),
        };
        let truncate_before = match members.get("$tb") {
            None => Some(None),
            Some(value) => value.as_u64().filter(|value| *value <= DELETED).map(Some),
        };
        match (positive("$maxCount"), positive("$maxAge"), truncate_before) {
            (Some(max_count), Some(max_age), Some(truncate_before)) => {
                Self { max_count, max_age: max_age.map(Duration::from_secs), truncate_before }
            }
            _ => Self::NONE,
        }
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.truncate_before == Some(DELETED)
    }
}

/// The members of metadata, if it is a JSON object.
pub(crate) fn members(data: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(data).ok()
}

impl Looked {
    /// What a reader may see.
    pub(crate) fn seen(&self) -> Seen {
        let Limits { max_count, max_age, truncate_before } = self.known.limits;
        match self.head {
            None => Seen::Nothing,
            Some(Revision::TOMBSTONE) => Seen::Ended,
            Some(_) if self.known.limits.is_deleted() => Seen::Nothing,
            Some(Revision(last)) => {
                let counted = max_count.map_or(0, |count| (last + 1).saturating_sub(count));
                let since = max_age.map(|age| {
                    let micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
                    Timestamp::saturating(event::now().as_micros().saturating_sub(micros))
                });
                let first = counted.max(truncate_before.unwrap_or(0));
                Seen::Events(Window { first, last, since })
            }
        }
    }
}

impl Remembered {
    pub(crate) fn get(&self, stream: &StreamName) -> Option<Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(stream).copied()
    }

    fn set(&self, stream: &StreamName, known: Known) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(stream.clone(), known);
    }
}

/// Looks at a stream and its metadata. A stream of metadata shows its last event only, and ends
/// with the stream that it tells of.
pub(crate) async fn look(gateway: &Gateway, stream: &StreamName) -> Result<Looked, Failure> {
    let store = &gateway.store;
    if let Some(original) = stream.original() {
        if original.original().is_some() {
            // Nothing tells of metadata's metadata.
            return Ok(Looked { head: None, known: Known::default() });
        }
        let [head, original] = store.heads([stream, &original]).await?;
        let ended = original.filter(|head| *head == Revision::TOMBSTONE);
        let limits = Limits { max_count: Some(1), ..Limits::NONE };
        return Ok(Looked { head: ended.or(head), known: Known { revision: None, limits } });
    }
    let metastream = stream.metastream()?;
    let [head, revision] = store.heads([stream, &metastream]).await?;
    let known = match (revision, gateway.remembered.get(stream)) {
        (None, _) => Known::default(),
        (Some(_), Some(known)) if known.revision == revision => known,
        (Some(revision), _) => {
            let limits = Limits::parse(&raw(gateway, &metastream, revision).await?);
            let known = Known { revision: Some(revision), limits };
            gateway.remembered.set(stream, known);
            known
        }
    };
    Ok(Looked { head, known })
}

/// The metadata as it was written.
pub(crate) async fn raw(
    gateway: &Gateway,
    metastream: &StreamName,
    revision: Revision,
) -> Result<bytes::Bytes, Failure> {
    let one = PageSize { events: 1, bytes: 1 };
    let page = gateway.store.stream_page(metastream, revision, Direction::Forwards, one).await?;
    Ok(page.events.first().map(|event| event.data.clone()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_read_as_the_real_server_reads_it() {
        let parse = |text: &str| Limits::parse(text.as_bytes());
        let all = Limits {
            max_count: Some(7),
            max_age: Some(Duration::from_secs(60)),
            truncate_before: Some(0),
        };
        assert_eq!(parse(r#"{"$maxCount":7,"$maxAge":60,"$tb":0,"$acl":{},"mine":[1]}"#), all);
        assert!(parse(&format!("{{\"$tb\":{}}}", i64::MAX)).is_deleted());
        for text in [
            "",
            "{}",
            "[]",
            "no JSON",
            r#"{"$maxCount":0}"#,
            r#"{"$maxCount":-1,"$tb":4}"#,
            r#"{"$maxAge":"1s"}"#,
            r#"{"$tb":9223372036854775808}"#,
            r#"{"$tb":1.5}"#,
        ] {
            assert_eq!(parse(text), Limits::NONE, "{text}");
        }
    }

    #[test]
    fn a_window_is_what_all_limits_leave() {
        let look = |head, limits| {
            let known = Known { revision: Some(Revision(0)), limits };
            Looked { head: Some(Revision(head)), known }.seen()
        };
        let window = |first, last| Seen::Events(Window { first, last, since: None });
        let count = |max_count| Limits { max_count: Some(max_count), ..Limits::NONE };
        let from = |truncate_before| Limits {
            truncate_before: Some(truncate_before),
            max_count: Some(3),
            ..Limits::NONE
        };
        assert_eq!(look(9, Limits::NONE), window(0, 9));
        assert_eq!(look(9, count(1)), window(9, 9));
        assert_eq!(look(9, count(100)), window(0, 9));
        assert_eq!(look(9, from(2)), window(7, 9));
        assert_eq!(look(9, from(12)), window(12, 9));
        assert_eq!(look(9, from(DELETED)), Seen::Nothing);
        assert_eq!(look(Revision::TOMBSTONE.0, count(1)), Seen::Ended);
        let Seen::Events(aged) =
            look(9, Limits { max_age: Some(Duration::from_secs(u64::MAX)), ..Limits::NONE })
        else {
            panic!("nothing is seen");
        };
        assert!(aged.since.is_some_and(|since| since.as_micros() < 0));
    }
}
