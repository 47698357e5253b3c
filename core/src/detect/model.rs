//! The compact model over a view. Stage 1 reads every text; stage 2 looks again at the windows that stage 1 left open, the
//! most suspicious first, as long as there is time for them.
//!
//! A window that turns out to be an attack is a finding of its family, with the model's own score. What stage 2 had no time
//! for was still read by stage 1 and by all rules; the receipt names it.

use alloc::{string::String, sync::Arc, vec::Vec};

use sentinel_model::{
    Channel, Family,
    compact::{
        ArtifactError, HEADS, Model, Speaker,
        calibration::{Calibration, Scale},
        encoder::{Encoder, Scratch},
        ngrams::{Adder, Ngrams, Sums},
        tokens::Vocabulary,
        windows::parts,
    },
};

use super::{Detector, Hits, RuleIdx, RuleInfo};
use crate::text::{View, for_each_word};

/// By the heads of the model, from the second on: the first says that something is wrong, the others what.
const RULES: [(&str, Family); HEADS - 1] = [
    ("injection/model", Family::Injection),
    ("jailbreak/model", Family::Jailbreak),
    ("leak/model", Family::Leak),
];

/// An opened artefact, with all that reading a text takes.
#[derive(Debug)]
pub struct CompactModel {
    card: &'static str,
    ngrams: Ngrams<'static>,
    encoder: Option<(Vocabulary<'static>, Encoder<'static>)>,
    calibration: Calibration<'static>,
}

/// What stage 2 looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing.
    First,
    /// What stage 1 leaves open, as in a proxy.
    Open,
    All,
}

/// What the model makes of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowScore {
    /// In the text that was read.
    pub start: u32,
    pub end: u32,
    /// The calibrated logit of stage 1 alone.
    pub first: f32,
    /// That of both stages, if stage 2 looked.
    pub both: Option<f32>,
    /// Stage 1 left it open, and there was no time for stage 2.
    pub is_left_open: bool,
    heads: [f32; HEADS],
}

impl WindowScore {
    /// What both stages come to, as far as they looked.
    pub fn logit(&self) -> f32 {
        self.both.unwrap_or(self.first)
    }

    /// The rule that speaks for what kind of attack this is most like.
    fn rule(&self) -> usize {
        let kinds = self.heads.iter().skip(1).enumerate();
        kinds.max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(idx, _)| idx)
    }
}

impl CompactModel {
    /// The model that this version was built with.
    pub fn builtin() -> Result<Self, ArtifactError> {
        Self::open(sentinel_model::BUILTIN_MODEL)
    }

    /// An artefact that stays in memory as long as the process.
    pub fn open(artifact: &'static [u8]) -> Result<Self, ArtifactError> {
        use sentinel_model::compact::artifact::{CALIBRATION, NGRAMS};
        let Model { card, ngrams, encoder, calibration } = Model::open(artifact)?;
        Ok(Self {
            card,
            ngrams: ngrams.ok_or(ArtifactError::Missing(NGRAMS))?,
            encoder,
            calibration: calibration.ok_or(ArtifactError::Missing(CALIBRATION))?,
        })
    }

    /// What it is, what it was trained with and how well it does: JSON.
    pub const fn card(&self) -> &'static str {
        self.card
    }

    pub fn scale(&self, channel: Channel) -> Scale {
        self.calibration.scale(Speaker::from(channel))
    }

    /// All windows of a folded text. Stage 2 looks at `left` of those that stage 1 leaves open, at most.
    pub(crate) fn read(&self, channel: Channel, text: &str, look: Look, left: &mut u32) -> Vec<WindowScore> {
        let speaker = Speaker::from(channel);
        let scale = self.calibration.scale(speaker);
        let mut scores = self.first(speaker, &scale, text);
        let is_open = |score: &WindowScore| match look {
            Look::First => false,
            Look::Open => scale.is_grey(score.first),
            Look::All => true,
        };
        let open = scores.iter().enumerate().filter(|(_, score)| is_open(score));
        let mut open: Vec<usize> = open.map(|(idx, _)| idx).collect();
        let Some((vocabulary, encoder)) = self.encoder.as_ref().filter(|_| !open.is_empty()) else {
            return scores;
        };
        let first_of = |idx: usize| scores.get(idx).map_or(f32::MIN, |score| score.first);
        open.sort_by(|a, b| first_of(*b).total_cmp(&first_of(*a)));
        let mut second: Option<Second<'_>> = None;
        for idx in open {
            let Some(score) = scores.get_mut(idx) else { continue };
            let window = text.get(score.start as usize..score.end as usize).unwrap_or("");
            let read = (*left > 0).then(|| {
                let second = second.get_or_insert_with(|| Second::new(vocabulary, encoder, speaker));
                second.read(window, left)
            });
            match read.flatten() {
                Some(heads) => {
                    let [first, ..] = score.heads;
                    let [attack, ..] = heads;
                    score.both = Some(scale.both(first, attack));
                    score.heads = heads;
                }
                None => score.is_left_open = true,
            }
        }
        scores
    }

    fn first(&self, speaker: Speaker, scale: &Scale, text: &str) -> Vec<WindowScore> {
        let bytes = text.as_bytes();
        let mut adder = Adder::new(&self.ngrams);
        let mut reader = self.ngrams.reader();
        for_each_word(text, |start, end| reader.word(bytes, start, end, &mut adder));
        reader.end(bytes, &mut adder);
        let score = |sums: Sums| {
            let heads = self.ngrams.logits(speaker, &sums);
            let [attack, ..] = heads;
            let (start, end) = (sums.block.start, sums.block.end);
            WindowScore { start, end, first: scale.first(attack), both: None, is_left_open: false, heads }
        };
        adder.windows().map(score).collect()
    }
}

