//! What is written down of a stream while it is judged, for those whose policy keeps content.
//!
//! Invariants: it never holds more than an event may carry, and nothing once it is clear that nothing will be kept;
//! what was found private is marked the moment that it is found.

use alloc::{collections::BTreeSet, string::String, vec::Vec};

use super::{
    LeftOut, MASK_BYTES, Masked, hides_text, is_private, length_in_event,
    told::{Kind, Piece, Placed, Told, lanes},
};
use crate::{
    act::{Edit, mask, mask::Placeholders, splice},
    decide::Mask,
    detect::{self, Budget, Hit, Hits},
    engine::Engine,
    policy::MaskStyle,
    span::Span,
    text::View,
    traffic::{Extraction, Segment},
};

#[derive(Debug)]
pub(crate) struct Tape {
    bytes_max: usize,
    text: Vec<u8>,
    places: Vec<Place>,
    kinds: Vec<Kind>,
    /// What stood by itself and had no finding, of each kind.
    once: Vec<BTreeSet<Vec<u8>>>,
    n_events: u32,
    /// At places of `text`.
    masks: Vec<Mask>,
    n_hits: u32,
    lost: Option<LeftOut>,
    pub(crate) is_over: bool,
}

/// A piece: where it begins in the stream and in the text, and what it is.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u32,
    text_at: u32,
    len: u32,
    kind: u32,
    event: u32,
}

impl Tape {
    pub(crate) fn new(bytes_max: u32) -> Self {
        Self {
            bytes_max: bytes_max as usize,
            text: Vec::new(),
            places: Vec::new(),
            kinds: Vec::new(),
            once: Vec::new(),
            n_events: 0,
            masks: Vec::new(),
            n_hits: 0,
            lost: None,
            is_over: false,
        }
    }

    /// There will be nothing to keep, for this reason.
    pub(crate) fn lose(&mut self, why: LeftOut) {
        if self.lost.is_none() {
            *self = Self { lost: Some(why), is_over: self.is_over, ..Self::new(0) };
        }
    }

    /// An event that begins at `at` of the stream, and what was found in those of its texts that stand by themselves.
    pub(crate) fn record(&mut self, event: &[u8], at: u32, extraction: &Extraction, alone_hits: &[Hit]) {
        if extraction.gaps.iter().any(hides_text) {
            self.lose(LeftOut::PartsUnread);
        }
        for segment in &extraction.segments {
            if self.lost.is_some() {
                return;
            }
            let is_found = alone_hits.iter().any(|hit| hit.span.overlaps(segment.span.shifted(at)));
            self.add(segment.span.of(event), at, segment, is_found);
        }
        self.n_events += 1;
    }

    fn add(&mut self, bytes: &[u8], event_at: u32, segment: &Segment, is_found: bool) {
        let kind = self.kind(Kind::of(segment));
        if !segment.is_text && !is_found && self.is_known(kind, bytes) {
            return;
        }
        let at = segment.span.start.saturating_add(event_at);
        let is_behind = self.places.last().is_some_and(|last| at < last.at.saturating_add(last.len));
        if is_behind || segment.layers.is_form {
            return self.lose(LeftOut::PartsUnread);
        }
        // Places are counted in 32 bits.
        if at.checked_add(bytes.len() as u32).is_none() {
            return self.lose(LeftOut::TooLong);
        }
        let (text_at, len, event) = (self.text.len() as u32, bytes.len() as u32, self.n_events);
        self.text.extend_from_slice(bytes);
        self.places.push(Place { at, text_at, len, kind, event });
        if self.text.len() + self.frame_bytes() > self.bytes_max {
            self.lose(LeftOut::TooLong);
        }
    }

    /// From now on it is.
    fn is_known(&mut self, kind: u32, bytes: &[u8]) -> bool {
        let Some(once) = self.once.get_mut(kind as usize) else { return false };
        let is_known = once.contains(bytes);
        if !is_known {
            once.insert(bytes.into());
        }
        is_known
    }

    fn kind(&mut self, kind: Kind) -> u32 {
        let known = self.kinds.iter().position(|known| *known == kind);
        let idx = known.unwrap_or_else(|| {
            self.kinds.push(kind);
            self.once.push(BTreeSet::new());
            self.kinds.len() - 1
        });
        idx as u32
    }

    /// How long everything but the text is in the event, at most.
    fn frame_bytes(&self) -> usize {
        self.places.len() * PIECE_BYTES + self.kinds.len() * KIND_BYTES
    }

