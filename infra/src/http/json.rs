use std::{cell::RefCell, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{At, Fault, Faults, fault::member_pointer};

/// The deepest nesting of arrays and objects.
const MAX_DEPTH: usize = 32;

/// JSON as it was written: an integer can be told from `1.0`, `1e0` and `-0`, and objects keep
/// their sequence.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer without fraction and exponent that 64 bits can hold.
    Int(i64),
    /// Any other number, as text.
    Number(String),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object; no name stands twice.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// What it is, for a sentence.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Number(_) => "a number that is no integer",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The same bytes for the same value, whatever white space and sequence of members it was
    /// written with.
    pub fn canonical(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_canonical(&mut bytes);
        bytes
    }

    fn write_canonical(&self, out: &mut Vec<u8>) {
        // Each value says its kind and length before its bytes, so that no two values are alike.
        let mut sized = |tag: u8, bytes: &[u8]| {
            out.push(tag);
            out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            out.extend_from_slice(bytes);
        };
        match self {
            Self::Null => sized(b'n', &[]),
            Self::Bool(value) => sized(b'b', &[u8::from(*value)]),
            Self::Int(value) => sized(b'i', &value.to_be_bytes()),
            Self::Number(text) => sized(b'f', text.as_bytes()),
            Self::String(text) => sized(b's', text.as_bytes()),
            Self::Array(items) => {
                sized(b'a', &(items.len() as u64).to_be_bytes());
                items.iter().for_each(|item| item.write_canonical(out));
            }
            Self::Object(members) => {
                sized(b'o', &(members.len() as u64).to_be_bytes());
                let mut sorted: Vec<_> = members.iter().collect();
                sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
                for (name, value) in sorted {
                    Self::String(name.clone()).write_canonical(out);
                    value.write_canonical(out);
                }
            }
        }
    }
}

/// Reads strict I-JSON (RFC 7493): UTF-8, no name twice in an object, no lone surrogate, no
/// noncharacter, nesting up to 32.
///
/// # Errors
/// Every doubled name and noncharacter, or, where it is no JSON at all, the one place where it
/// ceases to be.
pub fn parse_json(bytes: &[u8]) -> Result<Json, Vec<Fault>> {
    let found = Found::default();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let root = Seed { found: &found, place: &Place::Root, depth: 0 };
    let json = root.deserialize(&mut deserializer).and_then(|json| {
        deserializer.end()?;
        Ok(json)
    });
    let mut faults = found.faults.into_inner();
    match json {
        Ok(json) if faults.is_empty() => return Ok(json),
        Ok(_) => {}
        Err(error) => {
            let pointer = found.broken_at.into_inner().unwrap_or_else(|| "#".to_owned());
            let reason = match (error.to_string(), bytes.is_empty()) {
                (_, true) => "the body is empty; send JSON".to_owned(),
                (said, false) if error.is_data() => said,
                (said, false) => format!("no JSON: {said}"),
            };
            faults.pointer(pointer, reason);
        }
    }
    Err(faults.as_slice().to_vec())
}

#[derive(Default)]
struct Found {
    faults: RefCell<Faults>,
    /// Where the parser gave up: the deepest place it was at.
    broken_at: RefCell<Option<String>>,
}

/// Where the parser is; lives on the stack and becomes text only for a fault.
enum Place<'p> {
    Root,
    Member(&'p Place<'p>, &'p str),
    Element(&'p Place<'p>, usize),
}

impl Place<'_> {
    fn pointer(&self) -> String {
        match self {
            Self::Root => "#".to_owned(),
            Self::Member(parent, name) => member_pointer(&parent.pointer(), name),
            Self::Element(parent, at) => member_pointer(&parent.pointer(), &at.to_string()),
        }
    }
}

#[derive(Clone, Copy)]
struct Seed<'f, 'p> {
    found: &'f Found,
    place: &'p Place<'p>,
    depth: usize,
}

