//! `/docs`: the OpenAPI document as one page that needs nothing from elsewhere.

use std::fmt::Write as _;

use axum::{extract::State, response::Response};
use serde_json::Value;

use crate::{QueryState, process::typed};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f5f5f5;padding:.8rem;overflow:auto}\
summary{cursor:pointer;padding:.3rem 0}summary b{display:inline-block;min-width:4rem}\
details details{margin-left:1rem}table{border-collapse:collapse;width:100%}\
td,th{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0;border-bottom:1px solid #ddd}\
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}pre{background:#262626}a{color:#8bf}td,th{border-color:#444}}";

/// The documentation for people
#[utoipa::path(
    get, path = "/docs", tag = "process", operation_id = "get_docs",
    responses((status = 200, description = "A page", body = String, content_type = "text/html"))
)]
pub(crate) async fn docs(State(state): State<QueryState>) -> Response {
    typed("text/html; charset=utf-8", state.docs.clone())
}

/// Text as it may stand in HTML, attributes included.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The page of an OpenAPI document.
pub(crate) fn page(document: &Value) -> String {
    let info = &document["info"];
    let title = text(&info["title"]);
    let mut html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style><h1>{title} {}</h1><p>{}<p><a href=/openapi.json>The OpenAPI document</a>",
        text(&info["version"]),
        text(&info["description"]),
    );
    for tag in document["tags"].as_array().into_iter().flatten() {
        let _ = write!(html, "<h2>{}</h2>", text(&tag["description"]));
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let tags = operation["tags"].as_array();
                if tags.is_some_and(|tags| tags.contains(&tag["name"])) {
                    html.push_str(&show_operation(method, path, operation));
                }
            }
        }
    }
    html.push_str("<h2>Shapes</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let _ = write!(
            html,
            "<details id=\"{0}\"><summary><code>{0}</code></summary>{1}{2}</details>",
            escaped(name),
            paragraph(&schema["description"]),
            show_members(schema),
        );
    }
    html.push_str("</html>");
    html
}

fn show_operation(method: &str, path: &str, operation: &Value) -> String {
    let mut html = format!(
        "<details id=\"{}\"><summary><b>{}</b> <code>{}</code> {}</summary>{}",
        text(&operation["operationId"]),
        escaped(&method.to_uppercase()),
        escaped(path),
        text(&operation["summary"]),
        paragraph(&operation["description"]),
    );
    if let Some(parameters) = operation["parameters"].as_array() {
        html.push_str("<table><tr><th>Parameter<th>In<th>Type<th>Meaning");
        for parameter in parameters {
            let required = if parameter["required"] == true { " (required)" } else { "" };
            let _ = write!(
                html,
                "<tr><td><code>{}</code>{required}<td>{}<td>{}<td>{}",
                text(&parameter["name"]),
                text(&parameter["in"]),
                show_type(&parameter["schema"]),
                text(&parameter["description"]),
            );
        }
        html.push_str("</table>");
    }
    if let Some(body) = operation.get("requestBody") {
        html.push_str("<p>Body");
        html.push_str(&show_content(&body["content"]));
    }
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let _ = write!(
            html,
            "<details><summary>{} {}</summary>{}</details>",
            escaped(status),
            text(&response["description"]),
            show_content(&response["content"]),
        );
    }
    html.push_str("</details>");
    html
}

fn show_content(content: &Value) -> String {
    let mut html = String::new();
    for (media_type, content) in content.as_object().into_iter().flatten() {
        let shape = show_type(&content["schema"]);
        let _ = write!(html, "<p><code>{}</code> {shape}", escaped(media_type));
        let named = content["examples"].as_object().into_iter().flatten();
        let examples = named.map(|(_, example)| &example["value"]).chain(content.get("example"));
        for example in examples {
            let pretty = serde_json::to_string_pretty(example).unwrap_or_default();
            let _ = write!(html, "<pre>{}</pre>", escaped(&pretty));
        }
    }
    html
}

fn show_members(schema: &Value) -> String {
    let mut html = String::from("<table>");
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let required = schema["required"].as_array();
        let always = required.is_some_and(|names| names.iter().any(|known| known == name));
        let _ = write!(
            html,
            "<tr><td><code>{}</code>{}<td>{}<td>{}",
            escaped(name),
            if always { "" } else { " (may be missing)" },
            show_type(member),
            text(&member["description"]),
        );
    }
    html.push_str("</table>");
    html
}

fn show_type(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#{0}\">{0}</a>", escaped(name));
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(schemas) = schema[key].as_array() {
            return schemas.iter().map(show_type).collect::<Vec<_>>().join(" or ");
        }
    }
    match &schema["type"] {
        Value::String(name) if name == "array" => {
            format!("list of {}", show_type(&schema["items"]))
        }
        Value::String(name) => escaped(name),
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).map(escaped).collect::<Vec<_>>().join(" or ")
        }
        _ => String::new(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map(escaped).unwrap_or_default()
}

fn paragraph(value: &Value) -> String {
    value.as_str().map(|text| format!("<p>{}", escaped(text))).unwrap_or_default()
}
