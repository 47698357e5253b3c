//! The breaker against a simple model of it, and its sentences.

use alloc::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;

const START: u64 = 1_000_000;

fn at(ms: u64) -> Time {
    Time((START + ms) * 1_000_000)
}

fn policy() -> BreakerPolicy {
    BreakerPolicy {
        failures: 3,
        volume: 1_000,
        pause_ms: 100,
        pause_ms_max: 1_000,
        ..BreakerPolicy::default()
    }
}

/// Opens a breaker at a time.
fn opened(policy: BreakerPolicy, ms: u64, random: u32) -> Breaker {
    let mut breaker = Breaker::new(policy);
    for _ in 0..policy.failures {
        let permit = breaker.ask(at(ms), 0).unwrap();
        breaker.failed(permit, at(ms), random);
    }
    assert_eq!(breaker.state(), State::Open);
    breaker
}

/// What a person would write down of a breaker with consecutive failures only, and calls that end at once.
#[derive(Debug)]
struct Model {
    in_row: u32,
    /// Since when, how long, and the how many-th in a row.
    pause: Option<(u64, u64, u32)>,
    answered: u32,
}

impl Model {
    fn call(&mut self, policy: &BreakerPolicy, now: u64, fails: bool) -> bool {
        match self.pause {
            None => {
                self.in_row = if fails { self.in_row + 1 } else { 0 };
                if self.in_row == policy.failures {
                    *self = Self { in_row: 0, pause: Some((now, 100, 1)), answered: 0 };
                }
                true
            }
            Some((since, pause, _)) if now < since + pause => false,
            Some((_, _, n)) if fails => {
                let pause = (100 * 2_u64.pow(n.min(10))).min(1_000);
                self.pause = Some((now, pause, n + 1));
                self.answered = 0;
                true
            }
            Some(_) => {
                self.answered += 1;
                if self.answered == policy.probes {
                    *self = Self { in_row: 0, pause: None, answered: 0 };
                }
                true
            }
        }
    }
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(calls in prop::collection::vec((0_u64..400, any::<bool>()), 1..300)) {
        let policy = policy();
        let mut breaker = Breaker::new(policy);
        let mut model = Model { in_row: 0, pause: None, answered: 0 };
        let mut now = 0;
        for (gap, fails) in calls {
            now += gap;
            let permit = breaker.ask(at(now), 0);
            prop_assert_eq!(permit.is_some(), model.call(&policy, now, fails));
            if let Some(permit) = permit {
                match fails {
                    true => breaker.failed(permit, at(now), 0),
                    false => breaker.succeeded(permit, at(now)),
                }
            }
        }
        let counts = breaker.counts();
        prop_assert!(counts.opened >= counts.half_opened && counts.half_opened >= counts.closed);
        prop_assert_eq!(breaker.state() == State::Closed, model.pause.is_none());
    }

    /// Whatever order reports, losses and jumps of the clock come in, it is asked again in the end.
    #[test]
    fn it_never_stays_shut(
        steps in prop::collection::vec((0_u8..5, 0_u64..100_000, any::<u32>(), 0_usize..4), 1..200),
    ) {
        let policy = BreakerPolicy::default();
        let mut breaker = Breaker::new(policy);
        let mut permits: Vec<Permit> = Vec::new();
        let mut last = 0;
        for (what, now, random, which) in steps {
            last = now;
            let permit = permits.get(which).copied();
            match (what, permit) {
                (0 | 1, _) => permits.extend(breaker.ask(at(now), random)),
                (2, _) => permits.extend(breaker.ask_again(at(now), random)),
                (3, Some(permit)) => breaker.succeeded(permit, at(now)),
                (_, Some(permit)) => breaker.failed(permit, at(now), random),
                (_, None) => {}
            }
        }
        let first = breaker.ask(at(last + u64::from(policy.pause_ms_max) + 1), 0).is_some();
        let again = breaker.ask(at(last + 2 * u64::from(policy.pause_ms_max) + 2), 0).is_some();
        let third = breaker.ask(at(last + 4 * u64::from(policy.pause_ms_max) + 3), 0).is_some();
        prop_assert!(first || again || third);
    }
}

