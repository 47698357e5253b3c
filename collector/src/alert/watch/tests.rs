//! The built-in rules in scripted scenarios, with a clock of the test.

use super::*;
use crate::alert::file::AlertsFile;
use proptest::prelude::*;

/// A watch with the rules that are built in, and its clock.
struct Scene {
    rules: Vec<Rule>,
    watch: Watch,
    now_ms: i64,
}

impl Scene {
    fn new() -> Self {
        Self::of("{}")
    }

    fn of(file: &str) -> Self {
        let file: AlertsFile = serde_json::from_str(file).unwrap();
        let rules = file.plan(&|_| None).unwrap().rules;
        Self { watch: Watch::new(&rules), rules, now_ms: 1_800_000_000_000 }
    }

    fn later(&mut self, s: i64) {
        self.now_ms += s * 1_000;
    }

    fn see(&mut self, seen: &Seen) {
        self.watch.observe(Observation::Event(seen), self.now_ms);
    }

    fn level(&mut self, measure: Measure, value: f64) {
        self.watch.observe(Observation::Level { measure, of: None, value }, self.now_ms);
    }

    /// The groups for which a rule is met now, as text.
    fn met(&mut self, rule: &str) -> Vec<String> {
        let signals = self.watch.signals(self.now_ms);
        let of_rule = signals.into_iter().filter(|signal| self.rules[signal.rule].name == rule);
        of_rule.map(|signal| signal.group.to_string()).collect()
    }
}

fn blocked(rule: &str, source: &str) -> Seen {
    let (family, _) = rule.split_once('/').unwrap();
    Seen {
        action: "block".to_owned(),
        verdict: "malicious".to_owned(),
        route: Some("chat".to_owned()),
        vm: "a".to_owned(),
        score: 0.8,
        fired: vec![(rule.to_owned(), family.to_owned())],
        source: Some(source.to_owned()),
        bytes: 100,
        covered: 100,
        ..Seen::default()
    }
}

fn harmless() -> Seen {
    let (action, verdict) = ("allow".to_owned(), "clean".to_owned());
    Seen { action, verdict, score: 0.1, fired: Vec::new(), ..blocked("pii/x", "s") }
}

#[test]
fn one_certain_attack_is_enough() {
    let mut scene = Scene::new();
    scene.see(&blocked("injection/ignore", "s"));
    assert!(scene.met("high-confidence-attack").is_empty(), "0.8 is not certain");
    scene.see(&Seen { score: 0.95, ..blocked("injection/ignore", "s") });
    assert_eq!(scene.met("high-confidence-attack"), ["route=chat, rule=injection/ignore"]);
    scene.later(311);
    assert!(scene.met("high-confidence-attack").is_empty());
}

#[test]
fn a_campaign_is_one_rule_or_one_source_again_and_again() {
    let mut scene = Scene::new();
    for n in 0..19 {
        scene.see(&blocked("injection/ignore", &format!("session-{n}")));
        scene.see(&blocked("pii/card", "careless"));
        scene.later(10);
    }
    assert!(scene.met("attack-campaign").is_empty());
    scene.see(&blocked("injection/ignore", "last"));
    assert_eq!(scene.met("attack-campaign"), ["rule=injection/ignore"]);
    assert!(scene.met("attack-campaign-source").is_empty(), "personal data is no attack");
    for n in 0..10 {
        scene.see(&blocked(&format!("jailbreak/{n}"), "session-1"));
    }
    assert_eq!(scene.met("attack-campaign-source"), ["source=session-1"]);
    scene.later(700);
    assert!(scene.met("attack-campaign").is_empty() && scene.met("attack-campaign-source").is_empty());
}

#[test]
fn failures_are_counted_where_they_are() {
    let mut scene = Scene::new();
    for _ in 0..4 {
        scene.watch.observe(Observation::Error { place: "collector" }, scene.now_ms);
        scene.see(&Seen { degraded: true, ..harmless() });
    }
    assert!(scene.met("system-error").is_empty());
    scene.see(&Seen { degraded: true, ..harmless() });
    assert_eq!(scene.met("system-error"), ["place=filter"]);
    scene.later(311);
    assert!(scene.met("system-error").is_empty());
}

#[test]
fn false_positives_are_a_share_of_enough_feedback() {
    let mut scene = Scene::new();
    for n in 0..10 {
        assert!(scene.met("performance-degradation").is_empty(), "{n} labels are too few");
        let feedback = Observation::Feedback { is_false_positive: n % 5 == 0 };
        scene.watch.observe(feedback, scene.now_ms);
        scene.later(60);
    }
    assert_eq!(scene.met("performance-degradation"), [""]);
    for _ in 0..5 {
        scene.watch.observe(Observation::Feedback { is_false_positive: false }, scene.now_ms);
    }
    assert!(scene.met("performance-degradation").is_empty(), "2 of 15");
}

#[test]
fn a_jump_is_against_the_time_before() {
    let mut scene = Scene::new();
    let traffic = |scene: &mut Scene, minutes, blocks_of_20| {
        for _ in 0..minutes {
            for n in 0..20 {
                scene.see(&if n < blocks_of_20 { blocked("injection/ignore", "s") } else { harmless() });
            }
            scene.later(60);
            scene.met("block-rate-jump");
        }
        scene.met("block-rate-jump").len()
    };
    assert_eq!(traffic(&mut scene, 60, 1), 0);
    assert_eq!(traffic(&mut scene, 30, 2), 0, "twice as much is no jump");
    assert_eq!(traffic(&mut scene, 15, 10), 1);
    assert_eq!(traffic(&mut scene, 30, 1), 0);
}

