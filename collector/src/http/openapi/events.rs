//! Events: in, out one by one, and out in one file.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use super::operation::{EVENT_STREAM, JSONL, Operation, Shape};
use super::parameter::{Parameter, fraction, one_of, page_size, path, pattern, query, text, time};
use crate::domain::{ACTIONS, VERDICTS};
use crate::http::events::{EVENTS_MAX, IngestReport, LIMIT_DEFAULT, LIMIT_MAX};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new("POST", "/v1/events", TAG, "sendEvents", "Take in a batch of events")
            .about(
                "Answered when everything of the batch is on disk. An event that is there already, by VM and number, is \
                 a duplicate and changes nothing, so a batch may be sent again. What is no event is set aside with its \
                 reason; those beside it are taken. `content-encoding` may be `gzip` or `zstd`.",
            )
            .takes::<Batch>(json!({"events": [example()]}))
            .answers::<IngestReport>(200, "What became of the events.")
            .or("unsupported_encoding")
            .or("busy"),
        Operation::new("GET", "/v1/events", TAG, "listEvents", "Events, newest first, page by page")
            .about(
                "A walk along `next` meets every event that was there when it began exactly once. A page may be short \
                 or empty and still have a `next`.",
            )
            .reads_query()
            .with_all(narrowing())
            .with(query("limit", page_size(LIMIT_MAX, LIMIT_DEFAULT), "How many, at most."))
            .with(query("before", pattern(CURSOR), "`next` of the page before."))
            .answers::<EventPage>(200, "One page."),
        Operation::new("GET", "/v1/events/{id}", TAG, "getEvent", "One event, byte for byte as it came")
            .with(event_id())
            .answers::<Event>(200, "The event, or what the log still says of one that was erased.")
            .or("not_found"),
        Operation::new("GET", "/v1/export", TAG, "exportEvents", "All events that fit, in one file")
            .about("Written while it is read. An answer that ends without the end that HTTP asks for is not whole.")
            .reads_query()
            .with(query("format", one_of(&["jsonl", "csv"]), "The form of the file.").required("jsonl".into()))
            .with_all(narrowing())
            .answers_as(200, "The file.", JSONL, Shape::Text)
            .answers_as(200, "The file.", "text/csv", Shape::Text)
            .with_header("content-disposition", "A name for the file.")
            .or("busy"),
        Operation::new("GET", "/v1/live", TAG, "watchEvents", "New events as they come")
            .about("Server-sent events without an end: `hello`, `event`, `skipped`, `end`.")
            .reads_query()
            .with_all(of_an_event())
            .answers_as(200, "The feed.", EVENT_STREAM, Shape::Text)
            .or("busy"),
    ]
}

pub(super) fn event_id() -> Parameter {
    path("id", text(), "a-1", "The id of an event.")
}

/// As `filter` reads them.
fn narrowing() -> Vec<Parameter> {
    let mut all = of_an_event();
    all.push(query("since_ms", time(), "At this time or later."));
    all.push(query("until_ms", time(), "Before this time."));
    all
}

fn of_an_event() -> Vec<Parameter> {
    vec![
        query("text", text(), "Words, all of which the event has."),
        query("verdict", one_of(&VERDICTS), "With this verdict."),
        query("action", one_of(&ACTIONS), "With this action."),
        query("route", text(), "Of exactly this route."),
        query("rule", text(), "In which this rule fired."),
        query("vm", text(), "Of exactly this VM."),
        query("request_id", text(), "With exactly this request id."),
        query("session", text(), "Of exactly this session."),
        query("subject", text(), "About exactly this subject."),
        query("score_min", fraction(), "With this score or a higher one."),
        query("score_max", fraction(), "With this score or a lower one."),
    ]
}

#[derive(JsonSchema)]
#[schemars(rename = "EventBatch")]
#[expect(dead_code, reason = "the handler keeps the texts of events as they are; this is their form")]
struct Batch {
    #[schemars(length(max = EVENTS_MAX))]
    events: Vec<Sent>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "as above")]
struct EventPage {
    events: Vec<Event>,
    /// To be given as `before`; null at the end.
    next: Option<String>,
}

/// An event of a filter, or something that is set aside.
enum Sent {}

impl JsonSchema for Sent {
    fn schema_name() -> Cow<'static, str> {
        "SentEvent".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let event = generator.subschema_for::<Event>();
        json_schema!({"anyOf": [event, {"description": "What is no event is set aside with its reason."}]})
    }
}

/// `sentinel.event/1`. What is not named here is kept and given back as well.
enum Event {}

impl JsonSchema for Event {
    fn schema_name() -> Cow<'static, str> {
        "Event".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let word = json!({"type": "string"});
        let maybe = json!({"type": ["string", "null"]});
        let count = json!({"type": "integer", "minimum": 0});
        json_schema!({
            "type": "object",
            "description": "An event of a filter, `sentinel.event/1`. Fields may be added, and are kept.",
            "required": ["schema", "vm", "seq", "time_ms", "verdict", "action", "score"],
            "properties": {
                "schema": {"const": "sentinel.event/1"},
                "id": {"type": "string", "description": "VM and number, unless it says otherwise."},
                "vm": {"type": "string", "minLength": 1},
                "seq": {"type": "integer", "minimum": 1, "description": "Each VM counts its events from 1."},
                "time_ms": count,
                "request_id": maybe,
                "trace_id": maybe,
                "subject": maybe,
                "route": maybe,
                "host": maybe,
                "path": maybe,
                "verdict": word,
                "action": word,
                "score": {"type": "number", "minimum": 0, "maximum": 1},
                "findings": {"type": "array", "items": {"type": "object"}},
                "policy": maybe,
                "bundle": maybe,
                "model": maybe,
                "erased": {"const": true, "description": "Only what the log says of it is left."},
            },
            "additionalProperties": true,
        })
    }
}

fn example() -> serde_json::Value {
    json!({
        "schema": "sentinel.event/1", "vm": "a", "seq": 1, "time_ms": 1_790_000_000_000_i64, "route": "chat",
        "host": "api.example", "path": "/v1/chat/completions", "verdict": "malicious", "action": "block", "score": 0.9,
        "findings": [{"rule": "injection/ignore-instructions", "family": "injection", "score": 0.9}]
    })
}

const TAG: &str = "events";
/// As cursors are written.
const CURSOR: &str = "^(0|[1-9a-f][0-9a-f]{0,14})\\.(0|[1-9a-f][0-9a-f]{0,14})$";
