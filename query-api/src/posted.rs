use std::time::Duration;

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use event_schemas::{LogPosition, Position, Revision};
use http::{HeaderValue, StatusCode, header};
use infra::{
    event_store::ReadError,
    http::{
        NOT_FOUND, NOT_YET_POSTED, POSITION, PREFERENCE_APPLIED, PROJECTION_DIVERGED,
        PROJECTION_STOPPED, Problem, UNAVAILABLE, etag, position_header, preference_applied,
    },
    read_models::{ReadModelError, Snapshot},
    search::SearchError,
};
use projections::NotPosted;
use tokio::time::{Instant, sleep};

use crate::{QueryState, ask::Asked, state::Model};

/// How often a read model that another process posts is looked at while it is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How far the rows of an answer are posted: what every answer of a query says of itself.
pub(crate) struct Posted {
    position: HeaderValue,
    applied: Option<HeaderValue>,
}

/// One state of a read model that includes what was asked for.
///
/// # Errors
/// 503: not posted in time, stopped, diverged, or not to be read.
pub(crate) async fn snapshot(
    state: &QueryState,
    model: &Model,
    asked: &Asked,
) -> Result<(Snapshot, Posted), Problem> {
    wait(state, model.name, asked).await?;
    let until = Instant::now() + asked.patience();
    loop {
        let wanted = asked.wanted.unwrap_or(Position::START);
        let snapshot = match model.reader.snapshot_from(wanted).await {
            // The process has just begun and its projector is about to make it.
            Err(ReadModelError::Missing(_)) if Instant::now() < until => {
                sleep(LOOK_AGAIN).await;
                continue;
            }
            other => other.map_err(|error| unreadable(&error))?,
        };
        let checkpoint = snapshot.checkpoint();
        let otherwise = model.belongs.otherwise(&state.store, checkpoint).await;
        if let Some(reason) = otherwise.map_err(|error| unreadable_log(&error))? {
            return Err(diverged(model.name, &reason));
        }
        let position = checkpoint.position;
        match asked.wanted {
            Some(wanted) if position < wanted => {
                if Instant::now() >= until {
                    return Err(not_yet(state, asked, wanted, position));
                }
            }
            _ => return Ok((snapshot, Posted::at(state, position, asked))),
        }
        // Only a read model that another process posts comes here.
        drop(snapshot);
        sleep(LOOK_AGAIN).await;
    }
}

/// Waits until the projection has posted what was asked for, if this process runs it.
///
/// # Errors
/// 503, at once if the projection has stopped or diverged.
pub(crate) async fn wait(
    state: &QueryState,
    name: &'static str,
    asked: &Asked,
) -> Result<(), Problem> {
    let wanted = asked.wanted.unwrap_or(Position::START);
    match state.projectors.wait_for(name, wanted, asked.patience()).await {
        Ok(()) | Err(NotPosted::Unknown) => Ok(()),
        Err(NotPosted::InTime { posted }) => Err(not_yet(state, asked, wanted, posted)),
        Err(NotPosted::Stopped { error }) => Err(Problem::new(
            &PROJECTION_STOPPED,
            format!(
                "The projection {name} has stopped before that position; /v1/projections says why. Leave Daybook-Position out to see what was posted before."
            ),
        )
        .because(error)),
        Err(NotPosted::Diverged { error }) => Err(diverged(name, &error)),
    }
}

/// The log's head, once it is as far as was asked for.
pub(crate) async fn reached(state: &QueryState, asked: &Asked) -> Result<Position, Problem> {
    let until = Instant::now() + asked.patience();
    loop {
        let head = state.store.head().await.map_err(|error| unreadable_log(&error))?;
        match asked.wanted {
            Some(wanted) if head < wanted && Instant::now() >= until => {
                return Err(not_yet(state, asked, wanted, head));
            }
            Some(wanted) if head < wanted => sleep(LOOK_AGAIN).await,
            _ => return Ok(head),
        }
    }
}

pub(crate) fn diverged(name: &str, reason: &str) -> Problem {
    Problem::new(
        &PROJECTION_DIVERGED,
        format!("The projection {name} has to be rebuilt: daybook rebuild {name}."),
    )
    .retry_after(30)
    .because(reason)
}

pub(crate) fn not_yet(
    state: &QueryState,
    asked: &Asked,
    wanted: Position,
    posted: Position,
) -> Problem {
    let said = |position: Position| {
        let store = state.store.id();
        format!("{store}:{position}")
    };
    let problem = Problem::new(
        &NOT_YET_POSTED,
        format!("Posted is position {posted}, wanted is {wanted}. Send the query again, or allow more time with Prefer: wait=N, up to 30 seconds."),
    )
    .with("wanted", said(wanted))
    .with("posted", said(posted));
    match asked.preferred {
        Some(wait) => problem.header(PREFERENCE_APPLIED.clone(), preference_applied(wait)),
        None => problem,
    }
}

/// A read model that cannot be read now.
pub(crate) fn unreadable(error: &ReadModelError) -> Problem {
    Problem::new(
        &UNAVAILABLE,
        "The read model cannot be read now; /health/ready says more. Send the query again.",
    )
    .because(error)
}

/// An event store that cannot be read now.
pub(crate) fn unreadable_log(error: &ReadError) -> Problem {
    Problem::new(
        &UNAVAILABLE,
        "The event store cannot be read now; /health/ready says more. Send the query again.",
    )
    .because(error)
}

/// A search index that cannot be read now.
pub(crate) fn unreadable_index(error: &SearchError) -> Problem {
    Problem::new(
        &UNAVAILABLE,
        "The search index cannot be read now; /health/ready says more. Send the query again.",
    )
    .because(error)
}

impl Posted {
    pub(crate) fn at(state: &QueryState, position: Position, asked: &Asked) -> Self {
        let position = position_header(&LogPosition { store: state.store.id(), position });
        Self { position, applied: asked.preferred.map(preference_applied) }
    }

    /// 200 with a JSON document as it is.
    pub(crate) fn json(self, document: impl Into<Body>) -> Response {
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        let mut response = Response::new(document.into());
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
        self.mark(&mut response);
        response
    }

    /// 200 with a JSON document, or 304 if the caller has this revision of it already.
    pub(crate) fn revised(
        self,
        document: impl Into<Body>,
        revision: Revision,
        asked: &Asked,
    ) -> Response {
        let known = asked.known.as_ref().is_some_and(|tags| tags.has_weakly(revision));
        let mut response = if known {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            self.mark(&mut response);
            response
        } else {
            self.json(document)
        };
        response.headers_mut().insert(header::ETAG, etag(revision));
        response
    }

    /// 404 of a thing that is not among the rows.
    pub(crate) fn not_found(self, what: &str, id: &str) -> Problem {
        let shown: String = id.chars().take(64).collect();
        let problem = Problem::new(
            &NOT_FOUND,
            format!("There is no {what} {shown:?}. If you have just made it, send the Daybook-Position of that answer."),
        )
        .header(POSITION.clone(), self.position);
        match self.applied {
            Some(applied) => problem.header(PREFERENCE_APPLIED.clone(), applied),
            None => problem,
        }
    }

    fn mark(self, response: &mut Response) {
        let headers = response.headers_mut();
        headers.insert(&POSITION, self.position);
        if let Some(applied) = self.applied {
            headers.insert(&PREFERENCE_APPLIED, applied);
        }
    }
}

/// An answer that no cache may keep, because it is about a person.
pub(crate) fn personal(mut response: Response) -> Response {
    const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    response
}
