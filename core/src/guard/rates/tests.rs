//! Limits against an exact log of what was admitted.

use alloc::{collections::VecDeque, string::ToString, vec::Vec};
use core::cell::{Cell, RefCell};

use proptest::prelude::*;

use super::{
    super::{MemoryMap, memory::SharedMemory},
    *,
};
use crate::http::Headers;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const MINUTE: u64 = 60 * SECOND;
const START: u64 = 1_800_000_000 * SECOND;

struct Bench {
    memory: RefCell<MemoryMap>,
    limiter: Limiter,
}

impl Bench {
    fn new(limits: Vec<Limit>) -> Self {
        Self::of(RatePolicy { limits, entries: 64, ..RatePolicy::default() })
    }

    fn of(policy: RatePolicy) -> Self {
        policy.check().unwrap();
        let limiter = Limiter::new(&policy, HashKey::new([7; 16]));
        Self { memory: RefCell::new(MemoryMap::new(10_000_000)), limiter }
    }

    fn ask(&self, peer: &str, route: &str, tokens: u32, at: u64) -> Admission {
        let headers = Headers::default();
        let who = Who { headers: &headers, peer, user: None, tenant: None, route };
        self.limiter.admit(&self.memory, &who, tokens, Time(START.wrapping_add(at)))
    }

    fn admits(&self, at: u64) -> bool {
        matches!(self.ask("1.1.1.1", "r", 0, at), Admission::Admitted(_))
    }

    fn refusal(&self, tokens: u32, at: u64) -> Refused {
        match self.ask("1.1.1.1", "r", tokens, at) {
            Admission::Refused(refused) => refused,
            Admission::Admitted(admitted) => panic!("{admitted:?}"),
        }
    }

    fn admitted(&self, tokens: u32, at: u64) -> Admitted {
        match self.ask("1.1.1.1", "r", tokens, at) {
            Admission::Admitted(admitted) => admitted,
            Admission::Refused(refused) => panic!("{refused:?}"),
        }
    }
}

fn by_ip(change: impl FnOnce(&mut Limit)) -> Limit {
    let mut limit = Limit::new("requests", RateKey::Ip);
    change(&mut limit);
    limit
}

/// What was admitted, exactly: times, oldest first.
#[derive(Default)]
struct Log(VecDeque<u64>);

impl Log {
    fn in_last(&self, span: u64, now: u64) -> usize {
        self.0.iter().rev().take_while(|at| now - **at < span).count()
    }
}

