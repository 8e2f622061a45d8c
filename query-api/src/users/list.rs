use axum::{extract::State, response::Response};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use infra::http::Problem;

use super::{COLUMNS, Sealed, opener::Opener};
use crate::{
    QueryState,
    answers::Users,
    ask::Ask,
    list::{List, Page, Sort},
    posted::{personal, snapshot, unreadable},
};

/// Openings that are recorded side by side.
const AT_ONCE: usize = 32;

/// Users
///
/// By id. Of each whose personal values it opens, that is recorded.
#[utoipa::path(
    get, path = "/v1/users", tag = "users", operation_id = "list_users",
    responses((status = 200, description = "A page of users", body = Users))
)]
pub(crate) async fn list(
    State(state): State<QueryState>,
    opener: Opener,
    mut ask: Ask,
) -> Result<Response, Problem> {
    let mut list = List::new("users", "id", COLUMNS, Sort::ascending("id"));
    list.only("registered_at IS NOT NULL");
    list.cut(&mut ask);
    let asked = ask.finish()?;
    let (mut snapshot, posted) = snapshot(&state, &state.users, &asked).await?;
    let Page { mut rows, next } = list.read(&mut snapshot).await?;
    drop(snapshot);
    let users = rows.iter_mut().map(|row| Sealed::read(row, 2)).collect::<Result<Vec<_>, _>>();
    let users = users.map_err(|error| unreadable(&error))?;
    let mut opening = Vec::with_capacity(users.len());
    for user in &users {
        opening.push(user.open(&state, &opener));
    }
    let items: Vec<String> = stream::iter(opening).buffered(AT_ONCE).try_collect().await?;
    Ok(personal(posted.json(Page::document(&items, next.as_deref()))))
}
