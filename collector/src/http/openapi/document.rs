//! The document, put together from the list of endpoints and their descriptions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::codes::{self, Code};
use super::operation::{Answer, Body, JSON, Operation, Shape};
use super::schemas::Schemas;
use crate::access::permission::Permission;
use crate::access::role::Role;
use crate::config::MetricsAccess;
use crate::http::endpoints::{ENDPOINTS, Endpoint, Needs};

pub(super) fn document(metrics: MetricsAccess) -> Value {
    let mut schemas = Schemas::new();
    let error = schemas.written(Shape::Of(|generator| generator.subschema_for::<crate::http::error::Body>()));
    let mut responses = Map::new();
    let mut paths: Map<String, Value> = Map::new();
    for operation in super::operations() {
        let Some(needs) = needs(&operation, metrics) else { continue };
        let described = describe(&operation, needs, &mut schemas, &error, &mut responses);
        let path = operation.path.replace("{*", "{");
        let methods = paths.entry(path).or_insert_with(|| Map::new().into());
        if let Some(methods) = methods.as_object_mut() {
            methods.insert(operation.method.to_ascii_lowercase(), described);
        }
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sentinel collector",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": TAGS.map(|(name, description)| json!({"name": name, "description": description})),
        "paths": paths,
    });
    let components = schemas.components(&mut document);
    if let Some(members) = document.as_object_mut() {
        let schemes = json!({
            "token": {"type": "http", "scheme": "bearer", "description":
                "A token of the configuration, an API key, a token of the identity provider, or a session of a wallet."},
            "firstToken": {"type": "http", "scheme": "bearer", "description":
                "The token that a collector without an admin prints at its start. It works once, for an hour."},
        });
        members.insert(
            "components".to_owned(),
            json!({"schemas": components, "responses": responses, "securitySchemes": schemes}),
        );
    }
    document
}

fn needs(operation: &Operation, metrics: MetricsAccess) -> Option<Needs> {
    let is_it = |endpoint: &&Endpoint| (endpoint.method, endpoint.path) == (operation.method, operation.path);
    let listed = ENDPOINTS.iter().find(is_it)?.needs;
    match (operation.path, metrics) {
        ("/metrics", MetricsAccess::Anyone) => Some(Needs::Nothing),
        _ => Some(listed),
    }
}

fn describe(
    operation: &Operation,
    needs: Needs,
    schemas: &mut Schemas,
    error: &Value,
    responses: &mut Map<String, Value>,
) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": answers(operation, needs, schemas, error, responses),
    });
    let mut say = |name: &str, value: Value| set(&mut described, name, value);
    if let Some(description) = operation.description {
        say("description", description.into());
    }
    if !operation.parameters.is_empty() {
        say("parameters", operation.parameters.iter().map(|parameter| parameter.document()).collect());
    }
    if let Some(body) = &operation.body {
        say("requestBody", request_body(body, schemas));
    }
    let (scheme, access) = match needs {
        Needs::Nothing => (None, "anyone"),
        Needs::OwnProof => (operation.proof, "own_proof"),
        Needs::AnyRole => (Some("token"), "any_role"),
        Needs::Allowed(_) => (Some("token"), "permission"),
    };
    say("security", scheme.map(|scheme| json!({ scheme: [] })).into_iter().collect());
    say("x-access", access.into());
    if let Needs::Allowed(permission) = needs {
        say("x-permission", permission.name().into());
    }
    if let Some(roles) = roles(needs) {
        say("x-roles", roles.into());
    }
    described
}

/// Those that may use it; `None` where roles do not matter.
fn roles(needs: Needs) -> Option<Vec<&'static str>> {
    let may = |role: &Role| match needs {
        Needs::Nothing | Needs::OwnProof => None,
        Needs::AnyRole => Some(true),
        Needs::Allowed(permission) => Some(role.permissions().has(permission)),
    };
    let asked: Option<Vec<(Role, bool)>> =
        Role::ALL.into_iter().map(|role| may(&role).map(|may| (role, may))).collect();
    asked.map(|asked| asked.into_iter().filter(|(_, may)| *may).map(|(role, _)| role.name()).collect())
}

fn request_body(body: &Body, schemas: &mut Schemas) -> Value {
    let mut content = json!({"schema": schemas.read(body.shape)});
    if let Some(example) = &body.example {
        set(&mut content, "example", example.clone());
    }
    json!({"required": body.is_required, "content": {body.media: content}})
}

