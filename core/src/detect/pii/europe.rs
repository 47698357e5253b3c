//! Numbers of people in European countries.

use super::{
    Entity, Evidence,
    checksum::{all_same, digit_at, is_day, last, luhn, mod_11_10, number, value, weighted},
    context::{BSN, GERMAN_TAX, INSEE, NHS, NINO, NONE, PERSONNUMMER, PESEL},
    id::{Alone, Id},
};

pub(super) const IDS: &[Id] = &[
    Id {
        entity: Entity::Nino,
        pattern: "@@######@",
        valid: is_nino,
        evidence: Evidence::Format,
        topics: NINO,
        alone: Alone::Always,
    },
    Id {
        entity: Entity::Nhs,
        pattern: "##########",
        valid: is_nhs,
        evidence: Evidence::Checksum,
        topics: NHS,
        alone: Alone::Never,
    },
    Id {
        entity: Entity::Dni,
        pattern: "########@",
        valid: is_dni,
        evidence: Evidence::Checksum,
        topics: NONE,
        alone: Alone::As(&["9", "8-1", "2.3.3-1"]),
    },
    Id {
        entity: Entity::Nie,
        pattern: "@#######@",
        valid: is_nie,
        evidence: Evidence::Checksum,
        topics: NONE,
        alone: Alone::As(&["9", "1-7-1", "1-8", "8-1"]),
    },
    Id {
        entity: Entity::Fiscale,
        pattern: "@@@@@@??@??@???@",
        valid: is_fiscale,
        evidence: Evidence::Checksum,
        topics: NONE,
        alone: Alone::Always,
    },
    Id {
        entity: Entity::Steuer,
        pattern: "###########",
        valid: is_steuer,
        evidence: Evidence::Checksum,
        topics: GERMAN_TAX,
        alone: Alone::Never,
    },
    Id {
        entity: Entity::Insee,
        pattern: "#####??########",
        valid: is_insee,
        evidence: Evidence::Checksum,
        topics: INSEE,
        alone: Alone::Always,
    },
    Id {
        entity: Entity::Bsn,
        pattern: "#########",
        valid: is_bsn,
        evidence: Evidence::Checksum,
        topics: BSN,
        alone: Alone::Never,
    },
    Id {
        entity: Entity::Pesel,
        pattern: "###########",
        valid: is_pesel,
        evidence: Evidence::Checksum,
        topics: PESEL,
        alone: Alone::Never,
    },
    Id {
        entity: Entity::Personnummer,
        pattern: "##########",
        valid: is_personnummer,
        evidence: Evidence::Checksum,
        topics: PERSONNUMMER,
        alone: Alone::As(&["6-4"]),
    },
    Id {
        entity: Entity::Personnummer,
        pattern: "############",
        valid: |digits| matches!(number(digits) / 10_000_000_000, 18..=20) && is_personnummer(digits),
        evidence: Evidence::Checksum,
        topics: PERSONNUMMER,
        alone: Alone::As(&["8-4"]),
    },
];

fn is_nino(chars: &[u8]) -> bool {
    let [first, second, .., suffix] = chars else { return false };
    let prefix = [*first, *second];
    let is_unused = matches!(&prefix, b"bg" | b"gb" | b"kn" | b"nk" | b"nt" | b"tn" | b"zz");
    !b"dfiquv".contains(first) && !b"dfiquvo".contains(second) && !is_unused && (b'a'..=b'd').contains(suffix)
}

fn is_nhs(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2]);
    !all_same(digits) && (11 - sum % 11) % 11 == last(digits)
}

fn is_dni(chars: &[u8]) -> bool {
    let Some((letter, digits)) = chars.split_last() else { return false };
    spanish_letter(number(digits)) == Some(*letter) && !all_same(digits)
}

