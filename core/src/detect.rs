//! From segments to hits. Each detector reads the folded view of one segment and says where it saw what.

mod across;
pub(crate) mod card;
pub(crate) mod drift;
mod folded;
mod index;
pub(crate) mod inline;
pub(crate) mod leak;
pub(crate) mod model;
mod near;
pub(crate) mod obfuscation;
pub(crate) mod patterns;
mod phrase;
pub(crate) mod pii;
mod recall;
pub(crate) mod second;
pub(crate) mod secrets;

pub(crate) use across::across;
pub use folded::FoldedText;
pub use model::{CompactModel, Look, WindowScore};
pub use patterns::{PatternSet, builtin_packs};
pub(crate) use recall::KnownTexts;

use alloc::{string::String, sync::Arc, vec::Vec};

use self::{patterns::PatternDetector, second::OpenWindows};

use sentinel_model::{Channel, Family};

use crate::{
    action::Direction,
    lap::{Laps, Layer},
    receipt::{Gap, GapReason},
    seen::Seen,
    span::Span,
    text::{View, Vocabulary, uncover},
    traffic::{Extraction, Segment, default_channel},
};

/// More hits than the largest body has room for, nearly: past this the rest of the body becomes a `budget` gap.
const HITS_MAX: usize = 65_536;

/// Steps of comparing words that one direction of an exchange may cost: so much in any case, and so much per byte.
/// Benign text needs a hundredth of it; text made of nothing but anchors runs into it (`cargo xtask bench core`
/// shows both), and then the rest of the body is a `budget` gap.
const WORK_BASE: u32 = 100_000;
const WORK_PER_BYTE: u32 = 8;

/// All that hits refer to.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) rules: Vec<RuleInfo>,
    pub(crate) contexts: Vec<ContextInfo>,
}

/// What was seen around a hit and says how it is meant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ContextInfo {
    pub(crate) id: String,
    pub(crate) factor: f32,
}

/// A set of indices into [`Catalog::contexts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contexts(u32);

impl Contexts {
    pub(crate) const fn insert(&mut self, idx: usize) {
        self.0 |= 1 << (idx as u32 % u32::BITS);
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn of(self, catalog: &Catalog) -> impl Iterator<Item = &ContextInfo> {
        let chosen = catalog.contexts.iter().enumerate().filter(move |(idx, _)| self.0 >> idx & 1 == 1);
        chosen.map(|(_, context)| context)
    }
}

impl Catalog {
    pub(crate) fn rule(&self, idx: RuleIdx) -> Option<&RuleInfo> {
        self.rules.get(usize::from(idx.0))
    }

    /// The score of a hit: that of its rule, as its surroundings move it.
    pub(crate) fn score(&self, hit: &Hit) -> f32 {
        /// However loudly a text speaks to the model, a phrase is never certain.
        const RAISED_MAX: f32 = 0.99;
        let score = hit.score.unwrap_or_else(|| self.rule(hit.rule).map_or(0.0, |rule| rule.score));
        let moved = hit.contexts.of(self).fold(score, |score, context| score * context.factor);
        if moved > score { moved.min(RAISED_MAX).max(score) } else { moved }
    }
}

/// What a rule is, as far as a decision needs to know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RuleInfo {
    pub(crate) id: String,
    pub(crate) version: u32,
    pub(crate) family: Family,
    pub(crate) level: u8,
    pub(crate) score: f32,
}

/// Index into the engine's list of [`RuleInfo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RuleIdx(pub(crate) u16);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hit {
    pub(crate) rule: RuleIdx,
    pub(crate) channel: Channel,
    /// Index of the first segment of the text that was hit.
    pub(crate) segment: u32,
    /// The view that it was seen in.
    pub(crate) seen: Seen,
    /// Bytes of the body, from the first to the last that belong to the hit. Where a text is made of several
    /// segments, structure may stand between them.
    pub(crate) span: Span,
    pub(crate) contexts: Contexts,
    /// Of a finding that has a score of its own, and not that of its rule.
    pub(crate) score: Option<f32>,
}

/// What is left of the work that one direction may cost.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    work: u32,
}

impl Budget {
    pub(crate) fn for_bytes(bytes: usize) -> Self {
        Self { work: WORK_BASE.saturating_add(Span::whole(bytes).len().saturating_mul(WORK_PER_BYTE)) }
    }

