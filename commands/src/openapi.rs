use std::collections::HashMap;

use infra::http::{
    BAD_REQUEST, IDEMPOTENCY_KEY_IN_FLIGHT, IDEMPOTENCY_KEY_MALFORMED, IDEMPOTENCY_KEY_MISSING,
    IDEMPOTENCY_KEY_REUSED, INTERNAL, MISDIRECTED, NOT_FOUND, OUTCOME_UNKNOWN, OVERLOADED,
    PAYLOAD_TOO_LARGE, ProblemKind, STORAGE_FULL, TOO_LARGE, UNAVAILABLE, UNSUPPORTED_MEDIA_TYPE,
    openapi::{add_header, add_parameter, add_problems},
};
use utoipa::{
    OpenApi,
    openapi::{
        Ref, RefOr, Required, Schema, Type,
        path::{Operation, ParameterIn},
        schema::AdditionalProperties,
    },
};

use crate::routes::{
    add_variant, adjust_stock, cancel_order, change_order, change_product, create_product,
    deliver_order, dispatch_order, forget_user, place_order, receive_stock, register_user,
    set_price,
};

/// The commands' part of the program's OpenAPI document.
#[derive(OpenApi)]
#[openapi(paths(
    create_product::route,
    change_product::route,
    add_variant::route,
    set_price::route,
    receive_stock::route,
    adjust_stock::route,
    register_user::route,
    forget_user::route,
    place_order::route,
    cancel_order::route,
    dispatch_order::route,
    deliver_order::route,
))]
struct Document;

/// What each command may answer beside what any of them may.
fn problems() -> HashMap<&'static str, &'static [&'static ProblemKind]> {
    HashMap::from([
        ("create_product", create_product::PROBLEMS),
        ("change_product", change_product::PROBLEMS),
        ("add_variant", add_variant::PROBLEMS),
        ("set_price", set_price::PROBLEMS),
        ("receive_stock", receive_stock::PROBLEMS),
        ("adjust_stock", adjust_stock::PROBLEMS),
        ("register_user", register_user::PROBLEMS),
        ("forget_user", forget_user::PROBLEMS),
        ("place_order", place_order::PROBLEMS),
        ("cancel_order", change_order::PROBLEMS),
        ("dispatch_order", change_order::PROBLEMS),
        ("deliver_order", change_order::PROBLEMS),
    ])
}

/// What any command may answer.
static COMMON: [&ProblemKind; 12] = [
    &BAD_REQUEST,
    &IDEMPOTENCY_KEY_IN_FLIGHT,
    &PAYLOAD_TOO_LARGE,
    &UNSUPPORTED_MEDIA_TYPE,
    &MISDIRECTED,
    &IDEMPOTENCY_KEY_REUSED,
    &TOO_LARGE,
    &INTERNAL,
    &OVERLOADED,
    &UNAVAILABLE,
    &STORAGE_FULL,
    &OUTCOME_UNKNOWN,
];

/// The OpenAPI document of the commands. It is to be merged into that of the queries, which has
/// the schemas of what is answered: `Order`, `Product`, `Stock`, `User`, `Money` and `Problem`.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    let problems = problems();
    for (path, item) in &mut document.paths.paths {
        let (post, others) = (item.post.as_mut(), [item.patch.as_mut(), item.put.as_mut()]);
        let operations = post.into_iter().map(|post| (post, Required::True));
        let others = others.into_iter().flatten().map(|other| (other, Required::False));
        for (operation, key) in operations.chain(others) {
            let id = operation.operation_id.as_deref().unwrap_or_default();
            let own = problems.get(id).copied().unwrap_or_default();
            complete(path, operation, key, own);
        }
    }
    let bodies = document.components.iter_mut().flat_map(|components| &mut components.schemas);
    for (_, body) in bodies {
        if let RefOr::T(Schema::Object(object)) = body {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        }
    }
    document
}

