use infra::http::{
    BAD_REQUEST, FaultDocument, IDEMPOTENCY_KEY_MALFORMED, IDEMPOTENCY_KEY_MISSING, INTERNAL,
    MISDIRECTED, NOT_FOUND, NOT_YET_POSTED, PROJECTION_DIVERGED, PROJECTION_STOPPED,
    ProblemDocument, STORAGE_FULL, UNAVAILABLE,
    openapi::{add_header, add_parameter, add_problems},
};
use utoipa::{
    OpenApi,
    openapi::{
        RefOr, Required, Type,
        path::{Operation, ParameterIn},
    },
};

use crate::{
    answers,
    audit::{AUDIT_DIFFERENT, AUDIT_UNAVAILABLE},
    projections::{ALREADY_REBUILDING, NO_PROJECTOR},
    reports::sales::REPORT_TOO_LARGE,
};

/// The queries' part of the program's OpenAPI document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Daybook",
        description = "A commerce backend on an event log. HEAD is answered wherever GET is. JSON is strict: unknown or doubled members and parameters are refused. Every error is a problem (RFC 9457) whose `type` explains it in plain words. Times go out in UTC with six digits of a second; money is in minor units.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        crate::orders::list::list,
        crate::orders::one::order,
        crate::orders::history::history,
        crate::stock::list::list,
        crate::stock::one::stock,
        crate::products::list::list,
        crate::products::search::search,
        crate::products::one::product,
        crate::users::list::list,
        crate::users::one::user,
        crate::users::summary::summary,
        crate::users::export::export,
        crate::past::at::order,
        crate::past::at::stock,
        crate::past::at::product,
        crate::past::at::user,
        crate::past::trail::trail,
        crate::past::history::stock,
        crate::past::history::product,
        crate::past::history::user,
        crate::reports::sales::sales,
        crate::events::page::events,
        crate::events::live::live,
        crate::projections::projections,
        crate::projections::rebuild,
        crate::audit::head,
        crate::audit::proof,
        crate::health::live,
        crate::health::ready,
        crate::process::metrics,
        crate::process::openapi,
        crate::docs::docs,
        crate::problems::problem,
        crate::process::root,
    ),
    components(schemas(
        ProblemDocument, FaultDocument, answers::Money, answers::Order, answers::Stock,
        answers::Product, answers::Variant, answers::User,
    )),
    tags(
        (name = "orders", description = "Orders"),
        (name = "products", description = "Products and the search for them"),
        (name = "stock", description = "Stock"),
        (name = "users", description = "Users"),
        (name = "reports", description = "Reports"),
        (name = "log", description = "The log of events, and how far the read models are posted from it"),
        (name = "process", description = "The process itself"),
    ),
)]
struct Document;

/// The OpenAPI document of the queries. The commands' part is merged into it.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    for (path, item) in &mut document.paths.paths {
        if let Some(operation) = &mut item.get {
            complete(path, operation);
        }
        if let Some(operation) = &mut item.post {
            complete_rebuild(operation);
        }
    }
    document
}

/// The one thing that is asked for here and is no query.
fn complete_rebuild(operation: &mut Operation) {
    let (place, text) = (ParameterIn::Header, Type::String);
    let key = "Any text of 1 to 255 visible ASCII characters; whether one is under way is looked at anew each time";
    add_parameter(operation, place.clone(), "Idempotency-Key", text.clone(), key, "rebuild-1");
    if let Some(RefOr::T(key)) = operation.parameters.as_mut().and_then(|all| all.last_mut()) {
        key.required = Required::True;
    }
    let id = "An id of the caller's own for this request";
    add_parameter(operation, place, "Request-Id", text, id, "my-request-1");
    add_problems(
        operation,
        [
            &BAD_REQUEST,
            &IDEMPOTENCY_KEY_MISSING,
            &IDEMPOTENCY_KEY_MALFORMED,
            &NOT_FOUND,
            &ALREADY_REBUILDING,
            &NO_PROJECTOR,
            &MISDIRECTED,
            &UNAVAILABLE,
            &INTERNAL,
        ],
    );
    add_header(operation, "202", "Location", "Where to ask how far it is");
    add_header(operation, "", "Request-Id", "The caller's id if it sent one, else a new one");
    add_header(operation, "503", "Retry-After", "Seconds");
}

