use std::fmt;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Fault, INTERNAL};

/// A kind of problem: what `/problems/NAME` explains.
#[derive(Debug, PartialEq, Eq)]
pub struct ProblemKind {
    /// The last segment of its `type`.
    pub name: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The same for every occurrence.
    pub title: &'static str,
    /// What it means and what to do, in plain words.
    pub explanation: &'static str,
}

/// A problem (RFC 9457) on its way out: the outermost service renders it.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: &'static ProblemKind,
    detail: String,
    members: Vec<(&'static str, Value)>,
    errors: Vec<Fault>,
    headers: Vec<(HeaderName, HeaderValue)>,
    retry_after: Option<u32>,
    cause: Option<String>,
}

impl Problem {
    /// A problem; `detail` says to the caller what to do.
    pub fn new(kind: &'static ProblemKind, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            detail: detail.into(),
            members: Vec::new(),
            errors: Vec::new(),
            headers: Vec::new(),
            retry_after: (kind.status == 503).then_some(1),
            cause: None,
        }))
    }

    /// 500: `cause` is logged and never told to the caller.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::new(
            &INTERNAL,
            "Something went wrong inside the server. Send it again; if it goes on, give request_id to whoever runs the server.",
        )
        .because(cause)
    }

    /// A further member.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.members.push((name, value.into()));
        self
    }

    /// The faults, in `errors`.
    #[must_use]
    pub fn errors(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.0.errors.extend(faults);
        self
    }

    /// `Retry-After`, in seconds. A 503 has 1 unless given.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// A further header of the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// What lies behind it: logged once with the request's id, never told to the caller.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// Its kind.
    pub const fn kind(&self) -> &'static ProblemKind {
        self.0.kind
    }

    /// What it tells the caller.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The faults that it lists.
    pub fn faults(&self) -> &[Fault] {
        &self.0.errors
    }

    /// A member given by [`Problem::with`].
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.0.members.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub(super) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The document as it goes out.
    pub(super) fn document(&self, request_id: &str) -> Vec<u8> {
        let mut members = Map::new();
        for (name, value) in &self.0.members {
            members.insert((*name).to_owned(), value.clone());
        }
        let document = Rendered {
            kind: format!("/problems/{}", self.0.kind.name),
            title: self.0.kind.title,
            status: self.0.kind.status,
            detail: &self.0.detail,
            request_id,
            errors: &self.0.errors,
            members,
        };
        serde_json::to_vec(&document).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Rendered<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
    #[serde(flatten)]
    members: Map<String, Value>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0.kind.status, self.0.kind.name, self.0.detail)
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    /// Status and headers; the body is made by the outermost service, which knows the request.
    fn into_response(mut self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = self.status();
        for (name, value) in self.0.headers.drain(..) {
            response.headers_mut().append(name, value);
        }
        if let Some(seconds) = self.0.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// A problem as it goes out, for the OpenAPI document.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem, description = "RFC 9457. Further members belong to the kind of problem; GET of `type` explains it in plain words.")]
pub struct ProblemDocument {
    /// `/problems/NAME`.
    #[serde(rename = "type")]
    #[schema(example = "/problems/bad-request")]
    pub kind: String,
    /// The same for every problem of this type.
    pub title: String,
    /// The HTTP status.
    #[schema(example = 400)]
    pub status: u16,
    /// What to do.
    pub detail: String,
    /// The request's id, as in the header `Request-Id`.
    pub request_id: String,
    /// Every fault found, at most 20; each 400 and 422 has them.
    #[schema(required = false)]
    pub errors: Vec<FaultDocument>,
}

/// A fault as it goes out; one of `pointer`, `parameter` and `header` says where it is.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Fault)]
pub struct FaultDocument {
    /// What is wrong and what to do.
    pub detail: String,
    /// A JSON pointer into the body, as a URI fragment.
    #[schema(example = "#/lines/0/quantity")]
    pub pointer: Option<String>,
    /// A parameter of the query string.
    pub parameter: Option<String>,
    /// A header.
    pub header: Option<String>,
}
