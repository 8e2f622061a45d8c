use axum::{extract::State, response::Response};
use event_schemas::{Actor, Logged, Position, StreamName, Timestamp};
use history::{Selection, deed};
use infra::{event_store::Filter, http::Problem};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    QueryState,
    answers::Trail,
    ask::Ask,
    events::{
        asked::Wanted,
        page::{Range, answer},
    },
};

/// Who did what to what.
#[derive(Serialize)]
struct Deed<'a> {
    at: Timestamp,
    actor: &'a Actor,
    did: String,
    subject: &'a StreamName,
    position: Position,
    event_id: Uuid,
    #[serde(rename = "type")]
    event_type: &'a str,
    occurred_at: Timestamp,
    correlation_id: &'a str,
}

/// Who did what to what
///
/// The log in plain words: each event with who did it, how well that is known, and when it was
/// recorded. Personal values are not told. A page may have fewer items than `limit`, even none, and
/// still a `next`: go on until `next` is null.
#[utoipa::path(
    get, path = "/v1/audit/trail", tag = "audit", operation_id = "list_audit_trail",
    params(
        ("actor" = Option<String>, Query, description = "Done by this actor"),
        ("subject" = Option<String>, Query, description = "Done to this: a stream, such as order-4711, stock-mug-red or user-u1; access-u1 is who opened the personal data of u1"),
        ("since" = Option<String>, Query, format = "date-time", description = "Recorded then or later (inclusive)"),
        ("until" = Option<String>, Query, format = "date-time", description = "Recorded before (exclusive)"),
        ("backwards" = Option<bool>, Query, description = "`true`: the newest first"),
    ),
    responses((status = 200, description = "A page of the trail", body = Trail))
)]
pub(crate) async fn trail(
    State(state): State<QueryState>,
    mut ask: Ask,
) -> Result<Response, Problem> {
    let actor = ask.query.text("actor", 1..=1_000, &mut ask.faults);
    let subject = ask.query.text("subject", 1..=1_000, &mut ask.faults);
    let (since, until) = ask.times("since", "until");
    let stream = subject.and_then(|name| StreamName::parse(&name).ok());
    let wanted = Wanted {
        filter: Filter { stream, ..Filter::default() },
        selection: Selection { actor, since, until, ..Selection::default() },
    };
    let range = Range::of(wanted, None, None, &mut ask);
    answer(state, ask, &range, told).await
}

/// The event in plain words, if it is wanted and one of Daybook's own.
fn told(wanted: &Wanted, logged: &Logged) -> Option<String> {
    let decoded = logged.decode().ok()?;
    if !wanted.selection.takes(logged, Some(&decoded.metadata)) {
        return None;
    }
    // Texts and numbers: nothing that cannot be written.
    serde_json::to_string(&Deed {
        at: decoded.metadata.recorded_at,
        actor: &decoded.metadata.actor,
        did: deed(&decoded.event),
        subject: &logged.stream,
        position: logged.position,
        event_id: logged.id,
        event_type: &logged.event_type,
        occurred_at: decoded.metadata.occurred_at,
        correlation_id: &decoded.metadata.correlation_id,
    })
    .ok()
}
