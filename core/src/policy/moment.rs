//! A moment as people write it: a date or a date-time of RFC 3339.

use alloc::{format, string::String};
use core::str::FromStr;

use crate::step::Time;

/// Until when something holds. A date holds to its end, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Until(pub Time);

const DAY: i64 = 24 * 60 * 60;

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = match text.len() {
            10 => date(text.as_bytes()).map(|day| (day + 1) * DAY),
            _ => date_time(text.as_bytes()),
        };
        let seconds = seconds.ok_or_else(|| {
            format!("is {text:?}, expected a date such as \"2027-03-31\" or a time such as \"2027-03-31T18:00:00Z\"")
        })?;
        // What ended before 1970 has ended; a number of nanoseconds reaches to the year 2554.
        let seconds = u64::try_from(seconds).unwrap_or(0);
        Ok(Self(Time(seconds.saturating_mul(1_000_000_000))))
    }
}

/// Moments in time, from the same texts.
impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = match text.len() {
            10 => date(text.as_bytes()).map(|day| day * DAY),
            _ => date_time(text.as_bytes()),
        };
        let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let seconds = seconds.ok_or_else(|| format!("{text:?} is neither a date nor a time of RFC 3339"))?;
        Ok(Self(seconds.saturating_mul(1_000_000_000)))
    }
}

/// Days since 1970.
fn date(text: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let (year, month, day) = (number(&[*y1, *y2, *y3, *y4])?, number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if !(1..=days_of_month).contains(&day) {
        return None;
    }
    // Years begin in March, so that the day that comes and goes is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Seconds since 1970.
fn date_time(text: &[u8]) -> Option<i64> {
    let (day, time) = text.split_at_checked(10)?;
    let day = date(day)?;
    let [b'T' | b't' | b' ', h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = time else { return None };
    let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?);
    // A leap second has the number 60.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let zone = match rest {
        [b'.', digits_and_zone @ ..] => {
            let digits = digits_and_zone.iter().take_while(|b| b.is_ascii_digit()).count();
            digits_and_zone.get(digits..).filter(|_| digits > 0)?
        }
        zone => zone,
    };
    let offset = match zone {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            let seconds = (hours <= 23 && minutes <= 59).then_some(hours * 3600 + minutes * 60)?;
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    Some(day * DAY + hour * 3600 + minute * 60 + second - offset)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| Some(number * 10 + i64::from(char::from(*digit).to_digit(10)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, seconds: u64) {
        assert_eq!(text.parse(), Ok(Until(Time(seconds * 1_000_000_000))), "{text}");
    }

    #[test]
    fn a_date_holds_to_its_end() {
        check("1970-01-01", 86_400);
        check("2000-02-29", 951_868_800);
        check("2027-03-31", 1_806_537_600);
        assert_eq!("2027-03-31".parse(), Ok(Time(1_806_451_200_000_000_000)));
    }

    #[test]
    fn a_time_is_that_moment_in_any_zone() {
        check("2027-03-31T18:00:00Z", 1_806_516_000);
        check("2027-03-31t18:00:00.25z", 1_806_516_000);
        check("2027-03-31T20:00:00+02:00", 1_806_516_000);
        check("2027-03-31 12:30:00-05:30", 1_806_516_000);
        check("1969-12-31T23:00:00Z", 0);
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in [
            "",
            "tomorrow",
            "2027-02-29",
            "2027-13-01",
            "2027-04-31",
            "2027-4-1",
            "2027-03-31T18:00",
            "2027-03-31T24:00:00Z",
            "2027-03-31T18:00:00",
            "2027-03-31T18:00:00.Z",
            "2027-03-31T18:00:00+2",
            "２０２７-03-31",
        ] {
            assert!(text.parse::<Until>().is_err(), "{text}");
        }
        // The last moment that can be said, and not a wrong one.
        assert_eq!("9999-12-31".parse(), Ok(Until(Time(u64::MAX))));
    }
}
