//! More requests than a limit allows, to both proxies at once, and what came of them.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use sentinel_harness::{http1::Connection, wire::Request};

const CONNECTIONS: usize = 3;
/// Whoever is refused waits a moment, so that load stays load and the machine has room for the servers.
const PAUSE: Duration = Duration::from_millis(6);
/// Nothing in this test may take so long.
const DEADLINE: Duration = Duration::from_secs(60);

/// What clients got, by when it came.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Requests that went on, by proxy; in order of time, since the load began.
    admitted: [Vec<Duration>; 2],
    pub(crate) refused: usize,
    pub(crate) slowest: Duration,
    lasted: Duration,
}

/// Until `is_over` says so, which is asked again and again.
pub(crate) fn send_until(addrs: [SocketAddr; 2], path: &str, mut is_over: impl FnMut() -> bool) -> Outcome {
    let (began, stopped) = (Instant::now(), AtomicBool::new(false));
    let drive = |addr: SocketAddr| {
        let mut connection = None;
        let mut got = Vec::new();
        while !stopped.load(Ordering::Relaxed) {
            let sent = Instant::now();
            let mut open = connection.take().unwrap_or_else(|| Connection::open(addr, DEADLINE).unwrap());
            let saw = open.exchange(&Request::get(path)).unwrap();
            let status = saw.unwrap_or_else(|| panic!("no answer within {DEADLINE:?}")).status;
            assert!(status == 200 || status == 429, "{status}");
            got.push((began.elapsed(), sent.elapsed(), status));
            if status == 200 {
                connection = Some(open);
            } else {
                thread::sleep(PAUSE);
            }
        }
        got
    };
    let mut outcome = Outcome::default();
    thread::scope(|scope| {
        let threads = addrs.map(|addr| [(); CONNECTIONS].map(|()| scope.spawn(move || drive(addr))));
        while !is_over() {
            thread::sleep(Duration::from_millis(20));
        }
        stopped.store(true, Ordering::Relaxed);
        outcome.lasted = began.elapsed();
        for (admitted, threads) in outcome.admitted.iter_mut().zip(threads) {
            for (at, took, status) in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
                outcome.slowest = outcome.slowest.max(took);
                match status {
                    200 => admitted.push(at),
                    _ => outcome.refused += 1,
                }
            }
            admitted.sort_unstable();
        }
    });
    outcome
}

pub(crate) fn send_for(addrs: [SocketAddr; 2], path: &str, seconds: u64) -> Outcome {
    let began = Instant::now();
    send_until(addrs, path, || began.elapsed() >= Duration::from_secs(seconds))
}

impl Outcome {
    pub(crate) fn all(&self) -> Vec<Duration> {
        let mut all = self.admitted.concat();
        all.sort_unstable();
        all
    }

    /// Admitted per second by both, after the first second, which has what was saved up.
    pub(crate) fn rate(&self) -> f64 {
        Self::rate_of(&self.all(), self.lasted)
    }

    pub(crate) fn rates(&self) -> [f64; 2] {
        self.admitted.each_ref().map(|admitted| Self::rate_of(admitted, self.lasted))
    }

    /// What is full frees up as it was filled, so requests go on in a rhythm of a second. A measurement that begins and
    /// ends anywhere in it is off by up to a half of one, so this is the mean of many that begin a little later each.
    fn rate_of(admitted: &[Duration], lasted: Duration) -> f64 {
        const BEGINNINGS: u32 = 40;
        let (warm, second) = (Duration::from_secs(1), Duration::from_secs(1));
        let span = lasted - warm - second;
        let rate_from = |from: Duration| {
            let within = admitted.iter().filter(|at| (from..from + span).contains(at)).count();
            within as f64 / span.as_secs_f64()
        };
        let rates = (0..BEGINNINGS).map(|n| rate_from(warm + second * n / BEGINNINGS));
        rates.sum::<f64>() / f64::from(BEGINNINGS)
    }

    /// The most that were admitted within any second. Clients notice a little later than it happens, one more than the
    /// other.
    pub(crate) fn most_in_a_second(&self) -> usize {
        let all = self.all();
        let span = Duration::from_millis(950);
        let most = all.iter().enumerate().map(|(n, from)| all[n..].partition_point(|at| *at - *from < span));
        most.max().unwrap_or(0)
    }

    /// Of those since some time.
    pub(crate) fn admitted_since(&self, seconds: f64) -> usize {
        self.all().iter().filter(|at| at.as_secs_f64() >= seconds).count()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [one, two] = self.rates();
        write!(
            f,
            "{:.1}/s ({one:.1} and {two:.1}), at most {} in a second, {} refused, slowest {:?}, in {:.1?}",
            self.rate(),
            self.most_in_a_second(),
            self.refused,
            self.slowest,
            self.lasted
        )
    }
}
