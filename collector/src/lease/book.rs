//! Leases counted in memory. `grant.lua` does the same in Redis; `tests/collector/leases.rs` holds both to one law.
//!
//! The table is bounded. Whoever is forgotten begins anew, so those go first who have everything back anyway.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{Lease, Share};

#[derive(Debug, Default)]
pub(super) struct Book {
    accounts: HashMap<(String, String), Account>,
}

#[derive(Debug, Default)]
struct Account {
    /// When all that was taken of an even rate has flowed back in.
    bucket_full_us: u64,
    /// By length of the period: what was granted, by slot of time, oldest first.
    windows: BTreeMap<u64, VecDeque<(u64, u32)>>,
    /// When nothing of what was granted counts any more.
    free_us: u64,
}

impl Book {
    pub(super) fn len(&self) -> usize {
        self.accounts.len()
    }

    pub(super) fn grant(&mut self, lease: &Lease, now_us: u64) -> Share {
        let name = (lease.limit.clone(), lease.key.clone());
        if self.accounts.len() >= ACCOUNTS_MAX && !self.accounts.contains_key(&name) {
            self.make_room(now_us);
        }
        self.accounts.entry(name).or_default().grant(lease, now_us)
    }

    /// A sixteenth at a time, so that looking through all of them is rare.
    fn make_room(&mut self, now_us: u64) {
        self.accounts.retain(|_, account| account.free_us > now_us);
        let keep = ACCOUNTS_MAX - ACCOUNTS_MAX / 16;
        if self.accounts.len() <= keep {
            return;
        }
        let mut free: Vec<u64> = self.accounts.values().map(|account| account.free_us).collect();
        let n_gone = free.len() - keep;
        let (_, last_gone, _) = free.select_nth_unstable(n_gone - 1);
        let last_gone = *last_gone;
        self.accounts.retain(|_, account| account.free_us > last_gone);
    }
}

impl Account {
    fn grant(&mut self, lease: &Lease, now_us: u64) -> Share {
        let mut periods = lease.per.periods().peekable();
        let bucket = lease.burst.and_then(|burst| {
            let (limit, period_us) = periods.next()?;
            let each_us = period_us.div_ceil(u64::from(limit));
            Some((each_us, each_us * u64::from(burst)))
        });
        let windows: Vec<(u32, u64)> = periods.collect();
        let (mut room, mut wait_us) = (u64::from(lease.want), 0);
        if let Some((each_us, whole_us)) = bucket {
            // A clock that jumped back leaves an empty bucket at most.
            self.bucket_full_us = self.bucket_full_us.min(now_us + whole_us);
            let taken_us = self.bucket_full_us.saturating_sub(now_us);
            room = room.min((whole_us - taken_us) / each_us);
            wait_us = wait_us.max((taken_us + each_us).saturating_sub(whole_us));
        }
        for (limit, period_us) in &windows {
            let window = self.windows.entry(*period_us).or_default();
            let slot = slot(now_us, *period_us);
            forget(window, slot);
            let granted: u64 = window.iter().map(|(_, granted)| u64::from(*granted)).sum();
            room = room.min(u64::from(*limit).saturating_sub(granted));
            if granted >= u64::from(*limit)
                && let Some((oldest, _)) = window.front()
            {
                wait_us = wait_us.max(((oldest + SLOTS + 1) * slot_us(*period_us)).saturating_sub(now_us));
            }
        }
        let granted = u32::try_from(room).unwrap_or(u32::MAX);
        if granted > 0 {
            self.take(granted, bucket, &windows, now_us);
        }
        Share { granted, wait_ms: if granted > 0 { 0 } else { wait_us.div_ceil(1_000).max(1) } }
    }

    fn take(&mut self, granted: u32, bucket: Option<(u64, u64)>, windows: &[(u32, u64)], now_us: u64) {
        if let Some((each_us, _)) = bucket {
            self.bucket_full_us = self.bucket_full_us.max(now_us) + each_us * u64::from(granted);
            self.free_us = self.free_us.max(self.bucket_full_us);
        }
        for (_, period_us) in windows {
            let slot = slot(now_us, *period_us);
            let window = self.windows.entry(*period_us).or_default();
            match window.back_mut() {
                Some((newest, there)) if *newest == slot => *there = there.saturating_add(granted),
                _ => window.push_back((slot, granted)),
            }
            self.free_us = self.free_us.max((slot + SLOTS + 1) * slot_us(*period_us));
        }
    }
}