impl<'f> Seed<'f, '_> {
    fn inside<'q>(&self, place: &'q Place<'q>) -> Seed<'f, 'q> {
        Seed { found: self.found, place, depth: self.depth + 1 }
    }

    fn broken<E>(&self, error: E) -> E {
        self.found.broken_at.borrow_mut().get_or_insert_with(|| self.place.pointer());
        error
    }

    fn fault(&self, pointer: String, detail: String) {
        self.found.faults.borrow_mut().push(Fault { detail, at: At::Pointer(pointer) });
    }

    fn check_depth<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.depth < MAX_DEPTH {
            return Ok(());
        }
        Err(self.broken(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels"))))
    }

    /// RFC 7493, 2.1: no code point that identifies a noncharacter.
    fn check_text(&self, text: &str) {
        let is_noncharacter =
            |c: char| matches!(u32::from(c), 0xFDD0..=0xFDEF) || u32::from(c) & 0xFFFE == 0xFFFE;
        if !text.is_ascii() && text.chars().any(is_noncharacter) {
            self.fault(
                self.place.pointer(),
                "has a code point that Unicode reserves as a noncharacter; remove it".to_owned(),
            );
        }
    }

    fn check_names(&self, members: &[(String, Json)]) {
        let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let mut last_told = None;
        for pair in names.windows(2) {
            if pair[0] == pair[1] && last_told != Some(pair[0]) {
                last_told = Some(pair[0]);
                self.fault(
                    member_pointer(&self.place.pointer(), pair[0]),
                    format!("{:?} stands twice in one object; send it once", pair[0]),
                );
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self).map_err(|error| self.broken(error))
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(i64::try_from(value).map_or_else(|_| Json::Number(value.to_string()), Json::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(format!("{value:?}")))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        self.check_text(text);
        Ok(Json::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        self.check_text(&text);
        Ok(Json::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json, A::Error> {
        self.check_depth()?;
        let mut items = Vec::new();
        loop {
            let place = Place::Element(self.place, items.len());
            match sequence.next_element_seed(self.inside(&place)) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => return Ok(Json::Array(items)),
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        self.check_depth()?;
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<String>().map_err(|error| self.broken(error))? {
            let value = {
                let place = Place::Member(self.place, &name);
                let inside = self.inside(&place);
                inside.check_text(&name);
                map.next_value_seed(inside).map_err(|error| inside.broken(error))?
            };
            members.push((name, value));
        }
        self.check_names(&members);
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(bytes: &[u8]) -> Vec<(String, String)> {
        let place = |fault: Fault| match fault.at {
            At::Pointer(pointer) => (pointer, fault.detail),
            other => panic!("{other:?}"),
        };
        parse_json(bytes).unwrap_err().into_iter().map(place).collect()
    }

    #[test]
    fn numbers_can_be_told_apart() {
        let read = |text: &str| parse_json(text.as_bytes()).unwrap();
        assert_eq!(read("1"), Json::Int(1));
        assert_eq!(read("-9223372036854775808"), Json::Int(i64::MIN));
        for text in ["1.5", "1.0", "-0", "1e0", "1E3", "9223372036854775808", "1e300"] {
            assert!(matches!(read(text), Json::Number(_)), "{text}");
        }
        assert_eq!(read("\"1\""), Json::String("1".to_owned()));
    }

    #[test]
    fn a_broken_body_names_its_field() {
        for (text, pointer) in [
            (r#"{"a":{"b":[1,1e309]}}"#, "#/a/b/1"),
            (r#"{"a":"\ud800"}"#, "#/a"),
            (r#"{"a":"\ud800x","b":1}"#, "#/a"),
            (r#"{"a":"x"#, "#/a"),
            (r#"{"a":1"#, "#"),
            (r#"{"a":1,}"#, "#"),
            (r#"{"a":01}"#, "#/a"),
            (r#"{"lines":[{"quantity":tru}]}"#, "#/lines/0/quantity"),
            ("", "#"),
            ("{} x", "#"),
            ("\u{feff}{}", "#"),
            ("{'a':1}", "#"),
            ("[NaN]", "#/0"),
        ] {
            let found = faults(text.as_bytes());
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].0, pointer, "{text}: {}", found[0].1);
        }
        assert_eq!(faults(b"{\"a\":\"caf\xe9\"}")[0].0, "#/a");
    }

    #[test]
    fn every_doubled_name_is_told() {
        let found = faults(br#"{"a":1,"b":{"c":1,"c":2,"c":3},"a":2,"\u0061":3}"#);
        let pointers: Vec<_> = found.into_iter().map(|(pointer, _)| pointer).collect();
        assert_eq!(pointers, ["#/b/c", "#/a"]);
    }

    #[test]
    fn noncharacters_are_told() {
        assert_eq!(faults(r#"{"a":["\uffff","x"]}"#.as_bytes())[0].0, "#/a/0");
        assert_eq!(faults("{\"\u{fdd0}\":1}".as_bytes())[0].0, "#/%EF%B7%90");
    }

    #[test]
    fn nesting_ends_at_32() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse_json(nested(32).as_bytes()).is_ok());
        let found = faults(nested(33).as_bytes());
        assert_eq!(found.len(), 1);
        assert!(found[0].1.contains("deeper than 32"), "{}", found[0].1);
        assert_eq!(faults(nested(100_000).as_bytes()).len(), 1);
    }

    #[test]
    fn the_canonical_form_is_the_values() {
        let canonical = |text: &str| parse_json(text.as_bytes()).unwrap().canonical();
        assert_eq!(canonical(r#"{"a":1,"b":[true]}"#), canonical(r#"{ "b" : [ true ], "a":1 }"#));
        assert_ne!(canonical("[1,2]"), canonical("[12]"));
        assert_ne!(canonical("1"), canonical("1.0"));
        assert_ne!(canonical(r#"["a","b"]"#), canonical(r#"["ab"]"#));
    }
}
