//! Until when a certificate is valid, out of its DER: just the way down to that, of X.509's structure.

/// In ms since 1970; `None` if it cannot be told.
pub(crate) fn not_after_ms(certificate: &[u8]) -> Option<i64> {
    let (SEQUENCE, certificate, _) = element(certificate)? else { return None };
    let (SEQUENCE, mut rest, _) = element(certificate)? else { return None };
    // The version has a tag of its own and may be missing; then serial number, algorithm, issuer, validity.
    if let Some((EXPLICIT_0, _, behind)) = element(rest) {
        rest = behind;
    }
    for _ in 0..3 {
        (_, _, rest) = element(rest)?;
    }
    let (SEQUENCE, validity, _) = element(rest)? else { return None };
    let (_, _, rest) = element(validity)?;
    let (tag, time, _) = element(rest)?;
    let text = std::str::from_utf8(time).ok()?.strip_suffix('Z')?;
    let number = |from: usize, n: usize| text.get(from..from + n)?.parse::<i64>().ok();
    let (year, at) = match tag {
        // Two digits, of 1950 to 2049 (RFC 5280 §4.1.2.5.1).
        UTC_TIME => (number(0, 2).map(|year| if year < 50 { 2000 + year } else { 1900 + year })?, 2),
        GENERALIZED_TIME => (number(0, 4)?, 4),
        _ => return None,
    };
    let days = days_before(year, number(at, 2)?, number(at + 2, 2)?)?;
    let seconds = number(at + 4, 2)? * 3_600 + number(at + 6, 2)? * 60 + number(at + 8, 2)?;
    Some((days * 86_400 + seconds) * 1_000)
}

/// Tag, content, and what is behind it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (n_bytes, rest) = match first {
        0..=127 => (usize::from(*first), rest),
        129..=132 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, behind) = rest.split_at_checked(n_bytes)?;
    Some((*tag, content, behind))
}

/// Days from the first of 1970 to a date of the Gregorian calendar.
fn days_before(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March have the leap day at their end.
    let shifted = if month > 2 { year } else { year - 1 };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = shifted.div_euclid(4) - shifted.div_euclid(100) + shifted.div_euclid(400);
    Some(shifted * 365 + leap_days + of_year - 719_468)
}

const SEQUENCE: u8 = 0x30;
const EXPLICIT_0: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [vec![tag, 0x82], length.to_vec(), content].concat()
    }

    fn certificate(time_tag: u8, time: &str) -> Vec<u8> {
        let any = |tag| der(tag, &[&[1]]);
        let validity =
            der(SEQUENCE, &[&der(UTC_TIME, &[b"200101000000Z"]), &der(time_tag, &[time.as_bytes()])]);
        let version = der(EXPLICIT_0, &[&any(2)]);
        let to_be_signed = der(SEQUENCE, &[&version, &any(2), &any(SEQUENCE), &any(SEQUENCE), &validity]);
        der(SEQUENCE, &[&to_be_signed, &any(SEQUENCE)])
    }

    #[test]
    fn the_end_of_validity_is_read() {
        let at = |tag, time: &str| not_after_ms(&certificate(tag, time));
        assert_eq!(at(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(at(UTC_TIME, "260131120000Z"), Some(1_769_860_800_000));
        assert_eq!(at(GENERALIZED_TIME, "20240229235959Z"), Some(1_709_251_199_000));
        assert_eq!(at(GENERALIZED_TIME, "99991231235959Z"), Some(253_402_300_799_000));
        for wrong in ["", "Z", "2024Z", "20241301000000Z", "20240229235959"] {
            assert_eq!(at(GENERALIZED_TIME, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_cut_is_no_certificate() {
        let whole = certificate(UTC_TIME, "260131120000Z");
        for n in 0..whole.len() - 8 {
            assert_eq!(not_after_ms(&whole[..n]), None, "{n} bytes");
        }
    }
}
