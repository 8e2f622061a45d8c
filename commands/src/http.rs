//! What the routes have in common: who asks for what under which key, and how it is answered.

use std::{panic::resume_unwind, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use event_schemas::{Currency, MAX_AMOUNT, Money, Position, Revision};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use infra::http::{
    At, Caller, Fault, Faults, Fields, IDEMPOTENCY_KEY_IN_FLIGHT, IDEMPOTENCY_REPLAYED, Json,
    MAX_BODY, POSITION, PREFERENCE_APPLIED, Problem, idempotency_key, parse_json, position_header,
    prefer_wait, preference_applied, read_body, without_parameters,
};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    Commands,
    context::{Context, Origin},
    idempotency::{Entered, command_id, request_hash},
};

/// The media types that a command's body may have.
pub(crate) const JSON: &[&str] = &["application/json"];
/// Those of a merge patch (RFC 7396).
pub(crate) const MERGE_PATCH: &[&str] = &["application/merge-patch+json", "application/json"];

/// A request, read but for the meaning of its body.
pub(crate) struct Incoming {
    caller: Caller,
    method: Method,
    path: String,
    pub(crate) headers: HeaderMap,
    key: Option<String>,
    body: Json,
}

/// What is wrong with a body: what breaks the schema (400) and what breaks a rule (422).
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) schema: Faults,
    pub(crate) rules: Faults,
}

impl Findings {
    /// # Errors
    /// 400 if the schema is broken, else 422 if a rule is.
    pub(crate) fn check(self) -> Result<(), Problem> {
        self.schema.check()?;
        self.rules.check_as(&infra::http::UNPROCESSABLE)
    }
}

/// The key without which a POST is refused; PUT and PATCH need none.
fn key_of(method: &Method, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let needed = method == Method::POST;
    let sent = headers.contains_key(&infra::http::IDEMPOTENCY_KEY);
    if needed || sent { idempotency_key(headers).map(Some) } else { Ok(None) }
}

