//! The judge against simulated traffic with fixed seeds: how often it is wrong, and how soon it is right.

use super::*;
use crate::canary::sample::{Arm, Sample, Shadow};
use crate::canary::tally::Context;
use crate::domain::Label;

/// What one kind of traffic does to each arm.
#[derive(Clone, Copy)]
struct Traffic {
    mode: Mode,
    /// The part of requests that the candidate gets.
    share: f64,
    blocks: [f64; 2],
    faults: [f64; 2],
    /// The mean of an exponential distribution, in microseconds.
    latency: [f64; 2],
    /// The part of blocked requests that people call false positives.
    labelled: [f64; 2],
}

const ACTIVE: usize = 0;
const CANDIDATE: usize = 1;

const SAME: Traffic = Traffic {
    mode: Mode::Canary,
    share: 0.2,
    blocks: [0.05, 0.05],
    faults: [0.001, 0.001],
    latency: [400.0, 400.0],
    labelled: [0.05, 0.05],
};

/// A trial of at most `n` requests with a judgement every 50: when it was decided, and how.
fn trial(traffic: Traffic, rules: &Rules, seed: u64, n: u64) -> Option<(u64, Decision)> {
    let mut random = Random(seed);
    let (mut tally, mut judge) = (Tally::default(), Judge::default());
    let benign = ["benign".to_owned()];
    let context = Context {
        mode: traffic.mode,
        candidate: "candidate",
        active: "active",
        started_ms: 0,
        benign_routes: &benign,
    };
    for i in 1..=n {
        let sample = request(traffic, &mut random);
        tally.add(&context, &sample);
        let side = if sample.bundle == "candidate" { CANDIDATE } else { ACTIVE };
        if sample.blocked && random.unit() < traffic.labelled[side] {
            tally.label(&context, &sample, None, Label::FalsePositive);
        }
        if i % 50 == 0 {
            let (decision, _) = judge.decide(rules, traffic.mode, &tally, i as i64 * 10);
            if decision != Decision::Wait {
                return Some((i, decision));
            }
        }
    }
    None
}

fn request(traffic: Traffic, random: &mut Random) -> Sample {
    let side = if random.unit() < traffic.share { CANDIDATE } else { ACTIVE };
    let shadow = traffic.mode == Mode::Shadow;
    let decides = if shadow { ACTIVE } else { side };
    // Of a shadow both see the same request: what one blocks mostly the other does, too.
    let attack = random.unit();
    let other = if random.unit() < 0.1 { random.unit() } else { attack };
    Sample {
        time_ms: 0,
        bundle: if decides == CANDIDATE { "candidate" } else { "active" }.to_owned(),
        arm: Some(if decides == CANDIDATE { Arm::Candidate } else { Arm::Active }),
        route: (random.unit() < 0.2).then(|| "benign".to_owned()),
        blocked: attack < traffic.blocks[decides],
        fault: random.unit() < traffic.faults[decides],
        latency_us: Some((-traffic.latency[decides] * (1.0 - random.unit()).ln()) as u64),
        shadow: (shadow && side == CANDIDATE)
            .then(|| Shadow { bundle: "candidate".to_owned(), blocked: other < traffic.blocks[CANDIDATE] }),
    }
}

/// SplitMix64: a few lines, and the same numbers everywhere.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The hardest case for a bound on false alarms: no margin anywhere, one judgement is enough, and a bound that is loose
/// enough to be met by some runs.
fn strict() -> Rules {
    Rules {
        false_alarm: 0.3,
        events_min: 1,
        confirm: 1,
        blocks_more: Some(0.0),
        blocks_less: Some(0.0),
        false_positives: Some(0.0),
        feedback: Some(1),
        errors: Some(0.0),
        latency: Some(0.0),
        ..Rules::default()
    }
}

fn false_alarms(traffic: Traffic, rules: &Rules, runs: u64, n: u64) -> u64 {
    (0..runs).filter(|seed| trial(traffic, rules, *seed, n).is_some()).count() as u64
}

#[test]
fn equal_arms_are_rolled_back_no_more_often_than_stated() {
    const RUNS: u64 = 2_000;
    for (name, share, mode) in
        [("canary", 0.2, Mode::Canary), ("half", 0.5, Mode::Canary), ("shadow", 0.5, Mode::Shadow)]
    {
        let traffic = Traffic { share, mode, ..SAME };
        let found = false_alarms(traffic, &strict(), RUNS, 2_000);
        println!("{name}: {found} of {RUNS} without a margin, stated are 30 %");
        assert!(found <= RUNS * 3 / 10, "{name}: {found}");
        // A bound that nothing ever comes near would be no test of it.
        assert!(found > 0, "{name}");
        let found = false_alarms(traffic, &Rules::default(), RUNS, 2_000);
        println!("{name}: {found} of {RUNS} with the defaults, stated is 1 %");
        assert!(found <= RUNS / 100, "{name}: {found}");
    }
}

#[test]
fn a_candidate_at_the_edge_of_its_margin_is_rolled_back_no_more_often_than_stated() {
    const RUNS: u64 = 1_000;
    let edge = Traffic { share: 0.5, blocks: [0.05, 0.07], ..SAME };
    let rules = Rules { false_alarm: 0.1, events_min: 1, confirm: 1, feedback: None, ..Rules::default() };
    let rules = Rules { false_positives: None, ..rules };
    let found = false_alarms(edge, &rules, RUNS, 3_000);
    println!("at the edge: {found} of {RUNS}");
    assert!(found <= RUNS / 10, "{found}");
}

