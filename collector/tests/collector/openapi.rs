//! The document of `/openapi.json` against the collector that serves it: every operation of it is asked, with real data
//! and in ways that are refused, and every answer has a status and a form that the document names.

pub(crate) mod document;
mod fuzz;
mod parameters;
mod refusals;
mod scene;
mod schema;
mod walk;
