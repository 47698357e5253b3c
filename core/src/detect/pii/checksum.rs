//! The arithmetic of check digits. Everything takes ASCII digits as they stand in a text; what is no digit counts as
//! nothing, since a pattern has been there before.

pub(super) fn value(digit: u8) -> u32 {
    u32::from(digit.wrapping_sub(b'0').min(9))
}

/// The digits as one number. Eighteen digits at most.
pub(super) fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number, &digit| number * 10 + u64::from(value(digit)))
}

/// Each digit times its weight, as far as there are weights.
pub(super) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(&digit, weight)| value(digit) * weight).sum()
}

pub(super) fn digit_at(digits: &[u8], idx: usize) -> u32 {
    digits.get(idx).map_or(0, |&digit| value(digit))
}

/// The last digit, which most numbers keep for the check.
pub(super) fn last(digits: &[u8]) -> u32 {
    digits.last().map_or(0, |&digit| value(digit))
}

pub(super) fn all_same(digits: &[u8]) -> bool {
    digits.iter().all(|digit| Some(digit) == digits.first())
}

pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(idx, &digit)| match (idx % 2, value(digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// ISO 7064 mod 97-10 over letters and digits in lower case: a letter stands for two digits, `a` for 10.
pub(super) fn mod_97(chars: impl Iterator<Item = u8>) -> u32 {
    chars.fold(0, |rest, c| match c {
        b'a'..=b'z' => (rest * 100 + u32::from(c - b'a') + 10) % 97,
        _ => (rest * 10 + value(c)) % 97,
    })
}

/// ISO 7064 mod 11,10.
pub(super) fn mod_11_10(digits: &[u8]) -> bool {
    let Some((check, digits)) = digits.split_last() else { return false };
    let product = digits.iter().fold(10, |product, &digit| match (value(digit) + product) % 10 {
        0 => 20 % 11,
        sum => sum * 2 % 11,
    });
    (11 - product) % 10 == value(*check)
}

/// Verhoeff's check: a product in the dihedral group of ten elements, each digit permuted by its place.
pub(super) fn verhoeff(digits: &[u8]) -> bool {
    const PERMUTATION: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    /// Applied as often as the place of the digit says.
    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within the loops' bounds")]
    const PERMUTED: [[u8; 10]; 8] = {
        let mut table = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]; 8];
        let mut times = 1;
        while times < 8 {
            let mut digit = 0;
            while digit < 10 {
                table[times][digit] = PERMUTATION[table[times - 1][digit] as usize];
                digit += 1;
            }
            times += 1;
        }
        table
    };
    let permuted = |digit: u32, place: usize| {
        let row = PERMUTED.get(place % 8);
        row.and_then(|row| row.get(digit as usize)).map_or(digit, |&digit| u32::from(digit))
    };
    let product = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => 5 + (a + b - 5) % 5,
        (false, true) => 5 + (a - 5 + 5 - b) % 5,
        (false, false) => (a + 5 - b) % 5,
    };
    digits.iter().rev().enumerate().fold(0, |sum, (idx, &digit)| product(sum, permuted(value(digit), idx)))
        == 0
}

/// Month and day of a date, of a year that may be any.
pub(super) fn is_day(month: u32, day: u32) -> bool {
    let days = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_numbers_check() {
        assert!(luhn(b"79927398713") && !luhn(b"79927398710"));
        assert_eq!(mod_97(b"west12345698765432gb82".iter().copied()), 1);
        assert!(mod_11_10(b"86095742719") && !mod_11_10(b"86095742718"));
        assert!(verhoeff(b"2363") && !verhoeff(b"2364"));
        assert!(verhoeff(b"123451") && !verhoeff(b"123541"));
    }

    #[test]
    fn verhoeff_notices_every_wrong_digit() {
        for (place, digit) in (0..6).flat_map(|place| (b'0'..=b'9').map(move |digit| (place, digit))) {
            let mut number = *b"123451";
            number[place] = digit;
            assert_eq!(verhoeff(&number), number == *b"123451");
        }
    }
}