/// Adds what all operations of a kind have in common.
fn complete(path: &str, operation: &mut Operation) {
    let header = |operation: &mut Operation, name, description, example: &str| {
        add_parameter(operation, ParameterIn::Header, name, Type::String, description, example);
    };
    let id = operation.operation_id.clone().unwrap_or_default();
    if id.starts_with("list_") && id != "list_projections" || id.starts_with("search_") {
        let query = ParameterIn::Query;
        let limit = "Items in a page, 1 to 1000; 50 unless given";
        add_parameter(operation, query.clone(), "limit", Type::Integer, limit, 50);
        let cursor = "`next` of the page before; the other parameters have to be the same";
        add_parameter(operation, query, "cursor", Type::String, cursor, "");
    }
    if id.ends_with("_at") {
        let mut moment = |name, kind, description, example: &str| {
            let place = ParameterIn::Query;
            add_parameter(operation, place, name, kind, description, example);
        };
        moment("time", Type::String, "At this time", "2026-11-21T09:15:00Z");
        let clock = "What the time is of: `recorded` (unless given), what was known then, or `occurred`, what was so then as known now";
        moment("clock", Type::String, clock, "recorded");
        moment("position", Type::Integer, "At this position of the log", "");
        let revision = "After this event of its stream; the first is 0";
        moment("revision", Type::Integer, revision, "");
    }
    if path.starts_with("/v1/") {
        let position = "Waits until the answer includes what stands in the log up to there; take it from the answer to a command";
        let example = "8e03978e-40d5-43dd-bc93-6894a57f9324:42";
        header(operation, "Daybook-Position", position, example);
        let prefer =
            "How long to wait for Daybook-Position: wait=0 to wait=30 seconds; 2 unless given";
        header(operation, "Prefer", prefer, "wait=5");
        add_header(
            operation,
            "2",
            "Daybook-Position",
            "How far the rows of this answer are posted",
        );
        add_header(operation, "2", "Preference-Applied", "Answers Prefer");
        add_problems(
            operation,
            [
                &BAD_REQUEST,
                &NOT_YET_POSTED,
                &PROJECTION_STOPPED,
                &PROJECTION_DIVERGED,
                &UNAVAILABLE,
            ],
        );
    }
    if path.contains('{') {
        add_problems(operation, [&NOT_FOUND]);
    }
    if matches!(id.as_str(), "list_users" | "get_user" | "get_user_at" | "export_user") {
        let actor = "Who opens what is personal, an id; `anonymous` without it. It is recorded";
        header(operation, "Daybook-Actor", actor, "ada");
        let reason = "Why, 1 to 200 characters. It is recorded";
        header(operation, "Daybook-Reason", reason, "a call of the customer");
        add_problems(operation, [&STORAGE_FULL]);
    }
    if path == "/v1/reports/sales" {
        add_problems(operation, [&REPORT_TOO_LARGE]);
    }
    if path.starts_with("/v1/audit/") && path != "/v1/audit/trail" {
        add_problems(operation, [&AUDIT_UNAVAILABLE]);
    }
    if path == "/v1/audit/proof" {
        add_problems(operation, [&NOT_FOUND, &AUDIT_DIFFERENT]);
    }
    header(operation, "Request-Id", "An id of the caller's own for this request", "my-request-1");
    add_problems(operation, [&MISDIRECTED, &INTERNAL]);
    add_header(operation, "", "Request-Id", "The caller's id if it sent one, else a new one");
    add_header(operation, "503", "Retry-After", "Seconds");
}
