//! Which refusals get a line in the journal: all that one person causes by hand, and of a flood so few that nobody can
//! fill the log by being refused.
//!
//! The first refusal of somebody from somewhere gets a line at once; what follows within a minute is counted, and gets
//! one line together when the minute is over. Invariant: however many are refused, from wherever, a minute has at most
//! [`LINES_A_MINUTE_MAX`] lines, and none is left uncounted. Those who are known have windows of their own, so that
//! strangers cannot hide what they do.

use std::collections::HashMap;
use std::net::IpAddr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// `None` if it is not known who it was.
    pub(crate) who: Option<String>,
    /// As [`network`] has it.
    pub(crate) from: String,
    pub(crate) method: String,
    /// The path as a pattern: what stands in its place can name a person.
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) why: String,
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) at_ms: i64,
    pub(crate) who: String,
    pub(crate) target: String,
    pub(crate) status: u16,
}

#[derive(Debug, Default)]
pub(crate) struct Refusals {
    /// By who it was and where it came from.
    windows: HashMap<(Option<String>, String), Window>,
    /// Those for which there was no window.
    rest: Option<Window>,
    due: Vec<Line>,
}

#[derive(Debug)]
struct Window {
    began_ms: i64,
    first: Refusal,
    n_more: u64,
}

impl Refusals {
    pub(crate) fn saw(&mut self, refusal: Refusal, now_ms: i64) {
        let key = (refusal.who.clone(), refusal.from.clone());
        if let Some(window) = self.windows.get_mut(&key) {
            window.n_more = window.n_more.saturating_add(1);
            return;
        }
        let is_known = refusal.who.is_some();
        if self.windows.keys().filter(|(who, _)| who.is_some() == is_known).count() < WINDOWS_MAX {
            self.due.push(refusal.line(now_ms));
            self.windows.insert(key, Window { began_ms: now_ms, first: refusal, n_more: 0 });
            return;
        }
        let rest = self.rest.get_or_insert(Window { began_ms: now_ms, first: refusal, n_more: 0 });
        rest.n_more = rest.n_more.saturating_add(1);
    }

    /// What is to be written now.
    pub(crate) fn take(&mut self, now_ms: i64) -> Vec<Line> {
        self.take_those(now_ms, WINDOW_MS)
    }

    /// All that was seen, because nobody will ask again.
    pub(crate) fn take_all(&mut self, now_ms: i64) -> Vec<Line> {
        self.take_those(now_ms, 0)
    }

    fn take_those(&mut self, now_ms: i64, age_ms: u64) -> Vec<Line> {
        let mut lines = std::mem::take(&mut self.due);
        let is_over = |window: &Window| now_ms.abs_diff(window.began_ms) >= age_ms;
        self.windows.retain(|_, window| {
            let stays = !is_over(window);
            if !stays && window.n_more > 0 {
                lines.push(window.more(now_ms));
            }
            stays
        });
        if let Some(rest) = self.rest.take_if(|rest| is_over(rest)) {
            lines.push(rest.elsewhere(now_ms));
        }
        lines
    }

    /// After they could not be written. What would be too much is given up: a store that is away for long has other lines
    /// to tell of that time.
    pub(crate) fn put_back(&mut self, mut lines: Vec<Line>) {
        lines.append(&mut self.due);
        lines.truncate(LINES_A_MINUTE_MAX);
        self.due = lines;
    }
}

impl Refusal {
    fn line(&self, at_ms: i64) -> Line {
        let Self { from, method, path, why, .. } = self;
        self.said(at_ms, format!("{method} {path} from {from}: {why}"))
    }

    fn said(&self, at_ms: i64, target: String) -> Line {
        let who = self.who.clone().unwrap_or_else(|| NOBODY.to_owned());
        Line { at_ms, who, target, status: self.status }
    }
}

impl Window {
    fn more(&self, at_ms: i64) -> Line {
        let Refusal { from, method, path, .. } = &self.first;
        let n_more = self.n_more;
        self.first.said(at_ms, format!("{n_more} more from {from} in the minute after {method} {path}"))
    }

