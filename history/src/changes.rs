use serde::Serialize;
use serde_json::Value;

/// A member that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where, as a JSON Pointer (RFC 6901).
    pub path: String,
    /// What stood there; left out where there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What stands there; left out where there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// What differs between two documents, the smallest parts that do, in the order of their paths.
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare(&mut String::new(), Some(before), Some(after), &mut found);
    found
}

fn compare(
    path: &mut String,
    before: Option<&Value>,
    after: Option<&Value>,
    found: &mut Vec<Change>,
) {
    match (before, after) {
        (Some(Value::Object(was)), Some(Value::Object(is))) => {
            let added = is.iter().filter(|(name, _)| !was.contains_key(*name));
            for (name, value) in was
                .iter()
                .map(|(name, value)| (name, Some(value)))
                .chain(added.map(|(name, _)| (name, None)))
            {
                below(path, name, value, is.get(name), found);
            }
        }
        (Some(Value::Array(was)), Some(Value::Array(is))) => {
            for index in 0..was.len().max(is.len()) {
                below(path, &index.to_string(), was.get(index), is.get(index), found);
            }
        }
        // A document that was not there yet is told member by member.
        (Some(Value::Null), Some(after @ Value::Object(_))) if path.is_empty() => {
            compare(path, Some(&Value::Object(serde_json::Map::new())), Some(after), found);
        }
        (before, after) if before != after => {
            found.push(Change {
                path: path.clone(),
                before: before.cloned(),
                after: after.cloned(),
            });
        }
        _ => {}
    }
}

fn below(
    path: &mut String,
    name: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    found: &mut Vec<Change>,
) {
    let length = path.len();
    path.push('/');
    path.push_str(&name.replace('~', "~0").replace('/', "~1"));
    compare(path, before, after, found);
    path.truncate(length);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(before: &Value, after: &Value) -> Value {
        serde_json::to_value(changes(before, after)).unwrap()
    }

    #[test]
    fn the_smallest_parts_that_differ_are_told() {
        let before = json!({ "status": "placed", "lines": [{ "n": 1 }, { "n": 2 }], "a/b": 1 });
        let after =
            json!({ "status": "sent", "lines": [{ "n": 1 }, { "n": 3 }, { "n": 4 }], "c~": 2 });
        assert_eq!(
            told(&before, &after),
            json!([
                { "path": "/a~1b", "before": 1 },
                { "path": "/lines/1/n", "before": 2, "after": 3 },
                { "path": "/lines/2", "after": { "n": 4 } },
                { "path": "/status", "before": "placed", "after": "sent" },
                { "path": "/c~0", "after": 2 },
            ])
        );
        assert_eq!(changes(&before, &before), Vec::new());
    }

    #[test]
    fn what_came_to_be_or_went_is_told() {
        let is = json!({ "id": "a" });
        assert_eq!(told(&Value::Null, &is), json!([{ "path": "/id", "after": "a" }]));
        let gone = json!([{ "path": "", "before": { "id": "a" }, "after": null }]);
        assert_eq!(told(&is, &Value::Null), gone);
    }
}
