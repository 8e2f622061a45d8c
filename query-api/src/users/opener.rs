use axum::extract::{FromRequestParts, MatchedPath};
use event_schemas::{
    AccessEvent, Event, ExpectedRevision, Metadata, NewEvent, PersonalDataOpened, StreamName,
    Timestamp,
};
use http::request::Parts;
use infra::{
    event_store::{AppendError, EventStore},
    http::{Caller, Faults, Problem, STORAGE_FULL, UNAVAILABLE},
};
use uuid::Uuid;

/// Why somebody opens what is personal.
const REASON: &str = "Daybook-Reason";
/// The most characters of a reason.
const MAX_REASON: usize = 200;

/// Who opens what is personal, by which query and why. It is recorded before anything opened is
/// answered: the one thing that a query writes, into streams that nothing else writes.
pub(crate) struct Opener {
    caller: Caller,
    route: String,
    reason: Option<String>,
    /// One for all that a request opens.
    request: Uuid,
}

impl Opener {
    /// Records, durably, that what is personal of this user is opened.
    ///
    /// # Errors
    /// 503: then it may not be answered.
    pub(crate) async fn record(&self, store: &EventStore, user_id: &str) -> Result<(), Problem> {
        let opened = PersonalDataOpened {
            user_id: user_id.to_owned(),
            route: self.route.clone(),
            reason: self.reason.clone(),
        };
        let event = Event::from(AccessEvent::from(opened));
        let event = NewEvent::new(Uuid::new_v4(), event, self.metadata());
        let event = event.map_err(Problem::internal)?;
        let stream = StreamName::new(AccessEvent::CATEGORY, user_id);
        // Whatever stands there already: nothing is decided on it. Recorded twice is no harm.
        let append = || store.append(stream.clone(), ExpectedRevision::Any, vec![event.clone()]);
        let appended = match append().await {
            Err(AppendError::Unknown(_)) => append().await,
            known => known,
        };
        appended.map(drop).map_err(|error| {
            let kind = if matches!(error, AppendError::Full(_)) { &STORAGE_FULL } else { &UNAVAILABLE };
            Problem::new(
                kind,
                "It cannot be recorded now who opens personal data, so none is opened. Send the query again.",
            )
            .because(error)
        })
    }

    fn metadata(&self) -> Metadata {
        let now = Timestamp::from(jiff::Timestamp::now());
        Metadata {
            schema_version: 1,
            occurred_at: now,
            recorded_at: now,
            actor: self.caller.actor.clone(),
            command_id: self.request,
            request_hash: None,
            correlation_id: self.caller.correlation_id.clone(),
            causation_id: self.request,
            traceparent: self.caller.traceparent.clone(),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Opener {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let mut faults = Faults::new();
        let mut sent = parts.headers.get_all(REASON).iter();
        let reason = sent.next().and_then(|value| {
            let text = std::str::from_utf8(value.as_bytes()).ok().map(str::trim);
            let text = text.filter(|text| is_reason(text) && sent.next().is_none());
            if text.is_none() {
                let must = "must be one text of 1 to 200 characters; it names nobody";
                faults.header(REASON, must);
            }
            text.map(str::to_owned)
        });
        faults.check()?;
        let route = parts
            .extensions
            .get::<MatchedPath>()
            .map_or_else(|| parts.uri.path().to_owned(), |path| path.as_str().to_owned());
        Ok(Self { caller, route, reason, request: Uuid::new_v4() })
    }
}

fn is_reason(text: &str) -> bool {
    (1..=MAX_REASON).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}
