//! What the end of one request and the beginning of the next say only together: an attack that was cut in two.
//!
//! Rules look for it and the model does not. A rule names the words that it saw, so it can be told whether they lie on
//! both sides of the cut; the model would go on seeing what the end of the last text was by itself.

use alloc::vec::Vec;

use super::{Budget, Detector, Hit, Hits, Known, look};
use crate::{
    text::{View, Vocabulary},
    traffic::Segment,
};

/// How much of the new text is read.
const HEAD_BYTES_MAX: usize = 512;

/// Hits that begin in `tail`, which was folded, and end in the text of `segment`, which is the first of its run and has
/// the number `number`.
pub(crate) fn across(
    detectors: &[&dyn Detector],
    words: &dyn Vocabulary,
    tail: &str,
    segment: &Segment,
    number: u32,
    body: &[u8],
) -> Vec<Hit> {
    let text = core::str::from_utf8(segment.span.of(body)).unwrap_or_default();
    let head = text.get(..text.floor_char_boundary(HEAD_BYTES_MAX)).unwrap_or(text);
    let at = segment.span.start;
    let seen = |tail: &[&str]| {
        let mut view = View::default();
        tail.iter().for_each(|part| view.recall(part, at));
        view.append(head, at, segment.layers);
        let budget = Budget::for_bytes(tail.iter().map(|part| part.len()).sum::<usize>() + head.len());
        let mut hits = Hits::new(budget, segment.channel, number);
        look(detectors, words, &mut view, &mut hits);
        hits.into_parts().0
    };
    let mut known = seen(&[]);
    let mut found = Vec::new();
    // Cut between two words, or inside of one.
    for tail in [&[tail, " "][..], &[tail][..]] {
        let new = Known::new(&known);
        let hits = seen(tail);
        found.extend(hits.iter().filter(|hit| !hit.span.is_empty() && !new.has(hit)));
        known.extend(hits);
    }
    found
}
