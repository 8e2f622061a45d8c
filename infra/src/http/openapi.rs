//! What the OpenAPI documents of several crates have in common.

use serde_json::{Value, json};
use utoipa::openapi::{
    Content, ContentBuilder, ObjectBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Type,
    example::ExampleBuilder,
    header::HeaderBuilder,
    path::{Operation, Parameter, ParameterBuilder, ParameterIn},
    schema::SchemaType,
};

use super::ProblemKind;

/// Adds a parameter to an operation.
pub fn add_parameter(
    operation: &mut Operation,
    place: ParameterIn,
    name: &str,
    kind: Type,
    description: &str,
    example: impl Into<Value>,
) {
    let schema = ObjectBuilder::new().schema_type(SchemaType::new(kind));
    let parameter: Parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .example(Some(example.into()))
        .build();
    operation.parameters.get_or_insert_default().push(RefOr::T(parameter));
}

/// Adds a header to every answer of an operation whose status begins with `status`.
pub fn add_header(operation: &mut Operation, status: &str, name: &str, description: &str) {
    for (_, response) in
        operation.responses.responses.iter_mut().filter(|(known, _)| known.starts_with(status))
    {
        let RefOr::T(response) = response else { continue };
        let schema = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
        let header =
            HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build();
        response.headers.insert(name.to_owned(), RefOr::T(header));
    }
}

/// Adds the problems that an operation may answer with, an example each.
pub fn add_problems<'k>(
    operation: &mut Operation,
    kinds: impl IntoIterator<Item = &'k ProblemKind>,
) {
    for kind in kinds {
        let response = operation
            .responses
            .responses
            .entry(kind.status.to_string())
            .or_insert_with(|| RefOr::T(empty()));
        let RefOr::T(response) = response else { continue };
        let content = response
            .content
            .entry("application/problem+json".to_owned())
            .or_insert_with(|| RefOr::T(problem()));
        let RefOr::T(content) = content else { continue };
        if response.description.is_empty() {
            kind.title.clone_into(&mut response.description);
        } else if !response.description.contains(kind.title) {
            response.description = format!("{}; {}", response.description, kind.title);
        }
        let example = ExampleBuilder::new().summary(kind.title).value(Some(example(kind))).build();
        content.examples.insert(kind.name.to_owned(), RefOr::T(example));
    }
}

fn empty() -> Response {
    ResponseBuilder::new().build()
}

fn problem() -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build()
}

fn example(kind: &ProblemKind) -> Value {
    let detail = kind.explanation.split_inclusive(". ").next().unwrap_or_default().trim();
    let mut document = json!({
        "type": format!("/problems/{}", kind.name),
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "request_id": "0b3f1f0e-7a52-4c3b-9f0e-2f6d1c9b8a77",
    });
    if matches!(kind.status, 400 | 422) {
        document["errors"] = json!([{ "detail": detail, "pointer": "#/lines/0/quantity" }]);
    }
    document
}
