//! One body through all detectors, in three parts: everything that takes no time is done at once, the second stage of the
//! model goes on a step at a time, and in the end comes the decision.
//!
//! Invariant: what comes out does not depend on how often a host lets others go first.

use alloc::{vec, vec::Vec};

use crate::{
    act::{Edit, mask, restore},
    action::{Action, Direction},
    content::Witnessed,
    decide::{Decision, decide},
    detect::{
        Catalog, Detector, Found, Hit, Known, KnownTexts, detect,
        leak::Watch,
        second::{OpenWindows, ReadWindow, SecondLook},
    },
    engine::{Engine, Kept},
    lap::{Laps, Layer},
    length,
    opinion::{Opinion, Question, QuestionText},
    policy::Profile,
    receipt::{Gap, GapReason, Receipt},
    session::{Said, Visiting},
    span::Span,
    step::Time,
    traffic::{Calls, Extraction},
};

/// A body that was read, and what is still open about it.
#[derive(Debug)]
pub(crate) struct Reading {
    extraction: Extraction,
    hits: Vec<Hit>,
    second: SecondLook,
    /// The highest score of the first stage where it has the last word.
    suspicion: f32,
    /// The windows that somebody else was asked about.
    asked: Vec<usize>,
    opinions: Vec<Opinion>,
    /// Somebody was asked, and said nothing.
    has_no_answer: bool,
    /// Something was found only together with what the user said before.
    is_across: bool,
}

/// What an exchange brings along to the reading of a body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Aids<'a> {
    /// The end of what the user said before.
    pub(crate) tail: Option<&'a str>,
    pub(crate) known: Option<&'a KnownTexts>,
}

/// Where what a request came to is noted.
#[derive(Debug)]
pub(crate) struct Ledger<'a> {
    pub(crate) visiting: Visiting<'a>,
    pub(crate) now: Time,
}

/// What one body came to.
#[derive(Debug)]
pub(crate) struct Inspection {
    pub(crate) decision: Decision,
    pub(crate) receipt: Receipt,
    /// What has to change in the body, in order.
    pub(crate) edits: Vec<Edit>,
    /// How many placeholders got their text back.
    pub(crate) restored: u32,
    pub(crate) calls: Calls,
    /// What its event shall carry of it, if policy wants that.
    pub(crate) witnessed: Option<Witnessed>,
}

impl Inspection {
    /// A body that is not looked at.
    pub(crate) fn unread(profile: &Profile, direction: Direction, reason: GapReason, bytes: usize) -> Self {
        let receipt = Receipt::unscanned(reason, bytes);
        let unread = Extraction { gaps: receipt.gaps.clone(), ..Extraction::default() };
        Self {
            decision: decide(profile, direction, &Catalog::default(), &[], &unread),
            receipt,
            edits: Vec::new(),
            restored: 0,
            calls: Calls::default(),
            witnessed: None,
        }
    }
}

impl Reading {
    pub(crate) fn has_more(&self) -> bool {
        self.second.has_more()
    }

    /// Windows that the second stage has read.
    pub(crate) fn second_looks(&self) -> u32 {
        self.second.windows().len() as u32
    }

    /// The highest score that the model gave a window, be it too low for a finding.
    pub(crate) fn suspicion(&self) -> f32 {
        self.suspicion.max(self.second.suspicion())
    }

    /// What a second opinion is wanted on, by this profile.
    pub(crate) fn question(&mut self, profile: &Profile) -> Option<Question> {
        if !profile.opinion.enabled {
            return None;
        }
        let windows = self.second.windows();
        let is_doubtful =
            |idx: &usize| windows.get(*idx).is_some_and(|read| profile.opinion.covers(read.value));
        let mut asked: Vec<usize> = (0..windows.len()).filter(is_doubtful).collect();
        asked.truncate(Question::TEXTS_MAX);
        let text =
            |read: &ReadWindow| QuestionText { channel: read.window.channel, text: read.window.text.clone() };
        let texts: Vec<QuestionText> = asked.iter().filter_map(|idx| windows.get(*idx)).map(text).collect();
        self.asked = asked;
        (!texts.is_empty()).then_some(Question { texts, deadline_ms: profile.opinion.deadline_ms })
    }

    /// The answer to [`Self::question`], one opinion for each text; anything else is no answer.
    pub(crate) fn answer(&mut self, opinions: Option<Vec<Opinion>>) {
        match opinions.filter(|opinions| opinions.len() == self.asked.len()) {
            Some(opinions) => self.opinions = opinions,
            None => self.has_no_answer = true,
        }
    }