#[test]
fn a_large_part_of_failures_opens_it_without_a_row() {
    let policy = BreakerPolicy { volume: 10, ..BreakerPolicy::default() };
    let mut breaker = Breaker::new(policy);
    for n in 0..10 {
        let permit = breaker.ask(at(n), 0).unwrap();
        assert_eq!(breaker.state(), State::Closed, "{n}");
        match n % 2 {
            0 => breaker.succeeded(permit, at(n)),
            _ => breaker.failed(permit, at(n), 0),
        }
    }
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn failures_of_another_window_do_not_count_together() {
    let policy = BreakerPolicy { failures: 100, volume: 10, window_ms: 1_000, ..BreakerPolicy::default() };
    let mut breaker = Breaker::new(policy);
    for n in 0..50 {
        let permit = breaker.ask(at(n * 200), 0).unwrap();
        breaker.failed(permit, at(n * 200), 0);
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn pauses_double_up_to_a_bound_and_are_spread() {
    let mut breaker = opened(policy(), 0, 0);
    let mut pauses = Vec::new();
    let mut now = 0;
    for _ in 0..6 {
        let wait = breaker.wait_ms(at(now));
        pauses.push(wait);
        now += wait;
        let permit = breaker.ask(at(now), 0).unwrap();
        breaker.failed(permit, at(now), 0);
    }
    assert_eq!(pauses, vec![100, 200, 400, 800, 1_000, 1_000]);
    assert_eq!(opened(policy(), 0, u32::MAX).wait_ms(at(0)), 51);
    assert_eq!(opened(policy(), 0, 1 << 31).wait_ms(at(0)), 75);
}

#[test]
fn one_probe_at_a_time_and_a_lost_one_has_failed() {
    let mut breaker = opened(policy(), 0, 0);
    let permit = breaker.ask(at(100), 0).unwrap();
    assert_eq!((breaker.state(), breaker.ask(at(101), 0)), (State::HalfOpen, None));
    assert_eq!(breaker.wait_ms(at(101)), 9_999);
    assert_eq!(breaker.ask(at(10_100), 0), None);
    assert_eq!((breaker.state(), breaker.counts().opened), (State::Open, 2));
    // What it comes to later is of no interest any more.
    breaker.succeeded(permit, at(10_101));
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn an_answer_from_before_does_not_close_it() {
    let mut breaker = Breaker::new(policy());
    let slow = breaker.ask(at(0), 0).unwrap();
    for _ in 0..3 {
        let permit = breaker.ask(at(0), 0).unwrap();
        breaker.failed(permit, at(1), 0);
    }
    breaker.succeeded(slow, at(2));
    assert_eq!(breaker.state(), State::Open);
    let probe = breaker.ask(at(101), 0).unwrap();
    breaker.succeeded(slow, at(102));
    breaker.failed(slow, at(102), 0);
    assert_eq!(breaker.state(), State::HalfOpen);
    breaker.succeeded(probe, at(103));
    let probe = breaker.ask(at(103), 0).unwrap();
    breaker.succeeded(probe, at(104));
    assert_eq!((breaker.state(), breaker.counts().closed), (State::Closed, 1));
}

#[test]
fn second_tries_are_a_part_of_first_ones() {
    let policy =
        BreakerPolicy { retry_percent: 20, retries_max: 2, failures: 1_000, ..BreakerPolicy::default() };
    let mut breaker = Breaker::new(BreakerPolicy { failure_percent: 100, volume: 10_000, ..policy });
    let retries = |breaker: &mut Breaker| (0..100).filter(|_| breaker.ask_again(at(0), 0).is_some()).count();
    assert_eq!(retries(&mut breaker), 2);
    assert!((0..5).all(|_| breaker.ask(at(0), 0).is_some()));
    assert_eq!(retries(&mut breaker), 1);
    assert!((0..1_000).all(|_| breaker.ask(at(0), 0).is_some()));
    assert_eq!(retries(&mut breaker), 2);
    assert_eq!((breaker.counts().retries, breaker.counts().retries_refused), (5, 295));
}

#[test]
fn a_clock_that_jumps_back_starts_the_pause_anew() {
    let mut breaker = opened(policy(), 500_000, 0);
    assert_eq!(breaker.ask(at(0), 0), None);
    assert_eq!(breaker.wait_ms(at(0)), 100);
    assert!(breaker.ask(at(100), 0).is_some());
}

#[test]
fn policies_are_checked() {
    let complaint = |policy: &str| {
        let policy: BreakerPolicy = serde_json::from_str(policy).unwrap();
        policy.check().err().map(|error| alloc::format!("{error}"))
    };
    assert_eq!(complaint("{}"), None);
    assert_eq!(complaint(r#"{"failures":0}"#).as_deref(), Some("failures: is 0, expected 1 to 1000"));
    let less = complaint(r#"{"pause_ms":500,"pause_ms_max":100}"#);
    assert_eq!(less.as_deref(), Some("pause_ms_max: is 100, less than pause_ms, which is 500"));
    assert!(serde_json::from_str::<BreakerPolicy>(r#"{"failure":1}"#).is_err());
}
