//! The log as C2SP tlog-tiles has it, proofs of single events, and the journal.

use super::events::event_id;
use super::operation::{BYTES, JSONL, Operation, PLAIN, Shape};
use super::parameter::{page_size, path, pattern, query, whole};
use crate::http::journal;
use crate::http::log::Proven;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new("GET", "/v1/events/{id}/proof", TAG, "proveEvent", "That an event is in the log")
            .with(event_id())
            .answers::<Proven>(200, "The entry, a C2SP tlog-proof of it, and the key of the log.")
            .or("not_found"),
        Operation::new("GET", "/log/{*path}", TAG, "getLogFile", "A file of the log")
            .about(
                "As C2SP tlog-tiles has them: `checkpoint`, `tile/…` and `tile/entries/…`; and `key`, the key that \
                 signs, and `checkpoint.unwitnessed`, which has no cosignatures yet. The path has slashes.",
            )
            .with(path("path", pattern(LOG_FILE), "checkpoint", "The path of the file."))
            .answers_as(200, "The file.", PLAIN, Shape::Text)
            .answers_as(200, "The file.", BYTES, Shape::Bytes)
            .or("not_found"),
        Operation::new("GET", "/log/events/{*path}", TAG, "getLogEvents", "What events the entries of a tile are of")
            .about("One line for each entry of `tile/entries/…` of the same path, with its salt and the event's text.")
            .with(path("path", pattern(TILE), "000.p/1", "The number of the tile, as in the path of its entries."))
            .answers_as(200, "The lines.", JSONL, Shape::Text)
            .or("not_found"),
        Operation::new("GET", "/v1/journal", TAG, "listJournal", "Who did what, newest first")
            .reads_query()
            .with(query("limit", page_size(journal::LIMIT_MAX, journal::LIMIT_DEFAULT), "How many, at most."))
            .with(query("before", whole(0, i64::MAX), "`next` of the page before."))
            .answers::<journal::List>(200, "One page."),
    ]
}

const TAG: &str = "log";
/// A number in groups of three digits, and how many entries a tile has that is not full.
const TILE: &str = "^(x[0-9]{3}/){0,3}[0-9]{3}(\\.p/[1-9][0-9]{0,2})?$";
const LOG_FILE: &str = "^(checkpoint|checkpoint\\.unwitnessed|key|tile/(entries|[0-9]{1,2})/(x[0-9]{3}/){0,3}[0-9]{3}(\\.p/[1-9][0-9]{0,2})?)$";
