//! What is not as it was.

use alloc::vec::Vec;

use super::{Comparison, Difference, finding_span};
use crate::{
    action::{Action, Verdict},
    content::{Content, Judged, LeftOut, Part},
    event::Event,
    finding::Finding,
};

/// Only told where nothing else took part: no direction without a text, no limit, no fault.
pub(super) fn overall(event: &Event, content: &Content) -> Vec<Difference> {
    let mut sum =
        Judged { verdict: Verdict::Clean, action: Action::Allow, would: None, score: 0.0, findings: 0 };
    for part in core::iter::once(&content.request).chain(&content.response) {
        let judged = match part {
            Part::Kept(text) => text.judged,
            Part::LeftOut { left_out: LeftOut::NoBody } => continue,
            Part::LeftOut { .. } => return Vec::new(),
        };
        sum.verdict = sum.verdict.max(judged.verdict);
        sum.action = sum.action.max(judged.action);
        sum.would = sum.would.max(judged.would);
        sum.score = sum.score.max(judged.score);
        sum.findings = sum.findings.saturating_add(judged.findings);
    }
    if !event.limits.is_empty() || event.degraded.is_some() {
        return Vec::new();
    }
    let Event { verdict, action, would, score, findings_total: findings, .. } = *event;
    differences(Judged { verdict, action, would, score, findings }, sum, true)
}

/// How many findings there are is only told where all of them could come again.
pub(super) fn differences(recorded: Judged, again: Judged, counts: bool) -> Vec<Difference> {
    let mut list = Vec::new();
    let mut say = |differs: bool, difference: Difference| {
        if differs {
            list.push(difference);
        }
    };
    let (a, b) = (recorded, again);
    say(a.verdict != b.verdict, Difference::Verdict { recorded: a.verdict, again: b.verdict });
    say(a.action != b.action, Difference::Action { recorded: a.action, again: b.action });
    say(a.would != b.would, Difference::Would { recorded: a.would, again: b.would });
    let is_other_score = a.score.to_bits() != b.score.to_bits();
    say(is_other_score, Difference::Score { recorded: a.score, again: b.score });
    let is_other_count = counts && a.findings != b.findings;
    say(is_other_count, Difference::Findings { recorded: a.findings, again: b.findings });
    list
}

impl Comparison {
    pub(super) fn compare_findings(
        &mut self,
        recorded: &[&Finding],
        taken: &[&Finding],
        again: &[Finding],
        is_listed_whole: bool,
    ) {
        let same_place = |a: &Finding, b: &Finding| {
            a.rule == b.rule && a.channel == b.channel && finding_span(a) == finding_span(b)
        };
        let is_taken = |finding: &Finding| taken.iter().any(|taken| same_place(taken, finding));
        for finding in recorded.iter().copied().filter(|finding| !is_taken(finding)) {
            let mut others = again.iter().filter(|other| same_place(other, finding)).peekable();
            match others.peek().copied() {
                None => self.differences.push(Difference::Missing(finding.clone())),
                Some(_) if others.any(|other| other == finding) => self.same += 1,
                Some(other) => {
                    let (recorded, again) = (finding.clone(), other.clone());
                    self.differences.push(Difference::Changed { recorded, again });
                }
            }
        }
        let is_known = |finding: &Finding| recorded.iter().any(|known| same_place(known, finding));
        for finding in again.iter().filter(|finding| is_listed_whole && !is_known(finding)) {
            self.differences.push(Difference::New(finding.clone()));
        }
    }
}
