//! Documents on their way into an index: in requests of a bounded size, each document with the
//! position of its last event as its version, so that nothing older ever replaces something newer.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use event_schemas::Position;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;

use super::{
    generation::to_write,
    mapping::encode,
    server::{LONG, Method, Reason, Server},
};
use crate::search::{Change, Schema, SearchError};

/// A request is closed once it has so many bytes.
const BYTES: usize = 1 << 20;
/// So many requests are under way at once.
const AT_ONCE: usize = 2;
/// How often a part that the server has no room for is sent, and how long is waited first; each
/// further wait is twice as long.
const ATTEMPTS: u32 = 6;
const WAIT: Duration = Duration::from_millis(100);

/// One change as it is sent.
pub(super) struct Line {
    id: String,
    bytes: Vec<u8>,
}

/// A document that the server refused for what it is.
pub(super) struct Refused {
    pub(super) id: String,
    pub(super) reason: String,
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<HashMap<String, Item>>,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    error: Option<Reason>,
}

/// Changes as they are sent; of several of one document the last.
pub(super) fn lines(schema: &Schema, changes: &[Change]) -> Result<Vec<Line>, SearchError> {
    let last: HashMap<&str, usize> =
        changes.iter().enumerate().map(|(at, change)| (change.id(), at)).collect();
    let counting = changes.iter().enumerate().filter(|(at, change)| last[change.id()] == *at);
    counting.map(|(_, change)| line(schema, change)).collect()
}

fn line(schema: &Schema, change: &Change) -> Result<Line, SearchError> {
    let (action, position, source) = match change {
        Change::Put(document) => ("index", document.position, Some(encode(schema, document)?)),
        Change::Delete { position, .. } => ("delete", *position, None),
    };
    let Position(version) = position;
    let id = change.id().to_owned();
    let head = json!({ action: { "_id": id, "version": version, "version_type": "external" } });
    let mut bytes = head.to_string().into_bytes();
    bytes.push(b'\n');
    if let Some(source) = source {
        bytes.extend(source);
        bytes.push(b'\n');
    }
    Ok(Line { id, bytes })
}

/// Writes lines into an index. Returns those that the server refused for what they are; all others
/// are in the index, or something newer is.
pub(super) async fn post(
    server: &Server,
    index: &str,
    lines: Vec<Line>,
) -> Result<Vec<Refused>, SearchError> {
    let sending = requests(lines).into_iter().map(|lines| send(server, index, lines));
    let refused: Vec<Vec<Refused>> =
        stream::iter(sending).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(refused.into_iter().flatten().collect())
}

fn requests(lines: Vec<Line>) -> Vec<Vec<Line>> {
    let mut requests: Vec<Vec<Line>> = Vec::new();
    let mut bytes = BYTES;
    for line in lines {
        if bytes >= BYTES {
            requests.push(Vec::new());
            bytes = 0;
        }
        bytes += line.bytes.len();
        // There is one: the first line makes it.
        if let Some(request) = requests.last_mut() {
            request.push(line);
        }
    }
    requests
}

/// Sends a request, and what the server has no room for again.
async fn send(
    server: &Server,
    index: &str,
    mut lines: Vec<Line>,
) -> Result<Vec<Refused>, SearchError> {
    let path = format!(
        "{}/_bulk?require_alias=true&filter_path=items.*.status,items.*.error",
        to_write(index)
    );
    let mut refused = Vec::new();
    let mut wait = WAIT;
    for attempt in 1.. {
        let body: Vec<u8> = lines.iter().flat_map(|line| line.bytes.iter().copied()).collect();
        let answer = server.call(Method::Post, &path, Bytes::from(body), LONG).await?;
        let mut busy = answer.refused();
        if answer.is_success() {
            let Answer { items } = answer.read()?;
            if items.len() != lines.len() {
                return Err(SearchError::Unavailable(format!(
                    "Elasticsearch answered for {} of {} documents",
                    items.len(),
                    lines.len()
                )));
            }
            let mut again = Vec::new();
            for (line, item) in lines.into_iter().zip(items) {
                match outcome(item) {
                    Outcome::Done => {}
                    Outcome::Refused(reason) => refused.push(Refused { id: line.id, reason }),
                    Outcome::Failed(reason) => return Err(SearchError::Unavailable(reason)),
                    Outcome::Again(reason) => {
                        busy = SearchError::Unavailable(reason);
                        again.push(line);
                    }
                }
            }
            lines = again;
            if lines.is_empty() {
                break;
            }
        } else if !is_busy(answer.status) {
            return Err(busy);
        }
        if attempt == ATTEMPTS {
            return Err(busy);
        }
        tracing::debug!(documents = lines.len(), error = %busy, "sent again in a moment");
        sleep(wait).await;
        wait *= 2;
    }
    Ok(refused)
}

enum Outcome {
    Done,
    /// It will be taken when there is room.
    Again(String),
    /// It will never be taken.
    Refused(String),
    /// It is not for what it is that it was not taken.
    Failed(String),
}

fn outcome(item: HashMap<String, Item>) -> Outcome {
    let Some(Item { status, error }) = item.into_values().next() else {
        return Outcome::Failed("Elasticsearch did not say what became of a document".to_owned());
    };
    let (kind, reason) = match &error {
        Some(error) => (error.kind.as_str(), error.shown()),
        None => ("", String::new()),
    };
    match status {
        200..300 => Outcome::Done,
        // This version or a newer one is there already.
        409 if kind == "version_conflict_engine_exception" => Outcome::Done,
        // What was to be deleted is not there.
        404 if error.is_none() => Outcome::Done,
        400 if kind.ends_with("parsing_exception")
            || kind == "illegal_argument_exception"
            || kind == "strict_dynamic_mapping_exception" =>
        {
            Outcome::Refused(reason)
        }
        status if is_busy(status) => Outcome::Again(format!("Elasticsearch has no room: {reason}")),
        _ => Outcome::Failed(format!("Elasticsearch answered {status} {kind}: {reason}")),
    }
}

/// Whether an answer says "not now".
const fn is_busy(status: u16) -> bool {
    matches!(status, 429 | 500..600)
}