fn answers(
    operation: &Operation,
    needs: Needs,
    schemas: &mut Schemas,
    error: &Value,
    responses: &mut Map<String, Value>,
) -> Value {
    let mut all = Map::new();
    for Answer { status, about, content, headers } in &operation.answers {
        let mut answer = json!({"description": about});
        if !content.is_empty() {
            let media = |(media, shape): &(&str, Shape)| {
                ((*media).to_owned(), json!({"schema": schemas.written(*shape)}))
            };
            set(&mut answer, "content", content.iter().map(media).collect::<Map<_, _>>().into());
        }
        if !headers.is_empty() {
            let header = |(name, about): &(&str, &str)| {
                let is_always_there = *name != "x-sentinel-candidate";
                let header =
                    json!({"description": about, "required": is_always_there, "schema": {"type": "string"}});
                ((*name).to_owned(), header)
            };
            set(&mut answer, "headers", headers.iter().map(header).collect::<Map<_, _>>().into());
        }
        all.insert(status.to_string(), answer);
    }
    for (status, codes) in codes_of(operation, needs) {
        // A status that also has an answer of its own has the form of that.
        if all.contains_key(&status.to_string()) {
            continue;
        }
        let name: Vec<String> = codes.iter().map(|code| pascal(code.word)).collect();
        let name = name.join("Or");
        all.insert(status.to_string(), json!({"$ref": format!("#/components/responses/{name}")}));
        responses.entry(name).or_insert_with(|| response(status, &codes, error));
    }
    all.into()
}

/// By status, in the order of the table of codes.
fn codes_of(operation: &Operation, needs: Needs) -> BTreeMap<u16, Vec<&'static Code>> {
    let mut words: BTreeSet<&str> = operation.codes.iter().copied().collect();
    if matches!(needs, Needs::AnyRole | Needs::Allowed(_)) {
        words.extend(["unauthorized", "too_many_failures", "store_unavailable"]);
    }
    if let Needs::Allowed(permission) = needs {
        words.insert("forbidden");
        if matches!(permission, Permission::Deploy | Permission::PushBundle | Permission::Feedback) {
            words.insert("no_admin_token");
        }
    }
    let mut by_status: BTreeMap<u16, Vec<&'static Code>> = BTreeMap::new();
    for code in words.into_iter().filter_map(codes::find) {
        by_status.entry(code.status).or_default().push(code);
    }
    by_status
}

fn response(status: u16, codes: &[&Code], error: &Value) -> Value {
    let said: Vec<String> = codes.iter().map(|code| format!("`{}`: {}", code.word, code.about)).collect();
    let words: Vec<&str> = codes.iter().map(|code| code.word).collect();
    let mut schema = error.clone();
    set(&mut schema, "properties", json!({"error": {"properties": {"code": {"enum": words}}}}));
    let mut answer = json!({
        "description": said.join("; "),
        "content": {JSON: {"schema": schema}},
    });
    let hint = match status {
        401 => Some((
            "www-authenticate",
            json!({"description": "`Bearer`", "required": true, "schema": {"type": "string"}}),
        )),
        429 | 503 => Some((
            "retry-after",
            json!({"description": "Seconds to wait before the next attempt.", "required": true, "schema": {"type": "integer"}}),
        )),
        _ => None,
    };
    if let Some((name, header)) = hint {
        set(&mut answer, "headers", json!({ name: header }));
    }
    answer
}

fn pascal(word: &str) -> String {
    let part = |part: &str| {
        let mut letters = part.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    word.split('_').map(part).collect()
}

const ABOUT: &str = "Takes in what filters tell, keeps it as a log that outsiders can verify, answers questions about it, \
    and gives filters their bundles. Times are milliseconds since 1970 in UTC. Errors have one form and a stable code. \
    Whoever is answered 429 or 503 may come again after `retry-after`; sending the same events again stores nothing twice.";

const TAGS: [(&str, &str); 7] = [
    ("events", "What filters tell, and questions about it."),
    ("figures", "Sums over many events."),
    ("log", "The log, its proofs, and the journal of what people did."),
    ("filters", "What filters ask for while they work."),
    ("bundles", "Bundles, their deployments, and what people say about decisions."),
    ("access", "Who may come in."),
    ("health", "How the collector is."),
];

/// In an object.
fn set(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = object {
        members.insert(name.to_owned(), value);
    }
}
