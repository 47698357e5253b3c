//! Numbers of people in Australia, India, Singapore, Japan, Korea and China.

use super::{
    Entity, Evidence,
    checksum::{all_same, digit_at, is_day, last, number, value, verhoeff, weighted},
    context::{AADHAAR, MEDICARE, MY_NUMBER, NONE, RRN, TFN},
    id::{Alone, Id},
};

pub(super) const IDS: &[Id] = &[
    Id {
        entity: Entity::Tfn,
        pattern: "#########",
        valid: |digits| {
            !all_same(digits) && weighted(digits, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11)
        },
        evidence: Evidence::Checksum,
        topics: TFN,
        alone: Alone::Never,
    },
    Id {
        entity: Entity::Medicare,
        pattern: "##########",
        valid: is_medicare,
        evidence: Evidence::Checksum,
        topics: MEDICARE,
        alone: Alone::Never,
    },
    Id {
        entity: Entity::Medicare,
        pattern: "###########",
        valid: is_medicare,
        evidence: Evidence::Checksum,
        topics: MEDICARE,
        alone: Alone::Never,
    },
    Id {
        entity: Entity::Aadhaar,
        pattern: "############",
        valid: |digits| digit_at(digits, 0) > 1 && !all_same(digits) && verhoeff(digits),
        evidence: Evidence::Checksum,
        topics: AADHAAR,
        alone: Alone::Never,
    },
    Id {
        entity: Entity::Pan,
        pattern: "@@@@@####@",
        valid: |chars| chars.get(3).is_some_and(|holder| b"abcfghjlpt".contains(holder)),
        evidence: Evidence::Format,
        topics: NONE,
        alone: Alone::Always,
    },
    Id {
        entity: Entity::Nric,
        pattern: "@#######@",
        valid: is_nric,
        evidence: Evidence::Checksum,
        topics: NONE,
        alone: Alone::As(&["9"]),
    },
    Id {
        entity: Entity::MyNumber,
        pattern: "############",
        valid: is_my_number,
        evidence: Evidence::Checksum,
        topics: MY_NUMBER,
        alone: Alone::Never,
    },
    Id {
        entity: Entity::Rrn,
        pattern: "#############",
        valid: is_rrn,
        evidence: Evidence::Format,
        topics: RRN,
        alone: Alone::As(&["6-7"]),
    },
    Id {
        entity: Entity::ResidentId,
        pattern: "#################?",
        valid: is_resident_id,
        evidence: Evidence::Checksum,
        topics: NONE,
        alone: Alone::Always,
    },
];

fn is_medicare(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9]);
    matches!(digit_at(digits, 0), 2..=6) && sum % 10 == digit_at(digits, 8) && digit_at(digits, 9) != 0
}

fn is_nric(chars: &[u8]) -> bool {
    let [series, digits @ .., letter] = chars else { return false };
    let (more, letters) = match series {
        b's' => (0, b"jzihgfedcba"),
        b't' => (4, b"jzihgfedcba"),
        b'f' => (0, b"xwutrqpnmlk"),
        b'g' => (4, b"xwutrqpnmlk"),
        b'm' => (3, b"xwutrqpnjlk"),
        _ => return false,
    };
    let sum = weighted(digits, &[2, 7, 6, 5, 4, 3, 2]) + more;
    letters.get((sum % 11) as usize) == Some(letter)
}

fn is_my_number(digits: &[u8]) -> bool {
    let check = match weighted(digits, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    !all_same(digits) && check == last(digits)
}

/// Since October 2020 the last digits are random, so that only the date can be checked.
fn is_rrn(digits: &[u8]) -> bool {
    let pair = |idx: usize| digit_at(digits, idx) * 10 + digit_at(digits, idx + 1);
    is_day(pair(2), pair(4)) && matches!(digit_at(digits, 6), 1..=8)
}

/// Region, date of birth, and ISO 7064 mod 11-2, where `x` stands for ten.
fn is_resident_id(chars: &[u8]) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let year = number(chars.get(6..10).unwrap_or_default());
    let pair = |idx: usize| digit_at(chars, idx) * 10 + digit_at(chars, idx + 1);
    let check = match chars.last() {
        Some(b'x') => 10,
        Some(digit) if digit.is_ascii_digit() => value(*digit),
        _ => return false,
    };
    let sum = weighted(chars, &WEIGHTS) + check;
    matches!(digit_at(chars, 0), 1..=8)
        && (1900..2100).contains(&year)
        && is_day(pair(10), pair(12))
        && sum % 11 == 1
}
