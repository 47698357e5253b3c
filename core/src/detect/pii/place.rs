//! Where somebody is: coordinates, and streets with house numbers.

use super::{Bytes, Candidate, Entity, Evidence, Scan, Token, context::COORDINATES};

pub(super) fn offer(scan: &mut Scan<'_>, token: Token) {
    if token.end - token.start > 5 {
        return;
    }
    offer_coordinates(scan, token);
    offer_address(scan, token);
}

/// Two decimals with at least three places, of which words say that they are a place.
fn offer_coordinates(scan: &mut Scan<'_>, token: Token) {
    const GAP_MAX: usize = 12;
    let text = scan.text;
    let start = token.start - usize::from(text.before(token.start) == b'-');
    let Some(first_end) = decimal_end(text, token.start) else { return };
    let gap = text.range(first_end, first_end + GAP_MAX).iter().take_while(|b| !b.is_ascii_digit()).count();
    if gap == GAP_MAX || gap == 0 {
        return;
    }
    let Some(end) = decimal_end(text, first_end + gap) else { return };
    if scan.says(start, first_end, COORDINATES) {
        scan.offer(Candidate::new(Entity::Location, start, end, Evidence::Context));
    }
}

fn decimal_end(text: Bytes<'_>, start: usize) -> Option<usize> {
    let count = |from: usize| text.range(from, from + 16).iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = count(start);
    let point = start + whole;
    let places = count(point + 1);
    ((1..=3).contains(&whole) && text.at(point) == b'.' && places >= 3).then_some(point + 1 + places)
}

/// `12 Main Street`, `Hauptstraße 12`, `12, rue de la Paix`, `Calle Mayor 12`.
fn offer_address(scan: &mut Scan<'_>, token: Token) {
    const REACH: usize = 40;
    let text = scan.text;
    let (start, end) = (token.start, token.end);
    if !text.begins(start) {
        return;
    }
    scan.budget.spend(1);
    if let Some(to) = street_after(text, end, REACH) {
        scan.offer(Candidate::new(Entity::Address, start, to, Evidence::Format));
    } else if let Some(from) = street_before(text, start, REACH) {
        scan.offer(Candidate::new(Entity::Address, from, end, Evidence::Format));
    }
}

/// The end of a street's name: up to four words, of which the first or the last is a kind of street.
fn street_after(text: Bytes<'_>, number_end: usize, reach: usize) -> Option<usize> {
    let comma = usize::from(text.at(number_end) == b',');
    if text.at(number_end + comma) != b' ' {
        return None;
    }
    let line = text.range(number_end + comma + 1, number_end + comma + 1 + reach);
    let line = line.split(|b| matches!(b, b'\n' | b',' | b';' | b'"')).next().unwrap_or_default();
    let mut at = number_end + comma + 1;
    for (idx, word) in line.split(|b| *b == b' ').take(5).enumerate() {
        let name = word.strip_suffix(b".").unwrap_or(word);
        if idx == 0 && STREETS_FIRST.contains(&name) {
            return Some(number_end + comma + 1 + line.len());
        }
        if idx > 0 && STREETS_LAST.contains(&name) {
            return Some(at + name.len());
        }
        at += word.len() + 1;
    }
    None
}

/// The start of a street's name before its number.
fn street_before(text: Bytes<'_>, number: usize, reach: usize) -> Option<usize> {
    let comma = usize::from(text.before(number.saturating_sub(1)) == b',');
    let last = text.before(number.saturating_sub(1 + comma));
    if !(last.is_ascii_alphanumeric() || last >= 0x80 || last == b'.') {
        return None;
    }
    let line_start = number.saturating_sub(reach);
    let line = text.range(line_start, number.checked_sub(1 + comma)?);
    let line_start = line_start
        + line.iter().rposition(|b| matches!(b, b'\n' | b',' | b';' | b'"' | b':')).map_or(0, |at| at + 1);
    let line = text.range(line_start, number - 1 - comma);
    let mut word_end = line_start + line.len();
    for (idx, word) in line.rsplit(|b| *b == b' ').take(5).enumerate() {
        let start = word_end.checked_sub(word.len())?;
        let name = word.strip_suffix(b".").unwrap_or(word);
        let is_compound =
            idx == 0 && STREETS_SUFFIXED.iter().any(|kind| name.len() > kind.len() && name.ends_with(kind));
        if is_compound || STREETS_FIRST.contains(&name) {
            return Some(start);
        }
        word_end = start.saturating_sub(1);
    }
    None
}

const STREETS_LAST: [&[u8]; 20] = [
    b"street",
    b"st",
    b"avenue",
    b"ave",
    b"road",
    b"rd",
    b"lane",
    b"ln",
    b"drive",
    b"dr",
    b"boulevard",
    b"blvd",
    b"court",
    b"ct",
    b"terrace",
    b"parkway",
    b"highway",
    b"crescent",
    b"close",
    b"way",
];

const STREETS_FIRST: [&[u8]; 20] = [
    b"rue",
    b"avenue",
    b"boulevard",
    b"via",
    b"viale",
    b"piazza",
    b"calle",
    b"avenida",
    b"plaza",
    b"paseo",
    b"rua",
    b"travessa",
    b"ul",
    b"ulica",
    b"chemin",
    b"impasse",
    b"corso",
    b"ronda",
    b"strada",
    b"bulevardul",
];

const STREETS_SUFFIXED: [&[u8]; 14] = [
    "straße".as_bytes(),
    b"strasse",
    b"str",
    b"weg",
    b"platz",
    b"allee",
    b"gasse",
    b"ring",
    b"straat",
    b"laan",
    b"plein",
    "vägen".as_bytes(),
    b"gatan",
    b"katu",
];
