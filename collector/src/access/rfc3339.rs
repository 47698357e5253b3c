//! A time as people and wallets read it: `2026-01-31T12:00:00.000Z`.

/// Times before the year 1 and after 9999 have no such text and are written as the nearest that has one.
pub(crate) fn write(ms: i64) -> String {
    let ms = ms.clamp(FIRST_MS, LAST_MS);
    let (year, month, day) = date(ms.div_euclid(DAY_MS));
    let of_day = ms.rem_euclid(DAY_MS);
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, thousandth) = (of_day / 1_000 % 60, of_day % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{thousandth:03}Z")
}

/// Of a day counted from the first of 1970. After 400 years the calendar begins anew, so the year is at most that many
/// steps away.
fn date(day: i64) -> (i64, u32, i64) {
    let mut year = 1970 + 400 * day.div_euclid(DAYS_OF_400_YEARS);
    let mut rest = day.rem_euclid(DAYS_OF_400_YEARS);
    while rest >= 365 + leap_day(year) {
        rest -= 365 + leap_day(year);
        year += 1;
    }
    let mut month = 1;
    for days in [31, 28 + leap_day(year), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if rest < days {
            break;
        }
        rest -= days;
        month += 1;
    }
    (year, month, rest + 1)
}

const fn leap_day(year: i64) -> i64 {
    (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)) as i64
}

const DAY_MS: i64 = 86_400_000;
const DAYS_OF_400_YEARS: i64 = 146_097;
const FIRST_MS: i64 = -62_135_596_800_000;
const LAST_MS: i64 = 253_402_300_799_999;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_are_written_as_everybody_writes_them() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_234_567_890_123, "2009-02-13T23:31:30.123Z"),
            (1_709_251_199_000, "2024-02-29T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (FIRST_MS, "0001-01-01T00:00:00.000Z"),
            (LAST_MS, "9999-12-31T23:59:59.999Z"),
            (i64::MIN, "0001-01-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(write(ms), text);
        }
    }

    #[test]
    fn every_day_of_eight_hundred_years_comes_after_the_one_before() {
        let mut before = date(-200_000);
        for day in -199_999..100_000 {
            let next = date(day);
            let (year, month, of_month) = before;
            assert!(
                next == (year, month, of_month + 1)
                    || (of_month >= 28 && next == (year, month + 1, 1))
                    || (before == (year, 12, 31) && next == (year + 1, 1, 1)),
                "{before:?} {next:?}"
            );
            before = next;
        }
    }
}
