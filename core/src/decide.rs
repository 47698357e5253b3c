//! From hits and gaps to one decision.
//!
//! Risk: the scores of the attack findings of one channel are combined as independent evidence,
//! `1 - Π(1 - score)`, each rule once, strongest first, and the riskiest channel counts. Every finding records by how much
//! it moved its channel. Only plain arithmetic is used, so a score is the same to the last bit on every target.
//! Then policy: thresholds, rule actions and gap actions each name an action, and the strictest wins.

use alloc::{string::String, vec, vec::Vec};

use sentinel_model::Channel;

use crate::{
    act::Kept,
    action::{Action, Direction, Verdict},
    detect::{Catalog, Hit, RuleInfo},
    event::FINDINGS_LISTED_MAX,
    finding::Finding,
    guard::session::Lift,
    policy::{DetectorName, InForce, MaskStyle, Mode, Profile, RuleAction, Thresholds},
    receipt::{Gap, GapReason},
    span::Span,
    text::Layers,
    traffic::{Extraction, Form, pieces},
};

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Decision {
    pub(crate) verdict: Verdict,
    /// What is done.
    pub(crate) action: Action,
    /// What enforcing would have done, where the mode held it back.
    pub(crate) would: Option<Action>,
    pub(crate) score: f32,
    /// The strongest ones, so many of each rule; `findings_total` counts all.
    pub(crate) findings: Vec<Finding>,
    pub(crate) findings_total: u32,
    /// It is a gap that the block is for, and not what was found.
    pub(crate) blocked_by_gap: bool,
    /// Spans to replace if the action is [`Action::Mask`].
    pub(crate) masks: Vec<Mask>,
    /// Gaps that policy did not simply allow.
    pub(crate) gaps: Vec<GapReason>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mask {
    pub(crate) span: Span,
    pub(crate) form: Form,
    /// The placeholder stands in an earlier segment; here the rest only disappears.
    pub(crate) continues: bool,
    pub(crate) layers: Layers,
    /// `CARD` for `pii/card`: what the placeholder is named after.
    pub(crate) entity: String,
    /// What of it may still be seen.
    pub(crate) kept: Kept,
    /// Masks with the same number are parts of one text.
    pub(crate) hit: u32,
}

/// By what is decided: a profile, and the exemptions from it that are about the exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) profile: &'a Profile,
    pub(crate) exempt: InForce<'a>,
    /// What the session adds to risks.
    pub(crate) lift: Lift,
}

impl<'a> From<&'a Profile> for Terms<'a> {
    fn from(profile: &'a Profile) -> Self {
        Self { profile, exempt: InForce::default(), lift: Lift::default() }
    }
}

pub(crate) fn decide<'a>(
    terms: impl Into<Terms<'a>>,
    direction: Direction,
    catalog: &Catalog,
    hits: &[Hit],
    extraction: &Extraction,
) -> Decision {
    let terms @ Terms { profile, lift, .. } = terms.into();
    let mut decision = Decision::default();
    let mut wanted = Action::Allow;
    let mut used: Vec<Used<'_>> = hits.iter().filter_map(|hit| Used::new(&terms, catalog, hit)).collect();
    // Strongest first, ties in the order of the body: the explanation does not depend on how detectors are listed.
    used.sort_by(|a, b| {
        b.score.total_cmp(&a.score).then(a.hit.span.cmp(&b.hit.span)).then(a.rule.id.cmp(&b.rule.id))
    });
    let mut risks = Risks::new(catalog);
    for (idx, used) in used.iter().enumerate() {
        let Used { hit, rule, score, action, .. } = used;
        let mut moved = 0.0;
        match action {
            RuleAction::Off | RuleAction::Monitor => {}
            RuleAction::Score if rule.family.raises_risk() => moved = risks.add(hit, rule, *score),
            RuleAction::Score | RuleAction::Tag => wanted = wanted.max(Action::Tag),
            RuleAction::Mask => {
                wanted = wanted.max(Action::Mask);
                let style = profile.mask_style(&rule.id, rule.family);
                decision.masks.extend(Mask::all_of(hit, idx as u32, rule, style, extraction));
            }
            RuleAction::Block => wanted = Action::Block,
        }
        if let Some(verdict) = used.verdict() {
            decision.verdict = decision.verdict.max(verdict);
            decision.score = decision.score.max(*score);
        }
        decision.findings_total += 1;
        let listed = decision.findings.iter().filter(|finding| finding.rule == rule.id).count();
        if listed < LISTED_PER_RULE_MAX && decision.findings.len() < FINDINGS_LISTED_MAX {
            decision.findings.push(used.finding(catalog, direction, moved));
        }
    }
    for channel in Channel::ALL {
        decision.score = decision.score.max(lift.joined(risks.of(channel)));
        for (risk, thresholds) in risks.judged(channel, profile) {
            let risk = lift.joined(risk);
            if risk >= thresholds.block {
                wanted = Action::Block;
                decision.verdict = Verdict::Malicious;
            } else if risk >= thresholds.tag {
                wanted = wanted.max(Action::Tag);
                decision.verdict = decision.verdict.max(Verdict::Suspicious);
            }
        }
    }
    let by_findings = wanted;
    wanted = wanted.max(decision.weigh_gaps(profile, direction, &extraction.gaps));
    decision.blocked_by_gap = wanted == Action::Block && by_findings < Action::Block;
    decision.act(profile.mode, wanted);
    decision
}