    const fn without_limit() -> Self {
        Self { work: u32::MAX }
    }

    pub(crate) fn spend(&mut self, work: u32) -> bool {
        self.work = self.work.saturating_sub(work);
        self.work > 0
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.work == 0
    }

    /// Spends what is known to be needed, if that is known and there is enough.
    fn spends(&mut self, work: Option<u32>) -> bool {
        match work {
            Some(work) if work < self.work => {
                self.work -= work;
                true
            }
            _ => false,
        }
    }
}

/// Where hits go, with the text they belong to.
#[derive(Debug)]
pub(crate) struct Hits {
    list: Vec<Hit>,
    pub(crate) budget: Budget,
    /// What the first stage of the model leaves to the second.
    pub(crate) open: OpenWindows,
    /// The highest score that the first stage gave where it has the last word.
    pub(crate) suspicion: f32,
    /// The text being read.
    channel: Channel,
    segment: u32,
    seen: Seen,
    pub(crate) laps: Laps,
}

impl Hits {
    pub(crate) fn new(budget: Budget, channel: Channel, segment: u32) -> Self {
        Self {
            list: Vec::new(),
            budget,
            open: OpenWindows::default(),
            suspicion: 0.0,
            channel,
            segment,
            seen: Seen::Folded,
            laps: Laps::default(),
        }
    }

    pub(crate) fn into_parts(self) -> (Vec<Hit>, Budget) {
        (self.list, self.budget)
    }

    pub(crate) fn push(&mut self, rule: RuleIdx, span: Span) {
        self.push_in(rule, span, Contexts::default());
    }

    pub(crate) fn push_in(&mut self, rule: RuleIdx, span: Span, contexts: Contexts) {
        self.add(rule, span, contexts, None);
    }

    /// A finding with a score of its own.
    pub(crate) fn push_scored(&mut self, rule: RuleIdx, span: Span, score: f32) {
        self.add(rule, span, Contexts::default(), Some(score));
    }

    fn add(&mut self, rule: RuleIdx, span: Span, contexts: Contexts, score: Option<f32>) {
        if self.list.len() == HITS_MAX {
            self.budget.work = 0;
            return;
        }
        let Self { channel, segment, seen, .. } = *self;
        self.list.push(Hit { rule, channel, segment, seen, span, contexts, score });
    }

    /// Takes out hits from `known` on that were found before, from `first` on.
    fn drop_known(&mut self, first: usize, known: usize) {
        if self.list.len() == known {
            return;
        }
        let before = Known::new(self.list.get(first..known).unwrap_or_default());
        let mut idx = 0;
        self.list.retain(|hit| {
            idx += 1;
            idx <= known || !before.has(hit)
        });
    }

    pub(crate) const fn channel(&self) -> Channel {
        self.channel
    }

    const fn mark(&self) -> Mark {
        Mark { hits: self.list.len(), windows: self.open.offered, work: self.budget.work }
    }

    /// The work that was done since, if nothing came of it and nothing was left open.
    fn work_since(&self, before: Mark) -> Option<u32> {
        let is_clean = self.list.len() == before.hits && self.open.offered == before.windows;
        is_clean.then(|| before.work - self.budget.work)
    }
}

/// How far detection has come.
#[derive(Clone, Copy, Debug)]
struct Mark {
    hits: usize,
    windows: u32,
    work: u32,
}

/// Hits to hold others against: the same rule in the same place. Sorted, since a body may be nothing but hits.
pub(crate) struct Known(Vec<(RuleIdx, Span)>);

impl Known {
    pub(crate) fn new(hits: &[Hit]) -> Self {
        let mut known: Vec<(RuleIdx, Span)> = hits.iter().map(|hit| (hit.rule, hit.span)).collect();
        known.sort_unstable();
        Self(known)
    }

    pub(crate) fn has(&self, hit: &Hit) -> bool {
        let at = self.0.partition_point(|known| *known < (hit.rule, hit.span));
        let near = self.0.get(at.saturating_sub(1)..).unwrap_or_default().iter().take(2);
        near.into_iter().any(|(rule, span)| *rule == hit.rule && span.overlaps(hit.span))
    }
}

