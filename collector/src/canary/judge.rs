//! From counts to a decision.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::arms::{Rate, ln_evidence_above, ln_evidence_below};
use super::paired::{Pairs, ln_evidence, ln_evidence_of_share};
use super::rules::Rules;
use super::tally::{Counts, Tally};
use crate::domain::Mode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Wait,
    /// Because of this test.
    RollBack(&'static str),
    Promote,
}

/// What the judge sees, as it is shown and kept with a decision.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "TrialFigures")]
pub(crate) struct Report {
    /// Requests that the candidate judged.
    pub(crate) judged: u64,
    pub(crate) tests: Vec<Finding>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "TrialTest")]
pub(crate) struct Finding {
    pub(crate) test: &'static str,
    /// The share on each side and what it was counted over. Of `heap`: bytes grown, and instances.
    pub(crate) candidate: f64,
    pub(crate) active: f64,
    pub(crate) n_candidate: u64,
    pub(crate) n_active: u64,
    pub(crate) margin: f64,
    /// 1 and above: as sure as the operator asks for that the margin is broken.
    pub(crate) evidence: f64,
}

/// The memory of judgements: a decision needs several of them in a row.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    agreed: BTreeMap<&'static str, u32>,
    clean_since_ms: Option<i64>,
}

impl Judge {
    pub(crate) fn decide(
        &mut self,
        rules: &Rules,
        mode: Mode,
        tally: &Tally,
        now_ms: i64,
    ) -> (Decision, Report) {
        let report = Report::of(rules, mode, tally);
        let mut worst = None;
        for finding in &report.tests {
            let agreed = self.agreed.entry(finding.test).or_default();
            // Between the two it stays as it is, so that a figure at the edge does not begin anew each time.
            if finding.evidence >= ALARM {
                *agreed = agreed.saturating_add(1);
            } else if finding.evidence < SUSPICION {
                *agreed = 0;
            }
            if *agreed >= rules.confirm {
                worst = worst.or(Some(finding.test));
            }
        }
        if report.tests.iter().any(|finding| finding.evidence >= SUSPICION) {
            self.clean_since_ms = None;
        } else if self.clean_since_ms.is_none() {
            self.clean_since_ms = Some(now_ms);
        }
        let decision = match worst {
            _ if !rules.automatic => Decision::Wait,
            Some(test) => Decision::RollBack(test),
            None if self.is_due(rules, report.judged, now_ms) => Decision::Promote,
            None => Decision::Wait,
        };
        (decision, report)
    }

    fn is_due(&self, rules: &Rules, judged: u64, now_ms: i64) -> bool {
        let (Some(promote), Some(since_ms)) = (rules.promote, self.clean_since_ms) else { return false };
        judged >= promote.events && now_ms.saturating_sub(since_ms) >= i64::from(promote.after_s) * 1_000
    }
}

impl Report {
    pub(crate) fn of(rules: &Rules, mode: Mode, tally: &Tally) -> Self {
        let mut tests = match mode {
            Mode::Shadow => of_pairs(rules, tally),
            Mode::Canary | Mode::Active => of_arms(rules, tally),
        };
        // Each test gets its part of the false alarms that are allowed; together they keep the whole.
        let bound = (tests.len().max(1) as f64 / rules.false_alarm).ln();
        for finding in &mut tests {
            finding.evidence = (finding.evidence / bound).max(0.0);
        }
        tests.extend(rules.heap.map(|allowed| of_heap(tally, allowed)));
        Self { judged: tally.judged(mode), tests }
    }
}

fn of_arms(rules: &Rules, tally: &Tally) -> Vec<Finding> {
    let (candidate, active) = (&tally.candidate, &tally.active);
    let enough = candidate.blocks.n.min(active.blocks.n) >= rules.events_min;
    let rates = |test, margin: Option<f64>, of: fn(&Counts) -> Rate, below: bool| {
        let margin = margin?;
        let (candidate, active) = (of(candidate), of(active));
        let evidence = match (enough, below) {
            (false, _) => 0.0,
            (true, false) => ln_evidence_above(candidate, active, margin),
            (true, true) => ln_evidence_below(candidate, active, margin),
        };
        let (n_candidate, n_active) = (candidate.n, active.n);
        let (candidate, active) = (candidate.share(), active.share());
        Some(Finding { test, candidate, active, n_candidate, n_active, margin, evidence })
    };
    let labels = rules.feedback.map(|labels_min| {
        let n = candidate.blocks.n + active.blocks.n;
        let share = if n == 0 { 0.0 } else { candidate.blocks.n as f64 / n as f64 };
        of_labels(tally, labels_min, enough, share, [candidate.blocks.n, active.blocks.n])
    });
    [
        rates("blocks_more", rules.blocks_more, |counts| counts.blocks, false),
        rates("blocks_less", rules.blocks_less, |counts| counts.blocks, true),
        rates("false_positives", rules.false_positives, |counts| counts.benign, false),
        labels,
        rates("errors", rules.errors, |counts| counts.faults, false),
        rates("latency", rules.latency, |counts| counts.slow, false),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_pairs(rules: &Rules, tally: &Tally) -> Vec<Finding> {
    let enough = tally.pairs.n() >= rules.events_min;
    let pairs = |test, margin: Option<f64>, pairs: Pairs, below: bool| {
        let margin = margin?;
        let n = pairs.n();
        let share = |wins: u64| if n == 0 { 0.0 } else { wins as f64 / n as f64 };
        let evidence = match (enough, below) {
            (false, _) => 0.0,
            (true, false) => ln_evidence(pairs, margin),
            (true, true) => ln_evidence(pairs.reversed(), margin),
        };
        let (candidate, active) = (share(pairs.candidate), share(pairs.active));
        Some(Finding { test, candidate, active, n_candidate: n, n_active: n, margin, evidence })
    };
    let n = tally.pairs.n();
    [
        pairs("blocks_more", rules.blocks_more, tally.pairs, false),
        pairs("blocks_less", rules.blocks_less, tally.pairs, true),
        pairs("false_positives", rules.false_positives, tally.benign_pairs, false),
        rules.feedback.map(|labels_min| of_labels(tally, labels_min, enough, 0.5, [n, n])),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `share`: how many of the labels would fall on the candidate if it were no worse.
fn of_labels(tally: &Tally, labels_min: u64, enough: bool, share: f64, n: [u64; 2]) -> Finding {
    let labels = tally.false_positives;
    let evidence = match enough && labels.candidate + labels.active >= labels_min {
        true => ln_evidence_of_share(labels.candidate, labels.active, share),
        false => 0.0,
    };
    let [n_candidate, n_active] = n;
    let of = |labels: u64, n: u64| if n == 0 { 0.0 } else { labels as f64 / n as f64 };
    let (candidate, active) = (of(labels.candidate, n_candidate), of(labels.active, n_active));
    Finding { test: "feedback", candidate, active, n_candidate, n_active, margin: 0.0, evidence }
}

fn of_heap(tally: &Tally, allowed: u64) -> Finding {
    let growth = tally.heaps.growth();
    Finding {
        test: "heap",
        candidate: growth.largest as f64,
        active: 0.0,
        n_candidate: growth.instances,
        n_active: growth.instances,
        margin: allowed as f64,
        evidence: growth.evidence(),
    }
}

const ALARM: f64 = 1.0;
/// Half of the way to an alarm, on the scale of logarithms.
const SUSPICION: f64 = 0.5;

#[cfg(test)]
mod tests;
