//! A stream as an event tells it: what was read of each of its events, one after the other, without the frames around
//! them. A name or a number that stands by itself, comes again and had no finding is told once: a stream repeats the
//! same ones with every word.
//!
//! Invariant: the pieces come in the order of the stream, so that places in the text lead back to those in the stream.

use alloc::{string::String, vec::Vec};
use core::ops::Range;

use sentinel_model::Channel;
use serde::{Deserialize, Serialize};

use super::Masked;
use crate::{
    span::Span,
    text::Layers,
    traffic::{Form, Segment},
};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// What stands by itself: names and numbers. What goes on from event to event is the text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub aside: String,
    /// The kinds of pieces there are; a piece names its own by its place here.
    pub kinds: Vec<Kind>,
    /// The pieces of each event that has some.
    pub events: Vec<Vec<Piece>>,
    /// It came to its end: what might still have grown was judged as it was.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub over: bool,
}

/// What a piece of text is, and how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Kind {
    pub channel: Channel,
    /// Which of several answers side by side it belongs to.
    #[serde(default, skip_serializing_if = "is_none")]
    pub choice: u32,
    /// It stands by itself; other pieces of a kind are one text, which goes on from event to event.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub alone: bool,
    /// How many JSON strings it is in, one in another.
    #[serde(default, skip_serializing_if = "is_written_plainly")]
    pub strings: u8,
}

/// How many bytes of the stream lie between the piece before and this one, how many it has there, and its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u32; 3]", into = "[u32; 3]")]
pub struct Piece {
    pub skipped: u32,
    pub len: u32,
    pub kind: u32,
}

impl From<[u32; 3]> for Piece {
    fn from([skipped, len, kind]: [u32; 3]) -> Self {
        Self { skipped, len, kind }
    }
}

impl From<Piece> for [u32; 3] {
    fn from(Piece { skipped, len, kind }: Piece) -> Self {
        [skipped, len, kind]
    }
}

impl Kind {
    pub(super) fn of(segment: &Segment) -> Self {
        let Segment { channel, choice, is_text, layers, .. } = *segment;
        Self { channel, choice, alone: !is_text, strings: layers.strings }
    }

    /// What the readers of a stream made of the piece, as far as a judge asks for it.
    fn segment(self, span: Span) -> Segment {
        let mut segment = Segment::plain(self.channel, span);
        (segment.is_text, segment.choice) = (!self.alone, self.choice);
        segment.layers = Layers { strings: self.strings, ..Layers::NONE };
        if self.strings > 0 {
            segment.form = Form::JsonString;
        }
        segment
    }
}

/// A piece where it stood in the stream, and where it stands in all that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Where it began in the stream, and how long it was.
    pub(crate) at: u32,
    pub(crate) len: u32,
    /// Its place in all that was kept, piece after piece; masks made it longer or shorter.
    pub(crate) shown: Span,
    pub(crate) kind: Kind,
}

/// One event of the stream: its part of the text, and what stands at which place of that part.
#[derive(Debug)]
pub(crate) struct Retold {
    pub(crate) text: Range<usize>,
    pub(crate) segments: Vec<Segment>,
}

impl Told {
    /// All pieces in order, and what was kept of them. Nothing where they do not make up the texts: then somebody else
    /// wrote this.
    pub(crate) fn whole(&self, text: &str, masks: &[Masked]) -> Option<(String, Vec<Vec<Placed>>)> {
        let events = self.placed(masks)?;
        let (mut whole, mut text, mut aside) = (String::new(), text, self.aside.as_str());
        for placed in events.iter().flatten() {
            let rest = if placed.kind.alone { &mut aside } else { &mut text };
            let (piece, behind) = rest.split_at_checked(placed.shown.len() as usize)?;
            whole.push_str(piece);
            *rest = behind;
        }
        (text.is_empty() && aside.is_empty()).then_some((whole, events))
    }

    /// The two texts of all that was kept.
    pub(super) fn split(&mut self, whole: &str, masks: &[Masked]) -> Option<String> {
        let mut text = String::new();
        for placed in self.placed(masks)?.iter().flatten() {
            let into = if placed.kind.alone { &mut self.aside } else { &mut text };
            into.push_str(whole.get(placed.shown.range())?);
        }
        Some(text)
    }

    pub(super) fn placed(&self, masks: &[Masked]) -> Option<Vec<Vec<Placed>>> {
        let (mut end, mut shown_end) = (0_u32, 0_u32);
        let mut masks = masks.iter().peekable();
        let mut place = |piece: &Piece| {
            let at = end.checked_add(piece.skipped)?;
            end = at.checked_add(piece.len)?;
            let mut shown_len = piece.len;
            while let Some(mask) = masks.next_if(|mask| mask.end <= end && mask.start >= at) {
                shown_len =
                    shown_len.checked_sub(mask.end.checked_sub(mask.start)?)?.checked_add(mask.shown)?;
            }
            let shown = Span { start: shown_end, end: shown_end.checked_add(shown_len)? };
            shown_end = shown.end;
            let kind = *self.kinds.get(piece.kind as usize)?;
            Some(Placed { at, len: piece.len, shown, kind })
        };
        let of_event = |pieces: &Vec<Piece>| pieces.iter().map(&mut place).collect();
        let events = self.events.iter().map(of_event).collect::<Option<_>>()?;
        masks.next().is_none().then_some(events)
    }
}

impl Retold {
    pub(crate) fn of(event: &[Placed]) -> Option<Self> {
        let text = event.first()?.shown.start..event.last()?.shown.end;
        let local = |span: Span| Span { start: span.start - text.start, end: span.end - text.start };
        let segments = event.iter().map(|placed| placed.kind.segment(local(placed.shown))).collect();
        Some(Self { text: text.start as usize..text.end as usize, segments })
    }
}

/// The texts that are read as one, with how each piece is written: what stands by itself, and what goes on over events.
pub(super) fn lanes(text: &str, events: &[Vec<Placed>]) -> Vec<(Channel, Vec<(Span, Layers)>)> {
    let mut lanes: Vec<(Kind, Vec<(Span, Layers)>)> = Vec::new();
    for placed in events.iter().flatten().filter(|placed| text.get(placed.shown.range()).is_some()) {
        let segment = placed.kind.segment(placed.shown);
        let lane = Kind { strings: 0, ..placed.kind };
        match lanes.iter_mut().find(|(other, _)| !lane.alone && *other == lane) {
            Some((_, pieces)) => pieces.push((segment.span, segment.layers)),
            None => lanes.push((lane, Vec::from([(segment.span, segment.layers)]))),
        }
    }
    lanes.into_iter().map(|(kind, pieces)| (kind.channel, pieces)).collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_none(choice: &u32) -> bool {
    *choice == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_written_plainly(strings: &u8) -> bool {
    *strings == 0
}
