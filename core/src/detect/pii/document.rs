//! What only words can say: numbers of passports and driving licences, dates of birth.

use super::{
    Bytes, Candidate, Entity, Evidence, Scan, Token,
    checksum::{is_day, number},
    context::{BIRTH, DRIVING, LICENCE, PASSPORT, TAX},
};

pub(super) fn offer(scan: &mut Scan<'_>, token: Token) {
    const LEN_MIN: usize = 6;
    const LEN_MAX: usize = 18;
    let Token { start, end, is_number } = token;
    let len = end - start;
    if !(LEN_MIN..=LEN_MAX).contains(&len) || !scan.text.stands_alone(start, end) {
        return;
    }
    // In capitals, as these are written: a name with a number in it is something else.
    let is_upper = !scan.cased.range(start, end).iter().any(u8::is_ascii_lowercase);
    let n_digits = scan.text.range(start, end).iter().filter(|c| c.is_ascii_digit()).count();
    if !is_upper || is_date_number(scan.text.range(start, end)) {
        return;
    }
    let last = scan.context.last_before(start, end, scan.budget);
    if last & TAX != 0 && is_number && (8..=12).contains(&len) {
        scan.offer(Candidate::new(Entity::TaxId, start, end, Evidence::Context));
    }
    if last & PASSPORT != 0 && (7..=9).contains(&len) && n_digits > 0 {
        scan.offer(Candidate::new(Entity::Passport, start, end, Evidence::Context));
    }
    let says = last & LICENCE != 0 && scan.context.has_all(start, end, DRIVING | LICENCE, scan.budget);
    if says && n_digits >= 4 && !(is_number && len < 7) {
        scan.offer(Candidate::new(Entity::Licence, start, end, Evidence::Context));
    }
}

fn is_date_number(chars: &[u8]) -> bool {
    chars.len() == 8 && (chars.starts_with(b"19") || chars.starts_with(b"20"))
}

/// A date that somebody was born on.
pub(super) fn offer_date(scan: &mut Scan<'_>, token: Token) {
    if token.end - token.start > 4 {
        return;
    }
    let Some((start, end)) = date(scan.text, token) else { return };
    let has_time = matches!(scan.text.range(end, end + 4), [b' ' | b't', b'0'..=b'9', b'0'..=b'9', b':']);
    if has_time || !scan.text.ends(end) || !scan.text.begins(start) {
        return;
    }
    if scan.context.last_before(start, end, scan.budget) & BIRTH != 0 {
        scan.offer(Candidate::new(Entity::Birth, start, end, Evidence::Context));
    }
}

fn date(text: Bytes<'_>, token: Token) -> Option<(usize, usize)> {
    let first = text.range(token.start, token.end);
    if let Some(end) = numeric_date(text, token) {
        return Some((token.start, end));
    }
    if first.len() > 2 || !is_day(1, number(first) as u32) {
        return None;
    }
    // `16 August 1995`, `16. August 1995`, `16 de agosto de 1995`
    let mut at = token.end + usize::from(text.at(token.end) == b'.');
    if text.at(at) == b' ' {
        at += 1;
        at += if text.range(at, at + 3) == b"de " { 3 } else { 0 };
        let month_end = word_end(text, at);
        if is_month(text.range(at, month_end)) {
            let mut year = month_end + usize::from(text.at(month_end) == b'.') + 1;
            year += if text.range(year, year + 3) == b"de " { 3 } else { 0 };
            return year_end(text, year).map(|end| (token.start, end));
        }
    }
    // `August 16, 1995`
    let month_end = token.start.checked_sub(1).filter(|at| text.at(*at) == b' ')?;
    let mut month = month_end;
    while month_end - month < 12 && text.before(month).is_ascii_lowercase() {
        month -= 1;
    }
    let year = token.end + usize::from(text.at(token.end) == b',') + 1;
    let end = year_end(text, year)?;
    is_month(text.range(month, month_end)).then_some((month, end))
}

fn numeric_date(text: Bytes<'_>, token: Token) -> Option<usize> {
    let separator = text.at(token.end);
    if !matches!(separator, b'.' | b'-' | b'/') {
        return None;
    }
    let (second, second_end) = digits(text, token.end + 1)?;
    if text.at(second_end) != separator {
        return None;
    }
    let (third, end) = digits(text, second_end + 1)?;
    let first = text.range(token.start, token.end);
    let is_year = |digits: &[u8]| match digits.len() {
        2 => true,
        4 => matches!(number(digits), 1900..=2099),
        _ => false,
    };
    let is_small = |digits: &[u8], max: u64| digits.len() <= 2 && (1..=max).contains(&number(digits));
    let day_last = first.len() == 4 && is_year(first) && is_small(second, 12) && is_small(third, 31);
    let year_last = is_year(third)
        && ((is_small(first, 31) && is_small(second, 12)) || (is_small(first, 12) && is_small(second, 31)));
    (day_last || year_last).then_some(end)
}

fn digits(text: Bytes<'_>, start: usize) -> Option<(&[u8], usize)> {
    let len = text.range(start, start + 5).iter().take_while(|b| b.is_ascii_digit()).count();
    (1..=4).contains(&len).then(|| (text.range(start, start + len), start + len))
}

fn year_end(text: Bytes<'_>, start: usize) -> Option<usize> {
    let (year, end) = digits(text, start)?;
    matches!(number(year), 1900..=2099).then_some(end)
}

fn word_end(text: Bytes<'_>, start: usize) -> usize {
    const LEN_MAX: usize = 16;
    let word = text.range(start, start + LEN_MAX);
    start + word.iter().take_while(|b| b.is_ascii_alphabetic() || **b >= 0x80).count()
}

/// The first three letters say which month it is in most languages of Europe.
fn is_month(word: &[u8]) -> bool {
    const HEADS: &[u8] =
        b"janfebmaraprmayjunjulaugsepoctnovdecmaimeijuiaouagosetoktdezdicgenmaggiulugabrmrtenetamavr";
    let (heads, _) = HEADS.as_chunks::<3>();
    word.len() <= 12
        && (word.first_chunk::<3>().is_some_and(|head| heads.contains(head))
            || word.starts_with("fév".as_bytes())
            || word.starts_with("mär".as_bytes())
            || word.starts_with("déc".as_bytes()))
}
