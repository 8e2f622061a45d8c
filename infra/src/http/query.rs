use std::ops::RangeInclusive;

use event_schemas::{InvalidTimestamp, Timestamp};

use super::{BAD_REQUEST, Faults, Problem, fields::is_id};

/// The parameters of a strict query string: each known, each once unless it may be repeated.
#[derive(Debug, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Query {
    /// Reads what stands behind the question mark, `application/x-www-form-urlencoded`.
    pub fn parse(text: Option<&str>, faults: &mut Faults) -> Self {
        let mut pairs = Vec::new();
        for part in text.unwrap_or("").split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match (decoded(name), decoded(value)) {
                (Some(name), Some(value)) => pairs.push((name, value)),
                (name, _) => faults.parameter(
                    name.unwrap_or_else(|| name_as_sent(part)),
                    "is not percent-encoded UTF-8",
                ),
            }
        }
        Self { pairs, known: Vec::new() }
    }

    /// A parameter that may be missing. Sent twice it is a fault.
    pub fn take(&mut self, name: &'static str, faults: &mut Faults) -> Option<String> {
        let mut found = self.take_all(name);
        if found.len() > 1 {
            faults.parameter(name, format!("is there {} times; send it once", found.len()));
            return None;
        }
        found.pop()
    }

    /// Every value of a parameter that may be repeated.
    pub fn take_all(&mut self, name: &'static str) -> Vec<String> {
        self.known.push(name);
        let mut found = Vec::new();
        self.pairs.retain_mut(|(known, value)| {
            let other = known != name;
            if !other {
                found.push(std::mem::take(value));
            }
            other
        });
        found
    }

    /// A text of so many characters, without control characters.
    pub fn text(
        &mut self,
        name: &'static str,
        chars: RangeInclusive<usize>,
        faults: &mut Faults,
    ) -> Option<String> {
        let text = self.take(name, faults)?;
        check_text(name, &text, chars, faults).then_some(text)
    }

    /// Whether the parameter was sent.
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(sent, _)| sent == name)
    }

    /// Texts of so many characters each.
    pub fn texts(
        &mut self,
        name: &'static str,
        chars: RangeInclusive<usize>,
        faults: &mut Faults,
    ) -> Vec<String> {
        let mut texts = self.take_all(name);
        texts.retain(|text| check_text(name, text, chars.clone(), faults));
        texts
    }

    /// An id.
    pub fn id(&mut self, name: &'static str, faults: &mut Faults) -> Option<String> {
        let text = self.take(name, faults)?;
        if is_id(&text) {
            return Some(text);
        }
        faults.parameter(
            name,
            "must be an id: 1 to 64 of A-Z a-z 0-9 _ - . and not beginning with a dot",
        );
        None
    }

    /// An integer in the range: digits, with `-` before them if it is negative.
    pub fn integer(
        &mut self,
        name: &'static str,
        range: RangeInclusive<i64>,
        faults: &mut Faults,
    ) -> Option<i64> {
        let text = self.take(name, faults)?;
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let value = text.parse().ok().filter(|value| plain && range.contains(value));
        if value.is_none() {
            let (least, most) = (range.start(), range.end());
            faults
                .parameter(name, format!("is {text:?}; it must be an integer, {least} to {most}"));
        }
        value
    }

    /// An RFC 3339 time.
    pub fn time(&mut self, name: &'static str, faults: &mut Faults) -> Option<Timestamp> {
        let text = self.take(name, faults)?;
        // A plus sign that was not encoded arrives as a space.
        match text.parse().or_else(|_| text.replace(' ', "+").parse()) {
            Ok(time) => Some(time),
            Err(_) => {
                faults.parameter(name, InvalidTimestamp(text).to_string());
                None
            }
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&'static str, T)],
        faults: &mut Faults,
    ) -> Option<T> {
        let text = self.take(name, faults)?;
        choice_of(name, &text, choices, faults)
    }

    /// Any of a few words, repeated.
    pub fn choices<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&'static str, T)],
        faults: &mut Faults,
    ) -> Vec<T> {
        let texts = self.take_all(name);
        texts.iter().filter_map(|text| choice_of(name, text, choices, faults)).collect()
    }

    /// `limit`: 1 to 1000, 50 unless given.
    pub fn limit(&mut self, faults: &mut Faults) -> usize {
        let limit = self.integer("limit", 1..=1_000, faults);
        limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(50)
    }

    /// Puts down a fault for every parameter that nobody asked for.
    pub fn finish(self, faults: &mut Faults) {
        let mut told: Vec<&str> = Vec::new();
        for (name, _) in &self.pairs {
            if told.contains(&name.as_str()) {
                continue;
            }
            told.push(name);
            let known = match self.known.as_slice() {
                [] => "this path has no parameters".to_owned(),
                names => format!("known here: {}", names.join(", ")),
            };
            faults.parameter(name.as_str(), format!("{name:?} is unknown; {known}"));
        }
    }
}

