use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};

/// The personal values of a person, in the clear. Never written anywhere but sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalData {
    /// The name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The e-mail address as the person wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

impl std::fmt::Debug for PersonalData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PersonalData(..)")
    }
}

/// The object called `personal` in an event. A decider makes it open, the executor seals it under
/// the person's key (AES-256-GCM, stream and event id as associated data) before it is encoded;
/// an open one cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Personal {
    /// Not sealed yet.
    Open(PersonalData),
    /// Nonce and ciphertext, base64: `{"sealed":"..."}`.
    Sealed(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<'a> {
    sealed: Cow<'a, str>,
}

impl Serialize for Personal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Open(_) => Err(ser::Error::custom("personal data must be sealed first")),
            Self::Sealed(sealed) => Stored { sealed: sealed.into() }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Personal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        Ok(Self::Sealed(stored.sealed.into_owned()))
    }
}

impl JsonSchema for Personal {
    fn schema_name() -> Cow<'static, str> {
        "Personal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Personal values, sealed under the person's key.",
            "type": "object",
            "properties": { "sealed": { "type": "string", "contentEncoding": "base64" } },
            "required": ["sealed"],
            "additionalProperties": false
        })
    }
}
