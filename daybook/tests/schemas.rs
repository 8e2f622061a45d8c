//! `daybook schemas`
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::Path;

use common::{run, text};
use serde_json::{Value, json};

fn check(dir: &Path, against: &str) -> (Option<i32>, String, String) {
    let output = run(dir, &["schemas", "check", "--against", against]);
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_is_shown_can_be_checked_against() {
    let dir = tempfile::tempdir().unwrap();
    let list = text(&run(dir.path(), &["schemas", "list"]).stdout);
    assert!(list.contains("ProductCreated\t2\t1, 2\n"), "{list}");
    let shown = run(dir.path(), &["schemas", "show"]).stdout;
    let all: Value = serde_json::from_slice(&shown).unwrap();
    let newest = run(dir.path(), &["schemas", "show", "ProductCreated"]).stdout;
    assert_eq!(serde_json::from_slice::<Value>(&newest).unwrap(), all["ProductCreated.v2"]);
    let first = run(dir.path(), &["schemas", "show", "ProductCreated.v1"]).stdout;
    assert_eq!(serde_json::from_slice::<Value>(&first).unwrap(), all["ProductCreated.v1"]);

    std::fs::write(dir.path().join("all.json"), &shown).unwrap();
    let (code, out, said) = check(dir.path(), "all.json");
    assert_eq!((code, out.as_str()), (Some(0), ""), "{said}");
    assert!(said.contains("schemas can still be read"), "{said}");
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    for (name, schema) in all.as_object().unwrap() {
        let path = dir.path().join("folder").join(format!("{name}.json"));
        std::fs::write(path, schema.to_string()).unwrap();
    }
    assert_eq!(check(dir.path(), "folder").0, Some(0));

    // An older program wrote what this one does not read.
    let mut old = all;
    old["OrderPlaced.v1"]["properties"]["gift"] = json!({ "type": "boolean" });
    old["OrderEaten.v1"] = json!({ "type": "object" });
    std::fs::write(dir.path().join("old.json"), old.to_string()).unwrap();
    let (code, out, said) = check(dir.path(), "old.json");
    assert_eq!(code, Some(4), "{said}");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert!(lines[0].starts_with("OrderEaten.v1: this event type is not known any more"), "{out}");
    assert!(lines[1].starts_with("OrderPlaced.v1: \"gift\" was written and is not read"), "{out}");
    assert!(said.contains("under 2 of the "), "{said}");
}

#[test]
fn what_cannot_be_checked_is_said() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("empty.json", "{}"),
        ("list.json", "[]"),
        ("torn.json", "{"),
        ("odd.json", r#"{"Odd":{}}"#),
    ] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    std::fs::create_dir(dir.path().join("odd")).unwrap();
    std::fs::write(dir.path().join("odd/readme.json"), "{}").unwrap();
    for (against, code, said) in [
        ("none.json", 1, "none.json cannot be read"),
        ("empty.json", 2, "it holds no schema"),
        ("list.json", 2, "it is no object of schemas"),
        ("torn.json", 2, "is no JSON"),
        ("odd.json", 2, "is not named like OrderPlaced.v1"),
        ("odd", 2, "readme.json is not named like OrderPlaced.v1.json"),
    ] {
        let (found, _, stderr) = check(dir.path(), against);
        assert_eq!(found, Some(code), "{against}: {stderr}");
        assert!(stderr.contains(said), "{against}: {stderr}");
    }
    let output = run(dir.path(), &["schemas", "show", "OrderEaten"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("`daybook schemas list` shows"),
        "{}",
        text(&output.stderr)
    );
}
