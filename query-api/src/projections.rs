use axum::{
    extract::{Path, Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, StatusCode, header};
use infra::{
    event_store::ReadError,
    http::{
        Faults, Fields, MAX_BODY, NOT_FOUND, Problem, ProblemKind, UNAVAILABLE, idempotency_key,
        parse_json, read_body, without_parameters,
    },
};
use projections::{NotBegun, ProjectionStatus, SCHEMAS, read_status, search};
use serde_json::json;

use crate::{
    QueryState,
    answers::Projections,
    ask::Ask,
    posted::{Posted, unreadable_log},
};

/// How far the read models are posted
#[utoipa::path(
    get, path = "/v1/projections", tag = "log", operation_id = "list_projections",
    responses((status = 200, description = "Every projection", body = Projections))
)]
pub(crate) async fn projections(
    State(state): State<QueryState>,
    ask: Ask,
) -> Result<Response, Problem> {
    let asked = ask.finish()?;
    let items = statuses(&state).await.map_err(|error| unreadable_log(&error))?;
    let posted = items.iter().map(|status| status.position).min().unwrap_or_default();
    let document = json!({ "items": items }).to_string();
    Ok(Posted::at(&state, posted, &asked).json(document))
}

/// As the projectors of this process say it; without any, as the read models do.
async fn statuses(state: &QueryState) -> Result<Vec<ProjectionStatus>, ReadError> {
    let mut items = state.projectors.status().await?;
    if items.is_empty() {
        items = read_status(&state.store, &state.models).await?;
        items.push(search::read_status(&state.store, Ok(&state.search)).await?);
    }
    Ok(items)
}

/// A rebuild of it is under way.
pub static ALREADY_REBUILDING: ProblemKind = ProblemKind {
    name: "already-rebuilding",
    status: 409,
    title: "It is being rebuilt already",
    explanation: "The next generation of this projection is being built. /v1/projections tells how far it is; nothing else was begun.",
};
/// This process has no projectors.
pub static NO_PROJECTOR: ProblemKind = ProblemKind {
    name: "no-projector",
    status: 409,
    title: "This process posts no projections",
    explanation: "Read models are rebuilt by a process that posts them: send the request to one with the role projector, or run daybook rebuild NAME.",
};

/// Rebuild a read model
///
/// Its next generation is built beside the one that is read, from the start of the log, and takes its
/// place when it has posted as much. Queries and posting go on meanwhile. A build that was cut short
/// goes on where it was.
#[utoipa::path(
    post, path = "/v1/projections/{name}/rebuild", tag = "log", operation_id = "rebuild_projection",
    params(("name" = String, Path, description = "orders, stock, products, users, sales or search")),
    responses((status = 202, description = "It is begun; GET of Location tells how far it is"))
)]
pub(crate) async fn rebuild(
    State(state): State<QueryState>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    without_parameters(request.uri())?;
    // Nothing is appended: a repeat is looked at anew.
    idempotency_key(request.headers())?;
    no_body(request).await?;
    let known: Vec<_> = SCHEMAS.iter().map(|schema| schema.name).chain([search::NAME]).collect();
    if !known.contains(&name.as_str()) {
        let shown: String = name.chars().take(64).collect();
        let known = known.join(", ");
        let detail = format!("There is no projection {shown:?}; there are {known}.");
        return Err(Problem::new(&NOT_FOUND, detail));
    }
    match state.projectors.rebuild(&name) {
        Ok(()) => {
            const PROJECTIONS: HeaderValue = HeaderValue::from_static("/v1/projections");
            Ok((StatusCode::ACCEPTED, [(header::LOCATION, PROJECTIONS)]).into_response())
        }
        Err(NotBegun::Already) => Err(Problem::new(
            &ALREADY_REBUILDING,
            format!("{name} is being rebuilt; GET /v1/projections tells how far it is."),
        )),
        Err(NotBegun::Unknown) => Err(Problem::new(
            &NO_PROJECTOR,
            "Send this to a process with the role projector, or run daybook rebuild.",
        )),
        Err(error @ (NotBegun::Ending | NotBegun::Thread(_))) => {
            Err(Problem::new(&UNAVAILABLE, "It cannot be begun now; send it again.").because(error))
        }
    }
}

/// There is nothing to say in the body: it is left out or an empty object.
async fn no_body(request: Request) -> Result<(), Problem> {
    if !request.headers().contains_key(header::CONTENT_TYPE) {
        return Ok(());
    }
    let bytes = read_body(request, MAX_BODY, &["application/json"]).await?;
    let mut faults = Faults::new();
    match parse_json(&bytes) {
        Ok(body) => Fields::new(body, "#", &mut faults).finish(),
        Err(found) => faults.extend(found),
    }
    faults.check()
}
