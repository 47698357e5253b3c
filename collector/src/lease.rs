//! Limits that many proxies share: each proxy takes a part of a limit in advance, spends it locally and comes again, so
//! no request waits for anybody.
//!
//! Invariant: what is granted of one limit and key keeps the limit, whoever asked: in any span of a period's length no
//! more than the limit, and where a burst is allowed, in the shortest period no more than limit and burst. It holds
//! in one collector's memory, and over all collectors that share a Redis.

mod book;
mod redis;
mod resp;
mod url;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use book::Book;
use redis::Redis;
pub(crate) use url::RedisUrl;

use crate::config::{Config, RedisAway};

/// What a proxy asks for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct Lease {
    #[schemars(length(min = 1, max = NAME_CHARS_MAX))]
    pub(crate) limit: String,
    /// What is counted together, as a hash: who it is, is none of our business.
    #[schemars(length(min = 1, max = KEY_CHARS_MAX))]
    pub(crate) key: String,
    #[schemars(range(min = 1, max = NUMBER_MAX))]
    pub(crate) want: u32,
    pub(crate) per: Per,
    /// The shortest period becomes an even rate, and so many may come at once.
    #[serde(default)]
    pub(crate) burst: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LeasePeriods", extend("minProperties" = 1))]
pub(crate) struct Per {
    #[serde(default)]
    pub(crate) second: Option<u32>,
    #[serde(default)]
    pub(crate) minute: Option<u32>,
    #[serde(default)]
    pub(crate) hour: Option<u32>,
}

/// What it gets. With nothing granted, `until_ms` says when it may ask again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "GrantedLease")]
pub(crate) struct Granted {
    pub(crate) limit: String,
    pub(crate) key: String,
    pub(crate) granted: u32,
    pub(crate) until_ms: i64,
}

/// Who counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "LeaseSource")]
pub(crate) enum Source {
    /// This collector, because it is the only one.
    Memory,
    Redis,
    /// This collector for itself, because Redis is away.
    Local,
    /// Nobody: Redis is away, and then nothing is granted.
    Refused,
}

/// What was given of one lease, and if nothing, how long it takes until there is something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) granted: u32,
    pub(crate) wait_ms: u64,
}

#[derive(Debug)]
pub(crate) struct Leases {
    book: Mutex<Book>,
    redis: Option<Redis>,
    away: RedisAway,
    pub(crate) counts: LeaseCounts,
}

/// Since the start.
#[derive(Debug, Default)]
pub(crate) struct LeaseCounts {
    pub(crate) memory: AtomicU64,
    pub(crate) redis: AtomicU64,
    pub(crate) local: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) units: AtomicU64,
}

impl Leases {
    pub(crate) fn new(config: &Config, redis: Option<RedisUrl>) -> Self {
        Self {
            book: Mutex::new(Book::default()),
            redis: redis.map(|url| Redis::new(url, config.redis_wait)),
            away: config.redis_away,
            counts: LeaseCounts::default(),
        }
    }

    /// `leases` have passed [`Lease::check`].
    pub(crate) async fn grant(&self, leases: &[Lease], now_ms: i64) -> (Vec<Granted>, Source) {
        let (shares, source) = self.shares(leases, now_ms).await;
        let counter = match source {
            Source::Memory => &self.counts.memory,
            Source::Redis => &self.counts.redis,
            Source::Local => &self.counts.local,
            Source::Refused => &self.counts.refused,
        };
        counter.fetch_add(leases.len() as u64, Ordering::Relaxed);
        let units = shares.iter().map(|share| u64::from(share.granted)).sum();
        self.counts.units.fetch_add(units, Ordering::Relaxed);
        let granted = leases.iter().zip(shares).map(|(lease, share)| Granted {
            limit: lease.limit.clone(),
            key: lease.key.clone(),
            granted: share.granted,
            until_ms: now_ms.saturating_add(match share.granted {
                0 => i64::try_from(share.wait_ms).unwrap_or(i64::MAX),
                _ => lease.per.lease_ms(),
            }),
        });
        (granted.collect(), source)
    }