proptest! {
    /// Gaps of all sizes: never more than the limit in any span, and nothing refused that the promise admits.
    #[test]
    fn windows_hold_their_promise(
        limit in 1_u32..200,
        gaps in prop::collection::vec(prop_oneof![0..2 * MS, 0..40 * MS, 0..2 * SECOND], 1..600),
    ) {
        let bench = Bench::new(Vec::from([by_ip(|l| l.per_second = Some(limit))]));
        let mut log = Log::default();
        let mut now = 0;
        for gap in gaps {
            now += gap;
            let before = log.in_last(SECOND, now);
            if bench.admits(now) {
                prop_assert!(before < limit as usize, "{before} of {limit} were admitted before");
                log.0.push_back(now);
            } else {
                // A grain of the clock is a fifty-thousandth of a second; what ends within two of them may count still.
                let lately = log.in_last(SECOND + 2 * SECOND / 50_000, now);
                prop_assert!(lately as u32 + limit.div_ceil(32) > limit, "refused after {lately} of {limit}");
            }
        }
    }

    #[test]
    fn buckets_hold_their_promise(
        limit in 1_u32..200,
        burst in 1_u32..50,
        gaps in prop::collection::vec(prop_oneof![0..2 * MS, 0..40 * MS, 0..2 * SECOND], 1..600),
    ) {
        let bench = Bench::new(Vec::from([by_ip(|l| (l.per_second, l.burst) = (Some(limit), Some(burst)))]));
        let mut log = Log::default();
        let (mut now, mut tokens) = (0, f64::from(burst));
        for gap in gaps {
            now += gap;
            tokens = (tokens + gap as f64 / SECOND as f64 * f64::from(limit)).min(f64::from(burst));
            let before = log.in_last(SECOND, now);
            // A bucket with fractions; the two may differ where it is about to have one more.
            let is_sure = (tokens - 1.0).abs() > 1e-3;
            let admits = bench.admits(now);
            prop_assert!(!is_sure || admits == (tokens >= 1.0), "{tokens}");
            if admits {
                prop_assert!(before < (limit + burst) as usize);
                log.0.push_back(now);
                tokens -= 1.0;
            }
        }
    }

    /// Tokens are charged, corrected up and down, and never more are open than are counted.
    #[test]
    fn budgets_count_what_was_used(
        steps in prop::collection::vec((0..20 * SECOND, 0_u32..400, 0_u32..600), 1..200),
    ) {
        let limit = by_ip(|l| l.tokens.per_minute = Some(1_000));
        let bench = Bench::new(Vec::from([limit]));
        let mut log: VecDeque<(u64, u32)> = VecDeque::new();
        let mut now = 0;
        for (gap, estimate, used) in steps {
            now += gap;
            let open: u32 = log.iter().filter(|(at, _)| now - at < MINUTE).map(|(_, used)| used).sum();
            if let Admission::Admitted(admitted) = bench.ask("1.1.1.1", "r", estimate, now) {
                prop_assert!(open + estimate <= 1_000, "{open} were used");
                bench.limiter.settle(&bench.memory, &admitted.spent, used, Time(START + now));
                log.push_back((now, used));
            }
        }
    }

    /// Whatever stands in the memory, nothing panics, and one period later the key is free again.
    #[test]
    fn garbage_in_the_memory_is_survived(garbage in prop::collection::vec(any::<u8>(), 0..900), at in any::<u64>()) {
        let limit = by_ip(|l| {
            (l.per_second, l.per_minute, l.burst) = (Some(5), Some(50), Some(2));
            l.tokens.per_day = Some(100);
            l.shared = true;
        });
        let bench = Bench::new(Vec::from([limit]));
        bench.ask("1.1.1.1", "r", 1, 0);
        let set = |entry: &[u8]| {
            for set in 0..8 {
                let name = alloc::format!("sentinel.rates.requests/{set}");
                let Some((mut value, version)) = SharedMemory::load(&bench.memory, &name) else { continue };
                value.truncate(12);
                value.extend_from_slice(entry);
                bench.memory.store(&name, &value, Some(version));
            }
        };
        let entry_bytes = 36 + 8 + 2 * 85;
        let mut entry = garbage;
        entry.resize(entry_bytes, 0xff);
        set(&entry);
        bench.ask("1.1.1.1", "r", 7, at.wrapping_sub(START));
        bench.ask("1.1.1.1", "r", 7, 0);
        bench.ask("1.1.1.1", "r", 0, 86_400 * SECOND + 2 * MINUTE);
        let freed = matches!(bench.ask("1.1.1.1", "r", 0, 2 * 86_400 * SECOND + 4 * MINUTE), Admission::Admitted(_));
        prop_assert!(freed);
    }
}

#[test]
fn a_whole_period_may_come_at_once_without_a_burst() {
    let bench = Bench::new(Vec::from([by_ip(|l| l.per_minute = Some(60))]));
    assert!((0..60).all(|_| bench.admits(0)));
    let refused = bench.refusal(0, SECOND);
    assert_eq!((refused.retry_after_s, refused.why, refused.limit.as_str()), (60, Why::Spent, "requests"));
    assert_eq!(refused.quota, Quota { unit: Unit::Requests, limit: 60, remaining: 0, reset_s: 60 });
    assert!(!bench.admits(59 * SECOND));
    assert!(bench.admits(MINUTE + 10 * MS));
}

#[test]
fn under_load_the_whole_limit_is_used() {
    for (limit, burst) in [(100, None), (1000, None), (100, Some(10))] {
        let bench = Bench::new(Vec::from([by_ip(|l| (l.per_second, l.burst) = (Some(limit), burst))]));
        // 20 seconds, ten requests for each that is admitted.
        let every = SECOND / u64::from(limit) / 10;
        let n = (0..20 * SECOND / every).filter(|n| bench.admits(n * every)).count() as f64;
        let expected = f64::from(limit) * 20.0;
        let spare = f64::from(burst.unwrap_or(0));
        assert!((n - spare - expected).abs() <= expected * 0.02, "{n} of {expected}");
    }
}

