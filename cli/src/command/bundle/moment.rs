//! Moments as people write them: `2027-01-31`, `2027-01-31T12:00:00Z`, or seconds since 1970. Always UTC.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::report::Fault;

pub(super) const DAY: u64 = 24 * 60 * 60;

/// Later than this no date is written in four digits.
const LAST: u64 = 253_402_300_799;

pub(super) fn now() -> Result<u64, Fault> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map(|since| since.as_secs()).map_err(|_| Fault::Internal("the clock stands before 1970".into()))
}

/// For clap.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let seconds = if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { from_date(text) };
    seconds.filter(|seconds| *seconds <= LAST).ok_or_else(|| {
        "expected a date such as 2027-01-31 or 2027-01-31T12:00:00Z, or seconds since 1970".into()
    })
}

pub(crate) fn show(seconds: u64) -> String {
    if seconds > LAST {
        return seconds.to_string();
    }
    let (days, of_day) = (seconds / DAY, seconds % DAY);
    // Whole years first, then whole months; both loops are short.
    let (mut year, mut left) = (1970, days);
    while left >= days_of_year(year) {
        left -= days_of_year(year);
        year += 1;
    }
    let mut month = 1;
    while left >= days_of_month(year, month) {
        left -= days_of_month(year, month);
        month += 1;
    }
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", left + 1)
}

fn from_date(text: &str) -> Option<u64> {
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time.strip_suffix('Z')?, ':', [2, 2, 2])?;
    let is_day = year >= 1970 && (1..=12).contains(&month) && (1..=days_of_month(year, month)).contains(&day);
    if !is_day || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = (1970..year).map(days_of_year).sum::<u64>()
        + (1..month).map(|month| days_of_month(year, month)).sum::<u64>()
        + (day - 1);
    Some(days * DAY + hour * 3600 + minute * 60 + second)
}

fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut numbers = [0; 3];
    let mut fields = text.split(between);
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let field = fields.next().filter(|f| f.len() == digits && f.bytes().all(|b| b.is_ascii_digit()))?;
        *number = field.parse().ok()?;
    }
    fields.next().is_none().then_some(numbers)
}

const fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

const fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_both_ways() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1999-12-31T23:59:59Z", 946_684_799),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2027-01-31T00:00:00Z", 1_801_353_600),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", LAST),
        ] {
            assert_eq!(parse(text), Ok(seconds), "{text}");
            assert_eq!(show(seconds), text);
        }
        assert_eq!(parse("2027-01-31"), Ok(1_801_353_600));
        assert_eq!(parse("1801353600"), Ok(1_801_353_600));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "tomorrow",
            "2027-1-31",
            "2027-13-01",
            "2027-02-29",
            "1969-12-31",
            "2027-01-31T24:00:00Z",
            "2027-01-31T12:00:00",
            "2027-01-31 12:00",
            "253402300800",
            "-1",
            "2027-01-00",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
