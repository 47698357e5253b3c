//! Payment card numbers: grouped or plain digits, an issuer prefix with its length, and the Luhn checksum.
//!
//! Bounded work: at each digit group at most 19 digits and their separators are read.

use super::{Detector, Hits, RuleIdx, RuleInfo};
use crate::text::{Eight, View, find};

use alloc::string::String;
use sentinel_model::Family;

const DIGITS_MIN: usize = 13;
const DIGITS_MAX: usize = 19;

#[derive(Debug)]
pub(crate) struct CardDetector {
    pub(crate) rule: RuleIdx,
}

impl CardDetector {
    pub(crate) fn rule_info() -> RuleInfo {
        RuleInfo { id: String::from("pii/card"), version: 1, family: Family::Pii, level: 1, score: 0.95 }
    }
}

impl Detector for CardDetector {
    fn detect(&self, view: &mut View, hits: &mut Hits) {
        let text = view.text().as_bytes();
        let mut at = 0;
        while let Some(start) = next_group(text, at) {
            at = match card_at(text, start) {
                Some(end) => {
                    hits.push(self.rule, view.source(start, end));
                    end
                }
                None => end_of_group(text, start),
            };
        }
    }

    /// Whole groups of digits from the end on, as long as they have no more digits than a card.
    fn open(&self, view: &View) -> Option<usize> {
        let text = view.text().as_bytes();
        let (mut n_digits, mut group, mut start) = (0, None, None);
        for (at, byte) in text.iter().enumerate().rev() {
            match byte {
                b'0'..=b'9' => {
                    n_digits += 1;
                    group = Some(at);
                }
                b' ' | b'-' => start = group.take().or(start),
                _ => {
                    start = group.take().or(start);
                    break;
                }
            }
            if n_digits > DIGITS_MAX {
                group = None;
                break;
            }
        }
        group.or(start)
    }
}

/// The next digit that nothing word-like stands directly before.
fn next_group(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = text.get(at..)?;
        at += find(rest, Eight::are_digits);
        if at >= text.len() {
            return None;
        }
        let before = at.checked_sub(1).and_then(|i| text.get(i)).copied().unwrap_or(b' ');
        if !before.is_ascii_alphanumeric() && before != b'_' && before != b'.' {
            return Some(at);
        }
        at = end_of_group(text, at);
    }
}

fn end_of_group(text: &[u8], start: usize) -> usize {
    let digits = text.get(start..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
    start + digits.max(1)
}

/// The end of the longest card number that begins at `start`.
pub(super) fn card_at(text: &[u8], start: usize) -> Option<usize> {
    let mut digits = [0_u8; DIGITS_MAX];
    let mut n_digits = 0;
    let mut at = start;
    let mut found = None;
    while let Some(&byte) = text.get(at) {
        let after = text.get(at + 1).copied().unwrap_or(b' ');
        match byte {
            b'0'..=b'9' => {
                let Some(slot) = digits.get_mut(n_digits) else { break };
                *slot = byte - b'0';
                n_digits += 1;
                let number = digits.get(..n_digits).unwrap_or_default();
                if n_digits >= DIGITS_MIN && ends_number(text, at + 1) && is_issued(number) && luhn(number) {
                    found = Some(at + 1);
                }
            }
            b' ' | b'-' if after.is_ascii_digit() => {}
            _ => break,
        }
        at += 1;
    }
    found
}

/// Nothing that would make the digits part of something longer: a word, a decimal, more digits.
fn ends_number(text: &[u8], end: usize) -> bool {
    match text.get(end) {
        Some(b'.' | b',') => !text.get(end + 1).is_some_and(u8::is_ascii_digit),
        Some(b) => !b.is_ascii_alphanumeric() && *b != b'_',
        None => true,
    }
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(idx, &digit)| match (idx % 2, u32::from(digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Issuer ranges in use, by leading digits, with the lengths each network issues.
fn is_issued(digits: &[u8]) -> bool {
    let prefix = |n: usize| digits.iter().take(n).fold(0_u32, |value, &digit| value * 10 + u32::from(digit));
    match (prefix(2), digits.len()) {
        (40..=49, 13 | 16 | 19) => true,
        (51..=55, 16) => true,
        (22..=27, 16) => (2221..=2720).contains(&prefix(4)),
        (34 | 37, 15) => true,
        (36 | 38 | 39, 14..=19) => true,
        (30, 14..=19) => matches!(prefix(3), 300..=305 | 309),
        (35, 16..=19) => (3528..=3589).contains(&prefix(4)),
        (60, 16..=19) => prefix(4) == 6011,
        (64, 16..=19) => prefix(3) >= 644,
        (62 | 65, 16..=19) => true,
        (50 | 56..=59 | 67, 13..=19) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that card networks publish for testing.
    const ISSUED: [&str; 8] = [
        "4111111111111111",
        "4012888888881881",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "6011111111111117",
        "3530111333300000",
        "30569309025904",
    ];

    fn ends(text: &str) -> Option<usize> {
        let start = next_group(text.as_bytes(), 0)?;
        card_at(text.as_bytes(), start)
    }

    #[test]
    fn published_test_numbers_are_cards() {
        for number in ISSUED {
            assert_eq!(ends(number), Some(number.len()), "{number}");
        }
    }

    #[test]
    fn one_wrong_digit_is_no_card() {
        for number in ISSUED {
            let (head, last) = number.split_at(number.len() - 1);
            let wrong = (last.parse::<u8>().unwrap() + 1) % 10;
            assert_eq!(ends(&alloc::format!("{head}{wrong}")), None, "{number}");
        }
    }

    #[test]
    fn groups_may_be_separated_and_neighbours_count() {
        assert_eq!(ends("4111 1111 1111 1111."), Some(19));
        assert_eq!(ends("4111-1111-1111-1111"), Some(19));
        assert_eq!(ends("4111  1111 1111 1111"), None);
        assert_eq!(ends("x4111111111111111"), None);
        assert_eq!(ends("4111111111111111a"), None);
        assert_eq!(ends("4111111111111111.50"), None);
        assert_eq!(ends("41111111111111111111111"), None);
        assert_eq!(ends("4111 1111 1111 1111 12/29"), Some(19));
    }
}
