//! What is usual for an hour: the profile of a week, the level of the last days, and how much counts vary.
//!
//! It is learnt hour by hour, oldest first, and each hour is judged by what was known before it. An hour that is far out is
//! learnt as the edge of what was usual, so that an attack does not become the norm at once, and a lasting change does
//! within some days.

use super::HOURS_A_WEEK;
use super::tail::Counts;

#[derive(Clone, Debug)]
pub(crate) struct Baseline {
    week: Vec<Mean>,
    day: Vec<Mean>,
    all: Mean,
    /// Counts and expectations of the last days.
    recent: f64,
    recent_expected: f64,
    /// Squares beyond Poisson's variance, and of what was expected.
    beyond: f64,
    squares: f64,
    n_hours: u32,
}

/// A mean in which what is older counts less.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    weight: f64,
    value: f64,
}

impl Mean {
    fn learn(&mut self, value: f64, keep: f64) {
        self.weight = self.weight * keep + 1.0;
        self.value += (value - self.value) / self.weight;
    }

    /// Drawn towards what is known more coarsely, as if that were `prior` observations, and of some events at least: where
    /// little happens, a few hours say little.
    fn towards(self, coarse: f64, prior: f64) -> f64 {
        let prior = prior.max(PRIOR_EVENTS / coarse.max(1e-6));
        (self.weight * self.value + prior * coarse) / (self.weight + prior)
    }
}

impl Baseline {
    pub(crate) fn new() -> Self {
        Self {
            week: vec![Mean::default(); HOURS_A_WEEK as usize],
            day: vec![Mean::default(); 24],
            all: Mean::default(),
            recent: 0.0,
            recent_expected: 0.0,
            beyond: 0.0,
            squares: 0.0,
            n_hours: 0,
        }
    }

    /// Whether two weeks are known, so that a weekend was seen before.
    pub(crate) const fn is_settled(&self) -> bool {
        self.n_hours >= SETTLED_HOURS
    }

    /// What the hour (since 1970) should have, with the doubt about that.
    pub(crate) fn expects(&self, hour: i64) -> Counts {
        let profile = self.profile(hour);
        let mean = profile * self.level();
        let variance = mean + self.spread() * mean * mean;
        // A mean of a few weeks is itself a guess.
        let weeks = self.week_cell(hour).weight + PRIOR_DAY.min(self.day_cell(hour).weight);
        Counts::new(mean, variance * (1.0 + 1.0 / weeks.max(0.5)))
    }

    pub(crate) fn learn(&mut self, hour: i64, n: i64) {
        let expected = self.expects(hour);
        let n = if self.is_settled() { within_usual(expected, n) } else { n } as f64;
        if self.n_hours >= DAY_HOURS {
            let profile = self.profile(hour);
            let mean = expected.mean();
            self.recent = self.recent * KEEP_RECENT + n;
            self.recent_expected = self.recent_expected * KEEP_RECENT + profile;
            self.beyond = self.beyond * KEEP_SPREAD + (n - mean).powi(2) - mean;
            self.squares = self.squares * KEEP_SPREAD + mean * mean;
        }
        let (week, day) = (hour.rem_euclid(HOURS_A_WEEK) as usize, hour.rem_euclid(24) as usize);
        if let (Some(week), Some(day)) = (self.week.get_mut(week), self.day.get_mut(day)) {
            week.learn(n, KEEP_WEEK);
            day.learn(n, KEEP_DAY);
        }
        self.all.learn(n, KEEP_ALL);
        self.n_hours = self.n_hours.saturating_add(1);
    }

    /// How the last days were beside the profile.
    pub(crate) fn level(&self) -> f64 {
        (self.recent + PRIOR_LEVEL) / (self.recent_expected + PRIOR_LEVEL)
    }

    /// The variance beyond Poisson's, as a share of the squared mean.
    fn spread(&self) -> f64 {
        let prior = PRIOR_SPREAD * PRIOR_SPREAD_HOURS * self.all.value * self.all.value;
        let squares = self.squares + PRIOR_SPREAD_HOURS * self.all.value * self.all.value;
        if squares > 0.0 { ((self.beyond + prior) / squares).max(SPREAD_MIN) } else { PRIOR_SPREAD }
    }

    fn profile(&self, hour: i64) -> f64 {
        let day = self.day_cell(hour).towards(self.all.value, PRIOR_ALL);
        self.week_cell(hour).towards(day, PRIOR_DAY)
    }

    fn week_cell(&self, hour: i64) -> Mean {
        self.week.get(hour.rem_euclid(HOURS_A_WEEK) as usize).copied().unwrap_or_default()
    }

    fn day_cell(&self, hour: i64) -> Mean {
        self.day.get(hour.rem_euclid(24) as usize).copied().unwrap_or_default()
    }
}

fn within_usual(expected: Counts, n: i64) -> i64 {
    let n = n.min(expected.unusual_from(FAR_OUT));
    expected.unusual_to(FAR_OUT).map_or(n, |low| n.max(low))
}

const DAY_HOURS: u32 = 24;
const SETTLED_HOURS: u32 = 2 * HOURS_A_WEEK as u32;
/// What is older counts half after three weeks.
const KEEP_WEEK: f64 = 0.8;
const KEEP_DAY: f64 = 0.967;
const KEEP_ALL: f64 = 0.998;
/// Half after 36 hours.
const KEEP_RECENT: f64 = 0.981;
/// Half after two weeks.
const KEEP_SPREAD: f64 = 0.998;
/// Events.
const PRIOR_LEVEL: f64 = 30.0;
const PRIOR_EVENTS: f64 = 4.0;
const PRIOR_DAY: f64 = 1.0;
const PRIOR_ALL: f64 = 0.5;
const PRIOR_SPREAD: f64 = 0.1;
const PRIOR_SPREAD_HOURS: f64 = 24.0;
const SPREAD_MIN: f64 = 0.002;
const FAR_OUT: f64 = 1e-4;
