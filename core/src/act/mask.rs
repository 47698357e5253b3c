//! Placeholders for what must not go on. The same text gets the same placeholder within one body, so that a
//! model can still tell two cards apart.

use alloc::{format, string::String, vec::Vec};

use super::Edit;
use crate::{decide::Mask, traffic::Form};

/// Edits for the masks of one body, in order and without overlap.
pub(crate) fn edits(body: &[u8], masks: &[Mask]) -> Vec<Edit> {
    let mut masks: Vec<Mask> = masks.to_vec();
    masks.sort_by_key(|mask| (mask.span.start, mask.span.end));
    masks.dedup_by(|next, last| {
        let joins = next.span.overlaps(last.span);
        if joins {
            last.span.end = last.span.end.max(next.span.end);
        }
        joins
    });
    let mut known: Vec<(&[u8], String)> = Vec::new();
    masks
        .iter()
        .map(|mask| {
            let original = mask.span.of(body);
            let placeholder = match known.iter().find(|(text, _)| *text == original) {
                Some((_, placeholder)) => placeholder.clone(),
                None => {
                    let number = 1 + known
                        .iter()
                        .filter(|(_, p)| p.starts_with(&format!("[{}_", mask.entity)))
                        .count();
                    let placeholder = format!("[{}_{number}]", mask.entity);
                    known.push((original, placeholder.clone()));
                    placeholder
                }
            };
            // A bare number cannot hold a placeholder; a string can, and the JSON stays well formed.
            let quote = if mask.form == Form::JsonNumber { quote(mask.depth) } else { String::new() };
            let text = format!("{quote}{placeholder}{quote}");
            Edit { span: mask.span, text }
        })
        .collect()
}

/// A quotation mark inside `depth` rounds of JSON strings: every round escapes what the one before has written.
fn quote(depth: u8) -> String {
    let backslashes = (1_usize << depth.min(8)) - 1;
    let mut quote = "\\".repeat(backslashes);
    quote.push('"');
    quote
}
