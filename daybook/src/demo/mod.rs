//! `daybook serve --demo`: a shop to try things in.

mod catalogue;

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use anyhow::Context;
use axum::body::Body;
use event_schemas::Position;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use infra::{event_store::EventStore, http::Frame};
use serde_json::Value;
use uuid::Uuid;

use crate::{failure::Failure, output, settings::Settings};

/// The file in the data directory that says that its shop is the demo's.
const MARKER: &str = "demo";
/// Where its next text is written before it takes the place of the last.
const NEXT_MARKER: &str = "demo.next";
/// Its text until the store is known to be empty, while the shop is being filled, and afterwards.
const OPENING: &str = "opening\n";
const FILLING: &str = "filling\n";
const FILLED: &str = "filled\n";

/// Whether there is still something to fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shelves {
    /// Nothing is there yet: the store has to be empty.
    Fresh,
    /// A filling was interrupted.
    Filling,
    /// The demo filled it before.
    Filled,
}

/// Looks at the data directory before anything is opened.
///
/// # Errors
/// [`Failure::Usage`] if it holds anything but a demo's shop.
pub(crate) fn prepare(data: &Path) -> Result<Shelves, Failure> {
    let marker = data.join(MARKER);
    match fs::read_to_string(&marker).as_deref() {
        Ok(FILLED) => return Ok(Shelves::Filled),
        Ok(FILLING) => return Ok(Shelves::Filling),
        Ok(OPENING) => return Ok(Shelves::Fresh),
        _ => {}
    }
    let mut entries = fs::read_dir(data)
        .with_context(|| format!("the data directory {} cannot be read", data.display()))?;
    let others = |entry: io::Result<fs::DirEntry>| {
        entry.map_or(true, |entry| entry.file_name() != NEXT_MARKER)
    };
    if entries.any(others) {
        return Err(not_ours(data));
    }
    // Before the engines put their files there: killed now, it is still known whose it is.
    mark(data, OPENING)?;
    Ok(Shelves::Fresh)
}

/// Marks a fresh directory as the demo's, once its store is open.
///
/// # Errors
/// [`Failure::Usage`] if the store, which may lie elsewhere, has events.
pub(crate) async fn claim(data: &Path, store: &EventStore) -> Result<(), Failure> {
    let head = store.head().await.context("the event store cannot be read")?;
    if head > Position::START {
        return Err(not_ours(data));
    }
    mark(data, FILLING)
}

fn not_ours(data: &Path) -> Failure {
    Failure::usage(format!(
        "{} is not empty and was not filled by --demo, which would mix its goods with yours; name \
         another directory with --data",
        data.display()
    ))
}

fn mark(data: &Path, text: &str) -> Result<(), Failure> {
    let (path, next) = (data.join(MARKER), data.join(NEXT_MARKER));
    let write = || {
        let mut file = fs::File::create(&next)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&next, &path)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(())
}

/// Fills the shop through the same routes as any client. What an interrupted filling did before
/// is answered by its keys.
pub(crate) async fn fill(settings: &Settings, shop: &Frame) -> Result<(), Failure> {
    for step in catalogue::steps(settings.currency.as_str()) {
        let made = post(shop, &step.path, &step.key, &step.body).await?;
        let order = step.key.strip_prefix("demo-order-").and_then(|n| n.parse().ok());
        let Some((verb, body)) = order.and_then(catalogue::next_of) else { continue };
        let id = made["id"].as_str().unwrap_or_default();
        post(shop, &format!("/v1/orders/{id}/{verb}"), &format!("{}-{verb}", step.key), &body)
            .await?;
    }
    mark(&settings.data, FILLED)
}

async fn post(shop: &Frame, path: &str, key: &str, body: &Value) -> Result<Value, Failure> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", key)
        .header("daybook-actor", "demo")
        .body(Body::from(body.to_string()))
        .context("a step of the demo is no request")?;
    let response = shop.answer(request).await;
    let status = response.status();
    let bytes = response.into_body().collect().await.context("an answer broke off")?.to_bytes();
    if !matches!(status, StatusCode::OK | StatusCode::CREATED) {
        return Err(Failure::failed(format!(
            "the demo's shop could not be filled: POST {path} was answered {status}: {}",
            String::from_utf8_lossy(&bytes)
        )));
    }
    Ok(serde_json::from_slice(&bytes).context("an answer is no JSON")?)
}

/// Prints the curl lines of a first order, each ready for sh and zsh.
pub(crate) fn print_first_order(url: &str) -> Result<(), Failure> {
    let mut out = output::stdout();
    for line in first_order(url, &Uuid::new_v4().to_string()) {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(())
}

/// The lines. An order's id is that of its command, so the query can be told before the order is
/// placed; `Prefer: wait` has the answer wait until the order can be read.
fn first_order(url: &str, key: &str) -> [String; 5] {
    let body = catalogue::FIRST_ORDER;
    let id = commands::command_id(&["anonymous", "POST", "/v1/orders", key]);
    [
        "# A first order:".to_owned(),
        format!(
            "curl -fsS -X POST '{url}/v1/orders' -H 'Content-Type: application/json' \
             -H 'Idempotency-Key: {key}' -H 'Prefer: wait=5' -d '{body}'"
        ),
        "# The same order, read back; and what else there is:".to_owned(),
        format!("curl -fsS '{url}/v1/orders/{id}'"),
        format!("curl -fsS '{url}/v1/products/search?q=tea+mug&in_stock=true'"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_directory_is_filled_once_and_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(NEXT_MARKER), "fil").unwrap();
        assert_eq!(prepare(dir.path()).unwrap(), Shelves::Fresh);
        // Killed when the store was made and nothing was filled yet.
        fs::write(dir.path().join("events.sqlite"), "").unwrap();
        assert_eq!(prepare(dir.path()).unwrap(), Shelves::Fresh);
        mark(dir.path(), FILLING).unwrap();
        assert_eq!(prepare(dir.path()).unwrap(), Shelves::Filling);
        mark(dir.path(), FILLED).unwrap();
        assert_eq!(prepare(dir.path()).unwrap(), Shelves::Filled);
    }

    #[test]
    fn any_other_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("events.sqlite"), "").unwrap();
        assert!(matches!(prepare(dir.path()), Err(Failure::Usage(_))));
        fs::write(dir.path().join(MARKER), "something else").unwrap();
        assert!(matches!(prepare(dir.path()), Err(Failure::Usage(_))));
    }

    #[test]
    fn no_line_needs_another_quote() {
        let lines = first_order("http://127.0.0.1:8080", "0c0ffee0");
        assert!(lines[1].contains("-d '{\"customer_id\":\"ada\""), "{}", lines[1]);
        for line in lines.iter().filter(|line| line.starts_with("curl")) {
            assert!(line.starts_with("curl -fsS "), "{line}");
            assert_eq!(line.matches('\'').count() % 2, 0);
        }
    }
}
