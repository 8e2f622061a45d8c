use axum::{
    extract::{Path, State},
    response::Response,
};
use http::{HeaderMap, header};
use infra::http::{NOT_FOUND, Problem};

use crate::{QueryState, docs::escaped, process::typed};

/// What a problem means
///
/// In plain words: HTML for who accepts it, else text.
#[utoipa::path(
    get, path = "/problems/{name}", tag = "process", operation_id = "get_problem",
    params(("name" = String, Path, description = "The last segment of a problem's type", example = "bad-request")),
    responses((status = 200, description = "The explanation", content(
        (String = "text/html"),
        (String = "text/plain"),
    )))
)]
pub(crate) async fn problem(
    State(state): State<QueryState>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Some(kind) = state.problems.iter().find(|kind| kind.name == name) else {
        let shown: String = name.chars().take(64).collect();
        return Err(Problem::new(&NOT_FOUND, format!("There is no problem named {shown:?}.")));
    };
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    Ok(if accept.is_some_and(|accept| accept.contains("text/html")) {
        let (title, explanation) = (escaped(kind.title), escaped(kind.explanation));
        let (name, status) = (kind.name, kind.status);
        let page = format!(
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>{title}</title><style>body{{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}}code{{color:#666}}</style><h1>{title}</h1><p><code>{status} {name}</code><p>{explanation}<p><a href=/docs>The documentation</a></html>"
        );
        typed("text/html; charset=utf-8", page)
    } else {
        let text =
            format!("{} ({} {})\n\n{}\n", kind.title, kind.status, kind.name, kind.explanation);
        typed("text/plain; charset=utf-8", text)
    })
}
