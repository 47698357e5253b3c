//! Placeholders for what must not go on. The same text gets the same placeholder within one body, so that a
//! model can still tell two cards apart.

use alloc::{format, string::String, vec::Vec};

use super::Edit;
use crate::{decide::Mask, text::Form};

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
            let text = if mask.form == Form::JsonNumber { format!("\"{placeholder}\"") } else { placeholder };
            Edit { span: mask.span, text }
        })
        .collect()
}
