//! How far an index is posted: a document of the index itself, apart from what is searched.

use bytes::Bytes;
use event_schemas::{Position, StoreId};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use uuid::Uuid;

use super::{
    generation::to_write,
    mapping,
    server::{LONG, Method, SHORT, Server},
};
use crate::{
    fingerprint::Fingerprint,
    read_models::{Checkpoint, Skipped},
    search::{Document, Found, Schema, SearchError},
};

/// No document has an id that begins with a dot.
const PATH: &str = "_doc/.checkpoint";
/// With so many documents that the engine would not take, something else is wrong.
const MOST_SET_ASIDE: usize = 100;

/// What the document says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) fingerprint: Fingerprint,
    store: StoreId,
    position: Position,
    last: Option<(Position, Uuid)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<Skipped>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) set_aside: Vec<Aside>,
}

/// A document that the engine would not take: kept here, so that what comes after it is folded
/// into it, and not into what stands in the index.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Aside {
    pub(super) id: String,
    position: Position,
    flags: Vec<String>,
    keywords: Vec<(String, String)>,
    body: Box<RawValue>,
    reason: String,
}

/// The document as it was read or written last: what the next write builds on.
pub(super) struct Placed {
    pub(super) stored: Stored,
    seq_no: i64,
    primary_term: i64,
}

/// What became of a write.
pub(super) enum Written {
    Done(Placed),
    /// Somebody else has written.
    Moved,
}

impl Stored {
    pub(super) fn new(
        fingerprint: &Fingerprint,
        checkpoint: &Checkpoint,
        set_aside: Vec<Aside>,
    ) -> Self {
        let Checkpoint { store, position, last, skipped } = checkpoint.clone();
        Self { fingerprint: fingerprint.clone(), store, position, last, skipped, set_aside }
    }

    pub(super) fn checkpoint(&self) -> Checkpoint {
        let &Self { store, position, last, ref skipped, .. } = self;
        Checkpoint { store, position, last, skipped: skipped.clone() }
    }

    /// What is not found as it should be, in words.
    pub(super) fn shown(&self) -> Option<String> {
        let first = self.set_aside.first()?;
        let others = match self.set_aside.len() {
            1 => String::new(),
            many => format!(" and {} others", many - 1),
        };
        Some(format!(
            "Elasticsearch would not take the document {:?}{others} ({}); the rest is posted. When \
             that is mended, run `daybook rebuild search`",
            first.id, first.reason
        ))
    }
}

impl Aside {
    pub(super) fn new(document: &Document, reason: String) -> Result<Self, SearchError> {
        let body = RawValue::from_string(document.body.clone());
        let owned = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone());
        Ok(Self {
            id: document.id.clone(),
            position: document.position,
            flags: document.flags.iter().map(|flag| (*flag).to_owned()).collect(),
            keywords: document.keywords.iter().map(owned).collect(),
            body: body.map_err(|error| SearchError::Unavailable(error.to_string()))?,
            reason,
        })
    }

    pub(super) fn found(&self, schema: &Schema) -> Found {
        Found {
            id: self.id.clone(),
            position: self.position,
            flags: mapping::flags(schema, &self.flags),
            body: self.body.get().to_owned(),
        }
    }

    pub(super) fn has(&self, field: &str, values: &[String]) -> bool {
        self.keywords.iter().any(|(name, value)| name == field && values.contains(value))
    }
}

/// The checkpoint of an index, or of the one behind an alias; none if it has none yet.
///
/// # Errors
/// [`SearchError::Missing`] if there is no such index.
pub(super) async fn read(server: &Server, index: &str) -> Result<Option<Placed>, SearchError> {
    #[derive(Deserialize)]
    struct Answer {
        found: Option<bool>,
        #[serde(rename = "_source")]
        source: Option<Source>,
        #[serde(rename = "_seq_no")]
        seq_no: Option<i64>,
        #[serde(rename = "_primary_term")]
        primary_term: Option<i64>,
    }
    #[derive(Deserialize)]
    struct Source {
        checkpoint: Stored,
    }
    let answer = server.call(Method::Get, &format!("{index}/{PATH}"), None, SHORT).await?;
    if !answer.is_success() && answer.status != 404 {
        return Err(answer.refused());
    }
    match answer.read()? {
        Answer { source: Some(source), seq_no: Some(seq_no), primary_term: Some(term), .. } => {
            Ok(Some(Placed { stored: source.checkpoint, seq_no, primary_term: term }))
        }
        Answer { found: Some(_), .. } => Ok(None),
        Answer { .. } => Err(SearchError::Missing(format!("{index} in Elasticsearch"))),
    }
}

/// Writes the checkpoint of an index, if it still is what was read last.
pub(super) async fn write(
    server: &Server,
    index: &str,
    before: Option<&Placed>,
    stored: Stored,
) -> Result<Written, SearchError> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "_seq_no")]
        seq_no: i64,
        #[serde(rename = "_primary_term")]
        primary_term: i64,
    }
    if stored.set_aside.len() > MOST_SET_ASIDE {
        let shown = stored.shown().unwrap_or_default();
        return Err(SearchError::Unavailable(shown));
    }
    let condition = match before {
        None => "op_type=create".to_owned(),
        Some(Placed { seq_no, primary_term, .. }) => {
            format!("if_seq_no={seq_no}&if_primary_term={primary_term}")
        }
    };
    let path = format!("{}/{PATH}?require_alias=true&{condition}", to_write(index));
    let body = Bytes::from(json!({ "checkpoint": stored }).to_string());
    let answer = server.call(Method::Put, &path, body, LONG).await?;
    if answer.status == 409 {
        return Ok(Written::Moved);
    }
    let Answer { seq_no, primary_term } = answer.done()?;
    Ok(Written::Done(Placed { stored, seq_no, primary_term }))
}