/// Of a path without parameters: whether none was sent.
///
/// # Errors
/// The problem that names every one.
pub fn without_parameters(uri: &http::Uri) -> Result<(), Problem> {
    let mut faults = Faults::new();
    Query::parse(uri.query(), &mut faults).finish(&mut faults);
    if faults.is_empty() { Ok(()) } else { Err(faults.into_problem(&BAD_REQUEST)) }
}

fn check_text(
    name: &'static str,
    text: &str,
    chars: RangeInclusive<usize>,
    faults: &mut Faults,
) -> bool {
    let count = text.chars().count();
    if !chars.contains(&count) {
        let (least, most) = (chars.start(), chars.end());
        faults.parameter(name, format!("has {count} characters; it must have {least} to {most}"));
        return false;
    }
    if text.chars().any(char::is_control) {
        faults.parameter(name, "has a control character; remove it");
        return false;
    }
    true
}

fn choice_of<T: Copy>(
    name: &'static str,
    text: &str,
    choices: &[(&'static str, T)],
    faults: &mut Faults,
) -> Option<T> {
    let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    if found.is_none() {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        faults.parameter(name, format!("is {text:?}; it must be one of {}", words.join(", ")));
    }
    found
}

fn name_as_sent(part: &str) -> String {
    part.split('=').next().unwrap_or("").chars().take(64).collect()
}

fn decoded(text: &str) -> Option<String> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let [high, low, after @ ..] = rest else { return None };
                rest = after;
                let digit = |byte: u8| char::from(byte).to_digit(16);
                u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::At;

    fn told(text: &str, read: impl FnOnce(&mut Query, &mut Faults)) -> Vec<String> {
        let mut faults = Faults::new();
        let mut query = Query::parse(Some(text), &mut faults);
        read(&mut query, &mut faults);
        query.finish(&mut faults);
        let name = |at: &At| match at {
            At::Parameter(name) => name.clone(),
            other => panic!("{other:?}"),
        };
        faults.as_slice().iter().map(|fault| name(&fault.at)).collect()
    }

    #[test]
    fn values_are_decoded() {
        let none = told("q=caf%C3%A9+x%2By&d=A&d=B&&e", |query, faults| {
            assert_eq!(query.text("q", 0..=200, faults).as_deref(), Some("caf\u{e9} x+y"));
            assert_eq!(query.texts("d", 1..=64, faults), ["A", "B"]);
            assert_eq!(query.take("e", faults).as_deref(), Some(""));
            assert_eq!(query.limit(faults), 50);
        });
        assert!(none.is_empty());
    }

    #[test]
    fn unknown_doubled_and_broken_parameters_are_told_at_once() {
        let names = told("a=1&a=2&b=%zz&c=%ff&x=1&x=2&%79=3&limit=0", |query, faults| {
            assert_eq!(query.take("a", faults), None);
            query.limit(faults);
        });
        assert_eq!(names, ["b", "c", "a", "limit", "x", "y"]);
    }

    #[test]
    fn every_type_has_its_faults() {
        let read = |text: &str| {
            told(text, |query, faults| {
                query.id("id", faults);
                query.integer("n", -5..=10, faults);
                query.time("t", faults);
                query.choices("c", &[("x", 1), ("y", 2)], faults);
                query.text("q", 0..=3, faults);
                query.limit(faults);
            })
        };
        assert!(
            read("id=a&n=-5&t=2026-01-01T00:00:00%2B01:00&c=x&c=y&q=abc&limit=1000").is_empty()
        );
        assert!(read("t=2026-01-01T00:00:00+01:00&n=10").is_empty());
        for bad in [
            "id=",
            "id=a/b",
            "n=11",
            "n=-6",
            "n=+1",
            "n=1.0",
            "n=",
            "n=99999999999999999999",
            "n=-",
            "t=2026-02-30T00:00:00Z",
            "t=yesterday",
            "c=z",
            "q=abcd",
            "q=a%00",
            "limit=1001",
            "limit=x",
        ] {
            assert_eq!(read(bad).len(), 1, "{bad}");
        }
    }
}
