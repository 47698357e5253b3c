//! A limiter that sees a million different keys: what it takes in the memory of its host, and whom it still knows.

use std::cell::RefCell;

use sentinel_core::{
    Time,
    guard::{
        HashKey, Limiter, MemoryMap, RatePolicy,
        rates::{Admission, Limit, RateKey, Who},
    },
    http::Headers,
};

const KEYS: u64 = 1_000_000;
const ENTRIES: u32 = 8_192;
/// As `docs/limits.md` says of a limit with one period.
const BYTES_MAX: usize = 800 * 1024;
const START: u64 = 1_800_000_000_000_000_000;
/// Between two requests: a million of them are a minute and a half, and no count is old before they have all been there.
const STEP: u64 = 90_000;

fn admits(limiter: &Limiter, memory: &RefCell<MemoryMap>, user: &str, now: u64) -> bool {
    let headers: Headers<'_> = std::iter::once((&b"x-user"[..], user.as_bytes())).collect();
    let who = Who { headers: &headers, peer: "10.0.0.1:1234", user: None, tenant: None, route: "r" };
    matches!(limiter.admit(memory, &who, 0, Time(now)), Admission::Admitted(_))
}

#[test]
fn a_million_keys_take_what_eight_thousand_take_and_who_is_busy_is_not_forgotten() {
    let mut limit = Limit::new("per-user", RateKey::Header("x-user".into()));
    limit.per_hour = Some(10);
    let policy = RatePolicy { limits: vec![limit], entries: ENTRIES, ..RatePolicy::default() };
    policy.check().expect("a policy");
    let limiter = Limiter::new(&policy, HashKey::new([7; 16]));
    let memory = RefCell::new(MemoryMap::new(usize::MAX));
    limiter.prepare(&memory);
    let (prepared, mut after_a_tenth) = (memory.borrow().keys(), 0);

    let mut admitted_of_busy = 0;
    for key in 0..KEYS {
        let now = START + key * STEP;
        assert!(admits(&limiter, &memory, &format!("user-{key}"), now), "who comes once is not refused");
        if key % 1_000 == 0 {
            admitted_of_busy += u32::from(admits(&limiter, &memory, "busy", now));
        }
        if key == KEYS / 10 {
            after_a_tenth = memory.borrow().bytes();
        }
    }

    let memory = memory.into_inner();
    println!("{KEYS} keys: {} values, {} bytes of {}", memory.keys(), memory.bytes(), limiter.bytes_max());
    assert_eq!(memory.keys(), prepared, "values came to be beyond those that were there before");
    assert_eq!(memory.keys(), ENTRIES as usize / 8);
    assert_eq!(memory.bytes(), after_a_tenth, "it grows with the keys");
    assert!(memory.bytes() <= limiter.bytes_max() && limiter.bytes_max() <= BYTES_MAX);
    assert_eq!(admitted_of_busy, 10, "a thousand requests of one key, among a million others");
}
