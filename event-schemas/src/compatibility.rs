//! Whether what was written under older schemas can still be read: backward compatibility, over all
//! versions there ever were (what schema registries call backward-transitive).

use std::{
    collections::{BTreeMap, BTreeSet},
    ptr,
};

use serde_json::Value;

use crate::{Event, schema, upcast};

/// Schemas by event type and version.
pub type SchemaSet = BTreeMap<(String, u32), Value>;

/// Something that old events may say and that is not read, or read wrongly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The event type.
    pub event_type: String,
    /// The version under which such events were written.
    pub version: u32,
    /// Where, as a JSON Pointer into the event's data; empty for all of it.
    pub path: String,
    /// Why, and what to do.
    pub why: String,
}

/// What of events written under `old` schemas this program would not read as they were meant.
pub fn breaches(old: &SchemaSet) -> Vec<Breach> {
    let (known, current) = (schema::all(), Event::types());
    let mut found = Vec::new();
    for ((event_type, version), written) in old {
        let mut tell = |path: &str, why: String| {
            let (event_type, path) = (event_type.clone(), path.to_owned());
            found.push(Breach { event_type, version: *version, path, why });
        };
        let Some((_, now)) = current.iter().find(|(name, _)| name == event_type) else {
            tell("", "this event type is not known any more: events of it stand in logs and cannot be read; keep the type".to_owned());
            continue;
        };
        if version > now {
            tell(
                "",
                format!(
                    "version {now} is the newest that is known: a version is never taken back, since events of it stand in logs"
                ),
            );
            continue;
        }
        if let Err(gap) = upcast::check(event_type, *now) {
            tell("", format!("{gap}: write it"));
        }
        let Some(read) = known.get(&(event_type.clone(), *version)) else {
            tell("", "its schema is not kept beside its upcaster: keep it".to_owned());
            continue;
        };
        for (path, why) in unread(written, read) {
            let advice = if version == now {
                "raise the version and write an upcaster"
            } else {
                "an old version's schema never changes"
            };
            tell(&path, format!("{why}; {advice}"));
        }
    }
    found
}

/// Where a document that fits `written` might not fit `read`, and why.
fn unread(written: &Value, read: &Value) -> Vec<(String, String)> {
    let alike = written.get("$defs") == read.get("$defs");
    let mut comparison = Comparison { written, read, alike, open: Vec::new(), found: Vec::new() };
    comparison.compare(&mut String::new(), written, read);
    comparison.found
}

struct Comparison<'a> {
    written: &'a Value,
    read: &'a Value,
    /// Whether the same reference leads to the same in both.
    alike: bool,
    /// What is being compared now: a schema may refer to itself.
    open: Vec<(&'a Value, &'a Value)>,
    found: Vec<(String, String)>,
}

impl<'a> Comparison<'a> {
    fn compare(&mut self, path: &mut String, written: &'a Value, read: &'a Value) {
        let (written, read) = (resolved(self.written, written), resolved(self.read, read));
        if (self.alike && written == read) || *read == Value::Bool(true) {
            return;
        }
        for (whose, schema) in [("older", written), ("newer", read)] {
            if let Some(target) = schema.get("$ref") {
                return self.tell(path, format!("{target} leads to nothing in the {whose} schema"));
            }
        }
        let is_open = |(w, r): &(&Value, &Value)| ptr::eq(*w, written) && ptr::eq(*r, read);
        if self.open.iter().any(is_open) {
            return;
        }
        self.open.push((written, read));
        self.compare_resolved(path, written, read);
        self.open.pop();
    }