/// The risk of each channel, from findings that come strongest first; of all detectors together, and of each.
struct Risks {
    risks: [f32; Channel::ALL.len()],
    by_detector: [[f32; DetectorName::ALL.len()]; Channel::ALL.len()],
    /// By rule, a bit for each channel that it has moved: what stands there twice is no more certain for it.
    moved: Vec<u16>,
}

impl Risks {
    fn new(catalog: &Catalog) -> Self {
        let (risks, by_detector) = (Default::default(), Default::default());
        Self { risks, by_detector, moved: vec![0; catalog.rules.len()] }
    }

    /// Answers by how much the finding moved its channel.
    fn add(&mut self, hit: &Hit, rule: &RuleInfo, score: f32) -> f32 {
        let bit = 1 << hit.channel as u16;
        let Some(channels) =
            self.moved.get_mut(usize::from(hit.rule.0)).filter(|channels| **channels & bit == 0)
        else {
            return 0.0;
        };
        *channels |= bit;
        let detector = DetectorName::of(&rule.id, rule.family) as usize;
        if let Some(own) =
            self.by_detector.get_mut(hit.channel as usize).and_then(|own| own.get_mut(detector))
        {
            *own += (1.0 - *own) * score;
        }
        let Some(risk) = self.risks.get_mut(hit.channel as usize) else { return 0.0 };
        let moved = (1.0 - *risk) * score;
        *risk += moved;
        moved
    }

    fn of(&self, channel: Channel) -> f32 {
        self.risks.get(channel as usize).copied().unwrap_or(0.0)
    }

    /// What is held against which thresholds: what all have found against those of the channel, and what a detector
    /// with thresholds of its own has found against these. Where nobody else has found anything, only against these.
    fn judged<'r>(
        &'r self,
        channel: Channel,
        profile: &'r Profile,
    ) -> impl Iterator<Item = (f32, Thresholds)> + 'r {
        let general = profile.thresholds(channel);
        let found = self.by_detector.get(channel as usize).into_iter().flatten();
        let found = DetectorName::ALL.into_iter().zip(found).filter(|(_, risk)| **risk > 0.0);
        let with_own = found
            .clone()
            .filter_map(move |(name, risk)| Some((*risk, profile.detectors.get(name).thresholds(general)?)));
        let is_alone = found.count() == 1 && with_own.clone().next().is_some();
        (!is_alone).then_some((self.of(channel), general)).into_iter().chain(with_own)
    }
}

/// The risk that attacks among these hits come to by themselves, whatever is done about them.
pub(crate) fn risk_of_attacks<'h>(
    terms: &Terms<'_>,
    catalog: &Catalog,
    hits: impl Iterator<Item = &'h Hit>,
) -> f32 {
    let counts = |used: &Used<'_>| {
        used.rule.family.raises_risk() && !matches!(used.action, RuleAction::Off | RuleAction::Monitor)
    };
    let mut used: Vec<Used<'_>> =
        hits.filter_map(|hit| Used::new(terms, catalog, hit)).filter(counts).collect();
    used.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut risks = Risks::new(catalog);
    for Used { hit, rule, score, .. } in &used {
        risks.add(hit, rule, *score);
    }
    Channel::ALL.iter().map(|channel| risks.of(*channel)).fold(0.0, f32::max)
}

/// The risk that scores of different rules on one channel come to, as in a decision.
pub fn risk_of(scores: impl Iterator<Item = f32>) -> f32 {
    let mut scores: Vec<f32> = scores.collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    scores.into_iter().fold(0.0, |risk, score| risk + (1.0 - risk) * score)
}

/// Enough of one rule to see where it hits, without hiding the others.
const LISTED_PER_RULE_MAX: usize = 16;

/// A hit whose rule this profile uses.
struct Used<'a> {
    hit: &'a Hit,
    rule: &'a RuleInfo,
    score: f32,
    action: RuleAction,
    /// Why it moves nothing, although the profile would let it.
    exempt: Option<&'a str>,
}

impl<'a> Used<'a> {
    fn new(Terms { profile, exempt, .. }: &Terms<'a>, catalog: &'a Catalog, hit: &'a Hit) -> Option<Self> {
        let rule = catalog.rule(hit.rule)?;
        if !profile.uses(hit.channel, &rule.id, rule.family, rule.level) {
            return None;
        }
        let exempt = exempt.reason(&rule.id, rule.family);
        let action = match exempt {
            Some(_) => RuleAction::Monitor,
            None => profile.action_on(hit.channel, &rule.id, rule.family),
        };
        Some(Self { hit, rule, score: catalog.score(hit), action, exempt })
    }

