use std::ops::RangeInclusive;

use super::{Faults, Json, fault::member_pointer};

/// The members of one JSON object, taken out by name. What is wrong is put down in the faults of
/// the request and answered with `None`; the reading goes on, so that all faults are told at once.
#[derive(Debug)]
pub struct Fields<'f> {
    pointer: String,
    members: Vec<(String, Json)>,
    known: Vec<&'static str>,
    is_object: bool,
    faults: &'f mut Faults,
}

impl<'f> Fields<'f> {
    /// The members of `json`, which stands at `pointer` (`#` is the whole body).
    pub fn new(json: Json, pointer: impl Into<String>, faults: &'f mut Faults) -> Self {
        let pointer = pointer.into();
        let (members, is_object) = match json {
            Json::Object(members) => (members, true),
            other => {
                faults.pointer(&pointer, format!("must be an object, not {}", other.kind()));
                (Vec::new(), false)
            }
        };
        Self { pointer, members, known: Vec::new(), is_object, faults }
    }

    /// The pointer of a member.
    pub fn pointer_of(&self, name: &str) -> String {
        member_pointer(&self.pointer, name)
    }

    /// The faults of the request, for a rule of one's own.
    pub fn faults(&mut self) -> &mut Faults {
        self.faults
    }

    /// Puts down a fault of a member.
    pub fn fault(&mut self, name: &str, detail: impl Into<String>) {
        self.faults.pointer(member_pointer(&self.pointer, name), detail);
    }

    /// A member that may be missing; `null` is a value like any other.
    pub fn take(&mut self, name: &'static str) -> Option<Json> {
        self.known.push(name);
        let at = self.members.iter().position(|(known, _)| known == name)?;
        Some(self.members.remove(at).1)
    }

    /// A member that has to be there.
    pub fn required(&mut self, name: &'static str) -> Option<Json> {
        let found = self.take(name);
        if found.is_none() && self.is_object {
            self.fault(name, format!("{name} is missing"));
        }
        found
    }

    /// A required string of so many characters.
    pub fn text(&mut self, name: &'static str, chars: RangeInclusive<usize>) -> Option<String> {
        let json = self.required(name)?;
        text_of(json, &self.pointer_of(name), chars, self.faults)
    }

    /// A string of so many characters that may be missing.
    pub fn optional_text(
        &mut self,
        name: &'static str,
        chars: RangeInclusive<usize>,
    ) -> Option<String> {
        let json = self.take(name)?;
        text_of(json, &self.pointer_of(name), chars, self.faults)
    }

    /// A required id.
    pub fn id(&mut self, name: &'static str) -> Option<String> {
        let json = self.required(name)?;
        id_of(json, &self.pointer_of(name), self.faults)
    }

    /// An id that may be missing.
    pub fn optional_id(&mut self, name: &'static str) -> Option<String> {
        let json = self.take(name)?;
        id_of(json, &self.pointer_of(name), self.faults)
    }

    /// A required integer, written without fraction and exponent.
    pub fn integer(&mut self, name: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let json = self.required(name)?;
        integer_of(&json, &self.pointer_of(name), range, self.faults)
    }

    /// An integer that may be missing.
    pub fn optional_integer(
        &mut self,
        name: &'static str,
        range: RangeInclusive<i64>,
    ) -> Option<i64> {
        let json = self.take(name)?;
        integer_of(&json, &self.pointer_of(name), range, self.faults)
    }