    fn compare_resolved(&mut self, path: &mut String, written: &'a Value, read: &'a Value) {
        let alternatives = |schema: &'a Value| -> Option<&'a Vec<Value>> {
            schema.get("anyOf").or(schema.get("oneOf"))?.as_array()
        };
        match (alternatives(written), alternatives(read)) {
            (Some(all), _) => {
                all.iter().for_each(|one| self.compare(path, one, read));
                return;
            }
            (None, Some(any)) => {
                if !any.iter().any(|one| self.fits(written, one)) {
                    self.tell(path, "none of the alternatives that are read is what was written");
                }
                return;
            }
            (None, None) => {}
        }
        self.types(path, written, read);
        self.values(path, written, read);
        self.bounds(path, written, read);
        self.members(path, written, read);
        if let (Some(written), Some(read)) = (written.get("items"), read.get("items")) {
            self.below(path, "*", written, read);
        }
    }

    fn fits(&self, written: &'a Value, read: &'a Value) -> bool {
        let mut trial = Self { open: self.open.clone(), found: Vec::new(), ..*self };
        trial.compare(&mut String::new(), written, read);
        trial.found.is_empty()
    }

    fn tell(&mut self, path: &str, why: impl Into<String>) {
        self.found.push((path.to_owned(), why.into()));
    }

    fn below(&mut self, path: &mut String, name: &str, written: &'a Value, read: &'a Value) {
        let length = path.len();
        path.push('/');
        path.push_str(&name.replace('~', "~0").replace('/', "~1"));
        self.compare(path, written, read);
        path.truncate(length);
    }

    fn types(&mut self, path: &str, written: &Value, read: &Value) {
        let Some(reads) = types(read) else { return };
        let Some(wrote) = types(written) else {
            return self.tell(path, "anything could be written, and not everything is read");
        };
        for kind in wrote {
            let widened = kind == "integer" && reads.contains("number");
            if !reads.contains(kind) && !widened {
                self.tell(path, format!("{kind} was written and is not read"));
            }
        }
    }

    fn values(&mut self, path: &str, written: &Value, read: &Value) {
        let Some(reads) = values(read) else { return };
        match values(written) {
            None => self.tell(path, "only some values are read, and any could be written"),
            Some(wrote) => {
                for value in wrote.into_iter().filter(|value| !reads.contains(value)) {
                    self.tell(path, format!("the value {value} was written and is not read"));
                }
            }
        }
    }

    fn bounds(&mut self, path: &str, written: &Value, read: &Value) {
        for (name, upper) in [
            ("maximum", true),
            ("exclusiveMaximum", true),
            ("maxLength", true),
            ("maxItems", true),
            ("maxProperties", true),
            ("minimum", false),
            ("exclusiveMinimum", false),
            ("minLength", false),
            ("minItems", false),
            ("minProperties", false),
        ] {
            let bound = |schema: &Value| schema.get(name).and_then(Value::as_f64);
            let Some(now) = bound(read) else { continue };
            let narrower =
                bound(written).is_none_or(|was| if upper { now < was } else { now > was });
            if narrower {
                self.tell(path, format!("{name} is {now} now, which is narrower than it was"));
            }
        }
        for name in ["pattern", "format", "multipleOf", "uniqueItems"] {
            if read.get(name).is_some() && read.get(name) != written.get(name) {
                self.tell(path, format!("{name} is {} now, which it was not", read[name]));
            }
        }
    }

    fn members(&mut self, path: &mut String, written: &'a Value, read: &'a Value) {
        let required = |schema: &'a Value| -> BTreeSet<&'a str> {
            let names = schema.get("required").and_then(Value::as_array);
            names.into_iter().flatten().filter_map(Value::as_str).collect()
        };
        for name in required(read).difference(&required(written)) {
            self.tell(
                path,
                format!("{name:?} is required now, and what was written may be without it"),
            );
        }
        let wrote = written.get("properties").and_then(Value::as_object);
        let reads = read.get("properties");
        for (name, schema) in wrote.into_iter().flatten() {
            match reads.and_then(|reads| reads.get(name)) {
                Some(read) => self.below(path, name, schema, read),
                None => self.tell(
                    path,
                    format!("{name:?} was written and is not read: what it says would be lost"),
                ),
            }
        }
        if let (Some(wrote), Some(read)) =
            (written.get("additionalProperties"), read.get("additionalProperties"))
        {
            self.below(path, "*", wrote, read);
        }
    }
}

