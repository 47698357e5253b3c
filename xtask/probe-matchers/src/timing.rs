//! How long something takes: the quietest of many rounds, since all else that a machine does only adds.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// Rounds go on for so long, and there is one in any case.
const ROUNDS_FOR: Duration = Duration::from_millis(250);

/// Microseconds of the quietest round.
pub(crate) fn micros<T>(mut work: impl FnMut() -> T) -> f64 {
    let started = Instant::now();
    let mut least = f64::INFINITY;
    while started.elapsed() < ROUNDS_FOR {
        least = least.min(once(&mut work).1);
    }
    least
}

/// What comes out, and the microseconds.
pub(crate) fn once<T>(mut work: impl FnMut() -> T) -> (T, f64) {
    let started = Instant::now();
    let made = black_box(work());
    (made, started.elapsed().as_secs_f64() * 1e6)
}