#[test]
fn harm_is_found_within_a_stated_number_of_requests() {
    for (name, traffic, tests, n_max) in [
        ("20 points more blocks", Traffic { blocks: [0.05, 0.25], ..SAME }, &["blocks_more"][..], 2_500),
        (
            "20 points more, half",
            Traffic { share: 0.5, blocks: [0.05, 0.25], ..SAME },
            &["blocks_more"],
            1_200,
        ),
        ("blind", Traffic { share: 0.5, blocks: [0.2, 0.0], ..SAME }, &["blocks_less"], 1_200),
        ("faults", Traffic { faults: [0.001, 0.1], ..SAME }, &["errors"], 2_500),
        ("twice as slow", Traffic { share: 0.5, latency: [400.0, 800.0], ..SAME }, &["latency"], 3_000),
        (
            "people complain",
            Traffic { share: 0.5, labelled: [0.02, 0.9], blocks: [0.1, 0.1], ..SAME },
            &["feedback"],
            1_500,
        ),
        (
            "a shadow that blocks 20 points more",
            Traffic { mode: Mode::Shadow, share: 1.0, blocks: [0.05, 0.25], ..SAME },
            &["blocks_more", "false_positives", "feedback"],
            800,
        ),
    ] {
        // Whichever sees it first: benign requests and complaints say the same about a candidate that blocks more.
        let related = ["false_positives", "feedback", "blocks_more"];
        let mut latest = 0;
        for seed in 0..100 {
            let found = trial(traffic, &Rules::default(), seed, 2 * n_max);
            let Some((at, Decision::RollBack(test))) = found else {
                panic!("{name}, seed {seed}: {found:?}")
            };
            assert!(
                tests.contains(&test) || (tests == ["blocks_more"] && related.contains(&test)),
                "{name}: {test}"
            );
            latest = latest.max(at);
        }
        println!("{name}: found after at most {latest} requests");
        assert!(latest <= n_max, "{name}: {latest}");
    }
}

#[test]
fn a_clean_candidate_is_promoted_after_its_window_if_that_is_wanted() {
    let promote = crate::canary::rules::Promote { after_s: 5, events: 300 };
    let rules = Rules { promote: Some(promote), ..Rules::default() };
    let (at, decision) = trial(SAME, &rules, 1, 5_000).unwrap();
    assert_eq!(decision, Decision::Promote);
    // 300 requests of the candidate are about 1,500 in all.
    assert!((1_200..2_000).contains(&at), "{at}");
    let slow =
        Rules { promote: Some(crate::canary::rules::Promote { after_s: 30, ..promote }), ..rules.clone() };
    assert!(trial(SAME, &slow, 1, 5_000).unwrap().0 >= 3_000);
    assert_eq!(trial(SAME, &Rules::default(), 1, 5_000), None);
    let by_hand = Rules { automatic: false, ..rules };
    assert_eq!(trial(Traffic { blocks: [0.0, 0.9], ..SAME }, &by_hand, 1, 3_000), None);
}

#[test]
fn a_rollback_needs_judgements_in_a_row_and_a_suspicion_begins_the_window_anew() {
    let mut tally = Tally::default();
    tally.active.blocks = Rate { hits: 50, n: 1_000 };
    tally.candidate.blocks = Rate { hits: 300, n: 1_000 };
    let promote = Some(crate::canary::rules::Promote { after_s: 1, events: 200 });
    let rules = Rules { promote, ..Rules::default() };
    let mut judge = Judge::default();
    let mut decide = |tally: &Tally, now_ms| judge.decide(&rules, Mode::Canary, tally, now_ms).0;
    assert_eq!(decide(&tally, 0), Decision::Wait);
    assert_eq!(decide(&tally, 1_000), Decision::Wait);
    let clean = Tally { candidate: tally.active, ..tally.clone() };
    assert_eq!(decide(&clean, 2_000), Decision::Wait);
    assert_eq!(decide(&tally, 3_000), Decision::Wait);
    assert_eq!(decide(&tally, 4_000), Decision::Wait);
    assert_eq!(decide(&tally, 5_000), Decision::RollBack("blocks_more"));
    let mut judge = Judge::default();
    assert_eq!(judge.decide(&rules, Mode::Canary, &clean, 0).0, Decision::Wait);
    assert_eq!(judge.decide(&rules, Mode::Canary, &clean, 1_000).0, Decision::Promote);
}

#[test]
fn too_few_requests_decide_nothing() {
    let mut tally = Tally::default();
    tally.active.blocks = Rate { hits: 0, n: 10_000 };
    tally.candidate.blocks = Rate { hits: 199, n: 199 };
    let report = Report::of(&Rules::default(), Mode::Canary, &tally);
    assert!(report.tests.iter().all(|finding| finding.evidence == 0.0), "{report:?}");
    tally.candidate.blocks = Rate { hits: 200, n: 200 };
    let report = Report::of(&Rules::default(), Mode::Canary, &tally);
    assert!(report.tests[0].evidence > 1.0);
}