    fn elsewhere(&self, at_ms: i64) -> Line {
        let target = format!("{} more from others within a minute", self.n_more);
        Line { at_ms, who: NOBODY.to_owned(), target, status: self.first.status }
    }
}

/// An address; of IPv6 the /64, which every customer has for himself.
pub(crate) fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

const NOBODY: &str = "nobody";
const WINDOW_MS: u64 = 60_000;
/// Of those who are known, and of those who are not.
const WINDOWS_MAX: usize = 32;
/// Two of each window, and one for the rest.
pub(crate) const LINES_A_MINUTE_MAX: usize = 4 * WINDOWS_MAX + 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(who: Option<&str>, from: &str) -> Refusal {
        let (who, from) = (who.map(str::to_owned), from.to_owned());
        let (method, path, why) = ("GET".to_owned(), "/v1/keys".to_owned(), "forbidden".to_owned());
        Refusal { who, from, method, path, status: 403, why }
    }

    fn targets(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.target.as_str()).collect()
    }

    #[test]
    fn the_first_has_a_line_at_once_and_the_others_one_at_the_end_of_the_minute() {
        let mut refusals = Refusals::default();
        for at_ms in 0..100 {
            refusals.saw(refusal(None, "192.0.2.1"), at_ms);
        }
        refusals.saw(refusal(Some("key:a"), "192.0.2.1"), 100);
        let first = refusals.take(100);
        let line = "GET /v1/keys from 192.0.2.1: forbidden";
        assert_eq!(targets(&first), [line, line]);
        assert_eq!((&*first[0].who, first[0].at_ms, &*first[1].who), ("nobody", 0, "key:a"));
        assert_eq!(refusals.take(59_999), []);
        assert_eq!(
            targets(&refusals.take(60_100)),
            ["99 more from 192.0.2.1 in the minute after GET /v1/keys"]
        );
        // And so on in the next minute.
        refusals.saw(refusal(None, "192.0.2.1"), 60_101);
        assert_eq!(targets(&refusals.take(60_101)), [line]);
        assert_eq!(refusals.take_all(60_102), []);
        assert!(refusals.windows.is_empty());
    }

    #[test]
    fn a_flood_from_everywhere_is_bounded_and_counted() {
        let mut refusals = Refusals::default();
        let (mut n_lines, mut n_told) = (0, 0);
        let mut told = |lines: Vec<Line>| {
            n_lines += lines.len();
            for Line { target, .. } in lines {
                let n_more = target.split_once(" more from").and_then(|(n, _)| n.parse().ok());
                n_told += n_more.unwrap_or(1);
            }
        };
        for at in 0..10_000_i64 {
            let from = network(IpAddr::from([10, 0, (at / 256) as u8, (at % 256) as u8]));
            refusals.saw(refusal(None, &from), at * 5);
            refusals.saw(refusal(None, &from), at * 5);
            if at % 200 == 0 {
                told(refusals.take(at * 5));
            }
        }
        // Somebody who is known is seen nevertheless.
        refusals.saw(refusal(Some("key:a"), "192.0.2.1"), 50_000);
        let lines = refusals.take(50_000);
        assert_eq!(lines.iter().filter(|line| line.who == "key:a").count(), 1);
        told(lines);
        told(refusals.take_all(50_001));
        assert_eq!(n_told, 20_001_u64);
        assert!(n_lines <= LINES_A_MINUTE_MAX, "{n_lines}");
    }

    #[test]
    fn lines_that_were_not_written_come_again_and_are_bounded() {
        let mut refusals = Refusals::default();
        for minute in 0..20 {
            for n in 0..200_u8 {
                refusals.saw(refusal(None, &network(IpAddr::from([10, 0, 0, n]))), minute * 60_000);
            }
            let lines = refusals.take(minute * 60_000);
            assert!(!lines.is_empty() && lines.len() <= LINES_A_MINUTE_MAX + 2 * WINDOWS_MAX + 1);
            refusals.put_back(lines);
            assert!(refusals.due.len() <= LINES_A_MINUTE_MAX);
        }
    }

    #[test]
    fn an_address_of_ipv6_is_that_of_its_customer() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(network(address.parse().unwrap()), expected);
        }
    }
}