/// A memory in which another worker counts a request between a load and what follows it.
#[derive(Debug)]
struct Racing<'l> {
    map: RefCell<MemoryMap>,
    limiter: &'l Limiter,
    loads: Cell<u32>,
    admitted_between: Cell<u32>,
}

impl SharedMemory for Racing<'_> {
    fn load(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        let loaded = SharedMemory::load(&self.map, key);
        self.loads.set(self.loads.get() + 1);
        if self.loads.get().is_multiple_of(3) && admits_in(self.limiter, &self.map) {
            self.admitted_between.set(self.admitted_between.get() + 1);
        }
        loaded
    }

    fn store(&self, key: &str, value: &[u8], version: Option<u32>) -> Stored {
        self.map.store(key, value, version)
    }
}

fn admits_in(limiter: &Limiter, memory: &dyn SharedMemory) -> bool {
    let headers = Headers::default();
    let who = Who { headers: &headers, peer: "1.1.1.1", user: None, tenant: None, route: "r" };
    matches!(limiter.admit(memory, &who, 0, Time(START)), Admission::Admitted(_))
}

#[test]
fn workers_that_come_between_each_other_admit_exactly_the_limit() {
    let bench = Bench::new(Vec::from([by_ip(|l| l.per_hour = Some(500))]));
    let limiter = &bench.limiter;
    let racing = Racing { map: bench.memory, limiter, loads: Cell::new(0), admitted_between: Cell::new(0) };
    let ours = (0..1_000).filter(|_| admits_in(limiter, &racing)).count() as u32;
    let between = racing.admitted_between.get();
    assert!(between > 50 && ours > 50, "{between} {ours}");
    assert_eq!(ours + between, 500);
}

#[test]
fn keys_and_routes_are_counted_apart() {
    let routes = Vec::from(["a".to_string()]);
    let bench = Bench::new(Vec::from([by_ip(|l| (l.per_hour, l.routes) = (Some(1), routes))]));
    let is_admitted = |peer, route| matches!(bench.ask(peer, route, 0, 0), Admission::Admitted(_));
    assert!(is_admitted("1.1.1.1", "a"));
    assert!(!is_admitted("1.1.1.1", "a"));
    assert!(is_admitted("1.1.1.2", "a"));
    assert!((0..5).all(|_| is_admitted("1.1.1.1", "b")));
}

#[test]
fn what_one_limit_refuses_does_not_spend_the_others() {
    let mut tight = by_ip(|l| l.per_second = Some(1));
    tight.name = "tight".into();
    let bench = Bench::new(Vec::from([by_ip(|l| l.per_minute = Some(3)), tight]));
    assert!(bench.admits(0));
    assert!((0..50).all(|_| !bench.admits(0)));
    assert!(bench.admits(1_010 * MS));
    assert!(bench.admits(2_020 * MS));
    let refused = bench.refusal(0, 3_030 * MS);
    assert_eq!((refused.limit.as_str(), refused.retry_after_s), ("requests", 57));
}

#[test]
fn a_limit_that_tags_lets_go_on_and_is_not_counted() {
    let bench = Bench::new(Vec::from([by_ip(|l| (l.per_second, l.on_limit) = (Some(1), OnRateLimit::Tag))]));
    assert!(bench.admitted(0, 0).over.is_empty());
    assert_eq!(bench.admitted(0, 0).over, ["requests"]);
    assert!(bench.admitted(0, 1_010 * MS).over.is_empty());
}

#[test]
fn a_new_limit_goes_on_with_the_old_counts() {
    let mut bench = Bench::new(Vec::from([by_ip(|l| l.per_minute = Some(100))]));
    assert!((0..50).all(|_| bench.admits(0)));
    for (limit, left) in [(60, 10), (500, 440), (40, 0), (501, 1)] {
        let limits = Vec::from([by_ip(|l| l.per_minute = Some(limit))]);
        bench.limiter =
            Limiter::new(&RatePolicy { limits, entries: 64, ..RatePolicy::default() }, HashKey::new([7; 16]));
        assert_eq!((0..1000).filter(|_| bench.admits(SECOND)).count(), left, "{limit}");
    }
}

