//! One direction after the other, judged again.

use alloc::vec::Vec;

use super::{Comparison, NoReplay, Turn, compare, finding_span, way::Way};
use crate::{
    action::{Action, Direction, Verdict},
    content::{Content, Judged, KeptText, LeftOut, Part, Placed, Retold, Told},
    decide::{Decision, Terms, decide},
    detect::{Contexts, Hit, RuleIdx, RuleInfo},
    engine::{Engine, Kept},
    event::{Event, FINDINGS_LISTED_MAX},
    finding::Finding,
    guard::session::OnQuarantine,
    inspect::Aids,
    policy::Profile,
    receipt::{Gap, GapReason, Receipt},
    stream::Stream,
    traffic::{Extraction, Format, Framing, extract},
};

pub(super) struct Again<'a> {
    engine: &'a Engine,
    profile: &'a Profile,
    event: &'a Event,
    content: &'a Content,
    /// What the answer is held against.
    kept: Kept,
}

impl<'a> Again<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        profile: &'a Profile,
        event: &'a Event,
        content: &'a Content,
    ) -> Self {
        let exemptions = content.exemptions.clone();
        Self { engine, profile, event, content, kept: Kept { exemptions, ..Kept::default() } }
    }

    pub(super) fn turn(&mut self, direction: Direction, part: &Part) -> Result<Turn, NoReplay> {
        match part {
            Part::LeftOut { left_out } => Ok(Turn::LeftOut(*left_out)),
            Part::Kept(text) => self.judge(direction, text).map(Turn::Judged),
        }
    }

    fn judge(&mut self, direction: Direction, text: &KeptText) -> Result<Comparison, NoReplay> {
        let (engine, profile) = (self.engine, self.profile);
        let Read { extraction, hits: found, way } = match &text.told {
            Some(told) => self.hear(direction, text, told)?,
            None => self.read(direction, text)?,
        };
        let recorded: Vec<&Finding> =
            self.event.findings.iter().filter(|finding| finding.direction == direction).collect();
        let Sorted { hits, masked, outside, .. } = self.sort(direction, text, &way, &found, &recorded);
        let terms =
            Terms { lift: text.lift.unwrap_or_default(), ..engine.terms(profile, &self.kept.exemptions) };
        let mut decision = decide(terms, direction, engine.catalog(), &hits, &extraction);
        if direction == Direction::Request {
            self.add_session(&mut decision, &outside);
        }
        let taken: Vec<&Finding> = masked.iter().chain(&outside).copied().collect();
        let mut comparison = Comparison {
            recorded: text.judged,
            again: Judged::of(&decision),
            same: 0,
            masked: masked.iter().copied().cloned().collect(),
            outside: outside.iter().copied().cloned().collect(),
            differences: compare::differences(text.judged, Judged::of(&decision), taken.is_empty()),
        };
        // A list that is full may lack what is only further down.
        let is_listed_whole = self.event.findings.len() < FINDINGS_LISTED_MAX;
        comparison.compare_findings(&recorded, &taken, &decision.findings, is_listed_whole);
        Ok(comparison)
    }

    /// What is found in a body.
    fn read(&mut self, direction: Direction, text: &KeptText) -> Result<Read, NoReplay> {
        let (engine, profile) = (self.engine, self.profile);
        let format = Format::of_name(&text.format).ok_or_else(|| NoReplay::Format(text.format.clone()))?;
        let body = text.text.as_bytes();
        self.kept.sheds = text.sheds;
        let extraction = extract(format, direction, body);
        let mut reading = engine.read(profile, direction, body, extraction, &self.kept, Aids::default());
        engine.go_on_to_the_end(&mut reading);
        if !text.opinions.is_empty() && reading.question(profile).is_some() {
            reading.answer(Some(text.opinions.clone()));
        }
        let (mut extraction, hits) = reading.settled(engine, profile, direction, body);
        self.gaps(direction, &mut extraction);
        if direction == Direction::Request {
            engine.remember(profile, body, &extraction, &hits, &mut self.kept.memory);
        }
        Ok(Read { extraction, hits, way: Way::new(&text.masks) })
    }

    /// What is found in a stream, event by event. What could not be read of it is in no text, so its receipt says that.
    fn hear(&mut self, direction: Direction, text: &KeptText, told: &Told) -> Result<Read, NoReplay> {
        let (engine, profile) = (self.engine, self.profile);
        let (whole, events) = told.whole(&text.text, &text.masks).ok_or(NoReplay::Pieces)?;
        // How the events were framed makes no difference to what stood in them.
        let mut stream = Stream::new(Framing::Lines, direction, core::mem::take(&mut self.kept));
        for retold in events.iter().filter_map(|event| Retold::of(event)) {
            stream.hear(engine, profile, whole.as_bytes(), retold);
        }
        let hits = stream.into_hits(engine, profile, told.over);
        let gaps = self.receipt(direction).map(|receipt| receipt.gaps.clone()).unwrap_or_default();
        let pieces: Vec<Placed> = events.into_iter().flatten().collect();
        let way = Way::through(&pieces, &text.masks);
        Ok(Read { extraction: Extraction { gaps, ..Extraction::default() }, hits, way })
    }

    /// What the host had no time for, and how long texts were before they were masked, is as it was then.
    fn gaps(&self, direction: Direction, extraction: &mut Extraction) {
        let is_recorded =
            |gap: &Gap| matches!(gap.reason, GapReason::Length | GapReason::SecondLook | GapReason::Opinion);
        let recorded = self.receipt(direction).into_iter().flat_map(|receipt| &receipt.gaps);
        extraction.gaps.retain(|gap| !is_recorded(gap));
        extraction.gaps.extend(recorded.filter(|gap| is_recorded(gap)).copied());
    }

    fn receipt(&self, direction: Direction) -> Option<&Receipt> {
        match direction {
            Direction::Request => Some(&self.event.receipt.request),
            Direction::Response => self.event.receipt.response.as_ref(),
        }
    }

    /// What is decided by: what was found again, at the places that it had in the body, and what can only be taken from
    /// the event.
    fn sort<'f>(
        &self,
        direction: Direction,
        text: &KeptText,
        way: &Way,
        found: &[Hit],
        recorded: &[&'f Finding],
    ) -> Sorted<'f> {
        let mut sorted = Sorted::default();
        let is_same = |hit: &Hit, finding: &Finding| {
            let is_rule = self.rule(hit).is_some_and(|rule| rule.id == finding.rule);
            let is_place = hit.channel == finding.channel && way.back(hit.span) == finding_span(finding);
            let score = self.engine.catalog().score(hit);
            is_rule && is_place && score.to_bits() == finding.score.to_bits()
        };
        for finding in recorded.iter().copied() {
            if found.iter().any(|hit| is_same(hit, finding)) {
                continue;
            }
            match self.why_gone(direction, text, finding) {
                Some(Gone::Masked) => sorted.masked.push(finding),
                Some(Gone::Outside) => sorted.outside.push(finding),
                None => {}
            }
        }
        for hit in found {
            let is_known = recorded.iter().any(|finding| is_same(hit, finding));
            // What stands at a mask, or was weighed with one, may be something that was not there before.
            if is_known || !(way.touches(hit.span) || self.depends_on_masks(direction, text, hit)) {
                sorted.hits.push(Hit { span: way.back(hit.span), ..*hit });
            }
        }
        let taken = sorted.masked.iter().chain(&sorted.outside);
        let taken: Vec<Hit> = taken.filter_map(|finding| self.hit(finding)).collect();
        sorted.hits.extend(taken);
        sorted
    }

    fn rule(&self, hit: &Hit) -> Option<&RuleInfo> {
        self.engine.catalog().rule(hit.rule)
    }

    /// Why a finding that was recorded could not come again; nothing if it should have.
    fn why_gone(&self, direction: Direction, text: &KeptText, finding: &Finding) -> Option<Gone> {
        let rules = &self.engine.catalog().rules;
        let rule = rules.iter().find(|rule| rule.id == finding.rule)?;
        let is_of_session = rule.id.starts_with("session/") || rule.id == TOOL_DRIFT;
        let is_across = text.across && rule.family.raises_risk();
        if is_of_session || is_across || self.lacks_request(direction, rule) {
            return Some(Gone::Outside);
        }
        let is_masked = Way::new(&text.masks).is_under(finding_span(finding));
        let is_weighed = !text.masks.is_empty() && is_of_model(rule);
        (is_masked || is_weighed).then_some(Gone::Masked)
    }

    /// What an answer says of its request can only be told where the request is there as it was.
    fn lacks_request(&self, direction: Direction, rule: &RuleInfo) -> bool {
        let is_whole = match &self.content.request {
            Part::Kept(request) => request.masks.is_empty(),
            Part::LeftOut { left_out } => *left_out == LeftOut::NoBody,
        };
        direction == Direction::Response && rule.id.starts_with("leak/") && !is_whole
    }

    fn depends_on_masks(&self, direction: Direction, text: &KeptText, hit: &Hit) -> bool {
        let Some(rule) = self.rule(hit) else { return false };
        (!text.masks.is_empty() && is_of_model(rule)) || self.lacks_request(direction, rule)
    }

    /// A finding as it stands in the event. Those of sessions are added behind the decision, as they were then.
    fn hit(&self, finding: &Finding) -> Option<Hit> {
        let rules = &self.engine.catalog().rules;
        let idx = rules.iter().position(|rule| rule.id == finding.rule)?;
        (!finding.rule.starts_with("session/")).then(|| Hit {
            rule: RuleIdx(idx as u16),
            channel: finding.channel,
            segment: 0,
            seen: finding.view,
            span: finding_span(finding),
            contexts: Contexts::default(),
            score: Some(finding.score),
        })
    }

    /// What the session has come to with the request.
    fn add_session(&self, decision: &mut Decision, outside: &[&Finding]) {
        let (engine, profile) = (self.engine, self.profile);
        for finding in outside.iter().filter(|finding| finding.rule.starts_with("session/")) {
            if let Some(rule) = engine.catalog().rules.iter().find(|rule| rule.id == finding.rule) {
                let (span, score) = (finding_span(finding), finding.score);
                decision.add(profile, rule, span, score, finding.exempt.as_deref());
            }
        }
        if self.event.session.as_ref().is_some_and(|session| session.quarantined_until_ms.is_some()) {
            let action = match engine.policy().session.on_quarantine {
                OnQuarantine::Reject => Action::Block,
                OnQuarantine::Tag => Action::Tag,
            };
            decision.verdict = decision.verdict.max(Verdict::Suspicious);
            decision.raise(profile.mode, action);
        }
    }
}

/// What was found again, at places of the kept text.
struct Read {
    extraction: Extraction,
    hits: Vec<Hit>,
    way: Way,
}

/// Why a finding cannot come again.
enum Gone {
    Masked,
    Outside,
}

#[derive(Default)]
struct Sorted<'f> {
    hits: Vec<Hit>,
    masked: Vec<&'f Finding>,
    outside: Vec<&'f Finding>,
}

fn is_of_model(rule: &RuleInfo) -> bool {
    rule.id.ends_with("/model")
}

const TOOL_DRIFT: &str = "injection/tool-drift";
