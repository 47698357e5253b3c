//! Replaces spans of a body and leaves every other byte as it was. The body is never re-serialised, so key order,
//! white space, escapes and number spelling survive, and so do a provider's caches that go by prefix.

use alloc::{string::String, vec::Vec};

use crate::span::Span;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) span: Span,
    pub(crate) text: String,
}

/// Applies edits in the order of the body. An edit that overlaps one before it is dropped: what it would have
/// covered has been replaced, up to the end of the earlier edit, and the rest is extended by the caller.
pub(crate) fn splice(body: &[u8], edits: &[Edit]) -> Vec<u8> {
    let grown: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let mut out = Vec::with_capacity(body.len() + grown);
    let mut at = 0;
    for edit in edits {
        let Span { start, end } = edit.span;
        let Some(kept) = body.get(at..start as usize) else { continue };
        out.extend_from_slice(kept);
        out.extend_from_slice(edit.text.as_bytes());
        at = end as usize;
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    out
}