    /// What the finding says by itself. An attack that only raises the score says nothing before the thresholds do.
    fn verdict(&self) -> Option<Verdict> {
        match (self.action, self.rule.family.raises_risk()) {
            (RuleAction::Off | RuleAction::Monitor, _) | (RuleAction::Score, true) => None,
            (RuleAction::Block, true) => Some(Verdict::Malicious),
            (_, true) => Some(Verdict::Suspicious),
            (_, false) => Some(Verdict::Sensitive),
        }
    }

    fn finding(&self, catalog: &Catalog, direction: Direction, moved: f32) -> Finding {
        Finding {
            rule: self.rule.id.clone(),
            version: self.rule.version,
            family: self.rule.family,
            channel: self.hit.channel,
            direction,
            view: self.hit.seen,
            start: self.hit.span.start,
            end: self.hit.span.end,
            score: self.score,
            moved,
            contexts: self.hit.contexts.of(catalog).map(|context| context.id.clone()).collect(),
            shadow: self.action == RuleAction::Monitor && self.exempt.is_none(),
            exempt: self.exempt.map(String::from),
        }
    }
}

impl Mask {
    /// One mask for each segment that the hit reaches into: what stands between them is structure.
    pub(crate) fn all_of(
        hit: &Hit,
        number: u32,
        rule: &RuleInfo,
        style: MaskStyle,
        extraction: &Extraction,
    ) -> impl Iterator<Item = Self> {
        let name = rule.id.rsplit('/').next().unwrap_or("DATA");
        let entity = name.to_ascii_uppercase().replace('-', "_");
        let kept = Kept::of(style, &rule.id, rule.family);
        pieces(extraction, hit.segment as usize, hit.span).enumerate().map(move |(part, (segment, span))| {
            // Part of a number cannot be replaced without breaking it: a sign or a fraction may stand beside it.
            let span = if segment.form == Form::JsonNumber { segment.span } else { span };
            let (form, layers, entity) = (segment.form, segment.layers, entity.clone());
            Self { span, form, layers, entity, kept, hit: number, continues: part > 0 }
        })
    }
}

impl Decision {
    /// Refused without a look, for a reason that is the guard's own.
    pub(crate) fn refused(reason: GapReason) -> Self {
        let mut decision = Self::default();
        decision.refuse(reason);
        decision
    }

    /// A limit was reached; nothing is said of the content.
    pub(crate) fn limited(action: Action) -> Self {
        Self { action, ..Self::default() }
    }

    /// Refused for what its session did before.
    pub(crate) fn quarantined() -> Self {
        Self { action: Action::Block, verdict: Verdict::Suspicious, ..Self::default() }
    }

    /// Whatever was decided: what comes now cannot go on.
    pub(crate) fn refuse(&mut self, reason: GapReason) {
        self.verdict = self.verdict.max(Verdict::Incomplete);
        self.action = Action::Block;
        self.blocked_by_gap = true;
        if !self.gaps.contains(&reason) {
            self.gaps.push(reason);
        }
    }

    /// A finding that was made after the decision.
    pub(crate) fn list(&mut self, finding: Finding) {
        self.findings_total += 1;
        if self.findings.len() < FINDINGS_LISTED_MAX {
            self.findings.push(finding);
        }
    }

    /// The same for an action that is wanted: it is taken if it is stricter than what was decided.
    pub(crate) fn raise(&mut self, mode: Mode, wanted: Action) {
        let recorded = if self.findings.is_empty() { Action::Allow } else { Action::Monitor };
        match mode {
            Mode::Enforce if wanted == Action::Block => {
                self.blocked_by_gap = false;
                self.action = wanted;
            }
            Mode::Enforce => self.action = self.action.max(wanted).max(recorded),
            Mode::Monitor => {
                self.would = self.would.max((wanted > Action::Allow).then_some(wanted));
                self.action = if self.would.is_some() { Action::Monitor } else { recorded };
            }
        }
        if self.action != Action::Mask {
            self.masks.clear();
        }
    }

    fn weigh_gaps(&mut self, profile: &Profile, direction: Direction, gaps: &[Gap]) -> Action {
        let mut wanted = Action::Allow;
        for gap in gaps {
            let action = Action::from(profile.gap_action(direction, gap.reason));
            wanted = wanted.max(action);
            if action > Action::Allow {
                // What is too long was scanned as well.
                if gap.reason != GapReason::Length {
                    self.verdict = self.verdict.max(Verdict::Incomplete);
                }
                if !self.gaps.contains(&gap.reason) {
                    self.gaps.push(gap.reason);
                }
            }
        }
        wanted
    }

    fn act(&mut self, mode: Mode, wanted: Action) {
        // A rule that is only recorded still makes the exchange one that was monitored.
        let recorded = if self.findings.is_empty() { Action::Allow } else { Action::Monitor };
        match mode {
            Mode::Enforce => self.action = wanted.max(recorded),
            Mode::Monitor => {
                self.action = if wanted > Action::Allow { Action::Monitor } else { recorded };
                self.would = (wanted > Action::Allow).then_some(wanted);
            }
        }
        if self.action != Action::Mask {
            self.masks.clear();
        }
    }
}
