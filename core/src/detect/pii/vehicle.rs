//! Vehicle identification numbers: seventeen characters with a check digit in the middle.

use super::{Candidate, Entity, Evidence, Scan, Token, context::VEHICLE};

const LEN: usize = 17;
const CHECK: usize = 8;

pub(super) fn offer(scan: &mut Scan<'_>, token: Token) {
    let Token { start, end, .. } = token;
    if end - start != LEN || !scan.text.stands_alone(start, end) {
        return;
    }
    let chars = scan.text.range(start, end);
    // European makers put no check digit there; then it has to be called one.
    let is_checked = check_digit(chars).is_some_and(|check| chars.get(CHECK) == Some(&check));
    let ends_in_digits = chars.iter().rev().take(4).all(u8::is_ascii_digit);
    let has_letters = chars.iter().filter(|c| c.is_ascii_lowercase()).count() > 2;
    let is_formed = check_digit(chars).is_some() && ends_in_digits && has_letters;
    if is_formed && (is_checked || scan.says(start, end, VEHICLE)) {
        let evidence = if is_checked { Evidence::Checksum } else { Evidence::Context };
        scan.offer(Candidate::new(Entity::Vin, start, end, evidence));
    }
}

/// What the ninth character has to be; nothing if there are letters that no number has.
fn check_digit(chars: &[u8]) -> Option<u8> {
    const WEIGHTS: [u32; LEN] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let mut sum = 0;
    for (c, weight) in chars.iter().zip(WEIGHTS) {
        sum += weight * value(*c)?;
    }
    Some(match sum % 11 {
        10 => b'x',
        rest => b'0' + rest as u8,
    })
}

fn value(c: u8) -> Option<u32> {
    let value = match c {
        b'0'..=b'9' => c - b'0',
        b'a'..=b'h' => c - b'a' + 1,
        b'j'..=b'n' => c - b'j' + 1,
        b'p' => 7,
        b'r' => 9,
        b's'..=b'z' => c - b's' + 2,
        _ => return None,
    };
    Some(u32::from(value))
}
