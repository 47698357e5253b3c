//! A bounded load generator: keep-alive connections, one blocking thread each. It measures what one machine that is
//! also the server can measure; trust the ratios.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::http1::Connection;

#[derive(Clone, Copy, Debug)]
pub enum Bound {
    For(Duration),
    /// Requests over all connections.
    Count(u64),
}

#[derive(Clone, Debug, Default)]
pub struct LoadReport {
    /// Requests with a whole response, of whatever status.
    pub requests: u64,
    /// Requests without one, and connections that could not be opened.
    pub errors: u64,
    pub statuses: BTreeMap<u16, u64>,
    pub seconds: f64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
}

impl LoadReport {
    pub fn requests_per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.requests as f64 / self.seconds } else { 0.0 }
    }
}

/// Sends `request` (see [`crate::http1::request_bytes`]) again and again.
pub fn run(addr: SocketAddr, request: &[u8], connections: usize, bound: Bound) -> Result<LoadReport> {
    let started = Instant::now();
    let taken = AtomicU64::new(0);
    let more = || match bound {
        Bound::For(time) => started.elapsed() < time,
        Bound::Count(count) => taken.fetch_add(1, Ordering::Relaxed) < count,
    };
    let lanes = thread::scope(|scope| -> Result<Vec<Lane>> {
        let threads: Vec<_> =
            (0..connections.max(1)).map(|_| scope.spawn(|| Lane::drive(addr, request, &more))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a load thread panicked")))
            .collect()
    })?;
    Ok(sum_up(lanes, started.elapsed()))
}

/// What one connection did.
#[derive(Debug, Default)]
struct Lane {
    latencies_ns: Vec<u64>,
    statuses: BTreeMap<u16, u64>,
    errors: u64,
}

impl Lane {
    fn drive(addr: SocketAddr, request: &[u8], more: &(impl Fn() -> bool + Sync)) -> Self {
        let mut lane = Self::default();
        let mut connection = None;
        // A target that is down must not make an endless loop of errors.
        while lane.errors < ERRORS_MAX && more() {
            let open = match connection.take() {
                Some(open) => Ok(open),
                None => Connection::open(addr, DEADLINE),
            };
            let Ok(mut open) = open else {
                lane.errors += 1;
                continue;
            };
            let started = Instant::now();
            let Ok(Some(status)) = open.exchange_bytes(request) else {
                lane.errors += 1;
                continue;
            };
            lane.latencies_ns.push(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
            *lane.statuses.entry(status).or_default() += 1;
            connection = Some(open);
        }
        lane
    }
}

const DEADLINE: Duration = Duration::from_secs(60);
const ERRORS_MAX: u64 = 1000;

fn sum_up(lanes: Vec<Lane>, elapsed: Duration) -> LoadReport {
    let mut report = LoadReport { seconds: elapsed.as_secs_f64(), ..LoadReport::default() };
    let mut latencies_ns = Vec::new();
    for lane in lanes {
        report.errors += lane.errors;
        latencies_ns.extend(lane.latencies_ns);
        for (status, count) in lane.statuses {
            *report.statuses.entry(status).or_default() += count;
        }
    }
    latencies_ns.sort_unstable();
    report.requests = latencies_ns.len() as u64;
    let at = |percent: usize| latencies_ns.get(latencies_ns.len() * percent / 100).copied().unwrap_or(0);
    (report.p50_ns, report.p90_ns, report.p99_ns) = (at(50), at(90), at(99));
    report.max_ns = latencies_ns.last().copied().unwrap_or(0);
    report
}
