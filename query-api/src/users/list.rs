use axum::{extract::State, response::Response};
use infra::http::Problem;

use super::{COLUMNS, Sealed};
use crate::{
    QueryState,
    answers::Users,
    ask::Ask,
    list::{List, Page, Sort},
    posted::{personal, snapshot, unreadable},
};

/// Users
///
/// By id.
#[utoipa::path(
    get, path = "/v1/users", tag = "users", operation_id = "list_users",
    responses((status = 200, description = "A page of users", body = Users))
)]
pub(crate) async fn list(
    State(state): State<QueryState>,
    mut ask: Ask,
) -> Result<Response, Problem> {
    let mut list = List::new("users", "id", COLUMNS, Sort::ascending("id"));
    list.only("registered_at IS NOT NULL");
    list.cut(&mut ask);
    let asked = ask.finish()?;
    let (mut snapshot, posted) = snapshot(&state, &state.users, &asked).await?;
    let Page { mut rows, next } = list.read(&mut snapshot).await?;
    drop(snapshot);
    let mut items = Vec::with_capacity(rows.len());
    for row in &mut rows {
        let user = Sealed::read(row, 2).map_err(|error| unreadable(&error))?;
        items.push(user.open(&state.keys).await?);
    }
    Ok(personal(posted.json(Page::document(&items, next.as_deref()))))
}
