//! The JSON Schema of every event type, generated from the types themselves.

use std::collections::BTreeMap;

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

use crate::{
    AccessEvent, EmailEvent, OrderEvent, ProductEvent, StockEvent, UserEvent,
    compatibility::SchemaSet, upcast::UPCASTERS,
};

/// Schemas by `(event type, version)`.
#[derive(Debug)]
pub struct Schemas {
    settings: SchemaSettings,
    found: BTreeMap<(&'static str, u32), Value>,
}

impl Schemas {
    pub(crate) fn add<T: JsonSchema>(&mut self, event_type: &'static str, version: u32) {
        let schema = SchemaGenerator::new(self.settings.clone()).into_root_schema_for::<T>();
        self.found.insert((event_type, version), schema.to_value());
    }
}

/// The schema of every current event type, JSON Schema draft 2020-12.
pub fn current() -> BTreeMap<(&'static str, u32), Value> {
    let mut schemas = Schemas { settings: SchemaSettings::draft2020_12(), found: BTreeMap::new() };
    ProductEvent::add_schemas(&mut schemas);
    StockEvent::add_schemas(&mut schemas);
    UserEvent::add_schemas(&mut schemas);
    EmailEvent::add_schemas(&mut schemas);
    OrderEvent::add_schemas(&mut schemas);
    AccessEvent::add_schemas(&mut schemas);
    schemas.found
}

/// The schema of every version that can be read, the current ones and those before them.
pub fn all() -> SchemaSet {
    let current = current().into_iter();
    let current = current.map(|((name, version), schema)| ((name.to_owned(), version), schema));
    // What is compiled in is JSON: a test reads each.
    let old = UPCASTERS.iter().map(|step| {
        let schema = serde_json::from_str(step.schema).unwrap_or_default();
        ((step.event_type.to_owned(), step.from), schema)
    });
    old.chain(current).collect()
}