/// A slot counts until the last moment of it is a whole period ago.
fn forget(window: &mut VecDeque<(u64, u32)>, now: u64) {
    while window.front().is_some_and(|(slot, _)| slot + SLOTS < now) {
        window.pop_front();
    }
    // What lies ahead was granted before the clock jumped back.
    for (slot, _) in window.iter_mut() {
        *slot = now.min(*slot);
    }
}

fn slot(now_us: u64, period_us: u64) -> u64 {
    now_us / slot_us(period_us)
}

fn slot_us(period_us: u64) -> u64 {
    period_us / SLOTS
}

/// A window counts what is granted by slots of this part of its period.
const SLOTS: u64 = 125;
/// About 30 MB.
const ACCOUNTS_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::Per;

    const SECOND: u64 = 1_000_000;

    fn lease(want: u32, per: Per, burst: Option<u32>) -> Lease {
        Lease { limit: "l".to_owned(), key: "k".to_owned(), want, per, burst }
    }

    #[test]
    fn no_span_sees_more_than_limit_and_burst_and_a_busy_one_gets_nearly_all() {
        let per = |second, minute| Per { second, minute, hour: None };
        for (per, burst, period_us, limit) in [
            (per(Some(100), None), None, SECOND, 100),
            (per(Some(100), None), Some(20), SECOND, 100),
            (per(None, Some(600)), None, 60 * SECOND, 600),
            (per(Some(100), Some(600)), Some(50), 60 * SECOND, 600),
        ] {
            let most = limit + if per.minute.is_some() { 0 } else { u64::from(burst.unwrap_or(0)) };
            let mut account = Account::default();
            let mut grants: Vec<(u64, u64)> = Vec::new();
            let mut now_us = 1_790_000_000_000_000;
            let begun_us = now_us;
            // Steps that share no factor with the slots.
            while now_us < begun_us + 5 * period_us {
                let share = account.grant(&lease(7, per, burst), now_us);
                grants.push((now_us, u64::from(share.granted)));
                now_us += period_us / 997;
            }
            for (begin, _) in &grants {
                let span = grants.iter().filter(|(at, _)| (*begin..begin + period_us).contains(at));
                let granted: u64 = span.map(|(_, granted)| granted).sum();
                assert!(granted <= most, "{granted} in a span, allowed {most}");
            }
            let granted: u64 = grants.iter().map(|(_, granted)| granted).sum();
            let fair = limit * 5;
            assert!(granted * 100 >= fair * 95, "{granted} of {fair}");
        }
    }

    #[test]
    fn who_got_nothing_gets_something_when_it_was_told_to_come_again() {
        for (per, burst) in [
            (Per { second: Some(10), minute: None, hour: None }, Some(3)),
            (Per { second: None, minute: Some(30), hour: None }, None),
            (Per { second: Some(10), minute: Some(20), hour: Some(50) }, Some(5)),
        ] {
            let mut account = Account::default();
            let mut now_us = 1_790_000_000_000_000;
            for _ in 0..50 {
                let share = account.grant(&lease(4, per, burst), now_us);
                if share.granted == 0 {
                    now_us += share.wait_ms * 1_000;
                    assert!(account.grant(&lease(4, per, burst), now_us).granted > 0, "{per:?}");
                }
            }
        }
    }

    #[test]
    fn a_clock_that_jumps_back_stops_nobody_for_longer_than_a_period() {
        let per = Per { second: Some(10), minute: Some(20), hour: None };
        let mut account = Account::default();
        let now_us = 1_790_000_000_000_000;
        while account.grant(&lease(4, per, Some(5)), now_us).granted > 0 {}
        let earlier_us = now_us - 3_600 * SECOND;
        account.grant(&lease(4, per, Some(5)), earlier_us);
        assert!(account.grant(&lease(4, per, Some(5)), earlier_us + 62 * SECOND).granted > 0);
    }

    #[test]
    fn a_million_keys_do_not_fill_the_memory_and_a_busy_one_is_kept() {
        let mut book = Book::default();
        let per = Per { second: None, minute: None, hour: Some(10) };
        let mut busy = lease(10, per, None);
        let second = Per { second: Some(10), minute: None, hour: None };
        for n in 0..1_000_000_u64 {
            let now_us = 1_790_000_000_000_000 + n * 10;
            let other = Lease { key: n.to_string(), ..lease(1, second, None) };
            assert_eq!(book.grant(&other, now_us).granted, 1);
            if n == 0 {
                busy.key = "busy".to_owned();
                assert_eq!(book.grant(&busy, now_us).granted, 10);
            }
            assert!(book.len() <= ACCOUNTS_MAX);
        }
        assert_eq!(book.grant(&busy, 1_790_000_020_000_000).granted, 0);
    }
}