/// The first letter stands for a digit.
fn is_nie(chars: &[u8]) -> bool {
    let [first @ b'x'..=b'z', digits @ .., letter] = chars else { return false };
    spanish_letter(u64::from(first - b'x') * 10_000_000 + number(digits)) == Some(*letter)
}

fn spanish_letter(number: u64) -> Option<u8> {
    b"trwagmyfpdxbnjzsqvhlcke".get((number % 23) as usize).copied()
}

/// Letters may stand for digits, where two people would have the same code.
fn is_fiscale(chars: &[u8]) -> bool {
    const DIGITS: [usize; 7] = [6, 7, 9, 10, 12, 13, 14];
    let is_digit =
        |idx: usize| chars.get(idx).is_some_and(|c| c.is_ascii_digit() || b"lmnpqrstuv".contains(c));
    let Some((check, body)) = chars.split_last() else { return false };
    let month = chars.get(8).is_some_and(|c| b"abcdehlmprst".contains(c));
    let sum: u32 = body.iter().enumerate().map(|(idx, c)| fiscale_value(*c, idx % 2 == 0)).sum();
    month && DIGITS.into_iter().all(is_digit) && u32::from(*check - b'a') == sum % 26
}

fn fiscale_value(c: u8, is_odd: bool) -> u32 {
    const ODD: [u8; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let value = if c.is_ascii_digit() { c - b'0' } else { c.wrapping_sub(b'a') };
    if !is_odd {
        return u32::from(value);
    }
    ODD.get(usize::from(value)).map_or(0, |value| u32::from(*value))
}

/// Of the first ten digits exactly one stands there twice or three times.
fn is_steuer(digits: &[u8]) -> bool {
    let body = digits.get(..10).unwrap_or_default();
    let count = |digit: u8| body.iter().filter(|d| **d == digit).count();
    let repeated = (b'0'..=b'9').filter(|digit| count(*digit) > 1).count();
    let at_most_three = (b'0'..=b'9').all(|digit| count(digit) <= 3);
    digit_at(digits, 0) != 0 && repeated == 1 && at_most_three && mod_11_10(digits)
}

/// Sex, year, month, and for Corsica `2A` or `2B` as the department.
fn is_insee(chars: &[u8]) -> bool {
    let (body, key) = chars.split_at(chars.len().min(13));
    let department = chars.get(5..7).unwrap_or_default();
    let island = match department {
        b"2a" => 1_000_000,
        b"2b" => 2_000_000,
        [tens, ones] if tens.is_ascii_digit() && ones.is_ascii_digit() => 0,
        _ => return false,
    };
    let digits = body.iter().map(|&c| if c.is_ascii_digit() { value(c) } else { 0 });
    let body = digits.fold(0_u64, |number, digit| number * 10 + u64::from(digit));
    let month = number(chars.get(3..5).unwrap_or_default());
    let sex = digit_at(chars, 0);
    matches!(sex, 1..=4 | 7 | 8)
        && matches!(month, 1..=12 | 20..=42 | 50..=99)
        && 97 - (body.saturating_sub(island)) % 97 == number(key)
}

fn is_bsn(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2]);
    !all_same(digits) && sum % 11 == last(digits) && sum > 0
}

/// The century is in the month.
fn is_pesel(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]);
    let (month, day) = month_and_day(digits);
    is_day(month % 20, day) && (10 - sum % 10) % 10 == last(digits)
}

/// A day above 60 is a coordination number.
fn is_personnummer(digits: &[u8]) -> bool {
    let digits = digits.get(digits.len().saturating_sub(10)..).unwrap_or_default();
    let (month, day) = month_and_day(digits);
    is_day(month, if day > 60 { day - 60 } else { day }) && luhn(digits)
}

/// Of a number that begins with year, month and day, two digits each.
fn month_and_day(digits: &[u8]) -> (u32, u32) {
    let pair = |idx: usize| digit_at(digits, idx) * 10 + digit_at(digits, idx + 1);
    (pair(2), pair(4))
}
