use serde::{Deserialize, Serialize};

use crate::read_models::Checkpoint;

/// What is looked for.
///
/// Every word of `text` must be found in one of the text fields, by its stem. Where no document
/// has all the words as they are written, small typing errors are forgiven and the last word may
/// be the beginning of one. How well a document answers depends on the document and the words
/// alone, not on the other documents: cursors stay right while documents are added.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Words; empty matches every document.
    pub text: String,
    /// Keyword fields with the values of which a document must have one.
    pub keywords: Vec<(&'static str, Vec<String>)>,
    /// Integer fields with the least and the greatest value, both inclusive.
    pub ranges: Vec<(&'static str, Option<i64>, Option<i64>)>,
    /// Flags that must be set.
    pub flags: Vec<&'static str>,
    /// The keyword fields to count.
    pub facets: Vec<&'static str>,
    /// How many values of each facet.
    pub facet_limit: usize,
    /// The sequence; ties by id.
    pub sort: Sort,
    /// Where the page before ended.
    pub after: Option<Cursor>,
    /// How many documents.
    pub limit: usize,
}

/// The sequence of the documents found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// The best answer first.
    #[default]
    Relevance,
    /// By an integer field.
    Integer {
        /// The field.
        field: &'static str,
        /// The greatest first.
        descending: bool,
    },
    /// By a sortable text field, byte by byte.
    Text {
        /// The field.
        field: &'static str,
        /// The last first.
        descending: bool,
    },
}

/// Where a page ended: valid for the query that it came from, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The sort key of the last document.
    pub key: Key,
    /// The id of the last document.
    pub id: String,
    /// Whether typing errors were forgiven.
    pub forgiving: bool,
}

/// What documents are sorted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// Lower comes first.
    Number(u64),
    /// A text as it is; the sort says which end comes first.
    Text(String),
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Page {
    /// The bodies of the documents, JSON each.
    pub items: Vec<String>,
    /// How many documents match, exactly.
    pub total: u64,
    /// One for each facet asked for, in that sequence. The counts of a facet ignore the filter of
    /// its own field.
    pub facets: Vec<Facet>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
    /// How far the index was posted when this was read.
    pub checkpoint: Option<Checkpoint>,
}

/// The counts of one keyword field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facet {
    /// The field.
    pub field: &'static str,
    /// The most frequent values: by count, the greatest first, then by key.
    pub counts: Vec<FacetCount>,
}

/// How many documents have a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FacetCount {
    /// The value.
    pub key: String,
    /// How many documents.
    pub count: u64,
}