    async fn shares(&self, leases: &[Lease], now_ms: i64) -> (Vec<Share>, Source) {
        let now_us = u64::try_from(now_ms).unwrap_or(0).saturating_mul(1_000);
        let Some(redis) = &self.redis else {
            return (self.count(leases, 100, now_us), Source::Memory);
        };
        match redis.grant(leases).await {
            Ok(shares) => (shares, Source::Redis),
            Err(_) => match self.away {
                RedisAway::Local { percent } => (self.count(leases, percent, now_us), Source::Local),
                RedisAway::Refuse => {
                    let nothing = Share { granted: 0, wait_ms: REFUSED_MS };
                    (vec![nothing; leases.len()], Source::Refused)
                }
            },
        }
    }

    fn count(&self, leases: &[Lease], percent: u8, now_us: u64) -> Vec<Share> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        leases.iter().map(|lease| book.grant(&lease.scaled(percent), now_us)).collect()
    }

    /// `None` without Redis.
    pub(crate) fn redis_is_up(&self) -> Option<bool> {
        self.redis.as_ref().map(Redis::is_up)
    }

    pub(crate) fn redis_failures(&self) -> u64 {
        self.redis.as_ref().map_or(0, Redis::failures)
    }

    /// Keys that this collector counts itself.
    pub(crate) fn counted_here(&self) -> usize {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Lease {
    /// The error names the field.
    pub(crate) fn check(&self) -> Result<(), String> {
        let is_text = |text: &str, max| {
            (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !is_text(&self.limit, NAME_CHARS_MAX) {
            return Err(format!("limit is not 1 to {NAME_CHARS_MAX} visible ASCII characters"));
        }
        if !is_text(&self.key, KEY_CHARS_MAX) {
            return Err(format!("key is not 1 to {KEY_CHARS_MAX} visible ASCII characters"));
        }
        let numbers = [
            ("want", Some(self.want)),
            ("per.second", self.per.second),
            ("per.minute", self.per.minute),
            ("per.hour", self.per.hour),
            ("burst", self.burst),
        ];
        for (field, number) in numbers {
            if number.is_some_and(|number| !(1..=NUMBER_MAX).contains(&number)) {
                return Err(format!("{field} is not a number from 1 to {NUMBER_MAX}"));
            }
        }
        if self.per == Per::default() {
            return Err("per has neither second nor minute nor hour".to_owned());
        }
        Ok(())
    }

    /// The same with a part of the limit, at least 1.
    fn scaled(&self, percent: u8) -> Self {
        let part = |number: u32| {
            let part = u64::from(number) * u64::from(percent) / 100;
            u32::try_from(part).unwrap_or(number).max(1)
        };
        let Per { second, minute, hour } = self.per;
        let per = Per { second: second.map(part), minute: minute.map(part), hour: hour.map(part) };
        Self { per, burst: self.burst.map(part), ..self.clone() }
    }
}

impl Per {
    /// Limit and length in microseconds, shortest first.
    pub(crate) fn periods(self) -> impl Iterator<Item = (u32, u64)> {
        let all = [(self.second, SECOND_US), (self.minute, 60 * SECOND_US), (self.hour, 3_600 * SECOND_US)];
        all.into_iter().filter_map(|(limit, period_us)| Some((limit?, period_us)))
    }

    /// How long a grant may be spent. What is spent late belongs to an earlier span than it is counted in, so it is
    /// short against the shortest period.
    fn lease_ms(self) -> i64 {
        if self.second.is_some() { 250 } else { 5_000 }
    }
}

const SECOND_US: u64 = 1_000_000;
const NAME_CHARS_MAX: usize = 64;
const KEY_CHARS_MAX: usize = 128;
const NUMBER_MAX: u32 = 1_000_000_000;
/// When a refused proxy may ask again.
const REFUSED_MS: u64 = 1_000;
/// How long a proxy's request for leases waits for Redis.
pub(crate) const REDIS_WAIT: Duration = Duration::from_millis(250);
