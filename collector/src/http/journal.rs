//! The journal: who did what, as entries of the log; and `/v1/journal`, which shows it.
//!
//! An entry stays for ever, so it must not hold what may have to be erased: of a question only those parameters are
//! repeated that name nobody, and of a path only what was really there.

use std::sync::Arc;

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::App;
use super::error::ApiError;
use super::params::{Params, RawQuery};
use crate::access::permission::Permission;
use crate::domain::{Access, Record, shown};
use crate::evidence::access_leaf;

/// What was asked for, before it is known whether it is there.
pub(super) struct Asked {
    what: String,
    pattern: String,
    path: String,
    parameters: String,
}

/// In the extensions of an answer: what was really done, where the path of the request does not say it.
#[derive(Clone, Debug)]
pub(super) struct Target(pub(super) String);

impl Asked {
    pub(super) fn of(request: &Request, permission: Permission) -> Self {
        let uri = request.uri();
        let pattern = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        Self {
            what: permission.to_string(),
            pattern: pattern.to_owned(),
            path: uri.path().to_owned(),
            parameters: uri.query().map(parameters).unwrap_or_default(),
        }
    }

    pub(super) fn answered(self, who: &str, response: &Response, at_ms: i64) -> Record {
        let status = response.status();
        let path = match response.extensions().get() {
            Some(Target(done)) => done,
            None if status.is_success() => &self.path,
            None => &self.pattern,
        };
        let mut target: String = path.chars().filter(char::is_ascii_graphic).take(TARGET_CHARS_MAX).collect();
        if !self.parameters.is_empty() {
            target += "?";
            target += &self.parameters;
        }
        let outcome = i64::from(status.as_u16());
        let leaf = access_leaf(at_ms, who, &self.what, &target, outcome);
        Record::Access(Access { at_ms, who: who.to_owned(), what: self.what, target, outcome, leaf })
    }
}

/// The names of those parameters that there are, since anything may stand in the place of a name; and the values of those
/// that name nobody.
fn parameters(query: &str) -> String {
    let mut said = Vec::new();
    for pair in query.split('&').take(PARAMETERS_MAX) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let plain = |text: &str| {
            text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        };
        said.push(match name {
            "route" | "rule" if shown::is_label(value) => format!("{name}={value}"),
            "route" | "rule" => format!("{name}=*"),
            _ if NAMES_NOBODY.contains(&name) && plain(value) => format!("{name}={value}"),
            _ if NAMES_NOBODY.contains(&name) || MAY_NAME_SOMEBODY.contains(&name) => format!("{name}=*"),
            _ => "other=*".to_owned(),
        });
    }
    said.join("&")
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Journal")]
pub(crate) struct List {
    entries: Vec<Line>,
    next: Option<i64>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "JournalLine")]
struct Line {
    index: i64,
    /// As it stands in the log.
    #[schemars(with = "Option<crate::evidence::AccessLeaf<'static>>")]
    entry: Option<Box<RawValue>>,
}

pub(crate) async fn list(State(app): State<Arc<App>>, query: RawQuery) -> Result<Json<List>, ApiError> {
    let mut params = Params::read(query)?;
    let limit = params.number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let before = params.number("before", 0..=i64::MAX)?;
    params.done()?;
    let found = app.store.journal(limit, before).await?;
    let next = found.last().map(|(idx, _)| *idx).filter(|_| found.len() == limit);
    let line = |(index, access): (i64, Access)| {
        let entry = String::from_utf8(access.leaf).ok().and_then(|leaf| RawValue::from_string(leaf).ok());
        Line { index, entry }
    };
    Ok(Json(List { entries: found.into_iter().map(line).collect(), next }))
}

const MAY_NAME_SOMEBODY: [&str; 5] = ["request_id", "session", "subject", "text", "value"];
const NAMES_NOBODY: [&str; 24] = [
    "limit",
    "before",
    "after",
    "since_ms",
    "until_ms",
    "state",
    "ended",
    "alert",
    "days",
    "daily_limit",
    "hourly_limit",
    "room",
    "false_alarms_a_week",
    "verdict",
    "action",
    "vm",
    "score_min",
    "score_max",
    "slot",
    "format",
    "by",
    "every",
    "top",
    "force",
];
const PARAMETERS_MAX: usize = 32;
const TARGET_CHARS_MAX: usize = 256;
pub(super) const LIMIT_DEFAULT: usize = 100;
pub(super) const LIMIT_MAX: usize = 1_000;