#[test]
fn slow_is_one_in_twenty_for_a_minute() {
    let mut scene = Scene::new();
    for n in 0..40 {
        scene.see(&Seen { latency_ms: if n < 2 { 2_500 } else { 100 }, ..harmless() });
    }
    assert!(scene.met("slow-responses").is_empty(), "not for long enough");
    scene.later(60);
    assert_eq!(scene.met("slow-responses"), ["route=chat"]);
    for _ in 0..10 {
        scene.see(&harmless());
    }
    assert!(scene.met("slow-responses").is_empty());
}

#[test]
fn a_backlog_counts_when_it_lasts() {
    let mut scene = Scene::new();
    for s in [0, 10, 10] {
        scene.later(s);
        scene.level(Measure::Backlog, 0.9);
        assert!(scene.met("collector-backlog").is_empty());
    }
    scene.later(10);
    assert_eq!(scene.met("collector-backlog"), [""]);
    scene.level(Measure::Backlog, 0.1);
    assert!(scene.met("collector-backlog").is_empty());
    scene.level(Measure::Backlog, 0.9);
    assert!(scene.met("collector-backlog").is_empty(), "it begins anew");
    scene.later(61);
    assert!(scene.met("collector-backlog").is_empty(), "a reading of a minute ago is none");
}

#[test]
fn a_gap_is_what_is_missing_more_than_before() {
    let mut scene = Scene::new();
    let reads = |scene: &mut Scene, minutes, missing| {
        for _ in 0..minutes * 6 {
            scene.level(Measure::VmMissing, f64::from(missing));
            scene.met("vm-gap");
            scene.later(10);
        }
        scene.met("vm-gap").len()
    };
    assert_eq!(reads(&mut scene, 5, 7), 0, "what was missing at the start");
    assert_eq!(reads(&mut scene, 2, 9), 1);
    assert_eq!(reads(&mut scene, 2, 7), 0, "they came late");
    assert_eq!(reads(&mut scene, 5, 8), 1);
    assert_eq!(reads(&mut scene, 12, 8), 0, "it grows no more");
}

#[test]
fn coverage_is_of_bytes_and_of_enough_of_them() {
    let mut scene = Scene::new();
    let part = Seen { bytes: 50_000, covered: 40_000, ..harmless() };
    scene.see(&part);
    scene.later(60);
    assert!(scene.met("coverage-under-target").is_empty(), "too little to say");
    scene.see(&part);
    assert!(scene.met("coverage-under-target").is_empty());
    scene.later(60);
    assert_eq!(scene.met("coverage-under-target"), ["route=chat"]);
    scene.see(&Seen { bytes: 10_000_000, covered: 10_000_000, ..harmless() });
    assert!(scene.met("coverage-under-target").is_empty());
}

#[test]
fn what_runs_out_is_said_beforehand() {
    let mut scene = Scene::new();
    for (measure, rule, days) in
        [(Measure::CertificateDays, "certificate-expiry", 14.0), (Measure::BundleDays, "bundle-expiry", 7.0)]
    {
        scene.level(measure, days);
        assert!(scene.met(rule).is_empty());
        scene.level(measure, days - 0.1);
        assert_eq!(scene.met(rule), [""]);
        scene.level(measure, 90.0);
        assert!(scene.met(rule).is_empty());
    }
}

#[test]
fn groups_are_bounded_and_what_is_left_out_is_counted() {
    let mut scene =
        Scene::of(r#"{"rules":[{"name":"mine","at_least":1,"within":"5m","group_by":["source"]}]}"#);
    for n in 0..GROUPS_MAX + 50 {
        scene.see(&blocked("injection/ignore", &n.to_string()));
    }
    assert_eq!(scene.met("mine").len(), GROUPS_MAX);
    let left_out = |scene: &Scene| scene.watch.left_out().find(|(rule, _)| *rule == "mine").unwrap().1;
    assert_eq!(left_out(&scene), 50);
    scene.see(&blocked("injection/ignore", "0"));
    assert_eq!(left_out(&scene), 50, "its group is there");
    scene.later(311);
    assert!(scene.met("mine").is_empty());
    scene.see(&blocked("injection/ignore", "new"));
    assert_eq!(scene.met("mine"), ["source=new"], "places are free again");
}

proptest! {
    #[test]
    fn whatever_comes_in_memory_is_bounded(
        steps in prop::collection::vec((0_u16..2_000, -5_000_i64..20_000, 0_u8..4), 1..400),
    ) {
        let mut scene = Scene::new();
        for (n, later_ms, kind) in steps {
            scene.now_ms += later_ms;
            match kind {
                0 => scene.see(&Seen { score: 0.99, ..blocked(&format!("injection/{n}"), &n.to_string()) }),
                1 => scene.see(&Seen { route: Some(n.to_string()), latency_ms: 9_000, ..harmless() }),
                2 => scene.watch.observe(
                    Observation::Level { measure: Measure::VmMissing, of: Some(&n.to_string()), value: f64::from(n) },
                    scene.now_ms,
                ),
                _ => { scene.watch.signals(scene.now_ms); }
            }
            for watched in &scene.watch.0 {
                prop_assert!(watched.groups.len() <= GROUPS_MAX);
            }
        }
    }
}
