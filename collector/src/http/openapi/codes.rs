//! The codes of errors: each has one status and one meaning, for ever.

use schemars::{Schema, SchemaGenerator};
use serde_json::json;

pub(super) struct Code {
    pub(super) word: &'static str,
    pub(super) status: u16,
    pub(super) about: &'static str,
}

pub(super) fn find(word: &str) -> Option<&'static Code> {
    CODES.iter().find(|code| code.word == word)
}

/// The form of a code, for the type of errors.
pub(in crate::http) fn any(_: &mut SchemaGenerator) -> Schema {
    let words: Vec<&str> = CODES.iter().map(|code| code.word).collect();
    let mut schema = Schema::default();
    schema.insert("type".to_owned(), json!("string"));
    schema.insert("enum".to_owned(), json!(words));
    schema
}

/// In the order of their statuses.
pub(super) const CODES: &[Code] = &[
    code("bad_parameter", 400, "a parameter is unknown, repeated, missing or has a wrong value; it is named"),
    code("malformed_body", 400, "the body is not what is expected; the message says where"),
    code("unauthorized", 401, "no token, or one that lets nobody in"),
    code("forbidden", 403, "the roles of this token do not allow it"),
    code("no_admin_token", 403, "nobody may change anything: this collector has no admin"),
    code("not_found", 404, "it is not there, or not switched on"),
    code("method_not_allowed", 405, "the resource has no such method"),
    code("too_slow", 408, "the body did not arrive in time"),
    code("conflict", 409, "it does not fit what is there, or somebody else was faster"),
    code(
        "last_admin",
        409,
        "it would take away the last way in for an admin; `force=true` does it nevertheless",
    ),
    code("too_large", 413, "more than is taken at once"),
    code("unsupported_encoding", 415, "the body is encoded in a way that is not known"),
    code("invalid_bundle", 422, "the bundle is damaged, not signed by a trusted key, or has expired"),
    code("busy", 429, "too much is under way; retry-after says when to come again"),
    code("too_many_failures", 429, "too many attempts to sign in have failed from this address"),
    code("unlisted", 500, "the endpoint is not in the list of endpoints, which is a fault of the collector"),
    code("model_failed", 503, "the model for second opinions gave no answer"),
    code("store_unavailable", 503, "the store does not answer, and nothing was acknowledged"),
    code("deadline", 504, "not everything was read before the deadline"),
];

const fn code(word: &'static str, status: u16, about: &'static str) -> Code {
    Code { word, status, about }
}
