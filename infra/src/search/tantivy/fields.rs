use event_schemas::Position;
use tantivy::{
    IndexSettings, TantivyDocument, Term,
    schema::{
        Field, IndexRecordOption, NumericOptions, STORED, Schema as EngineSchema,
        TextFieldIndexing, TextOptions, Value,
    },
};

use super::text::ANALYZER;
use crate::search::{Document, Found, Schema, SearchError, words};

/// The names of the fields that every index has beside the schema's; a schema's own names do not
/// begin with an underscore.
pub(super) const ID: &str = "_id";
pub(super) const FLAGS: &str = "_flags";
pub(super) const LENGTH: &str = "_length";
const BODY: &str = "_body";
/// Makes a text value whole, cut into nothing.
const RAW: &str = "raw";

/// A schema and the engine's handles of its fields, in the same sequence.
#[derive(Clone)]
pub(super) struct Fields {
    pub(super) schema: Schema,
    pub(super) engine: EngineSchema,
    pub(super) id: Field,
    pub(super) texts: Vec<Field>,
    body: Field,
    flags: Field,
    length: Field,
    keywords: Vec<Field>,
    integers: Vec<Field>,
}

/// Small blocks in the document store: a page reads documents from all over it.
pub(super) fn settings() -> IndexSettings {
    IndexSettings {
        docstore_blocksize: 4_096,
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    }
}

impl Fields {
    pub(super) fn new(schema: Schema) -> Self {
        let mut builder = EngineSchema::builder();
        let indexed = |analyzer: &str| {
            let indexing = TextFieldIndexing::default()
                .set_tokenizer(analyzer)
                .set_index_option(IndexRecordOption::Basic)
                .set_fieldnorms(false);
            TextOptions::default().set_indexing_options(indexing)
        };
        let number = NumericOptions::default().set_fast();
        let id = builder.add_text_field(ID, indexed(RAW).set_fast(RAW));
        let body = builder.add_text_field(BODY, STORED);
        let flags = builder.add_u64_field(FLAGS, number.clone());
        let length = builder.add_u64_field(LENGTH, number.clone());
        let texts = schema
            .texts
            .iter()
            .map(|text| {
                let options = indexed(ANALYZER);
                let options = if text.sortable { options.set_fast(RAW) } else { options };
                builder.add_text_field(text.name, options)
            })
            .collect();
        let keywords = schema
            .keywords
            .iter()
            .map(|name| builder.add_text_field(name, indexed(RAW).set_fast(RAW)))
            .collect();
        let integers = schema
            .integers
            .iter()
            .map(|name| builder.add_i64_field(name, number.clone()))
            .collect();
        let engine = builder.build();
        Self { schema, engine, id, texts, body, flags, length, keywords, integers }
    }

    pub(super) fn keyword(&self, name: &str) -> Result<Field, SearchError> {
        let at = self.schema.keywords.iter().position(|known| *known == name);
        at.map(|at| self.keywords[at]).ok_or_else(|| missing("keyword", name))
    }

    fn integer(&self, name: &str) -> Result<Field, SearchError> {
        let at = self.schema.integers.iter().position(|known| *known == name);
        at.map(|at| self.integers[at]).ok_or_else(|| missing("integer", name))
    }

    fn text(&self, name: &str) -> Result<Field, SearchError> {
        let at = self.schema.texts.iter().position(|known| known.name == name);
        at.map(|at| self.texts[at]).ok_or_else(|| missing("text", name))
    }

    /// Checks that a query can be sorted or filtered by a column.
    pub(super) fn check_integer(&self, name: &str) -> Result<(), SearchError> {
        self.integer(name).map(drop)
    }

    /// As [`Fields::check_integer`], for a text.
    pub(super) fn check_sortable(&self, name: &str) -> Result<(), SearchError> {
        let known = self.schema.texts.iter().any(|text| text.sortable && text.name == name);
        known.then_some(()).ok_or_else(|| missing("sortable text", name))
    }

    /// One bit for each of the flags.
    pub(super) fn bits(&self, flags: &[&'static str]) -> Result<u64, SearchError> {
        flags.iter().try_fold(0, |bits, flag| {
            let at = self.schema.flags.iter().position(|known| known == flag);
            at.map(|at| bits | 1 << at).ok_or_else(|| missing("flag", flag))
        })
    }

    fn set(&self, bits: u64) -> Vec<&'static str> {
        let flags = self.schema.flags.iter().enumerate();
        flags.filter(|(at, _)| bits & (1 << at) != 0).map(|(_, flag)| *flag).collect()
    }

    pub(super) fn id_term(&self, id: &str) -> Term {
        Term::from_field_text(self.id, id)
    }

    pub(super) fn encode(&self, document: &Document) -> Result<TantivyDocument, SearchError> {
        let mut encoded = TantivyDocument::default();
        encoded.add_text(self.id, &document.id);
        encoded.add_text(self.body, &document.body);
        encoded.add_u64(self.flags, self.bits(&document.flags)?);
        let title = self.schema.texts.first().map(|text| text.name);
        let mut length = 0;
        for (name, value) in &document.texts {
            encoded.add_text(self.text(name)?, value);
            if Some(*name) == title {
                length += words::length(value);
            }
        }
        encoded.add_u64(self.length, length as u64);
        for (text, field) in self.schema.texts.iter().zip(&self.texts) {
            let given = document.texts.iter().any(|(name, _)| *name == text.name);
            if text.sortable && !given {
                encoded.add_text(*field, "");
            }
        }
        for (name, value) in &document.keywords {
            let field = self.keyword(name)?;
            if !value.is_empty() {
                encoded.add_text(field, value);
            }
        }
        for (name, value) in &document.integers {
            encoded.add_i64(self.integer(name)?, *value);
        }
        Ok(encoded)
    }

    /// The body of a stored document.
    pub(super) fn body(&self, document: &TantivyDocument) -> String {
        let value = document.get_first(self.body).and_then(|value| value.as_str());
        value.unwrap_or_default().to_owned()
    }

    pub(super) fn found(
        &self,
        id: String,
        position: Position,
        flags: u64,
        document: &TantivyDocument,
    ) -> Found {
        Found { id, position, flags: self.set(flags), body: self.body(document) }
    }
}

fn missing(kind: &'static str, name: &str) -> SearchError {
    SearchError::NoSuchField { kind, name: name.to_owned() }
}