/// Adds what all operations of a kind have in common.
fn complete(path: &str, operation: &mut Operation, key: Required, own: &[&'static ProblemKind]) {
    let mut header = |name, needed, description, example: &str| {
        let place = ParameterIn::Header;
        add_parameter(operation, place, name, Type::String, description, example);
        let added = operation.parameters.as_mut().and_then(|all| all.last_mut());
        if let Some(RefOr::T(added)) = added {
            added.required = needed;
        }
    };
    let name = "Idempotency-Key";
    let what = "1 to 255 visible ASCII characters of the caller's own choosing, quoted or bare, new for each thing to be done. The same request with the same key is done at most once and gets the first answer again. Its scope is caller, method and path";
    header(name, key.clone(), what, "5f6a2c9e-order-1");
    let what = "Who acts: an id; `anonymous` without it";
    header("Daybook-Actor", Required::False, what, "ada");
    let what = "wait=0 to wait=30: holds the answer until the queries have posted it, or the seconds are over; the status is the same";
    header("Prefer", Required::False, what, "wait=5");
    let what = "What it belongs to, an id; Request-Id unless given. It stands in the log beside every event";
    header("Correlation-Id", Required::False, what, "checkout-7");
    let what = "An id of the caller's own for this request";
    header("Request-Id", Required::False, what, "my-request-1");

    if matches!(key, Required::True) {
        add_problems(operation, [&IDEMPOTENCY_KEY_MISSING]);
    }
    add_problems(operation, [&IDEMPOTENCY_KEY_MALFORMED]);
    add_problems(operation, own.iter().copied());
    if path.contains('{') {
        add_problems(operation, [&NOT_FOUND]);
    }
    add_problems(operation, COMMON);

    let replayed = "`true` if this is the answer that the request got before";
    add_header(operation, "2", "Idempotency-Replayed", replayed);
    add_header(operation, "2", "Preference-Applied", "Answers Prefer");
    let position =
        "Where what was done stands in the log: sent with a query, its answer includes it";
    add_header(operation, "", "Daybook-Position", position);
    add_header(operation, "", "Request-Id", "The caller's id if it sent one, else a new one");
    add_header(operation, "415", "Accept", "The media types that it takes");
    add_header(operation, "503", "Retry-After", "Seconds");
}

/// An amount of the shop's currency.
pub(crate) fn money() -> Ref {
    Ref::from_schema_name("Money")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_route_is_in_the_document_and_nothing_else() {
        let document = openapi();
        let described: BTreeSet<&str> = document.paths.paths.keys().map(String::as_str).collect();
        let routes = crate::routes::routes();
        let there: BTreeSet<&str> = routes.iter().map(|(path, _)| *path).collect();
        assert_eq!(described, there);
        assert_eq!(problems().len(), there.len());
    }

    #[test]
    fn every_kind_of_problem_is_an_answer_of_some_command() {
        let document = serde_json::to_value(openapi()).unwrap();
        let mut told = BTreeSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                for answer in operation["responses"].as_object().unwrap().values() {
                    let problem = &answer["content"]["application/problem+json"]["examples"];
                    told.extend(
                        problem.as_object().into_iter().flat_map(|all| all.keys().cloned()),
                    );
                }
            }
        }
        for kind in crate::KINDS {
            assert!(told.contains(kind.name), "{}", kind.name);
        }
    }

    #[test]
    fn what_it_refers_to_is_in_it_or_among_the_answers_of_the_queries() {
        fn references(value: &Value, found: &mut BTreeSet<String>) {
            match value {
                Value::Object(members) => {
                    let target = members.get("$ref").and_then(Value::as_str);
                    found.extend(target.map(str::to_owned));
                    members.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = serde_json::to_value(openapi()).unwrap();
        let own = document["components"]["schemas"].as_object().unwrap();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        let foreign =
            found.iter().filter_map(|target| target.strip_prefix("#/components/schemas/"));
        let foreign: Vec<&str> = foreign.filter(|name| !own.contains_key(*name)).collect();
        assert_eq!(foreign, ["Money", "Order", "Problem", "Product", "Stock", "User"]);
    }
}