    fn opinion_on(&self, window: usize) -> Option<Opinion> {
        self.asked
            .iter()
            .zip(&self.opinions)
            .find(|(asked, _)| **asked == window)
            .map(|(_, opinion)| *opinion)
    }

    /// Windows that turned out to be attacks. A second opinion takes the place of what the model of this house thought.
    fn conclude_windows(&mut self, engine: &Engine, body: usize) {
        let mut found: Vec<(Hit, bool)> = Vec::new();
        for (idx, read) in self.second.windows().iter().enumerate() {
            let hit = match self.opinion_on(idx) {
                Some(opinion) => engine.hit_of_opinion(read, opinion),
                None => read.hit(),
            };
            found.extend(hit.map(|hit| (hit, read.window.is_other_reading)));
        }
        // Windows of a disguised text lie over those of the text that it was found in.
        let known: Vec<Hit> = self.hits.iter().filter(|hit| hit.score.is_some()).copied().collect();
        let mut is_ambiguous = false;
        for (hit, is_other_reading) in &found {
            let others = known.iter().chain(found.iter().map(|(other, _)| other));
            let same = |other: &Hit| other.rule == hit.rule && other.span.overlaps(hit.span);
            if *is_other_reading {
                is_ambiguous = true;
            } else if !others.into_iter().any(|other| same(other) && other.seen < hit.seen) {
                self.hits.push(*hit);
            }
        }
        if is_ambiguous {
            self.extraction.gaps.push(Gap::new(GapReason::Unparsable, Span::whole(body)));
        }
    }
}

impl Engine {
    /// All of a body that takes no time.
    pub(crate) fn read(
        &self,
        profile: &Profile,
        direction: Direction,
        body: &[u8],
        extraction: Extraction,
        Kept { placeholders, memory, sheds, laps, .. }: &Kept,
        Aids { tail, known }: Aids<'_>,
    ) -> Reading {
        let watch = self.watch(direction, memory, placeholders);
        let windows = if *sheds { 0 } else { profile.model.windows };
        // What is not read as a whole, or in two ways, is not taken for known.
        let is_plain = tail.is_none() && extraction.gaps.is_empty() && extraction.by_label.is_none();
        let known = known.filter(|_| is_plain);
        let mut reading = self.read_extracted(profile, body, extraction, Some(&watch), windows, known, laps);
        if let Some(tail) = tail {
            laps.enter(Layer::Risk);
            let known = Known::new(&reading.hits);
            let across = self.across(tail, body, &reading.extraction);
            let n_alone = reading.hits.len();
            reading.hits.extend(across.into_iter().filter(|hit| !known.has(hit)));
            reading.is_across = reading.hits.len() > n_alone;
        }
        reading
    }

    pub(crate) fn read_extracted(
        &self,
        profile: &Profile,
        body: &[u8],
        mut extraction: Extraction,
        watch: Option<&Watch<'_>>,
        windows: u32,
        known: Option<&KnownTexts>,
        laps: &Laps,
    ) -> Reading {
        let mut detectors: Vec<&dyn Detector> = self.detectors().into();
        detectors.extend(watch.map(|watch| watch as &dyn Detector));
        detectors.extend(self.model_for(profile));
        let Found { hits, mut open, suspicion } =
            detect(&detectors, self.vocabulary(), body, &mut extraction, windows, known, laps);
        if let Some(mut by_label) = extraction.by_label.take() {
            let Found { hits: others, open: other_reading, .. } =
                detect(&detectors, self.vocabulary(), body, &mut by_label, windows, None, laps);
            let known = Known::new(&hits);
            // Two readers disagree on what the body says, and one of them sees more.
            if !others.iter().all(|other| known.has(other)) {
                extraction.gaps.push(Gap::new(GapReason::Unparsable, Span::whole(body.len())));
            }
            open.add_other_reading(other_reading);
        }
        Reading {
            extraction,
            hits,
            second: SecondLook::new(open),
            suspicion,
            asked: Vec::new(),
            opinions: Vec::new(),
            has_no_answer: false,
            is_across: false,
        }
    }

    /// Some steps of the second stage, each of a fraction of a millisecond.
    pub(crate) fn go_on(&self, reading: &mut Reading, steps: usize) {
        let Some(detector) = self.model_detector() else {
            reading.second = SecondLook::new(OpenWindows::default());
            return;
        };
        for _ in 0..steps {
            if !reading.has_more() {
                return;
            }
            reading.second.step(detector);
        }
    }

