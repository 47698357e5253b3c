//! What was counted in one trial: everything that the judge looks at, and nothing else, so that it can be kept through
//! a restart.

use serde::{Deserialize, Serialize};

use super::arms::Rate;
use super::heap::Heaps;
use super::paired::Pairs;
use super::sample::{Arm, Sample};
use crate::domain::{Label, Mode};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tally {
    pub(crate) active: Counts,
    pub(crate) candidate: Counts,
    /// Of a shadow: who would block.
    pub(crate) pairs: Pairs,
    pub(crate) benign_pairs: Pairs,
    pub(crate) false_positives: Labels,
    pub(crate) true_positives: Labels,
    pub(crate) latency: Latency,
    pub(crate) heaps: Heaps,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) blocks: Rate,
    /// The same on benign routes.
    pub(crate) benign: Rate,
    pub(crate) faults: Rate,
    pub(crate) slow: Rate,
}

/// How many labelled events speak about each side. In a canary it is the side that decided; in a shadow the side that
/// alone wanted to block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Labels {
    pub(crate) candidate: u64,
    pub(crate) active: u64,
}

/// What is slow is learnt from the active arm first and fixed then, so that what is counted afterwards is independent
/// of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Latency {
    learning: Vec<u64>,
    pub(crate) slow_us: Option<u64>,
}

/// Which trial events are counted for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) mode: Mode,
    pub(crate) candidate: &'a str,
    pub(crate) active: &'a str,
    pub(crate) started_ms: i64,
    pub(crate) benign_routes: &'a [String],
}

impl Tally {
    pub(crate) fn add(&mut self, context: &Context<'_>, sample: &Sample) {
        if sample.time_ms < context.started_ms {
            return;
        }
        let benign = sample.route.as_ref().is_some_and(|route| context.benign_routes.contains(route));
        if context.mode == Mode::Shadow {
            if let Some((candidate, active)) = context.pair(sample) {
                self.pairs.add(candidate, active);
                if benign {
                    self.benign_pairs.add(candidate, active);
                }
            }
            return;
        }
        match context.arm(sample) {
            // Before the candidate's first request the arms do not see the same traffic.
            Some(Arm::Active) if self.candidate.blocks.n == 0 => {}
            Some(arm) => self.add_to(arm, benign, sample),
            None => {}
        }
    }

    fn add_to(&mut self, arm: Arm, benign: bool, sample: &Sample) {
        let counts = match arm {
            Arm::Active => &mut self.active,
            Arm::Candidate => &mut self.candidate,
        };
        counts.blocks.add(sample.blocked);
        if benign {
            counts.benign.add(sample.blocked);
        }
        counts.faults.add(sample.fault);
        // A refused request has no answer to wait for, so only what went through is compared.
        if let Some(latency_us) = sample.latency_us.filter(|_| !sample.blocked) {
            match self.latency.slow_us {
                Some(slow_us) => counts.slow.add(latency_us > slow_us),
                None if arm == Arm::Active => self.latency.learn(latency_us),
                None => {}
            }
        }
    }

    /// Counts what a person says about an event, and takes back what was said before.
    pub(crate) fn label(
        &mut self,
        context: &Context<'_>,
        sample: &Sample,
        previous: Option<Label>,
        label: Label,
    ) {
        let Some(arm) = context.blamed(sample).filter(|_| sample.time_ms >= context.started_ms) else {
            return;
        };
        if let Some(previous) = previous {
            let count = self.labels(previous).of(arm);
            *count = count.saturating_sub(1);
        }
        *self.labels(label).of(arm) += 1;
    }

    fn labels(&mut self, label: Label) -> &mut Labels {
        match label {
            Label::FalsePositive => &mut self.false_positives,
            Label::TruePositive => &mut self.true_positives,
        }
    }

    /// Requests that the candidate judged.
    pub(crate) fn judged(&self, mode: Mode) -> u64 {
        if mode == Mode::Shadow { self.pairs.n() } else { self.candidate.blocks.n }
    }
}

impl Labels {
    fn of(&mut self, arm: Arm) -> &mut u64 {
        match arm {
            Arm::Active => &mut self.active,
            Arm::Candidate => &mut self.candidate,
        }
    }
}

impl Latency {
    fn learn(&mut self, latency_us: u64) {
        self.learning.push(latency_us);
        if self.learning.len() >= LEARNT_FROM {
            self.learning.sort_unstable();
            self.slow_us = self.learning.get(LEARNT_FROM * 95 / 100).copied();
            self.learning = Vec::new();
        }
    }
}

