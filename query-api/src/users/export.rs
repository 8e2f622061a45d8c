use std::{io, mem};

use axum::{
    body::Body,
    extract::{Path, State},
    response::Response,
};
use event_schemas::{AccessEvent, Personal, Position, Recorded, Revision, StreamName, UserEvent};
use futures::stream;
use history::Shown;
use infra::{
    event_store::Direction,
    http::Problem,
    read_models::{Snapshot, Value},
};

use super::{COLUMNS, Sealed, opener::Opener, unseal};
use crate::{
    QueryState,
    answers::UserExport,
    ask::{Ask, Asked},
    posted::{personal, snapshot, unreadable, unreadable_log},
};

/// Orders and events that are read at once.
const PAGE: usize = 200;

/// All that is known of a person
///
/// The user, every order (also refused ones), every event of the user with what is personal opened,
/// and who opened it before, this time included. To be read to its end: an answer that breaks off
/// is none.
#[utoipa::path(
    get, path = "/v1/users/{id}/export", tag = "users", operation_id = "export_user",
    params(("id" = String, Path, description = "The user's id")),
    responses((status = 200, description = "All of it", body = UserExport))
)]
pub(crate) async fn export(
    State(state): State<QueryState>,
    Path(id): Path<String>,
    opener: Opener,
    ask: Ask,
) -> Result<Response, Problem> {
    let asked = ask.finish()?;
    let (mut users, posted) = snapshot(&state, &state.users, &asked).await?;
    let sql = format!("SELECT {COLUMNS} FROM users WHERE id = ? AND registered_at IS NOT NULL");
    let rows = users.query(&sql, &[Value::from(id.as_str())]).await;
    let mut rows = rows.map_err(|error| unreadable(&error))?;
    drop(users);
    let Some(row) = rows.first_mut() else { return Err(posted.not_found("user", &id)) };
    let user = Sealed::read(row, 0).map_err(|error| unreadable(&error))?;
    // What the answer cannot say any more once it has begun.
    drop(snapshot(&state, &state.orders, &asked).await?);
    opener.record(&state.store, &id).await?;
    let user = user.document(user.opened(&state.keys).await?)?;
    let export = Export { state, id, asked, part: Part::User(user) };
    let chunks = stream::try_unfold(export, |mut export| async move {
        let chunk = export.next().await.map_err(|problem| {
            tracing::warn!(?problem, "an export breaks off");
            io::Error::other("the export breaks off")
        })?;
        Ok::<_, io::Error>(chunk.map(|chunk| (chunk, export)))
    });
    Ok(personal(posted.json(Body::from_stream(chunks))))
}

/// An export on its way out. No read model is held while the client takes its time.
struct Export {
    state: QueryState,
    id: String,
    asked: Asked,
    part: Part,
}

/// What comes next.
enum Part {
    /// The user's document.
    User(String),
    /// Orders, the newest first, beyond the one of this time and id.
    Orders(Option<(i64, String)>),
    /// The user's events from here on.
    Events(Revision),
    /// Who opened what is personal, from here on.
    Openings(Revision),
    End,
}

/// Some members of an array, and where it goes on.
struct Page<T> {
    items: Vec<String>,
    first: bool,
    next: Option<T>,
}

impl<T> Page<T> {
    fn text(&self) -> String {
        let comma = if self.first || self.items.is_empty() { "" } else { "," };
        format!("{comma}{}", self.items.join(","))
    }
}

impl Export {
    /// A piece of the document; `None` behind its end.
    async fn next(&mut self) -> Result<Option<String>, Problem> {
        let (text, part) = match mem::replace(&mut self.part, Part::End) {
            Part::User(user) => (format!("{{\"user\":{user},\"orders\":["), Part::Orders(None)),
            Part::Orders(after) => {
                let page = self.orders(after).await?;
                let text = page.text();
                match page.next {
                    Some(last) => (text, Part::Orders(Some(last))),
                    None => (text + "],\"events\":[", Part::Events(Revision(0))),
                }
            }
            Part::Events(from) => {
                let page = self.events(UserEvent::CATEGORY, from).await?;
                let text = page.text();
                match page.next {
                    Some(next) => (text, Part::Events(next)),
                    None => (text + "],\"openings\":[", Part::Openings(Revision(0))),
                }
            }
            Part::Openings(from) => {
                let page = self.events(AccessEvent::CATEGORY, from).await?;
                let text = page.text();
                match page.next {
                    Some(next) => (text, Part::Openings(next)),
                    None => (text + "]}", Part::End),
                }
            }
            Part::End => return Ok(None),
        };
        self.part = part;
        Ok(Some(text))
    }

    async fn orders(&self, after: Option<(i64, String)>) -> Result<Page<(i64, String)>, Problem> {
        let (mut orders, _): (Snapshot, _) =
            snapshot(&self.state, &self.state.orders, &self.asked).await?;
        let mut values = vec![Value::from(self.id.as_str())];
        let first = after.is_none();
        let beyond = match after {
            None => "",
            Some((placed_at, id)) => {
                values.extend([placed_at.into(), placed_at.into(), id.into()]);
                " AND placed_at <= ? AND (placed_at < ? OR id > ?)"
            }
        };
        let sql = format!(
            "SELECT placed_at, id, document FROM orders WHERE customer_id = ?{beyond} \
             ORDER BY placed_at DESC, id LIMIT {PAGE}"
        );
        let mut rows = orders.scan(&sql, values).await.map_err(|error| unreadable(&error))?;
        let mut page = Page { items: Vec::with_capacity(rows.len()), first, next: None };
        let full = rows.len() == PAGE;
        for row in &mut rows {
            let read = || Ok(((row.integer(0)?, row.text(1)?), row.text(2)?));
            let (key, document) = { read }().map_err(|error| unreadable(&error))?;
            page.items.push(document);
            page.next = full.then_some(key);
        }
        Ok(page)
    }

    async fn events(&self, category: &str, from: Revision) -> Result<Page<Revision>, Problem> {
        let stream = StreamName::new(category, &self.id);
        let read = self.state.store.read_stream(&stream, from, Direction::Forwards, PAGE).await;
        let read = read.map_err(|error| unreadable_log(&error))?;
        let mut page = Page { items: Vec::new(), first: from == Revision(0), next: None };
        for (event, place) in read.events.iter().zip(read.places) {
            page.items.push(self.event(event, place).await?);
        }
        let last = read.events.last().filter(|_| !read.at_end);
        page.next = last.map(|last| last.revision.next());
        Ok(page)
    }

    /// An event with what is personal in it opened; null if its key is gone.
    async fn event(&self, event: &Recorded, place: Option<Position>) -> Result<String, Problem> {
        let metadata = history::metadata(event);
        let shown = Shown::of_stream(event, place, metadata.as_ref());
        let shown = serde_json::to_string(&shown).map_err(Problem::internal)?;
        let decoded = event.decode().ok();
        let sealed = decoded.and_then(|decoded| decoded.event.personal());
        let Some(Personal::Sealed(sealed)) = sealed else { return Ok(shown) };
        let opened = unseal(&self.state.keys, &self.id, sealed, event.id).await?;
        let mut shown: serde_json::Value =
            serde_json::from_str(&shown).map_err(Problem::internal)?;
        shown["data"]["personal"] = serde_json::to_value(opened).map_err(Problem::internal)?;
        Ok(shown.to_string())
    }
}
