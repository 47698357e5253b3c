//! Limits on how long the texts of people and of models may be. What is too long is scanned as well; the limit is for
//! those whose prompts are short, and who want to know of one that is not.

use sentinel_model::Channel;

use crate::{
    action::Direction,
    policy::Limits,
    receipt::{Gap, GapReason},
    span::Span,
    text::View,
    traffic::{Extraction, Segment},
};

/// The gap of a body with a text that is too long.
pub(crate) fn gap(
    limits: &Limits,
    direction: Direction,
    body: &[u8],
    extraction: &Extraction,
) -> Option<Gap> {
    let (channel, max) = limit(limits, direction);
    // A character takes a byte at least.
    if body.len() <= max as usize {
        return None;
    }
    let starts = extraction.segments.iter().enumerate().filter(|(_, segment)| !segment.continues);
    let is_too_long = |first: usize| {
        let texts = || extraction.run(first).filter(|segment| segment.channel == channel && segment.is_text);
        let bytes: u32 = texts().map(|segment| segment.span.len()).sum();
        bytes > max && texts().map(|segment| chars(segment, segment.span.of(body))).sum::<u32>() > max
    };
    starts.map(|(idx, _)| idx).any(is_too_long).then(|| Gap::new(GapReason::Length, Span::default()))
}

/// Whose text is limited, and to how many characters.
pub(crate) const fn limit(limits: &Limits, direction: Direction) -> (Channel, u32) {
    match direction {
        Direction::Request => (Channel::User, limits.prompt_chars),
        Direction::Response => (Channel::Assistant, limits.response_chars),
    }
}

/// How many characters a model reads there.
pub(crate) fn chars(segment: &Segment, text: &[u8]) -> u32 {
    let mut view = View::default();
    view.append_plain(core::str::from_utf8(text).unwrap_or(""), 0, segment.layers);
    view.text().chars().count() as u32
}
