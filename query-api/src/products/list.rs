use axum::{extract::State, response::Response};
use infra::http::Problem;

use crate::{
    QueryState,
    answers::Products,
    ask::Ask,
    list::{List, Sort},
    posted::snapshot,
};

const STATUSES: &[(&str, &str)] = &[("on_shelf", "on_shelf"), ("off_shelf", "off_shelf")];

/// Products
///
/// By id unless `sort` says otherwise; ties by id. An empty `brand` or `category` asks for
/// products without one.
#[utoipa::path(
    get, path = "/v1/products", tag = "products", operation_id = "list_products",
    params(
        ("status" = Option<String>, Query, description = "on_shelf or off_shelf"),
        ("brand" = Option<String>, Query, description = "Of this brand"),
        ("department" = Option<String>, Query, description = "Of this department"),
        ("category" = Option<String>, Query, description = "Of this category"),
        ("sort" = Option<String>, Query, description = "id, -id, title or -title", example = "title"),
    ),
    responses((status = 200, description = "A page of products", body = Products))
)]
pub(crate) async fn list(
    State(state): State<QueryState>,
    mut ask: Ask,
) -> Result<Response, Problem> {
    let sort = Sort::read(&mut ask, &["title", "id"], Sort::ascending("id"));
    let mut list = List::new("products", "id", "document", sort);
    list.filter("status = ?", ask.query.choice("status", STATUSES, &mut ask.faults));
    list.filter("brand = ?", ask.query.text("brand", 0..=64, &mut ask.faults));
    list.filter("department = ?", ask.query.text("department", 0..=64, &mut ask.faults));
    list.filter("category = ?", ask.query.text("category", 0..=64, &mut ask.faults));
    list.cut(&mut ask);
    let asked = ask.finish()?;
    let (mut snapshot, posted) = snapshot(&state, &state.products, &asked).await?;
    let page = list.read(&mut snapshot).await?;
    Ok(posted.json(page.of_documents()?))
}
