//! `/openapi.json`: what this collector answers, as an OpenAPI 3.1 document made from the code that answers. Which
//! endpoints there are and who may use them stands in [`super::endpoints`]; the forms of bodies are those of the types
//! that handlers read and write; what people should know besides stands here, in one file for each subject.
//!
//! Invariant: each endpoint of the list has one description, and each description is of an endpoint.

mod alerts;
mod codes;
mod deployments;
mod document;
mod events;
mod filters;
mod health;
mod log;
mod operation;
mod parameter;
mod people;
mod schemas;
mod sums;
#[cfg(test)]
mod tests;

use axum::http::header;
use axum::response::{IntoResponse, Response};

pub(super) use codes::any as any_code;
use operation::Operation;

use crate::config::MetricsAccess;

/// The document as it is served and as `docs/openapi.json` has it.
pub(crate) fn text(metrics: MetricsAccess) -> String {
    // Values have no key that is not text, so they always can be written.
    let mut text = serde_json::to_string_pretty(&document::document(metrics)).unwrap_or_default();
    text.push('\n');
    text
}

/// Of any text that was made by [`text`].
pub(crate) fn answer(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn operations() -> Vec<Operation> {
    [
        events::operations(),
        sums::operations(),
        log::operations(),
        filters::operations(),
        deployments::operations(),
        alerts::operations(),
        people::operations(),
        health::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