    /// All that is left of it.
    pub(crate) fn go_on_to_the_end(&self, reading: &mut Reading) {
        while reading.has_more() {
            self.go_on(reading, usize::MAX);
        }
    }

    /// What a body comes to, once there is nothing left to find out about it.
    pub(crate) fn conclude(
        &self,
        profile: &Profile,
        direction: Direction,
        body: &[u8],
        reading: Reading,
        Kept { placeholders, memory, offers, exemptions, sheds, laps, .. }: &mut Kept,
        ledger: Option<Ledger<'_>>,
    ) -> Inspection {
        laps.enter(Layer::Policy);
        let wanted = profile.kept_content().map(|_| (reading.opinions.clone(), reading.is_across));
        let (extraction, mut hits) = reading.settled(self, profile, direction, body);
        let text = || core::str::from_utf8(body).ok().map(|text| (0, text)).into_iter();
        hits.extend(self.drifts(profile, direction, &extraction, text, offers));
        let mut terms = self.terms(profile, exemptions);
        terms.lift = ledger.as_ref().map(|ledger| ledger.visiting.lift()).unwrap_or_default();
        let mut decision = decide(terms, direction, self.catalog(), &hits, &extraction);
        if let Some(Ledger { mut visiting, now }) = ledger {
            laps.enter(Layer::Risk);
            let said = Said { body, extraction: &extraction, hits: &hits };
            visiting.note(&mut decision, terms, self.catalog(), self.of_sessions(), said, now);
        }
        laps.enter(Layer::Act);
        offers.settle(decision.action != Action::Block);
        let witnessed = wanted.map(|(opinions, is_across)| {
            let lift = terms.lift;
            Witnessed::new(self, &extraction, &hits, lift, opinions, is_across, *sheds)
        });
        if direction == Direction::Request {
            self.remember(profile, body, &extraction, &hits, memory);
        }
        let scanned: Vec<Span> = extraction.segments.iter().map(|segment| segment.span).collect();
        let mut edits = Vec::new();
        let mut restored = 0;
        if direction == Direction::Response {
            placeholders.seal();
        }
        if direction == Direction::Response && decision.action != Action::Block {
            edits = restore::edits(body, &extraction, placeholders, profile.response.restore);
            restored = edits.len() as u32;
        }
        if decision.action == Action::Mask {
            edits.extend(mask::edits(body, 0, &decision.masks, placeholders));
            edits.sort_by_key(|edit| edit.span.start);
        }
        let Extraction { gaps, calls, .. } = extraction;
        let receipt = Receipt::account(body.len(), &scanned, gaps);
        Inspection { decision, receipt, edits, restored, calls, witnessed }
    }

    /// What a text comes to by itself.
    pub(crate) fn conclude_text(
        &self,
        profile: &Profile,
        whole: Span,
        mut reading: Reading,
    ) -> (Decision, Receipt) {
        reading.conclude_windows(self, whole.len() as usize);
        let gaps = reading.gaps();
        let Reading { mut extraction, hits, .. } = reading;
        extraction.gaps.extend(gaps);
        let decision = decide(profile, Direction::Request, self.catalog(), &hits, &extraction);
        let receipt = Receipt::account(whole.len() as usize, &[whole], extraction.gaps);
        (decision, receipt)
    }
}

impl Reading {
    /// All that was found and all that was not read, once nothing is left to find out.
    pub(crate) fn settled(
        mut self,
        engine: &Engine,
        profile: &Profile,
        direction: Direction,
        body: &[u8],
    ) -> (Extraction, Vec<Hit>) {
        self.conclude_windows(engine, body.len());
        let gaps = self.gaps();
        let Self { mut extraction, hits, .. } = self;
        extraction.gaps.extend(gaps);
        extraction.gaps.extend(length::gap(&profile.limits, direction, body, &extraction));
        (extraction, hits)
    }

    /// What was left open. The first stage and all rules have read it.
    fn gaps(&self) -> Vec<Gap> {
        let gap = |reason, at| Gap::new(reason, Span { start: at, end: at });
        let mut gaps = vec![];
        gaps.extend(self.second.left_open().map(|at| gap(GapReason::SecondLook, at)));
        if self.has_no_answer {
            let windows = self.asked.iter().filter_map(|idx| self.second.windows().get(*idx));
            let at = windows.map(|read| read.window.span.start).min().unwrap_or_default();
            gaps.push(gap(GapReason::Opinion, at));
        }
        gaps
    }
}
