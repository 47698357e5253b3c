//! Forms as `application/x-www-form-urlencoded`: names and values with percent signs, and often JSON in a value.

use super::{Extraction, Segment, default_channel, walk};
use crate::{action::Direction, span::Span, text::Layers};

pub(super) fn read(text: &str, direction: Direction) -> Extraction {
    let mut out = Extraction::default();
    let mut at = 0;
    for pair in text.split('&') {
        let name_len = pair.find('=').unwrap_or(pair.len());
        field(pair.get(..name_len).unwrap_or(""), at, direction, &mut out);
        field(pair.get(name_len + 1..).unwrap_or(""), at + name_len + 1, direction, &mut out);
        at += pair.len() + 1;
    }
    out
}

fn field(raw: &str, at: usize, direction: Direction, out: &mut Extraction) {
    if raw.is_empty() {
        return;
    }
    match walk::walk_behind(raw, at as u32, Layers::FORM, direction) {
        Some(json) => out.absorb(json, 0),
        None => {
            let span = Span::new(at, at + raw.len());
            let plain = Segment::plain(default_channel(direction), span);
            out.segments.push(Segment { layers: Layers::FORM, ..plain });
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn names_values_and_json_in_values_are_segments() {
        let text = "a=b+c&x&=y&j=%7B%22role%22%3A%22tool%22%2C%22messages%22%3A%5B%7B%22content%22%3A%22d%5C%22e%22%7D%5D%7D";
        let out = read(text, Direction::Request);
        let seen: Vec<&str> = out.segments.iter().filter_map(|s| text.get(s.span.range())).collect();
        assert_eq!(seen, ["a", "b+c", "x", "y", "j", "role", "tool", "messages", "content", "d%5C%22e"]);
        assert!(out.gaps.is_empty());
    }
}
