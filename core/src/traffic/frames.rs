//! Cutting a stream into events: server-sent events (`text/event-stream`) or one JSON text a line (NDJSON).
//!
//! Invariant: the events, laid end to end, are the stream. Where one ends does not depend on how the bytes came in.

use super::{Extraction, Segment, default_channel, walk};
use crate::{
    action::Direction,
    receipt::{Gap, GapReason},
    span::Span,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    ServerSentEvents,
    Lines,
}

/// Where the reading of a buffer stands. The buffer itself is the caller's.
#[derive(Debug)]
pub(crate) struct Frames {
    framing: Framing,
    /// How far the buffer has been looked at.
    at: usize,
    /// Nothing of the current line has been seen yet.
    line_is_empty: bool,
}

impl Frames {
    pub(crate) const fn new(framing: Framing) -> Self {
        Self { framing, at: 0, line_is_empty: true }
    }

    /// The end of the next whole event in the buffer, if it is there. A carriage return at the very end may be half of
    /// a line end, so it waits for what follows.
    pub(crate) fn next(&mut self, buffer: &[u8]) -> Option<usize> {
        loop {
            let rest = buffer.get(self.at..)?;
            let len = rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len());
            self.line_is_empty &= len == 0;
            let end = self.at + len;
            self.at = end;
            self.at = match (buffer.get(end)?, buffer.get(end + 1)) {
                (b'\r', None) => return None,
                (b'\r', Some(b'\n')) => end + 2,
                _ => end + 1,
            };
            let is_empty = core::mem::replace(&mut self.line_is_empty, true);
            if is_empty || self.framing == Framing::Lines {
                return Some(self.at);
            }
        }
    }

    /// The caller has taken `bytes` off the front of the buffer.
    pub(crate) fn taken(&mut self, bytes: usize) {
        self.at = self.at.saturating_sub(bytes);
    }
}

/// What one event says. A payload that is JSON is walked like any JSON; every other line is text by itself.
pub(crate) fn read_event(framing: Framing, direction: Direction, event: &str) -> Extraction {
    let mut out = Extraction::default();
    let mut at = 0;
    for line in event.split(['\n', '\r']) {
        let payload = match framing {
            Framing::Lines => Some(0),
            Framing::ServerSentEvents => payload_start(line),
        };
        match payload {
            Some(start) => read_payload(line.get(start..).unwrap_or(""), at + start, direction, &mut out),
            None if line.is_empty() => {}
            None => out.segments.push(alone(direction, at, line.len())),
        }
        at += line.len() + 1;
    }
    out
}

/// The data of one event, line by line, each with where it begins.
pub(crate) fn payloads(framing: Framing, event: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    event.split(['\n', '\r']).filter_map(move |line| {
        let line_start = at;
        at += line.len() + 1;
        let start = match framing {
            Framing::Lines => 0,
            Framing::ServerSentEvents => payload_start(line)?,
        };
        Some((line_start + start, line.get(start..)?))
    })
}

/// Where the value of a `data` line begins.
fn payload_start(line: &str) -> Option<usize> {
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    let value = line.strip_prefix("data:")?;
    Some(line.len() - value.strip_prefix(' ').unwrap_or(value).len())
}

fn read_payload(payload: &str, at: usize, direction: Direction, out: &mut Extraction) {
    if payload.trim().is_empty() {
        return;
    }
    let read = match payload.trim_start().starts_with(['{', '[']) {
        true => walk::walk(payload, direction, walk::Mode::Stream),
        false => Err(super::json::JsonError::Syntax),
    };
    match read {
        Ok(read) => out.absorb(read, at as u32),
        Err(_) => {
            out.segments.push(alone(direction, at, payload.len()));
            // `[DONE]` and the like are words that mean what they say.
            if payload.len() > SHORT_WORD_BYTES_MAX {
                out.gaps.push(Gap::new(GapReason::UnknownEvent, Span::new(at, at + payload.len())));
            }
        }
    }
}

fn alone(direction: Direction, at: usize, len: usize) -> Segment {
    Segment { is_text: false, ..Segment::plain(default_channel(direction), Span::new(at, at + len)) }
}

/// Nothing that a detector looks for fits into so few bytes.
const SHORT_WORD_BYTES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// The events of a whole stream, for tests of the framing.
    fn events(framing: Framing, stream: &[u8], split: usize) -> Vec<Vec<u8>> {
        let mut frames = Frames::new(framing);
        let mut buffer: Vec<u8> = Vec::new();
        let mut out = Vec::new();
        for chunk in stream.chunks(split) {
            buffer.extend_from_slice(chunk);
            while let Some(end) = frames.next(&buffer) {
                out.push(buffer.drain(..end).collect());
                frames.taken(end);
            }
        }
        out.push(buffer);
        out
    }

    #[test]
    fn events_end_with_an_empty_line_of_any_kind() {
        let stream = b"data: a\n\ndata: b\r\n\r\n: c\rdata: d\r\rdata: e";
        let whole = events(Framing::ServerSentEvents, stream, 100);
        let texts: Vec<&[u8]> = whole.iter().map(Vec::as_slice).collect();
        assert_eq!(texts, [&b"data: a\n\n"[..], b"data: b\r\n\r\n", b": c\rdata: d\r\r", b"data: e"]);
    }

    proptest! {
        #[test]
        fn splits_do_not_matter(stream in "[ab\r\n:d]{0,40}", split in 1_usize..5) {
            for framing in [Framing::ServerSentEvents, Framing::Lines] {
                let whole = events(framing, stream.as_bytes(), 1000);
                prop_assert_eq!(&events(framing, stream.as_bytes(), split), &whole);
                prop_assert_eq!(whole.concat(), stream.as_bytes());
            }
        }
    }
}
