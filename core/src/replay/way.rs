//! The way from places in a kept text back to those that they had in the body.

use alloc::vec::Vec;

use crate::{
    content::{Masked, Placed},
    span::Span,
};

/// From places in the kept text to those of the body.
#[derive(Debug)]
pub(super) struct Way(Vec<Step>);

/// A stretch of the body that is another in the text.
#[derive(Debug)]
struct Step {
    of: Masked,
    shown: Span,
    /// Otherwise nobody told what was there.
    is_mask: bool,
}

impl Way {
    /// `masks` are in order.
    pub(super) fn new(masks: &[Masked]) -> Self {
        Self::of(masks.iter().map(|mask| (*mask, true)))
    }

    /// The way through a stream, of which only pieces were told.
    pub(super) fn through(pieces: &[Placed], masks: &[Masked]) -> Self {
        let ends = core::iter::once(0).chain(pieces.iter().map(|piece| piece.at.saturating_add(piece.len)));
        let between = ends.zip(pieces).map(|(start, piece)| Masked { start, end: piece.at, shown: 0 });
        let mut steps: Vec<(Masked, bool)> = between.map(|gap| (gap, false)).collect();
        steps.extend(masks.iter().map(|mask| (*mask, true)));
        // A gap ends where its piece begins, so it comes before a mask at that place.
        steps.sort_by_key(|(step, is_mask)| (step.start, step.end, *is_mask));
        Self::of(steps.into_iter())
    }

    fn of(steps: impl Iterator<Item = (Masked, bool)>) -> Self {
        let mut shift = 0_i64;
        let place = |(of, is_mask): (Masked, bool)| {
            let start = u32::try_from(i64::from(of.start) + shift).unwrap_or_default();
            let end = start.saturating_add(of.shown);
            shift += i64::from(of.shown) - i64::from(of.end.saturating_sub(of.start));
            Step { of, shown: Span { start, end }, is_mask }
        };
        Self(steps.map(place).collect())
    }

    pub(super) fn back(&self, span: Span) -> Span {
        let start = self.at(span.start, true);
        Span { start, end: self.at(span.end, false).max(start) }
    }

    /// What begins or ends inside of a mask does so at its edge.
    fn at(&self, at: u32, is_start: bool) -> u32 {
        let mut behind = 0;
        let mut edge = 0;
        for Step { of: mask, shown, .. } in &self.0 {
            let is_before = at < shown.start || (at == shown.start && !(is_start && shown.is_empty()));
            if is_before {
                break;
            }
            if at < shown.end {
                return if is_start { mask.start } else { mask.end };
            }
            (behind, edge) = (mask.end, shown.end);
        }
        behind.saturating_add(at - edge)
    }

    /// Whether a place of the kept text is at a mask.
    pub(super) fn touches(&self, span: Span) -> bool {
        self.masks().any(|step| span.start <= step.shown.end && step.shown.start <= span.end)
    }

    /// Whether a place of the body was masked in part.
    pub(super) fn is_under(&self, span: Span) -> bool {
        let masked = |mask: &Masked| Span { start: mask.start, end: mask.end };
        self.masks().any(|step| masked(&step.of).overlaps(span))
    }

    fn masks(&self) -> impl Iterator<Item = &Step> {
        self.0.iter().filter(|step| step.is_mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_lead_back_past_masks_that_are_longer_shorter_and_empty() {
        // 0123456789ABCDEF with 2..4 as five bytes, 6..10 as one, and 12..13 gone.
        let masks = [[2, 4, 5], [6, 10, 1], [12, 13, 0]].map(Masked::from);
        let way = Way::new(&masks);
        for (shown, body) in [
            ((0, 2), (0, 2)),
            ((2, 7), (2, 4)),
            ((3, 5), (2, 4)),
            ((7, 9), (4, 6)),
            ((9, 10), (6, 10)),
            ((10, 12), (10, 12)),
            ((11, 14), (11, 15)),
            ((12, 13), (13, 14)),
            ((0, 15), (0, 16)),
        ] {
            let span = Span { start: shown.0, end: shown.1 };
            assert_eq!(way.back(span), Span { start: body.0, end: body.1 }, "{shown:?}");
        }
        assert!(way.touches(Span { start: 0, end: 2 }) && !way.touches(Span { start: 0, end: 1 }));
        assert!(way.is_under(Span { start: 9, end: 11 }) && !way.is_under(Span { start: 10, end: 12 }));
    }
}