/// Reads a request with a JSON body.
///
/// # Errors
/// The problem to answer with.
pub(crate) async fn read(
    caller: Caller,
    request: Request,
    media_types: &[&'static str],
) -> Result<Incoming, Problem> {
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let path = request.uri().path().to_owned();
    let key = key_of(&method, &headers)?;
    without_parameters(request.uri())?;
    let bytes = read_body(request, MAX_BODY, media_types).await?;
    let body = parse_json(&bytes).map_err(|faults| {
        let mut all = Faults::new();
        all.extend(faults);
        all.into_problem(&infra::http::BAD_REQUEST)
    })?;
    let mut faults = Faults::new();
    prefer_wait(&headers, &mut faults);
    faults.check()?;
    Ok(Incoming { caller, method, path, headers, key, body })
}

impl Incoming {
    /// Parses the body; all faults are told at once.
    ///
    /// # Errors
    /// 400 or 422.
    pub(crate) fn parse<T>(
        &mut self,
        parse: impl FnOnce(&mut Fields<'_>, &mut Faults) -> Option<T>,
    ) -> Result<T, Problem> {
        let body = std::mem::replace(&mut self.body, Json::Null);
        let mut findings = Findings::default();
        let mut fields = Fields::new(body, "#", &mut findings.schema);
        let parsed = parse(&mut fields, &mut findings.rules);
        fields.finish();
        findings.check()?;
        parsed.ok_or_else(|| Problem::internal("a body with no fault was not parsed"))
    }

    /// The context of the command: its id from caller, method, path and key, the hash of what it
    /// asks for, and the right to work on it.
    ///
    /// # Errors
    /// 409 if this node is at work on it already.
    pub(crate) fn enter<T: Serialize>(
        &self,
        commands: &Commands,
        asked: &T,
    ) -> Result<(Context, Entered), Problem> {
        let Caller { actor, correlation_id, traceparent, .. } = &self.caller;
        let command_id = match &self.key {
            Some(key) => command_id(&[&actor.id, self.method.as_str(), &self.path, key]),
            None => Uuid::new_v4(),
        };
        let entered = commands.0.in_flight.enter(command_id).ok_or_else(|| {
            Problem::new(
                &IDEMPOTENCY_KEY_IN_FLIGHT,
                "A request with this Idempotency-Key is being worked on. Send it again in a moment.",
            )
            .retry_after(1)
        })?;
        let origin = Origin {
            command_id,
            request_hash: Some(request_hash(commands.keys(), asked)),
            actor: actor.clone(),
            correlation_id: correlation_id.clone(),
            causation_id: command_id,
            traceparent: traceparent.clone(),
            occurred_at: None,
        };
        Ok((origin.into(), entered))
    }
}

/// An amount of the shop's currency at `name`.
pub(crate) fn money(
    fields: &mut Fields<'_>,
    name: &'static str,
    currency: Currency,
    rules: &mut Faults,
) -> Option<Money> {
    let pointer = fields.pointer_of(name);
    let mut object = fields.object(name)?;
    money_of(&mut object, &pointer, currency, rules).inspect(|_| object.finish())
}

/// The amount that an object is.
pub(crate) fn money_of(
    object: &mut Fields<'_>,
    pointer: &str,
    currency: Currency,
    rules: &mut Faults,
) -> Option<Money> {
    let amount = object.integer("amount", -MAX_AMOUNT..=MAX_AMOUNT);
    let code = object.text("currency", 1..=64);
    if code.as_deref().is_some_and(|code| code != currency.as_str()) {
        let at = format!("{pointer}/currency");
        rules.pointer(at, format!("the shop's one currency is {currency}"));
    }
    code?;
    Some(currency.money(amount?))
}

/// A price: an amount that is not below 0.
pub(crate) fn price(
    fields: &mut Fields<'_>,
    name: &'static str,
    currency: Currency,
    rules: &mut Faults,
) -> Option<Money> {
    let pointer = fields.pointer_of(name);
    let found = money(fields, name, currency, rules)?;
    if found.amount < 0 {
        rules.pointer(format!("{pointer}/amount"), "a price is 0 or more");
    }
    Some(found)
}

/// An answer to a command.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    pub(crate) location: Option<String>,
    pub(crate) position: Option<Position>,
    pub(crate) replayed: bool,
    pub(crate) revision: Option<Revision>,
    /// Whether it holds personal data, which nobody may keep.
    pub(crate) personal: bool,
}

impl Answer {
    /// A whole resource. A POST that makes something is `CREATED`, all else `OK`.
    pub(crate) fn of<T: Serialize>(status: StatusCode, resource: &T) -> Result<Self, Problem> {
        let body = serde_json::to_vec(resource).map_err(Problem::internal)?;
        Ok(Self {
            status,
            body,
            location: None,
            position: None,
            replayed: false,
            revision: None,
            personal: false,
        })
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(location) = self.location.and_then(|path| HeaderValue::try_from(path).ok()) {
            headers.insert(header::LOCATION, location);
        }
        if let Some(revision) = self.revision {
            headers.insert(header::ETAG, infra::http::etag(revision));
        }
        if self.replayed {
            headers.insert(&IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        }
        if self.personal {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        response.extensions_mut().insert(LoggedAt(self.position));
        response
    }
}

/// Where the events of an answer stand, for [`position`].
#[derive(Clone, Copy)]
pub(crate) struct LoggedAt(pub(crate) Option<Position>);

/// Carries a command out to its end, also if the caller goes away: until then its key is in flight.
/// Gives every answer its `Daybook-Position`, and holds what was answered from the log until that
/// is posted if `Prefer: wait` asks for it.
pub(crate) async fn position(
    State(commands): State<Commands>,
    request: Request,
    next: Next,
) -> Response {
    let wait = prefer_wait(request.headers(), &mut Faults::new());
    let mut response = match tokio::spawn(next.run(request)).await {
        Ok(response) => response,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(ended) => return Problem::internal(ended).into_response(),
        },
    };
    let logged = response.extensions_mut().remove::<LoggedAt>();
    let known = logged.and_then(|at| at.0);
    let Ok(at) = commands.log_position(known).await else { return response };
    response.headers_mut().insert(&POSITION, position_header(&at));
    if let (Some(wait), Some(posted)) = (wait, &commands.0.settings.posted) {
        if logged.is_some() && wait > Duration::ZERO {
            posted(at.position, wait).await;
        }
        response.headers_mut().insert(&PREFERENCE_APPLIED, preference_applied(wait));
    }
    response
}

/// A fault in the body that only the state of the shop can tell.
pub(crate) fn at_pointer(pointer: String, detail: impl Into<String>) -> Fault {
    Fault { detail: detail.into(), at: At::Pointer(pointer) }
}
