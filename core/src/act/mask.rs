//! Placeholders for what must not go on. The same text gets the same placeholder within one body, so that a
//! model can still tell two cards apart.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::Edit;
use crate::{decide::Mask, span::Span, traffic::Form};

/// What was replaced by what. Lives as long as the exchange and never leaves memory.
#[derive(Debug, Default)]
pub(crate) struct Placeholders {
    known: BTreeMap<Vec<u8>, String>,
    /// How many placeholders each entity has.
    counts: BTreeMap<String, u32>,
}

impl Placeholders {
    fn of(&mut self, entity: &str, original: &[u8]) -> String {
        if let Some(placeholder) = self.known.get(original) {
            return placeholder.clone();
        }
        let count = self.counts.entry(entity.to_string()).or_insert(0);
        *count += 1;
        let placeholder = format!("[{entity}_{count}]");
        self.known.insert(original.to_vec(), placeholder.clone());
        placeholder
    }
}

/// Edits for masks of `body`, which begins at offset `base` of what the spans count in; in order, without overlap.
pub(crate) fn edits(body: &[u8], base: u32, masks: &[Mask], placeholders: &mut Placeholders) -> Vec<Edit> {
    let mut masks: Vec<Mask> = masks.to_vec();
    masks.sort_by_key(|mask| (mask.span.start, mask.span.end));
    masks.dedup_by(|next, last| {
        let joins = next.span.overlaps(last.span);
        if joins {
            last.span.end = last.span.end.max(next.span.end);
        }
        joins
    });
    let edit = |mask: &Mask| {
        if mask.continues {
            return Edit { span: mask.span, text: String::new() };
        }
        let local =
            Span { start: mask.span.start.saturating_sub(base), end: mask.span.end.saturating_sub(base) };
        let placeholder = placeholders.of(&mask.entity, local.of(body));
        // A bare number cannot hold a placeholder; a string can, and the JSON stays well formed.
        let quote = if mask.form == Form::JsonNumber { quote(mask.depth) } else { String::new() };
        Edit { span: mask.span, text: format!("{quote}{placeholder}{quote}") }
    };
    masks.iter().map(edit).collect()
}

/// A quotation mark inside `depth` rounds of JSON strings: every round escapes what the one before has written.
fn quote(depth: u8) -> String {
    let backslashes = (1_usize << depth.min(8)) - 1;
    let mut quote = "\\".repeat(backslashes);
    quote.push('"');
    quote
}
