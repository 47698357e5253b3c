//! Limits with several threads at one memory, as the workers of a proxy are.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use std::{
    sync::{
        Barrier, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use sentinel_core::{
    Time,
    guard::{
        HashKey, Limiter, MemoryMap, RatePolicy, SharedMemory, Stored,
        rates::{Admission, Limit, RateKey, Who},
    },
    http::Headers,
};

const SECOND: u64 = 1_000_000_000;
const WORKERS: usize = 4;
/// In nanoseconds.
const MOMENT: usize = 2_000_000;
/// Of each worker at each moment.
const ASKS: usize = 4;

/// A host with threads. What is there first is stored unchecked, as Envoy does.
#[derive(Debug)]
struct Shared {
    map: Mutex<MemoryMap>,
    /// Lets others come in between, on a machine with one core, too.
    yields: bool,
}

impl Shared {
    fn new(yields: bool) -> Self {
        Self { map: Mutex::new(MemoryMap::new(10_000_000)), yields }
    }
}

impl SharedMemory for Shared {
    fn load(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        let loaded = self.map.lock().unwrap().load(key);
        if self.yields {
            thread::yield_now();
        }
        loaded
    }

    fn store(&self, key: &str, value: &[u8], version: Option<u32>) -> Stored {
        let mut map = self.map.lock().unwrap();
        let version = version.or_else(|| map.load(key).map(|(_, version)| version));
        map.store(key, value, version)
    }
}

fn limiter(change: impl FnOnce(&mut Limit)) -> Limiter {
    let mut limit = Limit::new("requests", RateKey::Ip);
    change(&mut limit);
    let policy = RatePolicy { limits: vec![limit], entries: 64, ..RatePolicy::default() };
    policy.check().unwrap();
    Limiter::new(&policy, HashKey::new([1; 16]))
}

fn admits(limiter: &Limiter, memory: &Shared, now: u64) -> bool {
    let headers = Headers::default();
    let who = Who { headers: &headers, peer: "10.0.0.1:1234", user: None, tenant: None, route: "r" };
    matches!(limiter.admit(memory, &who, 0, Time(now)), Admission::Admitted(_))
}

/// All workers ask for so many seconds, a few times at each moment, and all at once. Time goes on when all have asked, so it
/// is the same on a machine that does other things, too. Answers when requests were admitted.
fn hammer(limiter: &Limiter, memory: &Shared, seconds: u64) -> Vec<u64> {
    limiter.prepare(memory);
    let barrier = Barrier::new(WORKERS);
    let worker = || {
        let mut admitted = Vec::new();
        for now in (0..seconds * SECOND).step_by(MOMENT) {
            barrier.wait();
            let asks = (0..ASKS).map(|_| admits(limiter, memory, 1_800_000_000 * SECOND + now));
            admitted.extend(asks.filter(|admitted| *admitted).map(|_| now));
        }
        admitted
    };
    let mut all: Vec<u64> = thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    all.sort_unstable();
    all
}

/// The most that stand in any span.
fn most_in(span: u64, times: &[u64]) -> usize {
    times
        .iter()
        .enumerate()
        .map(|(idx, from)| times[idx..].partition_point(|at| at - from < span))
        .max()
        .unwrap_or(0)
}

#[test]
fn a_rate_with_a_burst_is_kept_by_four_workers() {
    let limiter = limiter(|limit| (limit.per_second, limit.burst) = (Some(500), Some(50)));
    let memory = Shared::new(false);
    let times = hammer(&limiter, &memory, 4);
    let (n, expected) = (times.len() as f64, 4.0 * 500.0 + 50.0);
    assert!((n - expected).abs() <= expected * 0.02, "{n} of {expected}");
    assert!(most_in(SECOND, &times) <= 550, "{}", most_in(SECOND, &times));
}

#[test]
fn a_window_is_kept_by_four_workers() {
    let limiter = limiter(|limit| limit.per_second = Some(500));
    let memory = Shared::new(false);
    let times = hammer(&limiter, &memory, 4);
    assert!((1_960..=2_000).contains(&times.len()), "{}", times.len());
    assert!(most_in(SECOND, &times) <= 500, "{}", most_in(SECOND, &times));
}

/// At one moment of the limiter's clock exactly the limit is admitted, whoever asks.
#[test]
fn not_one_too_many_and_not_one_too_few() {
    let limiter = limiter(|limit| limit.per_hour = Some(1_000));
    let memory = Shared::new(true);
    limiter.prepare(&memory);
    let admitted = AtomicU64::new(0);
    let barrier = Barrier::new(WORKERS);
    let worker = || {
        barrier.wait();
        let n = (0..1_000).filter(|_| admits(&limiter, &memory, 1_800_000_000 * SECOND)).count();
        admitted.fetch_add(n as u64, Ordering::Relaxed);
    };
    thread::scope(|scope| (0..WORKERS).for_each(|_| drop(scope.spawn(worker))));
    // Who was too late too often was refused, and there was more than enough to ask again.
    assert_eq!(admitted.load(Ordering::Relaxed), 1_000);
}