#[test]
fn a_clock_that_jumps_back_freezes_nobody_for_longer_than_a_period() {
    const HOUR: u64 = 60 * MINUTE;
    for limit in [by_ip(|l| l.per_second = Some(2)), by_ip(|l| (l.per_second, l.burst) = (Some(2), Some(2)))]
    {
        let bench = Bench::new(Vec::from([limit]));
        assert!((0..2).all(|_| bench.admits(HOUR)));
        // Not freed by the jump, and not frozen.
        assert!(!bench.admits(0));
        assert!(bench.admits(1_010 * MS));
    }
}

#[test]
fn tokens_are_corrected_by_what_the_answer_reports() {
    let bench = Bench::new(Vec::from([by_ip(|l| l.tokens.per_hour = Some(1_000))]));
    let settle = |admitted: &Admitted, used, at| {
        bench.limiter.settle(&bench.memory, &admitted.spent, used, Time(START + at));
    };
    let first = bench.admitted(900, 0);
    assert_eq!(first.quota.map(|quota| (quota.unit, quota.remaining)), Some((Unit::Tokens, 100)));
    assert_eq!(bench.refusal(200, 0).quota.unit, Unit::Tokens);
    settle(&first, 300, SECOND);
    let second = bench.admitted(200, SECOND);
    settle(&second, 900, 2 * SECOND);
    // 1,200 were used; who owes waits until enough is old.
    assert_eq!(bench.refusal(1, 2 * SECOND).retry_after_s, 3599);
    // More than there ever is.
    assert_eq!(bench.refusal(1_001, 3 * SECOND).retry_after_s, 3600);
    assert!(matches!(bench.ask("1.1.1.1", "r", 1_000, 3700 * SECOND), Admission::Admitted(_)));
}

#[test]
fn without_memory_policy_decides() {
    for (without_memory, is_admitted) in [(WithoutMemory::Open, true), (WithoutMemory::Closed, false)] {
        let limits = Vec::from([by_ip(|l| l.per_second = Some(1))]);
        let mut bench = Bench::of(RatePolicy { limits, without_memory, ..RatePolicy::default() });
        bench.memory = RefCell::new(MemoryMap::new(0));
        match bench.ask("1.1.1.1", "r", 0, 0) {
            Admission::Admitted(admitted) => assert!(is_admitted && admitted.uncounted),
            Admission::Refused(refused) => assert!(!is_admitted && refused.why == Why::NoMemory),
        }
    }
}

fn shared(when_away: WhenAway) -> Bench {
    Bench::new(Vec::from([by_ip(|l| (l.per_second, l.shared, l.when_away) = (Some(100), true, when_away))]))
}

#[test]
fn a_shared_limit_asks_once_and_spends_what_it_was_granted() {
    let bench = shared(WhenAway::Local);
    let wants = bench.admitted(0, 0).wants;
    let [want] = &wants[..] else { panic!("{wants:?}") };
    assert_eq!((want.limit.as_str(), want.want, want.per_second), ("requests", 11, Some(100)));
    assert!(bench.admitted(0, MS).wants.is_empty());
    let grant = |granted, ms: u64| {
        let grant = Grant { granted, until_ms: START / MS + ms + 1_000 };
        bench.limiter.grant(&bench.memory, "requests", &want.key, grant, Time(START + ms * MS));
    };
    grant(12, 2);
    // Two were owed. Ten are left; below half a batch more is asked for.
    let asked: Vec<u32> =
        (0..10).flat_map(|_| bench.admitted(0, 3 * MS).wants).map(|want| want.want).collect();
    assert_eq!(asked, [10]);
    grant(0, 4);
    assert_eq!(bench.refusal(0, 5 * MS).why, Why::Spent);
    assert!(bench.refusal(0, 900 * MS).wants.is_empty());
    assert_eq!(bench.admitted(0, 1_005 * MS).wants.len(), 1);
    // A wrong answer, or one for something else, changes nothing for long.
    grant(u32::MAX, 1_006);
    assert_eq!((0..100).filter(|_| bench.admits(1_007 * MS)).count(), 20 + 10);
    bench.limiter.grant(&bench.memory, "other", &want.key, Grant { granted: 1, until_ms: 0 }, Time(START));
    bench.limiter.grant(&bench.memory, "requests", "zz", Grant { granted: 1, until_ms: 0 }, Time(START));
}