    /// A required object; read it, then `finish` it.
    pub fn object(&mut self, name: &'static str) -> Option<Fields<'_>> {
        let json = self.required(name)?;
        Some(Fields::new(json, self.pointer_of(name), self.faults))
    }

    /// An object that may be missing.
    pub fn optional_object(&mut self, name: &'static str) -> Option<Fields<'_>> {
        let json = self.take(name)?;
        Some(Fields::new(json, self.pointer_of(name), self.faults))
    }

    /// A required array of so many elements, each with its pointer.
    pub fn array(
        &mut self,
        name: &'static str,
        count: RangeInclusive<usize>,
    ) -> Option<Vec<(String, Json)>> {
        let pointer = self.pointer_of(name);
        let items = match self.required(name)? {
            Json::Array(items) => items,
            other => {
                self.faults.pointer(pointer, format!("must be an array, not {}", other.kind()));
                return None;
            }
        };
        if !count.contains(&items.len()) {
            let (least, most) = (count.start(), count.end());
            self.faults.pointer(
                pointer,
                format!("has {} elements; it must have {least} to {most}", items.len()),
            );
            return None;
        }
        let numbered = items.into_iter().enumerate();
        Some(numbered.map(|(at, json)| (member_pointer(&pointer, &at.to_string()), json)).collect())
    }

    /// All that is left, where any name may stand; nothing is unknown afterwards.
    pub fn rest(&mut self) -> Vec<(String, Json)> {
        std::mem::take(&mut self.members)
    }

    /// Puts down a fault for every member that nobody asked for.
    pub fn finish(self) {
        for (name, _) in &self.members {
            let known = match self.known.as_slice() {
                [] => "nothing is known here".to_owned(),
                names => format!("known here: {}", names.join(", ")),
            };
            self.faults.pointer(
                member_pointer(&self.pointer, name),
                format!("{name:?} is unknown; {known}"),
            );
        }
    }
}

/// A string of so many characters, without control characters but tab and line ends.
pub fn text_of(
    json: Json,
    pointer: &str,
    chars: RangeInclusive<usize>,
    faults: &mut Faults,
) -> Option<String> {
    let text = match json {
        Json::String(text) => text,
        other => {
            faults.pointer(pointer, format!("must be a string, not {}", other.kind()));
            return None;
        }
    };
    let count = if text.is_ascii() { text.len() } else { text.chars().count() };
    if !chars.contains(&count) {
        let (least, most) = (chars.start(), chars.end());
        faults.pointer(pointer, format!("has {count} characters; it must have {least} to {most}"));
        return None;
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
        faults.pointer(pointer, "has a control character; remove it");
        return None;
    }
    Some(text)
}

/// An id: see [`is_id`].
pub fn id_of(json: Json, pointer: &str, faults: &mut Faults) -> Option<String> {
    match json {
        Json::String(text) if is_id(&text) => return Some(text),
        Json::String(_) => faults.pointer(
            pointer,
            "must be an id: 1 to 64 of A-Z a-z 0-9 _ - . and not beginning with a dot",
        ),
        other => faults.pointer(pointer, format!("must be a string, not {}", other.kind())),
    }
    None
}

/// An integer in the range, written without fraction and exponent.
pub fn integer_of(
    json: &Json,
    pointer: &str,
    range: RangeInclusive<i64>,
    faults: &mut Faults,
) -> Option<i64> {
    let (least, most) = (range.start(), range.end());
    match json {
        Json::Int(value) if range.contains(value) => return Some(*value),
        Json::Int(value) => {
            faults.pointer(pointer, format!("is {value}; it must be {least} to {most}"));
        }
        Json::Number(text) => faults.pointer(
            pointer,
            format!(
                "is {text}; it must be an integer from {least} to {most}, without fraction or exponent"
            ),
        ),
        other => faults.pointer(
            pointer,
            format!("must be an integer from {least} to {most}, not {}", other.kind()),
        ),
    }
    None
}

/// Whether it is an id: 1 to 64 of `A-Z a-z 0-9 _ - .`, not beginning with a dot.
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && !text.starts_with('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{At, parse_json};

    fn told(body: &str, read: impl FnOnce(&mut Fields<'_>)) -> Vec<(String, String)> {
        let mut faults = Faults::new();
        let mut fields = Fields::new(parse_json(body.as_bytes()).unwrap(), "#", &mut faults);
        read(&mut fields);
        fields.finish();
        let place = |at: &At| match at {
            At::Pointer(pointer) => pointer.clone(),
            other => panic!("{other:?}"),
        };
        faults.as_slice().iter().map(|fault| (place(&fault.at), fault.detail.clone())).collect()
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let body = r#"{"a":"","b":1.5,"c":[],"d":{"x":1},"e":"a/b","z":0}"#;
        let found = told(body, |fields| {
            assert_eq!(fields.text("a", 1..=3), None);
            assert_eq!(fields.integer("b", 1..=9), None);
            assert_eq!(fields.array("c", 1..=2), None);
            fields.object("d").unwrap().finish();
            assert_eq!(fields.id("e"), None);
            assert_eq!(fields.id("f"), None);
        });
        let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["#/a", "#/b", "#/c", "#/d/x", "#/e", "#/f", "#/z"]);
        assert!(found[6].1.contains("known here: a, b, c, d, e, f"), "{}", found[6].1);
    }

    #[test]
    fn what_is_no_object_is_told_once() {
        let found = told("[1]", |fields| {
            assert_eq!(fields.id("a"), None);
            assert_eq!(fields.optional_id("b"), None);
        });
        assert_eq!(found, [("#".to_owned(), "must be an object, not an array".to_owned())]);
    }

    #[test]
    fn integers_are_integers() {
        let read = |text: &str| {
            let mut faults = Faults::new();
            integer_of(
                &parse_json(text.as_bytes()).unwrap(),
                "#",
                1..=i64::from(i32::MAX),
                &mut faults,
            )
        };
        assert_eq!((read("1"), read("2147483647")), (Some(1), Some(2_147_483_647)));
        let no =
            ["0", "-0", "1.5", "1.0", "1e0", "\"1\"", "2147483648", "9223372036854775808", "null"];
        assert!(no.iter().all(|text| read(text).is_none()));
    }

    #[test]
    fn text_is_counted_in_characters() {
        let read =
            |text: &str| text_of(Json::String(text.to_owned()), "#", 1..=3, &mut Faults::new());
        assert!(read("\u{e9}\u{e9}\u{1f600}").is_some());
        assert!(["", "abcd", "a\0b", "a\u{85}"].iter().all(|text| read(text).is_none()));
    }

    #[test]
    fn ids() {
        let longest = "x".repeat(64);
        assert!(["a", "A-1_b.c", "-", "_", "0", &longest].iter().all(|id| is_id(id)));
        let too_long = "x".repeat(65);
        let no = ["", ".", ".a", "a/b", "a b", "caf\u{e9}", "\u{1f600}", "a\0", &too_long];
        assert!(no.iter().all(|id| !is_id(id)));
    }
}
