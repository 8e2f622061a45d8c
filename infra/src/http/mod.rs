//! HTTP with no business noun in it: strict JSON and query strings, headers, problems (RFC 9457),
//! cursors, and a server whose one outermost service gives every answer its common face.

mod answer;
mod body;
mod caller;
mod conditions;
mod connection;
mod cursor;
mod fault;
mod fields;
mod headers;
mod json;
mod kinds;
mod measure;
pub mod openapi;
mod problem;
mod query;
mod request_id;
mod server;

pub use answer::{Frame, frame, preference_applied};
pub use body::{MAX_BODY, read_body};
pub use caller::Caller;
pub use conditions::{EntityTags, etag, if_match, if_none_match};
pub use cursor::{Cursor, CursorValue};
pub use fault::{At, Fault, Faults, member_pointer};
pub use fields::{Fields, id_of, integer_of, is_id, text_of};
pub use headers::{
    ACTOR, IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED, POSITION, PREFERENCE_APPLIED, REQUEST_ID,
    idempotency_key, position_header, position_in, prefer_wait, wanted_position,
};
pub use json::{Json, parse_json};
pub use kinds::*;
pub use problem::{FaultDocument, Problem, ProblemDocument, ProblemKind};
pub use query::{Query, without_parameters};
pub use request_id::RequestId;
pub use server::{Draining, HttpOptions, listen, serve};