#[test]
fn while_the_collector_is_away_policy_decides() {
    for (when_away, expected) in [(WhenAway::Local, 100), (WhenAway::Open, 100), (WhenAway::Closed, 0)] {
        let bench = shared(when_away);
        // A batch goes on before anything is known.
        assert_eq!((0..200).filter(|_| bench.admits(0)).count(), 10, "{when_away:?}");
        assert_eq!((0..200).filter(|_| bench.admits(2 * SECOND)).count(), expected, "{when_away:?}");
        if when_away == WhenAway::Closed {
            assert_eq!(bench.refusal(0, 2 * SECOND).why, Why::Away);
        }
    }
}

#[test]
fn a_batch_is_all_that_is_owed_after_an_outage() {
    let bench = shared(WhenAway::Local);
    let key = bench.admitted(0, 0).wants.remove(0).key;
    let n = (0..40)
        .flat_map(|n| (0..20).map(move |_| n))
        .filter(|n| bench.admits(2 * SECOND + n * SECOND / 10))
        .count();
    assert!(n > 300, "{n}");
    let now = 10 * SECOND;
    let grant = Grant { granted: 20, until_ms: (START + now) / MS + 1_000 };
    bench.limiter.grant(&bench.memory, "requests", &key, grant, Time(START + now));
    // Ten are taken for what is owed; another batch may be owed again.
    assert_eq!((0..200).filter(|_| bench.admits(now + MS)).count(), 20);
}

#[track_caller]
fn check_complaint(policy: &str, complaint: &str) {
    let parsed = serde_json::from_str::<RatePolicy>(policy);
    let found = match parsed {
        Ok(policy) => policy.check().err().map_or_else(String::new, |error| error.to_string()),
        Err(error) => error.to_string(),
    };
    assert!(found.starts_with(complaint) && found.is_empty() == complaint.is_empty(), "{found}");
}

#[test]
fn policies_are_checked() {
    let limit = |rest: &str| alloc::format!(r#"{{"limits":[{{"name":"a","key":"ip"{rest}}}]}}"#);
    check_complaint("{}", "");
    check_complaint(&limit(r#","per_second":5,"per_minute":100,"burst":10,"tokens":{"per_day":5}"#), "");
    check_complaint(&limit(""), "limits[0]: limits nothing");
    check_complaint(&limit(r#","per_second":0"#), "limits[0].per_second: is 0, expected 1 to");
    check_complaint(
        &limit(r#","per_second":50,"per_minute":10"#),
        "limits[0].per_minute: is 10, less than per_second",
    );
    check_complaint(&limit(r#","tokens":{"per_hour":0}"#), "limits[0].tokens.per_hour: is 0");
    check_complaint(&limit(r#","burst":1,"tokens":{"per_day":5}"#), "limits[0].burst: needs");
    check_complaint(&limit(r#","shared":true,"tokens":{"per_day":5}"#), "limits[0].shared: needs");
    check_complaint(&limit(r#","per_hour":1,"when_away":"open""#), "limits[0].when_away: is for");
    check_complaint(r#"{"limits":[{"name":"a b","key":"ip","per_hour":1}]}"#, "limits[0].name: is \"a b\"");
    let twice = r#"{"limits":[{"name":"a","key":"ip","per_hour":1},{"name":"a","key":"user","per_hour":1}]}"#;
    check_complaint(twice, "limits[1].name: \"a\" is the name");
    check_complaint(r#"{"limits":[{"name":"a","key":"head","per_hour":1}]}"#, "\"head\" is no key");
    check_complaint(r#"{"entries":1}"#, "entries: is 1, expected 64");
    check_complaint(r#"{"who":{"trusted_hops":9}}"#, "who.trusted_hops: is 9");
    check_complaint(r#"{"who":{"user_header":"a b"}}"#, "who.user_header: is \"a b\"");
    check_complaint(r#"{"limit":[]}"#, "unknown field `limit`");
}

#[test]
fn keys_are_written_as_they_are_read() {
    for key in ["\"ip\"", "\"user\"", "\"api_key\"", "\"route\"", "\"tenant\"", "\"header:x-team\""] {
        let read: RateKey = serde_json::from_str(key).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), key);
    }
}