impl Context<'_> {
    /// Both words must agree where both are there.
    fn arm(&self, sample: &Sample) -> Option<Arm> {
        if sample.bundle == self.candidate && sample.arm != Some(Arm::Active) {
            Some(Arm::Candidate)
        } else if sample.bundle == self.active && sample.arm != Some(Arm::Candidate) {
            Some(Arm::Active)
        } else {
            None
        }
    }

    /// Whether the candidate and the active bundle would block.
    fn pair(&self, sample: &Sample) -> Option<(bool, bool)> {
        let shadow = sample.shadow.as_ref()?;
        (shadow.bundle == self.candidate && sample.bundle == self.active)
            .then_some((shadow.blocked, sample.blocked))
    }

    /// Whom a label speaks about.
    fn blamed(&self, sample: &Sample) -> Option<Arm> {
        if self.mode != Mode::Shadow {
            return self.arm(sample);
        }
        match self.pair(sample)? {
            (true, false) => Some(Arm::Candidate),
            (false, true) => Some(Arm::Active),
            _ => None,
        }
    }
}

const LEARNT_FROM: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::sample::Shadow;

    const CANARY: Context<'_> =
        Context { mode: Mode::Canary, candidate: "c", active: "a", started_ms: 100, benign_routes: &[] };
    const SHADOW: Context<'_> = Context { mode: Mode::Shadow, ..CANARY };

    fn sample(bundle: &str, blocked: bool) -> Sample {
        Sample {
            time_ms: 100,
            bundle: bundle.to_owned(),
            arm: None,
            route: None,
            blocked,
            fault: false,
            latency_us: Some(10),
            shadow: None,
        }
    }

    #[test]
    fn events_go_to_the_arm_that_decided() {
        let mut tally = Tally::default();
        tally.add(&CANARY, &sample("a", true));
        assert_eq!(tally, Tally::default(), "the candidate has judged nothing yet");
        tally.add(&CANARY, &sample("c", false));
        tally.add(&CANARY, &sample("a", true));
        tally.add(&CANARY, &Sample { arm: Some(Arm::Candidate), ..sample("a", true) });
        tally.add(&CANARY, &Sample { time_ms: 99, ..sample("c", true) });
        tally.add(&CANARY, &sample("another", true));
        assert_eq!(tally.candidate.blocks, Rate { hits: 0, n: 1 });
        assert_eq!(tally.active.blocks, Rate { hits: 1, n: 1 });
    }

    #[test]
    fn a_shadow_is_counted_in_pairs() {
        let mut tally = Tally::default();
        let pair = |active, candidate| Sample {
            shadow: Some(Shadow { bundle: "c".to_owned(), blocked: candidate }),
            route: Some("probe".to_owned()),
            ..sample("a", active)
        };
        let benign = ["probe".to_owned()];
        let context = Context { benign_routes: &benign, ..SHADOW };
        for (active, candidate) in [(false, true), (false, true), (true, false), (true, true)] {
            tally.add(&context, &pair(active, candidate));
        }
        tally.add(&context, &sample("a", true));
        let pairs = Pairs { candidate: 2, active: 1, neither: 1 };
        assert_eq!((tally.pairs, tally.benign_pairs, tally.judged(Mode::Shadow)), (pairs, pairs, 4));
        for (active, candidate) in [(false, true), (true, false), (true, true)] {
            tally.label(&context, &pair(active, candidate), None, Label::FalsePositive);
        }
        assert_eq!(tally.false_positives, Labels { candidate: 1, active: 1 });
    }

    #[test]
    fn a_second_word_about_an_event_replaces_the_first() {
        let mut tally = Tally::default();
        tally.label(&CANARY, &sample("c", true), None, Label::FalsePositive);
        tally.label(&CANARY, &sample("c", true), Some(Label::FalsePositive), Label::FalsePositive);
        assert_eq!(tally.false_positives.candidate, 1);
        tally.label(&CANARY, &sample("c", true), Some(Label::FalsePositive), Label::TruePositive);
        assert_eq!((tally.false_positives.candidate, tally.true_positives.candidate), (0, 1));
    }

    #[test]
    fn what_is_slow_is_learnt_before_it_is_counted_and_outlives_a_restart() {
        let mut tally = Tally::default();
        tally.add(&CANARY, &sample("c", false));
        for latency_us in 1..=200 {
            tally.add(&CANARY, &Sample { latency_us: Some(latency_us), ..sample("a", false) });
        }
        assert_eq!((tally.latency.slow_us, tally.active.slow.n), (Some(191), 0));
        tally.add(&CANARY, &Sample { latency_us: Some(192), ..sample("c", false) });
        tally.add(&CANARY, &Sample { latency_us: Some(191), ..sample("a", false) });
        assert_eq!((tally.candidate.slow.hits, tally.active.slow), (1, Rate { hits: 0, n: 1 }));
        let kept = serde_json::to_string(&tally).unwrap();
        assert_eq!(serde_json::from_str::<Tally>(&kept).unwrap(), tally);
    }
}
