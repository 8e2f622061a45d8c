use ::audit::{EventName, KeeperState, ProveError, Signed, SignedHead};
use axum::{extract::State, response::Response};
use event_schemas::{Position, Revision, StreamName};
use infra::http::{BAD_REQUEST, Faults, NOT_FOUND, Problem, ProblemKind};
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    QueryState,
    answers::{InclusionProof, TreeHead},
    ask::{Ask, Asked},
    posted::{Posted, not_yet, unreadable_log},
};

/// 503 of a process that cannot tell.
pub static AUDIT_UNAVAILABLE: ProblemKind = ProblemKind {
    name: "audit-unavailable",
    status: 503,
    title: "Nothing can be proven here now",
    explanation: "The tree over the log is kept by processes with the role command. Either this process has not that role (ask one that has it), or it has only just begun, or the log is not the one that was signed before: /health/ready says which.",
};

/// 409 of what is not as it was signed.
pub static AUDIT_DIFFERENT: ProblemKind = ProblemKind {
    name: "audit-different",
    status: 409,
    title: "The log is not what was signed",
    explanation: "The event asked for is in the log, but not as it was when the log was signed. Whoever runs the server finds out what was changed with `daybook audit verify`.",
};

/// The newest signed tree head
///
/// What the log was, signed with Ed25519, at most about a second ago. With `Daybook-Position`, a
/// head that covers it is waited for.
#[utoipa::path(
    get, path = "/v1/audit/head", tag = "log", operation_id = "get_tree_head",
    responses((status = 200, description = "The head", body = TreeHead))
)]
pub(crate) async fn head(State(state): State<QueryState>, ask: Ask) -> Result<Response, Problem> {
    let asked = ask.finish()?;
    let signed = signed(&state, &asked).await?;
    let document = serde_json::to_vec(&signed.head).map_err(Problem::internal)?;
    Ok(Posted::at(&state, signed.position, &asked).json(document))
}

/// A proof that an event is in the signed log
///
/// By the event's id, or by stream and revision. The event in it is byte for byte as it is stored;
/// personal values stay sealed.
#[utoipa::path(
    get, path = "/v1/audit/proof", tag = "log", operation_id = "get_inclusion_proof",
    params(
        ("event" = Option<String>, Query, description = "The event's id", format = "uuid"),
        ("stream" = Option<String>, Query, description = "Its stream, in place of its id", example = "order-4b6a3c1e-5a43-5d6c-9d8e-0f1f7ce1a2b3"),
        ("revision" = Option<u64>, Query, description = "Its revision in the stream", example = 0),
        ("size" = Option<u64>, Query, description = "In the log of the head over so many events; the newest head unless given"),
    ),
    responses((status = 200, description = "The proof", body = InclusionProof))
)]
pub(crate) async fn proof(
    State(state): State<QueryState>,
    mut ask: Ask,
) -> Result<Response, Problem> {
    let (name, size) = read(&mut ask);
    let asked = ask.finish()?;
    // `finish` refused everything else.
    let Some(name) = name else { return Err(Problem::internal("no event was asked for")) };
    let Signed { head, position, tree } = signed(&state, &asked).await?;
    let head = match size {
        Some(size) if size != head.size => of_size(&state, &head, size).await?,
        _ => head,
    };
    let proof = ::audit::prove(&state.store, &tree, &head, &name).await.map_err(unproven)?;
    let document = serde_json::to_vec(&proof).map_err(Problem::internal)?;
    Ok(Posted::at(&state, position, &asked).json(document))
}

fn read(ask: &mut Ask) -> (Option<EventName>, Option<u64>) {
    let (query, faults) = (&mut ask.query, &mut ask.faults);
    let id = query.text("event", 1..=64, faults);
    let stream = query.text("stream", 1..=1_000, faults);
    let revision = query.integer("revision", 0..=i64::MAX, faults).map(i64::unsigned_abs);
    let size = query.integer("size", 1..=i64::MAX, faults).map(i64::unsigned_abs);
    let name = match (id, stream, revision) {
        (Some(id), None, None) => match Uuid::parse_str(&id) {
            Ok(id) => Some(EventName::Id(id)),
            Err(_) => {
                faults.parameter("event", "this is no event's id; it is a UUID");
                None
            }
        },
        (None, Some(stream), Some(revision)) => match StreamName::parse(&stream) {
            Ok(stream) => Some(EventName::Place(stream, Revision(revision))),
            Err(error) => {
                faults.parameter("stream", error.to_string());
                None
            }
        },
        _ => {
            faults.parameter("event", "give event alone, or stream and revision");
            None
        }
    };
    (name, size)
}

/// The newest head of this process, once it covers what was asked for.
async fn signed(state: &QueryState, asked: &Asked) -> Result<Signed, Problem> {
    let Some(keeper) = &state.audit else {
        let here = "This process keeps no tree over the log. Ask one with the role command.";
        return Err(Problem::new(&AUDIT_UNAVAILABLE, here).retry_after(30));
    };
    let wanted = asked.wanted.unwrap_or(Position::START);
    let mut keeper = keeper.clone();
    let there = timeout(
        asked.patience(),
        keeper.wait_for(|status| {
            let covers = status.signed.as_ref().is_some_and(|signed| signed.position >= wanted);
            covers || matches!(status.state, KeeperState::Diverged(_))
        }),
    );
    // Whether it came or not, what is there now tells.
    drop(there.await);
    let status = keeper.borrow().clone();
    if let KeeperState::Diverged(reason) = status.state {
        let detail = "The log is not the one that was signed; /health/ready says more.";
        return Err(Problem::new(&AUDIT_UNAVAILABLE, detail).retry_after(30).because(reason));
    }
    match status.signed {
        Some(signed) if signed.position >= wanted => Ok(signed),
        Some(signed) => Err(not_yet(state, asked, wanted, signed.position)),
        None => Err(Problem::new(
            &AUDIT_UNAVAILABLE,
            "The log is still being read. Send the query again.",
        )),
    }
}

async fn of_size(
    state: &QueryState,
    newest: &SignedHead,
    size: u64,
) -> Result<SignedHead, Problem> {
    let key = &newest.public_key;
    let found = state.keys.head_of_size(&key.id(), size).await.map_err(Problem::internal)?;
    let head = found.and_then(|row| serde_json::from_str::<SignedHead>(&row.head).ok());
    head.filter(|head| head.is_by(key)).ok_or_else(|| {
        let mut faults = Faults::new();
        faults.parameter("size", "no head over exactly so many events was signed");
        faults.into_problem(&BAD_REQUEST)
    })
}

fn unproven(error: ProveError) -> Problem {
    match error {
        ProveError::NoStream(_) | ProveError::NoRevision { .. } | ProveError::NotSigned => {
            Problem::new(
                &NOT_FOUND,
                format!(
                    "There is no proof: {error}. If you have just made it, send the Daybook-Position of that answer."
                ),
            )
        }
        ProveError::Different(_) | ProveError::Foreign(_) => {
            Problem::new(&AUDIT_DIFFERENT, format!("There is no proof: {error}."))
        }
        ProveError::Log(error) => unreadable_log(&error),
        ProveError::Tree(error) => Problem::internal(error),
    }
}
