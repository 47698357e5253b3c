//! Stage 2 over a body: the windows that stage 1 left open, the most suspicious of the whole body first, as long as there is
//! time for them. It works a step at a time, so that a host can go back to its other connections in between.
//!
//! What stage 2 had no time for was still read by stage 1 and by all rules; the receipt names it.

use alloc::{string::String, vec::Vec};

use sentinel_model::{
    Channel,
    compact::{
        HEADS, Speaker,
        calibration::Scale,
        encoder::{Encoder, Scratch},
        tokens::Vocabulary,
        windows::parts,
    },
};

use super::{
    Contexts, Hit,
    model::{ATTACK_FROM, ModelDetector},
};
use crate::{seen::Seen, span::Span};

/// A window that stage 1 left open.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OpenWindow {
    /// As detectors read it.
    pub(crate) text: String,
    pub(crate) channel: Channel,
    pub(crate) segment: u32,
    pub(crate) seen: Seen,
    pub(crate) span: Span,
    /// The calibrated logit of stage 1, and what it is made of.
    pub(crate) first: f32,
    pub(crate) heads: [f32; HEADS],
    /// What texts of this length are measured by.
    pub(crate) scale: Scale,
    /// Only a reader that takes other members of a JSON object than ours sees it.
    pub(crate) is_other_reading: bool,
}

/// The windows of a body that are left open, no more of them than there is time for.
#[derive(Debug, Default)]
pub(crate) struct OpenWindows {
    most: usize,
    /// Weakest first; of two that are as strong, the one that came later stands first.
    list: Vec<OpenWindow>,
    /// Where the first begins that there is no time for.
    left_open: Option<u32>,
    /// What stage 1 makes of the most suspicious of those.
    left_value: f32,
    /// Windows that came, whether there was time for them or not.
    pub(crate) offered: u32,
}

impl OpenWindows {
    pub(crate) fn at_most(windows: u32) -> Self {
        Self { most: windows as usize, ..Self::default() }
    }

    /// `window` is only made if there is room for it. `value` is what stage 1 makes of it.
    pub(crate) fn push(&mut self, first: f32, value: f32, span: Span, window: impl FnOnce() -> OpenWindow) {
        self.offered = self.offered.saturating_add(1);
        let at = self.list.partition_point(|known| known.first < first);
        if at == 0 && self.list.len() >= self.most {
            return self.leave(span.start, value);
        }
        self.list.insert(at, window());
        if self.list.len() > self.most {
            let weakest = self.list.remove(0);
            self.leave(weakest.span.start, weakest.value());
        }
    }

    /// Takes in what another reading of the same body left open, apart from what this one did.
    pub(crate) fn add_other_reading(&mut self, other: Self) {
        for mut window in other.list {
            let is_known = |known: &OpenWindow| known.span == window.span && known.seen == window.seen;
            if !self.list.iter().any(is_known) {
                let (first, value, span) = (window.first, window.value(), window.span);
                window.is_other_reading = true;
                self.push(first, value, span, || window);
            }
        }
        if let Some(at) = other.left_open {
            self.leave(at, other.left_value);
        }
    }

    fn leave(&mut self, at: u32, value: f32) {
        self.left_open = Some(self.left_open.map_or(at, |known| known.min(at)));
        self.left_value = self.left_value.max(value);
    }
}

impl OpenWindow {
    fn value(&self) -> f32 {
        self.scale.score(self.first)
    }
}

/// A window as stage 2 reads it: in one part as a rule, in more if its words have many pieces.
#[derive(Debug)]
pub(super) struct WindowReader {
    ids: Vec<u16>,
    n_parts: usize,
    part: usize,
    has_begun: bool,
    /// The highest of all parts so far.
    heads: [f32; HEADS],
}

impl WindowReader {
    pub(super) fn new(vocabulary: &Vocabulary<'_>, window: &str) -> Self {
        let ids: Vec<u16> = vocabulary.pieces(window).map(|token| token.id).collect();
        let n_parts = parts(ids.len()).count();
        Self { ids, n_parts, part: 0, has_begun: false, heads: [f32::MIN; HEADS] }
    }

    /// The logits, at a stretch.
    pub(super) fn read(
        mut self,
        encoder: &Encoder<'_>,
        speaker: Speaker,
        scratch: &mut Scratch,
    ) -> [f32; HEADS] {
        loop {
            if let Some(heads) = self.step(encoder, speaker, scratch) {
                return heads;
            }
        }
    }

    /// Goes on; answers the logits once there is nothing left to do.
    fn step(
        &mut self,
        encoder: &Encoder<'_>,
        speaker: Speaker,
        scratch: &mut Scratch,
    ) -> Option<[f32; HEADS]> {
        if !self.has_begun {
            let part = parts(self.ids.len()).nth(self.part).unwrap_or_default();
            let ids = self.ids.get(part).unwrap_or_default();
            encoder.begin(speaker, ids.iter().copied(), scratch);
            self.has_begun = true;
        }
        let logits = encoder.step(scratch)?;
        self.heads.iter_mut().zip(logits).for_each(|(most, logit)| *most = most.max(logit));
        self.part += 1;
        self.has_begun = false;
        (self.part >= self.n_parts).then_some(self.heads)
    }
}

/// Stage 2 at work on a body.
#[derive(Debug, Default)]
pub(crate) struct SecondLook {
    open: OpenWindows,
    /// Parts that it may still read.
    parts_left: u32,
    at_work: Option<(OpenWindow, WindowReader)>,
    scratch: Option<Scratch>,
    /// What it has read, with what it came to.
    read: Vec<ReadWindow>,
    suspicion: f32,
}

