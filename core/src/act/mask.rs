//! Placeholders for what must not go on. The same text gets the same placeholder within one exchange, so that a
//! model can still tell two cards apart; the answer gets the text back for it. Where policy wants a part to be seen
//! instead, [`Kept`](super::Kept) says how it looks, and nothing comes back.
//!
//! Invariant: what was taken out lives as long as the exchange and is in no log, event or debug output.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use super::Edit;
use crate::{
    decide::Mask,
    span::Span,
    text::{View, find},
    traffic::Form,
};

/// What was replaced by what.
#[derive(Default)]
pub(crate) struct Placeholders {
    by_original: BTreeMap<String, String>,
    /// In lower case, as a view has them.
    by_name: BTreeMap<String, String>,
    /// How many placeholders each entity has.
    counts: BTreeMap<String, u32>,
    /// What is taken out from now on does not come back.
    is_sealed: bool,
}

impl fmt::Debug for Placeholders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placeholders").field("counts", &self.counts).finish_non_exhaustive()
    }
}

impl Placeholders {
    /// The request is over: what an answer hides of its own must not come back when the answer names it.
    pub(crate) fn seal(&mut self) {
        self.is_sealed = true;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// What a placeholder in lower case stands for.
    pub(crate) fn original(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(String::as_str)
    }

    /// Whether more text could make a placeholder of it.
    pub(crate) fn has_longer(&self, start: &str) -> bool {
        let from_start = (core::ops::Bound::Excluded(start), core::ops::Bound::Unbounded);
        let next = self.by_name.range::<str, _>(from_start).next();
        next.is_some_and(|(name, _)| name.starts_with(start))
    }

    /// `taken` are names that the text itself uses: ours must not be taken for them.
    fn name_for(&mut self, entity: &str, original: &str, taken: &BTreeSet<String>) -> String {
        if let Some(name) = self.by_original.get(original) {
            return name.clone();
        }
        let count = self.counts.entry(entity.to_string()).or_insert(0);
        let (name, lower) = loop {
            *count += 1;
            let name = format!("[{entity}_{count}]");
            let lower = name.to_ascii_lowercase();
            if !taken.contains(&lower) {
                break (name, lower);
            }
        };
        self.by_original.insert(original.to_string(), name.clone());
        if !self.is_sealed {
            self.by_name.insert(lower, original.to_string());
        }
        name
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
            last.kept = last.kept.both(next.kept);
        }
        joins
    });
    let mut originals: BTreeMap<u32, String> = BTreeMap::new();
    for mask in &masks {
        let local =
            Span { start: mask.span.start.saturating_sub(base), end: mask.span.end.saturating_sub(base) };
        originals.entry(mask.hit).or_default().push_str(&plain(local.of(body), mask));
    }
    // What an answer hides does not come back, so its names need not be unlike others; and of a stream nobody knows yet
    // which names it will use.
    let is_free = masks.is_empty() || placeholders.is_sealed;
    let taken = if is_free { BTreeSet::new() } else { names_in(body) };
    let mut edit = |mask: &Mask| {
        if mask.continues {
            return Edit { span: mask.span, text: String::new() };
        }
        let original = originals.get(&mask.hit).map_or("", String::as_str);
        let shown = mask.kept.shown(original);
        let name = shown.unwrap_or_else(|| placeholders.name_for(&mask.entity, original, &taken));
        let text = match mask.form {
            // A bare number cannot hold a placeholder; a string can, and the JSON stays well formed.
            Form::JsonNumber => format!("{quote}{name}{quote}", quote = quote(mask.layers.strings)),
            Form::JsonString | Form::Text => name,
        };
        let text = if mask.layers.is_form { in_form(&text) } else { text };
        Edit { span: mask.span, text }
    };
    masks.iter().map(&mut edit).collect()
}

/// The text that the bytes mean.
fn plain(bytes: &[u8], mask: &Mask) -> String {
    let mut view = View::default();
    view.append_plain(core::str::from_utf8(bytes).unwrap_or(""), 0, mask.layers);
    view.text().into()
}

/// Whatever looks like a placeholder, in lower case.
fn names_in(body: &[u8]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut rest = body;
    while let Some(open) = Some(find(rest, |b| b.are(b'['))).filter(|open| *open < rest.len()) {
        rest = rest.get(open..).unwrap_or_default();
        let len = name_len(rest);
        if let Some(name) = len.and_then(|len| core::str::from_utf8(rest.get(..len)?).ok()) {
            names.insert(name.to_ascii_lowercase());
        }
        rest = rest.get(len.unwrap_or(1)..).unwrap_or_default();
    }
    names
}

/// The length of `[NAME_1]` at the start of a text.
pub(crate) fn name_len(text: &[u8]) -> Option<usize> {
    const NAME_BYTES_MAX: usize = 64;
    let inner = text.get(1..)?;
    let len =
        inner.iter().take(NAME_BYTES_MAX).take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    (len > 0 && inner.get(len) == Some(&b']')).then_some(len + 2)
}

/// A text as it stands in a form.
pub(super) fn in_form(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            _ if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A quotation mark inside `depth` rounds of JSON strings: every round escapes what the one before has written.
fn quote(depth: u8) -> String {
    let backslashes = (1_usize << depth.min(8)) - 1;
    let mut quote = "\\".repeat(backslashes);
    quote.push('"');
    quote
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn originals_show_nowhere() {
        let mut placeholders = Placeholders::default();
        placeholders.name_for("CARD", "4111111111111111", &BTreeSet::new());
        assert!(!format!("{placeholders:?}").contains("4111"));
    }

    #[test]
    fn names_that_the_text_uses_are_left_to_it() {
        let mut placeholders = Placeholders::default();
        let taken = names_in(b"see [card_1] and [CARD_3], [ not_2] [x");
        assert_eq!(taken.len(), 2);
        let mut name = |original| placeholders.name_for("CARD", original, &taken);
        assert_eq!([name("a"), name("b"), name("a")], ["[CARD_2]", "[CARD_4]", "[CARD_2]"]);
    }

    #[test]
    fn what_an_answer_hides_does_not_come_back() {
        let mut placeholders = Placeholders::default();
        placeholders.name_for("CARD", "a", &BTreeSet::new());
        placeholders.seal();
        placeholders.name_for("CARD", "b", &BTreeSet::new());
        assert_eq!(placeholders.original("[card_1]"), Some("a"));
        assert_eq!(placeholders.original("[card_2]"), None);
    }

    #[test]
    fn a_start_may_grow_into_a_name() {
        let mut placeholders = Placeholders::default();
        placeholders.name_for("CARD", "x", &BTreeSet::new());
        assert!(["[", "[car", "[card_1"].iter().all(|start| placeholders.has_longer(start)));
        assert!(["[card_1]", "[card_2", "x"].iter().all(|start| !placeholders.has_longer(start)));
    }
}
