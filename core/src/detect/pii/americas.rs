//! Numbers of people and companies in the United States, Canada and Brazil.

use super::{
    Entity, Evidence,
    checksum::{all_same, digit_at, last, luhn, number, weighted},
    context::{CNPJ, CPF, ITIN, NONE, SIN, SSN},
    id::{Alone, Id},
};

pub(super) const IDS: &[Id] = &[
    Id {
        entity: Entity::Ssn,
        pattern: "#########",
        valid: is_ssn,
        evidence: Evidence::Format,
        topics: SSN,
        alone: Alone::As(&["3-2-4"]),
    },
    Id {
        entity: Entity::LooseSsn,
        pattern: "#########",
        valid: is_ssn,
        evidence: Evidence::Format,
        topics: NONE,
        alone: Alone::As(&["3 2 4", "3.2.4"]),
    },
    Id {
        entity: Entity::Itin,
        pattern: "#########",
        valid: is_itin,
        evidence: Evidence::Format,
        topics: ITIN,
        alone: Alone::As(&["3-2-4"]),
    },
    Id {
        entity: Entity::Sin,
        pattern: "#########",
        valid: |digits| !matches!(digit_at(digits, 0), 0 | 8) && luhn(digits),
        evidence: Evidence::Checksum,
        topics: SIN,
        alone: Alone::Never,
    },
    Id {
        entity: Entity::Cpf,
        pattern: "###########",
        valid: is_cpf,
        evidence: Evidence::Checksum,
        topics: CPF,
        alone: Alone::As(&["3.3.3-2"]),
    },
    Id {
        entity: Entity::Cnpj,
        pattern: "##############",
        valid: is_cnpj,
        evidence: Evidence::Checksum,
        topics: CNPJ,
        alone: Alone::As(&["2.3.3/4-2"]),
    },
];

/// Ranges that are given out, without the numbers that advertisements have made famous.
fn is_ssn(digits: &[u8]) -> bool {
    let (area, group, serial) = parts(digits);
    let is_famous = matches!(digits, b"078051120" | b"219099999" | b"123456789");
    !matches!(area, 0 | 666 | 900..) && group != 0 && serial != 0 && !is_famous && !all_same(digits)
}

fn is_itin(digits: &[u8]) -> bool {
    let (area, group, _) = parts(digits);
    area >= 900 && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

fn parts(digits: &[u8]) -> (u64, u64, u64) {
    let number = number(digits);
    (number / 1_000_000, number / 10_000 % 100, number % 10_000)
}

fn is_cpf(digits: &[u8]) -> bool {
    const WEIGHTS: [u32; 10] = [11, 10, 9, 8, 7, 6, 5, 4, 3, 2];
    let (body, check) = digits.split_at(digits.len().min(9));
    let first = brazilian_digit(weighted(body, WEIGHTS.get(1..).unwrap_or_default()));
    let second = brazilian_digit(weighted(body, &WEIGHTS) + first * 2);
    !all_same(digits) && digit_at(check, 0) == first && last(digits) == second
}

fn is_cnpj(digits: &[u8]) -> bool {
    const WEIGHTS: [u32; 13] = [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2];
    let (body, check) = digits.split_at(digits.len().min(12));
    let first = brazilian_digit(weighted(body, WEIGHTS.get(1..).unwrap_or_default()));
    let second = brazilian_digit(weighted(body, &WEIGHTS) + first * 2);
    !all_same(digits) && digit_at(check, 0) == first && last(digits) == second
}

const fn brazilian_digit(sum: u32) -> u32 {
    match sum % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    }
}
