//! Schemas and golden samples are held in step with the types. `UPDATE_SCHEMAS=1 cargo test -p
//! event-schemas` writes the schema files anew; a sample is written by hand, once, and stays.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{collections::BTreeSet, fs, path::PathBuf};

use event_schemas::{DecodeError, Event, Metadata, compatibility, schema, upcast};
use serde_json::Value;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn files(name: &str) -> BTreeSet<String> {
    fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn json(path: PathBuf) -> Value {
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

fn category_of(event_type: &str) -> &'static str {
    [
        ("product", event_schemas::ProductEvent::TYPES),
        ("stock", event_schemas::StockEvent::TYPES),
        ("user", event_schemas::UserEvent::TYPES),
        ("email", event_schemas::EmailEvent::TYPES),
        ("order", event_schemas::OrderEvent::TYPES),
        ("access", event_schemas::AccessEvent::TYPES),
    ]
    .into_iter()
    .find(|(_, types)| types.iter().any(|(name, _)| *name == event_type))
    .unwrap_or_else(|| panic!("no category has {event_type}"))
    .0
}

#[test]
fn schema_files_are_what_the_types_say() {
    let update = std::env::var_os("UPDATE_SCHEMAS").is_some();
    for ((event_type, version), schema) in schema::current() {
        let path = folder("schemas").join(format!("{event_type}.v{version}.json"));
        if update {
            let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
            fs::write(&path, text).unwrap();
        }
        assert_eq!(json(path), schema, "{event_type}: UPDATE_SCHEMAS=1 writes the file anew");
    }
}

#[test]
fn every_schema_has_a_sample_and_every_sample_a_schema() {
    assert_eq!(files("samples"), files("schemas"));
}

#[test]
fn every_sample_ever_written_fits_its_schema_and_is_read() {
    for file in files("samples") {
        let (event_type, version) =
            file.strip_suffix(".json").and_then(|name| name.split_once(".v")).unwrap();
        let version: u32 = version.parse().unwrap();
        let sample = json(folder("samples").join(&file));
        let schema = json(folder("schemas").join(&file));
        let validator = jsonschema::validator_for(&schema).unwrap();
        let faults: Vec<String> =
            validator.iter_errors(&sample).map(|fault| fault.to_string()).collect();
        assert_eq!(faults, Vec::<String>::new(), "{file}");

        let event = Event::decode(
            category_of(event_type),
            event_type,
            version,
            &serde_json::to_vec(&sample).unwrap(),
        )
        .unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(event.type_name(), event_type);
        if version == event.schema_version() {
            let written: Value = serde_json::from_slice(&event.encode().unwrap()).unwrap();
            assert_eq!(written, sample, "{file} reads and writes the same");
        }
    }
}

#[test]
fn upcasters_lead_from_every_version_to_the_current_one() {
    assert_eq!(upcast::check_chain(), Ok(()));
}

#[test]
fn a_product_of_the_first_version_is_the_same_product() {
    let read = |version: u32| {
        let sample = fs::read(folder("samples").join(format!("ProductCreated.v{version}.json")));
        Event::decode("product", "ProductCreated", version, &sample.unwrap()).unwrap()
    };
    assert_eq!(read(1), read(2));
    for wrong in [r#"{"title":"no shelf"}"#, r#"{"on_shelf":"yes"}"#, "[]"] {
        let read = Event::decode("product", "ProductCreated", 1, wrong.as_bytes());
        assert!(matches!(read, Err(DecodeError::Malformed { .. })), "{wrong}: {read:?}");
    }
}

#[test]
fn what_was_released_can_still_be_read() {
    for file in files("released") {
        let all = json(folder("released").join(&file));
        let all: compatibility::SchemaSet = all
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, schema)| {
                let (name, version) = name.rsplit_once(".v").unwrap();
                ((name.to_owned(), version.parse().unwrap()), schema.clone())
            })
            .collect();
        assert!(!all.is_empty());
        assert_eq!(compatibility::breaches(&all), Vec::new(), "{file}");
    }
}

#[test]
fn what_is_unknown_newer_or_malformed_says_so() {
    assert!(matches!(
        Event::decode("order", "OrderEaten", 1, b"{}"),
        Err(DecodeError::UnknownType { version: Some(1), .. })
    ));
    assert!(matches!(
        Event::decode("order", "OrderPlaced", 9, b"{}"),
        Err(DecodeError::NewerVersion { version: 9, known: 1, .. })
    ));
    assert!(matches!(
        Event::decode("order", "OrderPlaced", 1, b"{"),
        Err(DecodeError::Malformed { .. })
    ));
    assert!(matches!(
        Event::decode("weather", "Rained", 1, b"{}"),
        Err(DecodeError::Foreign(category)) if category == "weather"
    ));
}

#[test]
fn the_metadata_is_read_as_written() {
    let text = r#"{"schema_version":1,"occurred_at":"2026-11-21T09:15:00.000000Z","recorded_at":"2026-11-21T09:15:00.123456Z","actor":{"id":"ada","kind":"user","proof":"header"},"command_id":"6f2c1c3e-52a8-5f3c-9a51-0a3f4b8f7d10","request_hash":"000102030405060708090a0b0c0d0e0f","$correlationId":"req-1","$causationId":"6f2c1c3e-52a8-5f3c-9a51-0a3f4b8f7d10"}"#;
    let metadata: Metadata = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&metadata).unwrap(), text);
}

#[test]
fn open_personal_data_cannot_be_written() {
    use event_schemas::{Personal, PersonalData, UserEvent, UserRegistered};
    let open = Personal::Open(PersonalData { name: Some("Ada".into()), email: None });
    let event: Event =
        UserEvent::from(UserRegistered { user_id: "u1".into(), personal: Some(open), claim: None })
            .into();
    let error = event.encode().unwrap_err().to_string();
    assert!(error.contains("sealed") && !error.contains("Ada"), "{error}");
}