/// A window that stage 2 has read.
#[derive(Debug)]
pub(crate) struct ReadWindow {
    pub(crate) window: OpenWindow,
    /// 0.4 where the model begins to take it for an attack.
    pub(crate) value: f32,
    hit: Hit,
    is_attack: bool,
}

impl SecondLook {
    pub(crate) fn new(open: OpenWindows) -> Self {
        Self { parts_left: open.most as u32, open, ..Self::default() }
    }

    /// Whether there is something left to do.
    pub(crate) fn has_more(&self) -> bool {
        self.at_work.is_some() || !self.open.list.is_empty()
    }

    /// Goes on by one step of the encoder, which takes a fraction of a millisecond.
    pub(crate) fn step(&mut self, detector: &ModelDetector) {
        let Some((vocabulary, encoder)) = detector.model.stage_2() else { return self.open.list.clear() };
        let Some((window, mut reader)) = self.at_work.take().or_else(|| self.next(vocabulary)) else {
            return;
        };
        let scratch = self.scratch.get_or_insert_with(|| Scratch::new(encoder));
        match reader.step(encoder, Speaker::from(window.channel), scratch) {
            None => self.at_work = Some((window, reader)),
            Some(heads) => self.note(detector, window, heads),
        }
        if !self.has_more() {
            self.scratch = None;
        }
    }

    /// The next window, as far as there is time for it: taking windows apart is bounded, too.
    fn next(&mut self, vocabulary: &Vocabulary<'_>) -> Option<(OpenWindow, WindowReader)> {
        if self.parts_left == 0 {
            while let Some(window) = self.open.list.pop() {
                self.open.leave(window.span.start, window.value());
            }
            return None;
        }
        let window = self.open.list.pop()?;
        let mut reader = WindowReader::new(vocabulary, &window.text);
        let parts_left = self.parts_left as usize;
        if reader.n_parts > parts_left {
            self.open.leave(window.span.start, window.value());
            reader.n_parts = parts_left;
        }
        self.parts_left -= reader.n_parts as u32;
        Some((window, reader))
    }

    fn note(&mut self, detector: &ModelDetector, window: OpenWindow, heads: [f32; HEADS]) {
        let scale = window.scale;
        let logit = scale.both_of(&window.heads, &heads);
        let value = scale.score(logit);
        self.suspicion = self.suspicion.max(value);
        let OpenWindow { channel, segment, seen, span, .. } = window;
        let rule = detector.rule(&heads);
        let hit =
            Hit { rule, channel, segment, seen, span, contexts: Contexts::default(), score: Some(value) };
        self.read.push(ReadWindow { window, value, hit, is_attack: logit >= scale.threshold });
    }

    /// Where the first window begins that was left open.
    pub(crate) fn left_open(&self) -> Option<u32> {
        self.open.left_open
    }

    /// What nobody had the time to read to its end counts, but is not enough for a finding.
    pub(crate) fn suspicion(&self) -> f32 {
        self.suspicion.max(self.open.left_value.min(ATTACK_FROM - f32::EPSILON))
    }

    /// All windows that it has read.
    pub(crate) fn windows(&self) -> &[ReadWindow] {
        &self.read
    }
}

impl ReadWindow {
    /// What it is, if it is an attack.
    pub(crate) fn hit(&self) -> Option<Hit> {
        self.is_attack.then_some(self.hit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(first: f32, start: u32) -> OpenWindow {
        OpenWindow {
            text: String::new(),
            channel: Channel::User,
            segment: 0,
            seen: Seen::Folded,
            span: Span { start, end: start + 1 },
            first,
            heads: [0.0; HEADS],
            scale: Scale::default(),
            is_other_reading: false,
        }
    }

    fn pushed(most: u32, firsts: &[f32]) -> OpenWindows {
        let mut open = OpenWindows::at_most(most);
        for (first, start) in firsts.iter().zip(0..) {
            let window = window(*first, start);
            open.push(*first, window.value(), window.span, || window);
        }
        open
    }

    fn order(open: &OpenWindows) -> Vec<u32> {
        open.list.iter().rev().map(|window| window.span.start).collect()
    }

    #[test]
    fn the_most_suspicious_windows_stay_and_the_first_of_the_others_is_named() {
        let open = pushed(2, &[0.1, 0.9, 0.3, 0.7, 0.2]);
        assert_eq!(order(&open), [1, 3]);
        assert_eq!(open.left_open, Some(0));
    }

    #[test]
    fn of_two_as_suspicious_the_first_is_read_first() {
        assert_eq!(order(&pushed(3, &[0.5, 0.5, 0.5, 0.5])), [0, 1, 2]);
    }

    #[test]
    fn without_time_all_are_left() {
        let open = pushed(0, &[0.5, 0.1]);
        assert_eq!(order(&open), [] as [u32; 0]);
        assert_eq!(open.left_open, Some(0));
    }

    #[test]
    fn another_reading_adds_what_is_only_there() {
        let mut open = pushed(4, &[0.5, 0.1]);
        open.add_other_reading(pushed(4, &[0.5, 0.1, 0.3]));
        assert_eq!(order(&open), [0, 2, 1]);
        let others: Vec<bool> = open.list.iter().map(|window| window.is_other_reading).collect();
        assert_eq!(others, [false, true, false]);
    }
}
