use axum::{
    extract::{Path, State},
    response::Response,
};
use event_schemas::Revision;
use infra::{http::Problem, read_models::Value};

use super::{COLUMNS, Sealed, opener::Opener};
use crate::{
    QueryState,
    answers::User,
    ask::Ask,
    posted::{personal, snapshot, unreadable},
};

/// A user
///
/// `personal` is null for an imported customer and for a user who was forgotten.
#[utoipa::path(
    get, path = "/v1/users/{id}", tag = "users", operation_id = "get_user",
    params(
        ("id" = String, Path, description = "The user's id"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of what the caller has already", example = "\"0\""),
    ),
    responses(
        (status = 200, description = "The user", body = User,
            headers(("ETag" = String, description = "Its revision, quoted"))),
        (status = 304, description = "The caller has it already"),
    )
)]
pub(crate) async fn user(
    State(state): State<QueryState>,
    Path(id): Path<String>,
    opener: Opener,
    ask: Ask,
) -> Result<Response, Problem> {
    let asked = ask.finish()?;
    let (mut snapshot, posted) = snapshot(&state, &state.users, &asked).await?;
    let sql =
        format!("SELECT {COLUMNS}, revision FROM users WHERE id = ? AND registered_at IS NOT NULL");
    let rows = snapshot.query(&sql, &[Value::from(id.as_str())]).await;
    let mut rows = rows.map_err(|error| unreadable(&error))?;
    drop(snapshot);
    let Some(row) = rows.first_mut() else { return Err(posted.not_found("user", &id)) };
    let user = Sealed::read(row, 0).map_err(|error| unreadable(&error))?;
    let revision = row.integer(4).map_err(|error| unreadable(&error))?;
    let revision = Revision(revision.unsigned_abs());
    // What the caller has already is not opened again.
    let document = match &asked.known {
        Some(tags) if tags.has_weakly(revision) => String::new(),
        _ => user.open(&state, &opener).await?,
    };
    Ok(personal(posted.revised(document, revision, &asked)))
}