/// Stage 2 at work.
struct Second<'m> {
    vocabulary: &'m Vocabulary<'m>,
    encoder: &'m Encoder<'m>,
    scratch: Scratch,
    speaker: Speaker,
}

impl<'m> Second<'m> {
    fn new(vocabulary: &'m Vocabulary<'m>, encoder: &'m Encoder<'m>, speaker: Speaker) -> Self {
        Self { vocabulary, encoder, scratch: Scratch::new(encoder), speaker }
    }

    /// The logits of a window, or nothing if there is no time for all of it; then there is none for another, either, so
    /// that taking windows apart is bounded, too.
    fn read(&mut self, window: &str, left: &mut u32) -> Option<[f32; HEADS]> {
        let ids: Vec<u16> = self.vocabulary.pieces(window).map(|token| token.id).collect();
        let Some(rest) = left.checked_sub(parts(ids.len()).count() as u32) else {
            *left = 0;
            return None;
        };
        *left = rest;
        let mut all = [f32::MIN; HEADS];
        for part in parts(ids.len()) {
            let ids = ids.get(part).unwrap_or_default();
            let logits = self.encoder.logits_of(self.speaker, ids.iter().copied(), &mut self.scratch);
            all.iter_mut().zip(logits).for_each(|(most, logit)| *most = most.max(logit));
        }
        Some(all)
    }
}

/// The model as one of the detectors.
#[derive(Clone, Debug)]
pub(crate) struct ModelDetector {
    pub(crate) first_rule: RuleIdx,
    pub(crate) model: Arc<CompactModel>,
}

/// Whether one of the rules passes.
pub(crate) fn any_rule(is_used: impl Fn(&str, Family) -> bool) -> bool {
    RULES.iter().any(|(id, family)| is_used(id, *family))
}

pub(crate) fn rule_infos() -> impl Iterator<Item = RuleInfo> {
    /// A finding has the score that the model gave it; this is what they come to at most.
    const SCORE: f32 = 0.99;
    RULES.iter().map(|(id, family)| RuleInfo {
        id: String::from(*id),
        version: 1,
        family: *family,
        level: 1,
        score: SCORE,
    })
}

/// What operators write themselves, and what a model writes for a program, is not judged.
pub(crate) const fn is_judged(channel: Channel) -> bool {
    match channel {
        Channel::User
        | Channel::Assistant
        | Channel::ToolDefinition
        | Channel::ToolResult
        | Channel::Document => true,
        Channel::System | Channel::Developer | Channel::ToolArguments | Channel::Transaction => false,
    }
}

impl Detector for ModelDetector {
    fn detect(&self, view: &mut View, hits: &mut Hits) {
        if !is_judged(hits.channel()) {
            return;
        }
        let scale = self.model.scale(hits.channel());
        let scores = self.model.read(hits.channel(), view.text(), Look::Open, &mut hits.windows_left);
        for score in scores {
            let source = || view.source(score.start as usize, score.end as usize);
            if score.is_left_open {
                let at = source().start;
                hits.left_open = Some(hits.left_open.map_or(at, |known| known.min(at)));
            }
            hits.second_looks += u32::from(score.both.is_some());
            let value = scale.score(score.logit());
            hits.suspicion = hits.suspicion.max(value);
            // Weaker suspicions are nobody's business.
            if score.logit() >= scale.threshold {
                let rule = RuleIdx(self.first_rule.0 + score.rule() as u16);
                hits.push_scored(rule, source(), value);
            }
        }
    }
}

impl CompactModel {
    /// The scores of a text as it stands, whatever the time it takes.
    pub fn scores(&self, channel: Channel, text: &str, look: Look) -> Vec<WindowScore> {
        let folded = super::FoldedText::new(text);
        let mut left = u32::MAX;
        self.read(channel, folded.text(), look, &mut left)
    }
}
