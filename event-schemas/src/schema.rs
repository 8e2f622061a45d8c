//! The JSON Schema of every event type, generated from the types themselves.

use std::collections::BTreeMap;

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

use crate::{AccessEvent, EmailEvent, OrderEvent, ProductEvent, StockEvent, UserEvent};

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