    /// What was found in what was recorded: `extraction` has the segments that the hits are in, at places of the stream.
    pub(crate) fn hide(&mut self, engine: &Engine, extraction: &Extraction, hits: &[Hit]) {
        if self.lost.is_some() {
            return;
        }
        for hit in hits {
            let Some(rule) = engine.catalog().rule(hit.rule).filter(|rule| is_private(rule)) else {
                continue;
            };
            let masks = Mask::all_of(hit, self.n_hits, rule, MaskStyle::Placeholder, extraction);
            self.n_hits += 1;
            for mask in masks.collect::<Vec<_>>() {
                match self.in_text(mask.span) {
                    Some(span) => self.masks.push(Mask { span, ..mask }),
                    None => return self.lose(LeftOut::NotMasked),
                }
            }
        }
    }

    /// From a place of the stream to that of the text.
    fn in_text(&self, span: Span) -> Option<Span> {
        let idx = self.places.partition_point(|place| place.at <= span.start).checked_sub(1)?;
        let place = self.places.get(idx)?;
        let is_inside = span.end <= place.at.saturating_add(place.len);
        let shifted = |at: u32| at - place.at + place.text_at;
        is_inside.then(|| Span { start: shifted(span.start), end: shifted(span.end) })
    }

    pub(super) fn tell(
        self,
        engine: &Engine,
        names: &mut Placeholders,
    ) -> Result<(String, Vec<Masked>, Told), LeftOut> {
        if let Some(why) = self.lost {
            return Err(why);
        }
        let edits = mask::edits(&self.text, 0, &self.masks, names);
        let whole = String::from_utf8(splice(&self.text, &edits)).map_err(|_| LeftOut::NotText)?;
        let bytes = length_in_event(&whole) + edits.len() * MASK_BYTES + self.frame_bytes();
        if bytes > self.bytes_max {
            return Err(LeftOut::TooLong);
        }
        let masks: Vec<Masked> = edits.iter().filter_map(|edit| self.masked(edit)).collect();
        let mut told = self.into_told();
        let events = told.placed(&masks).ok_or(LeftOut::NotMasked)?;
        if has_more(engine, &whole, &events) {
            return Err(LeftOut::NotMasked);
        }
        let text = told.split(&whole, &masks).ok_or(LeftOut::NotMasked)?;
        Ok((text, masks, told))
    }

    /// An edit of the text, at its place in the stream.
    fn masked(&self, Edit { span, text }: &Edit) -> Option<Masked> {
        let idx = self.places.partition_point(|place| place.text_at <= span.start).checked_sub(1)?;
        let place = self.places.get(idx)?;
        let back = |at: u32| at - place.text_at + place.at;
        Some(Masked { start: back(span.start), end: back(span.end), shown: text.len() as u32 })
    }

    fn into_told(self) -> Told {
        let mut events: Vec<Vec<Piece>> = Vec::new();
        let (mut end, mut last_event) = (0, None);
        for Place { at, len, kind, event, .. } in self.places {
            let piece = Piece { skipped: at - end, len, kind };
            end = at + len;
            match events.last_mut().filter(|_| last_event == Some(event)) {
                Some(pieces) => pieces.push(piece),
                None => events.push(Vec::from([piece])),
            }
            last_event = Some(event);
        }
        Told { aside: String::new(), kinds: self.kinds, events, over: self.is_over }
    }
}

/// Whether what was masked still has something private. A stream was judged with a bit of what came before; here each
/// text is read from end to end.
fn has_more(engine: &Engine, text: &str, events: &[Vec<Placed>]) -> bool {
    let mut view = View::default();
    let mut budget = Budget::for_bytes(text.len());
    for (channel, pieces) in lanes(text, events) {
        view.clear();
        for (span, layers) in pieces {
            view.append(text.get(span.range()).unwrap_or_default(), span.start, layers);
        }
        let mut hits = Hits::new(core::mem::take(&mut budget), channel, 0);
        detect::look(&engine.detectors(), engine.vocabulary(), &mut view, &mut hits);
        let (found, left) = hits.into_parts();
        budget = left;
        let is_private = |hit: &Hit| engine.catalog().rule(hit.rule).is_some_and(is_private);
        if budget.is_spent() || found.iter().any(is_private) {
            return true;
        }
    }
    false
}

/// Three numbers, where the piece is longer than a few letters or begins an event.
const PIECE_BYTES: usize = 16;
/// With the names of its members.
const KIND_BYTES: usize = 72;
