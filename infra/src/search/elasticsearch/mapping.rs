//! What an index is made of, and a document as it lies in it.

use std::{borrow::Cow, collections::BTreeMap, fmt::Write as _};

use bytes::Bytes;
use event_schemas::Position;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};
use sha2::{Digest as _, Sha256};

use crate::{
    fingerprint::Fingerprint,
    search::{Document, Found, Schema, SearchError, words},
};

/// What tells an index as one of ours.
const FORMAT: &str = "daybook-search";
/// The analyzer of every text: the words of [`words::analyzer`].
const WORDS: &str = "words";

/// How an index is made, and what tells it from one made otherwise.
pub(super) struct Definition {
    pub(super) fingerprint: Fingerprint,
    settings: Value,
    mappings: Value,
}

/// What an index says of itself.
#[derive(Deserialize)]
pub(super) struct Meta {
    format: String,
    pub(super) fingerprint: Fingerprint,
}

impl Meta {
    pub(super) fn is_ours(&self) -> bool {
        self.format == FORMAT
    }
}

impl Definition {
    pub(super) fn new(schema: &Schema) -> Self {
        let (settings, mut mappings) = (settings(), mappings(schema));
        let digest = Sha256::digest(format!("{} {settings} {mappings}", schema.fields()));
        let shape = digest.iter().fold(String::new(), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let fingerprint = Fingerprint::new(schema.version, &shape, "");
        mappings["_meta"] = json!({ "format": FORMAT, "fingerprint": fingerprint });
        Self { fingerprint, settings, mappings }
    }

    /// The body of the call that makes an index with these aliases.
    pub(super) fn body(&self, aliases: &[&str]) -> Bytes {
        let aliases: Map<_, _> =
            aliases.iter().map(|alias| ((*alias).to_owned(), json!({}))).collect();
        let Self { settings, mappings, .. } = self;
        json!({ "settings": settings, "mappings": mappings, "aliases": aliases }).to_string().into()
    }
}

fn settings() -> Value {
    json!({ "index": {
        // Counts of facets are exact in one shard, and all products of a shop fit into one.
        "number_of_shards": 1,
        "auto_expand_replicas": "0-1",
        // What was posted is made visible by the commit.
        "refresh_interval": "-1",
        "analysis": {
            "analyzer": { WORDS: {
                "type": "custom",
                "tokenizer": "letters_and_digits",
                "filter": ["not_too_long", "lowercase", "asciifolding", "by_stem"],
            }},
            "tokenizer": { "letters_and_digits": {
                "type": "pattern", "pattern": "[^\\p{IsAlphabetic}\\p{N}]+",
            }},
            "filter": {
                "not_too_long": { "type": "length", "max": words::LONGEST_WORD - 1 },
                "by_stem": { "type": "stemmer", "language": "porter2" },
            },
        },
    }})
}

fn mappings(schema: &Schema) -> Value {
    let texts = schema.texts.iter().map(|text| {
        let mut mapping =
            json!({ "type": "text", "analyzer": WORDS, "index_options": "docs", "norms": false });
        if text.sortable {
            mapping["fields"] = json!({ "sort": { "type": "keyword", "index": false } });
        }
        (text.name.to_owned(), mapping)
    });
    let all = |names: &[&str], kind: &str| -> Map<_, _> {
        names.iter().map(|name| ((*name).to_owned(), json!({ "type": kind }))).collect()
    };
    json!({
        "dynamic": "strict",
        "properties": {
            "id": { "type": "keyword" },
            "texts": { "properties": texts.collect::<Map<_, _>>() },
            "keywords": { "properties": all(&schema.keywords, "keyword") },
            "integers": { "properties": all(&schema.integers, "long") },
            "flags": { "type": "keyword" },
            "length": { "type": "long" },
            "body": { "type": "object", "enabled": false },
            "checkpoint": { "type": "object", "enabled": false },
        },
    })
}

#[derive(Serialize)]
struct Source<'a> {
    id: &'a str,
    texts: BTreeMap<&'static str, Vec<&'a str>>,
    keywords: BTreeMap<&'static str, Vec<&'a str>>,
    integers: BTreeMap<&'static str, i64>,
    flags: &'a [&'static str],
    length: usize,
    body: &'a RawValue,
}

/// A document in one line.
pub(super) fn encode(schema: &Schema, document: &Document) -> Result<Vec<u8>, SearchError> {
    schema.check_document(document)?;
    let mut texts: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for text in schema.texts.iter().filter(|text| text.sortable) {
        texts.insert(text.name, Vec::new());
    }
    for (name, value) in &document.texts {
        texts.entry(*name).or_default().push(value.as_str());
    }
    // One without the text that it is to be sorted by comes first.
    texts.values_mut().filter(|values| values.is_empty()).for_each(|values| values.push(""));
    let mut keywords: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (name, value) in document.keywords.iter().filter(|(_, value)| !value.is_empty()) {
        keywords.entry(*name).or_default().push(value.as_str());
    }
    let title = schema.texts.first().map(|text| text.name);
    let titles = document.texts.iter().filter(|(name, _)| Some(*name) == title);
    // Within JSON a line's end can only stand between values.
    let body = if document.body.contains(['\n', '\r']) {
        Cow::Owned(document.body.replace(['\n', '\r'], " "))
    } else {
        Cow::Borrowed(&document.body)
    };
    let invalid = |error: serde_json::Error| {
        SearchError::Unavailable(format!("the document {:?} is no JSON: {error}", document.id))
    };
    let source = Source {
        id: &document.id,
        texts,
        keywords,
        integers: document.integers.iter().copied().collect(),
        flags: &document.flags,
        length: titles.map(|(_, value)| words::length(value)).sum(),
        body: serde_json::from_str(&body).map_err(invalid)?,
    };
    serde_json::to_vec(&source).map_err(invalid)
}

/// A document as the server hands it back.
#[derive(Deserialize)]
pub(super) struct Hit {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_version", default)]
    version: u64,
    /// None where there is no document of this id.
    #[serde(rename = "_source")]
    source: Option<HitSource>,
}

#[derive(Deserialize)]
struct HitSource {
    #[serde(default)]
    flags: Vec<String>,
    body: Box<RawValue>,
}

impl Hit {
    pub(super) fn found(self, schema: &Schema) -> Option<Found> {
        let source = self.source?;
        Some(Found {
            id: self.id,
            position: Position(self.version),
            flags: flags(schema, &source.flags),
            body: source.body.get().to_owned(),
        })
    }
}

/// The schema's flags that are among these, in its sequence.
pub(super) fn flags(schema: &Schema, set: &[String]) -> Vec<&'static str> {
    schema.flags.iter().copied().filter(|flag| set.iter().any(|set| set == flag)).collect()
}