/// Follows `$ref` within its own document.
fn resolved<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    // A chain of references is no longer than there are definitions.
    for _ in 0..64 {
        let target = schema.get("$ref").and_then(Value::as_str);
        let found = target.and_then(|at| root.pointer(at.strip_prefix('#')?));
        match found {
            Some(found) => schema = found,
            None => break,
        }
    }
    schema
}

/// The types that a schema allows; `None`: any.
fn types(schema: &Value) -> Option<BTreeSet<&str>> {
    match schema.get("type")? {
        Value::String(one) => Some([one.as_str()].into()),
        Value::Array(several) => Some(several.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

/// The values that a schema allows; `None`: any.
fn values(schema: &Value) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(one), _) => Some(vec![one]),
        (None, Some(several)) => Some(several.as_array()?.iter().collect()),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The paths and reasons, as far as they are asked for.
    fn told(written: Value, read: Value) -> Vec<String> {
        unread(&written, &read).into_iter().map(|(path, why)| format!("{path}: {why}")).collect()
    }

    #[test]
    fn what_only_widens_is_read() {
        let object = |members: Value, required: Value| json!({ "type": "object", "properties": members, "required": required });
        let text = json!({ "type": "string" });
        for (written, read) in [
            (json!({ "type": "integer" }), json!({ "type": "number" })),
            (json!({ "type": "string" }), json!({ "type": ["string", "null"] })),
            (json!({ "enum": ["a"] }), json!({ "enum": ["a", "b"] })),
            (
                json!({ "const": "a" }),
                json!({ "type": "string" }).as_object().map(|_| json!({ "enum": ["a"] })).unwrap(),
            ),
            (
                json!({ "type": "integer", "minimum": 1 }),
                json!({ "type": "integer", "minimum": 0 }),
            ),
            (json!({ "type": "string", "maxLength": 4 }), text.clone()),
            (object(json!({}), json!([])), object(json!({ "a": text }), json!([]))),
            (object(json!({ "a": text }), json!(["a"])), object(json!({ "a": text }), json!([]))),
            (text.clone(), json!({ "anyOf": [{ "type": "null" }, { "type": "string" }] })),
            (
                json!({ "$ref": "#/$defs/A", "$defs": { "A": { "type": "string" } } }),
                json!({ "$ref": "#/$defs/B", "$defs": { "B": { "type": "string", "title": "B" } } }),
            ),
            (
                json!({ "type": "string", "description": "was" }),
                json!({ "type": "string", "description": "is" }),
            ),
        ] {
            assert_eq!(
                told(written.clone(), read.clone()),
                Vec::<String>::new(),
                "{written} {read}"
            );
        }
    }

    #[test]
    fn what_narrows_is_told_with_its_place() {
        let object = |members: Value, required: Value| json!({ "type": "object", "properties": members, "required": required });
        let text = json!({ "type": "string" });
        for (written, read, expected) in [
            (
                json!({ "type": "number" }),
                json!({ "type": "integer" }),
                ": number was written and is not read",
            ),
            (
                json!({ "type": ["string", "null"] }),
                text.clone(),
                ": null was written and is not read",
            ),
            (
                json!({ "enum": ["a", "b"] }),
                json!({ "enum": ["a"] }),
                ": the value \"b\" was written",
            ),
            (
                text.clone(),
                json!({ "type": "string", "enum": ["a"] }),
                ": only some values are read",
            ),
            (json!({ "minimum": 0 }), json!({ "minimum": 1 }), ": minimum is 1 now"),
            (text.clone(), json!({ "type": "string", "maxLength": 4 }), ": maxLength is 4 now"),
            (text.clone(), json!({ "type": "string", "pattern": "^a" }), ": pattern is \"^a\" now"),
            (
                object(json!({}), json!([])),
                object(json!({ "a": text }), json!(["a"])),
                ": \"a\" is required now",
            ),
            (
                object(json!({ "a": text }), json!(["a"])),
                object(json!({}), json!([])),
                ": \"a\" was written and is not read",
            ),
            (
                object(
                    json!({ "l": { "type": "array", "items": object(json!({ "n": { "type": "integer" } }), json!([])) } }),
                    json!([]),
                ),
                object(
                    json!({ "l": { "type": "array", "items": object(json!({ "n": text }), json!([])) } }),
                    json!([]),
                ),
                "/l/*/n: integer was written and is not read",
            ),
            (
                json!({ "type": "object", "additionalProperties": { "type": "integer" } }),
                json!({ "type": "object", "additionalProperties": text }),
                "/*: integer was written",
            ),
            (json!({ "anyOf": [text, { "type": "null" }] }), text.clone(), ": null was written"),
            (
                json!({ "type": "integer" }),
                json!({ "anyOf": [text, { "type": "null" }] }),
                ": none of the alternatives",
            ),
        ] {
            let told = told(written.clone(), read.clone());
            assert!(told.iter().any(|one| one.starts_with(expected)), "{written} {read}: {told:?}");
        }
    }

    #[test]
    fn a_change_of_what_both_refer_to_is_told() {
        let order = |line: Value| {
            json!({
                "type": "object",
                "properties": { "lines": { "type": "array", "items": { "$ref": "#/$defs/Line" } } },
                "$defs": { "Line": line, "Text": { "type": "string" } },
            })
        };
        let line = |name: &str, schema: Value| json!({ "type": "object", "properties": { (name): schema }, "required": [name] });
        let sku = json!({ "$ref": "#/$defs/Text" });
        let now = order(line("sku", sku.clone()));
        assert_eq!(told(now.clone(), now.clone()), Vec::<String>::new());
        for (line, expected) in [
            (line("code", sku.clone()), "/lines/*: \"code\" was written and is not read"),
            (line("sku", json!({ "type": "integer" })), "/lines/*/sku: integer was written"),
            (
                line("sku", json!({ "$ref": "#/$defs/None" })),
                "/lines/*/sku: \"#/$defs/None\" leads to",
            ),
        ] {
            let told = told(order(line.clone()), now.clone());
            assert!(told.iter().any(|one| one.starts_with(expected)), "{line}: {told:?}");
        }
        // One that holds others of its kind, which could be shorter.
        let nested = |length: u64| {
            let name = json!({ "type": "string", "maxLength": length });
            let more = json!({ "type": "array", "items": { "$ref": "#/$defs/Line" } });
            order(json!({ "type": "object", "properties": { "name": name, "more": more } }))
        };
        assert_eq!(told(nested(4), nested(5)), Vec::<String>::new());
        let narrower = told(nested(5), nested(4));
        assert_eq!(narrower, ["/lines/*/name: maxLength is 4 now, which is narrower than it was"]);
    }

    #[test]
    fn all_that_is_known_reads_itself() {
        assert_eq!(breaches(&schema::all()), Vec::new());
    }

    #[test]
    fn a_type_or_a_version_that_is_gone_is_told() {
        let any = json!({ "type": "object" });
        let old: SchemaSet = [("OrderEaten", 1), ("OrderPlaced", 99)]
            .into_iter()
            .map(|(name, version)| ((name.to_owned(), version), any.clone()))
            .collect();
        let why: Vec<_> = breaches(&old).into_iter().map(|breach| breach.why).collect();
        assert!(why[0].starts_with("this event type is not known any more"), "{why:?}");
        assert!(why[1].contains("a version is never taken back"), "{why:?}");
    }

    #[test]
    fn a_change_within_a_version_is_told_what_to_do() {
        let mut old = schema::all();
        let placed = old.get_mut(&("OrderPlaced".to_owned(), 1)).unwrap();
        placed["properties"]["gift"] = json!({ "type": "boolean" });
        let found = breaches(&old);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].why.ends_with("raise the version and write an upcaster"), "{found:?}");
    }
}
