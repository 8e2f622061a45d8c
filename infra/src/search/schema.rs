use serde::Serialize;

use super::{Document, Query, SearchError, Sort};
use crate::fingerprint::Fingerprint;

/// What an index holds of each document beside its id and its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Schema {
    /// Goes up whenever documents are made otherwise: an index of another version is posted anew, and
    /// searched meanwhile if its fields are the same.
    pub version: u32,
    /// Text that is searched for words. The first is the document's title: of two documents that
    /// answer equally well the one with the shorter title comes first.
    pub texts: Vec<TextField>,
    /// Values that are matched whole: to filter, to count as facets, to look documents up. A
    /// document may have several of one name.
    pub keywords: Vec<&'static str>,
    /// Integers: to filter by range and to sort. A document has at most one of each.
    pub integers: Vec<&'static str>,
    /// What a document is or is not; at most 64.
    pub flags: Vec<&'static str>,
}

/// A text field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TextField {
    /// Its name.
    pub name: &'static str,
    /// What a word found in it is worth, 1 to 1,000.
    pub boost: u16,
    /// Whether documents can be sorted by it.
    pub sortable: bool,
}

impl Schema {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new(self.version, &self.fields(), "")
    }

    /// All but the version, as one line.
    pub(super) fn fields(&self) -> String {
        let Self { version: _, texts, keywords, integers, flags } = self;
        format!("{texts:?} {keywords:?} {integers:?} {flags:?}")
    }

    /// Sees that the schema has all fields of a document.
    pub(super) fn check_document(&self, document: &Document) -> Result<(), SearchError> {
        let texts: Vec<&str> = self.texts.iter().map(|text| text.name).collect();
        known("text", &texts, document.texts.iter().map(|(name, _)| *name))?;
        known("keyword", &self.keywords, document.keywords.iter().map(|(name, _)| *name))?;
        known("integer", &self.integers, document.integers.iter().map(|(name, _)| *name))?;
        known("flag", &self.flags, document.flags.iter().copied())
    }

    /// Sees that the schema has all fields of a query.
    pub(super) fn check_query(&self, query: &Query) -> Result<(), SearchError> {
        let keywords = query.keywords.iter().map(|(name, _)| *name);
        known("keyword", &self.keywords, keywords.chain(query.facets.iter().copied()))?;
        known("integer", &self.integers, query.ranges.iter().map(|(name, _, _)| *name))?;
        known("flag", &self.flags, query.flags.iter().copied())?;
        match query.sort {
            Sort::Relevance => Ok(()),
            Sort::Integer { field, .. } => known("integer", &self.integers, [field]),
            Sort::Text { field, .. } => {
                let sortable = self.texts.iter().filter(|text| text.sortable);
                let sortable: Vec<&str> = sortable.map(|text| text.name).collect();
                known("sortable text", &sortable, [field])
            }
        }
    }

    /// Sees that there is such a keyword.
    pub(super) fn check_keyword(&self, name: &'static str) -> Result<(), SearchError> {
        known("keyword", &self.keywords, [name])
    }
}

fn known<'a>(
    kind: &'static str,
    fields: &[&str],
    named: impl IntoIterator<Item = &'a str>,
) -> Result<(), SearchError> {
    match named.into_iter().find(|name| !fields.contains(name)) {
        Some(name) => Err(SearchError::NoSuchField { kind, name: name.to_owned() }),
        None => Ok(()),
    }
}
