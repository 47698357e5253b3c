//! Numbers of the health system: records of patients, and the registration of those who prescribe.

use super::{
    Candidate, Entity, Evidence, Scan, Token,
    checksum::{last, weighted},
    context::{DEA, MEDICAL_RECORD},
};

pub(super) fn offer(scan: &mut Scan<'_>, token: Token) {
    let Token { start, end, .. } = token;
    let chars = scan.text.range(start, end);
    if !scan.text.stands_alone(start, end) {
        return;
    }
    if is_dea(chars) && scan.says(start, end, DEA) {
        scan.offer(Candidate::new(Entity::Dea, start, end, Evidence::Checksum));
    }
    let number = chars.strip_prefix(b"mrn").unwrap_or(chars);
    let is_number = (5..=10).contains(&number.len()) && number.iter().all(u8::is_ascii_digit);
    if is_number && (number.len() < chars.len() || is_labelled(scan, start, end)) {
        scan.offer(Candidate::new(Entity::Mrn, start, end, Evidence::Context));
    }
}

/// The word before it must say so; a patient has other numbers as well.
fn is_labelled(scan: &mut Scan<'_>, start: usize, end: usize) -> bool {
    const REACH: usize = 24;
    let last = scan.context.last_before(start, end, scan.budget);
    let near = scan.text.range(start.saturating_sub(REACH), start);
    last & MEDICAL_RECORD != 0
        && [&b"mrn"[..], b"record", b"chart"]
            .iter()
            .any(|word| near.windows(word.len()).any(|window| window == *word))
}

/// Two letters, six digits, and a check over them.
fn is_dea(chars: &[u8]) -> bool {
    let [kind, name, digits @ ..] = chars else { return false };
    let is_formed = digits.len() == 7 && digits.iter().all(u8::is_ascii_digit);
    let sum = weighted(digits, &[1, 2, 1, 2, 1, 2]);
    is_formed
        && b"abcdefghjklmprstux".contains(kind)
        && (name.is_ascii_lowercase() || *name == b'9')
        && sum % 10 == last(digits)
}
