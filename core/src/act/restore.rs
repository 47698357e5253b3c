//! Puts back into an answer what masks took out of its request.
//!
//! Invariant: only placeholders that this exchange made are replaced, and the JSON around them stays well formed:
//! the text is written as its place asks, escaped once for every string around it.

use alloc::{format, string::String, vec::Vec};

use sentinel_model::Channel;

use super::{
    Edit,
    mask::{Placeholders, in_form, name_len},
};
use crate::{
    policy::Restore,
    receipt::{Gap, GapReason},
    text::{View, find},
    traffic::{Extraction, Form, Segment, pieces},
};

/// The edits for the texts of a whole body, in order of their texts.
pub(crate) fn edits(
    body: &[u8],
    extraction: &Extraction,
    placeholders: &Placeholders,
    restore: Restore,
) -> Vec<Edit> {
    let mut edits = Vec::new();
    if placeholders.is_empty() || restore == Restore::Off {
        return edits;
    }
    // Where the body could not be read, nobody knows what a change would do to it.
    let is_unread = |gap: &Gap| matches!(gap.reason, GapReason::Unparsable | GapReason::Depth);
    if extraction.gaps.iter().any(is_unread) {
        return edits;
    }
    let mut view = View::default();
    for (idx, segment) in extraction.segments.iter().enumerate() {
        let text = core::str::from_utf8(segment.span.of(body)).unwrap_or("");
        if find(text.as_bytes(), |b| b.are(b'[') | b.are(b'\\') | b.are(b'%')) == text.len() {
            continue;
        }
        view.clear();
        view.append(text, segment.span.start, segment.layers);
        edits.extend(in_view(&view, extraction, idx, placeholders, restore));
    }
    edits.sort_by_key(|edit| edit.span.start);
    edits
}

/// The edits for one view, which was put together from the run of segments that begins at `first`.
pub(crate) fn in_view(
    view: &View,
    extraction: &Extraction,
    first: usize,
    placeholders: &Placeholders,
    restore: Restore,
) -> Vec<Edit> {
    let mut edits = Vec::new();
    let text = view.text();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        at += find(rest.as_bytes(), |b| b.are(b'['));
        let name = text.get(at..).and_then(|rest| rest.get(..name_len(rest.as_bytes())?));
        let found = name.and_then(|name| Some((name, placeholders.original(name)?)));
        let Some((name, original)) = found else {
            at += 1;
            continue;
        };
        let source = view.source(at, at + name.len());
        at += name.len();
        for (part, (segment, span)) in pieces(extraction, first, source).enumerate() {
            if restore == Restore::Text && segment.channel == Channel::ToolArguments {
                continue;
            }
            let text = if part == 0 { written(original, segment) } else { String::new() };
            edits.push(Edit { span, text });
        }
    }
    edits
}

/// Where in the view a placeholder may have begun that is not complete yet.
pub(crate) fn open_at(view: &View, placeholders: &Placeholders) -> Option<usize> {
    if placeholders.is_empty() {
        return None;
    }
    let at = view.text().rfind('[')?;
    placeholders.has_longer(view.text().get(at..)?).then_some(at)
}

/// A text as it must stand in a segment.
fn written(text: &str, segment: &Segment) -> String {
    let rounds = segment.layers.strings + u8::from(segment.is_partial);
    if segment.layers.is_form {
        return in_form(&escaped_times(text, rounds));
    }
    match (segment.form, rounds) {
        // A line end would end more than the text, where lines mean something.
        (Form::Text, 0) => text.replace(['\r', '\n'], " "),
        _ => escaped_times(text, rounds),
    }
}

fn escaped_times(text: &str, rounds: u8) -> String {
    (0..rounds).fold(String::from(text), |text, _| escaped(&text))
}

/// The inside of the JSON string of a text.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            _ => out.push(c),
        }
    }
    out
}