/// One way of finding things. Reads the view, never the body.
pub(crate) trait Detector: core::fmt::Debug + Send + Sync {
    fn detect(&self, view: &mut View, hits: &mut Hits);

    /// What its time is counted as.
    fn layer(&self) -> Layer {
        Layer::Patterns
    }

    /// Where, at the end of the text, something begins that more text could turn into a hit. A stream holds it back.
    fn open(&self, _: &View) -> Option<usize> {
        None
    }
}

/// What was found in a body, what the first stage of the model leaves to the second, and the highest score that it gave
/// otherwise, be it too low for a finding.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) hits: Vec<Hit>,
    pub(crate) open: OpenWindows,
    pub(crate) suspicion: f32,
}

/// Runs every detector over every text, in order, but for those that are known to be clean. When the budget is spent the
/// rest of the body is a gap: the receipt never claims what was not looked at.
pub(crate) fn detect(
    detectors: &[&dyn Detector],
    words: &dyn Vocabulary,
    body: &[u8],
    extraction: &mut Extraction,
    windows: u32,
    known: Option<&KnownTexts>,
    laps: &Laps,
) -> Found {
    let mut view = View::default();
    let mut hits = Hits::new(Budget::for_bytes(body.len()), Channel::User, 0);
    hits.open = OpenWindows::at_most(windows);
    hits.laps = laps.clone();
    let whole = core::str::from_utf8(body).ok();
    for (idx, first) in extraction.segments.iter().enumerate().filter(|(_, segment)| !segment.continues) {
        (hits.channel, hits.segment) = (first.channel, idx as u32);
        let name = known.and_then(|known| Some((known, known.name(extraction, idx, body)?)));
        if name.is_some_and(|(known, name)| hits.budget.spends(known.work_of(name))) {
            continue;
        }
        let before = hits.mark();
        laps.enter(Layer::Text);
        view.clear();
        for (part, segment) in extraction.run(idx).enumerate() {
            // Segments of a body that is not UTF-8 as a whole are its readable stretches.
            let text = match whole {
                Some(body) => body.get(segment.span.range()),
                None => core::str::from_utf8(segment.span.of(body)).ok(),
            };
            if part > 0 {
                view.separate(segment.span.start);
            }
            view.append(text.unwrap_or(""), segment.span.start, segment.layers);
        }
        look(detectors, words, &mut view, &mut hits);
        if hits.budget.is_spent() {
            let rest = Span { start: first.span.start, end: Span::whole(body.len()).end };
            extraction.gaps.push(Gap::new(GapReason::Budget, rest));
            break;
        }
        if let Some((known, name)) = name
            && let Some(work) = hits.work_since(before)
        {
            known.add(name, work);
        }
    }
    let Hits { list: hits, open, suspicion, .. } = hits;
    Found { hits, open, suspicion }
}

/// All detectors over one view, and over what is disguised in it.
pub(crate) fn look(detectors: &[&dyn Detector], words: &dyn Vocabulary, view: &mut View, hits: &mut Hits) {
    let first = hits.list.len();
    hits.seen = view.seen();
    for detector in detectors {
        hits.laps.enter(detector.layer());
        detector.detect(view, hits);
    }
    hits.laps.enter(Layer::Text);
    for mut uncovered in uncover(view, words, &mut hits.budget) {
        let known = hits.list.len();
        hits.seen = uncovered.seen();
        for detector in detectors {
            hits.laps.enter(detector.layer());
            detector.detect(&mut uncovered, hits);
        }
        hits.drop_known(first, known);
    }
}

/// Rule ids that a pack matches in a plain text, for tests of packs.
pub fn scan_text(patterns: &Arc<PatternSet>, channel: Option<Channel>, text: &str) -> Vec<String> {
    let channel = channel.unwrap_or_else(|| default_channel(Direction::Request));
    let segment = Segment::plain(channel, Span::whole(text.len()));
    let mut extraction = Extraction { segments: Vec::from([segment]), ..Extraction::default() };
    let detector = PatternDetector { set: patterns.clone(), level: u8::MAX };
    detect(&[&detector], patterns.as_ref(), text.as_bytes(), &mut extraction, 0, None, &Laps::default())
        .hits
        .iter()
        .map(|hit| patterns.rule_id(hit.rule).into())
        .collect()
}
