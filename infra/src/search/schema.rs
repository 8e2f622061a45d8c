use serde::{Deserialize, Serialize};

/// What an index holds of each document beside its id and its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Schema {
    /// Goes up whenever documents are made otherwise: an index of another version is emptied.
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

/// What tells an index of this schema from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Fingerprint(String);

impl Schema {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint(format!("{self:?}"))
    }
}
