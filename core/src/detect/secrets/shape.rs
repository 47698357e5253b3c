//! Tokens without a prefix of their own, told by their shape: lengths, dots and digits in fixed places.

use super::{
    chars::{Set, byte_at, byte_before, slice},
    random::{is_filler, is_random},
    rule::Rule,
};

/// The shortest bare string that is worth a look, and the longest: pictures and archives are longer.
const BARE: core::ops::RangeInclusive<usize> = 24..=256;

/// A secret that begins at `at`, where a token runs up to `end`.
pub(super) fn read(cased: &[u8], at: usize, end: usize) -> Option<(Rule, usize)> {
    let token = slice(cased, at, end);
    match token.len() {
        5 => entra_secret(cased, at, end),
        8..=10 => telegram(cased, at, end),
        23..=28 => discord(cased, at, end),
        36 | 37 => mailchimp(token).then_some((Rule::MailchimpKey, end)),
        50 => mailgun(token).then_some((Rule::MailgunKey, end)),
        84 => devops(token).then_some((Rule::AzureKey, end)),
        _ => None,
    }
}

/// Where the end of the text may be the start of one: letters and digits in one word.
pub(super) fn open(text: &[u8]) -> Option<usize> {
    const LEN: core::ops::RangeInclusive<usize> = 8..=96;
    let tail = slice(text, text.len().saturating_sub(LEN.end() + 1), text.len());
    let len = tail.iter().rev().take_while(|b| Set::SHAPED.has(**b)).count();
    let tail = slice(text, text.len() - len, text.len());
    let any = |set: Set| tail.iter().any(|b| set.has(*b));
    (LEN.contains(&len) && any(Set::DIGIT) && any(Set::ALPHA)).then_some(text.len() - len)
}

fn telegram(cased: &[u8], at: usize, end: usize) -> Option<(Rule, usize)> {
    let key = end + 1;
    let key_end = key + Set::TOKEN.run(cased, key, 64);
    let fits = Set::DIGIT.holds(slice(cased, at, end))
        && byte_at(cased, end) == b':'
        && byte_at(cased, key) == b'A'
        && (34..=36).contains(&(key_end - key))
        && !is_filler(slice(cased, key, key_end));
    fits.then_some((Rule::TelegramToken, key_end))
}

/// An id, a time and a signature, in base64.
fn discord(cased: &[u8], at: usize, end: usize) -> Option<(Rule, usize)> {
    let time = end + 1;
    let signature = time + 7;
    let signature_end = signature + Set::TOKEN.run(cased, signature, 64);
    let fits = matches!(byte_at(cased, at), b'M' | b'N' | b'O')
        && byte_at(cased, end) == b'.'
        && Set::TOKEN.run(cased, time, 7) == 6
        && byte_at(cased, signature - 1) == b'.'
        && (27..=40).contains(&(signature_end - signature))
        && is_random(slice(cased, at, signature_end));
    fits.then_some((Rule::DiscordToken, signature_end))
}

/// A client secret of Entra: a version and `Q~` behind three letters.
fn entra_secret(cased: &[u8], at: usize, end: usize) -> Option<(Rule, usize)> {
    const SET: Set = Set::VALUE;
    let body_end = end + SET.run(cased, end, 64);
    let fits = byte_at(cased, at + 3).is_ascii_digit()
        && slice(cased, at + 4, at + 6) == b"Q~"
        && (37..=41).contains(&(body_end - at))
        && is_random(slice(cased, at, body_end));
    fits.then_some((Rule::AzureKey, body_end))
}

fn mailchimp(token: &[u8]) -> bool {
    let (key, region) = token.split_at_checked(32).unwrap_or_default();
    Set::HEX.holds(key)
        && region.strip_prefix(b"-us").is_some_and(|number| Set::DIGIT.holds(number))
        && !is_filler(key)
}

fn mailgun(token: &[u8]) -> bool {
    let mut parts = token.split(|b| *b == b'-');
    [32, 8, 8].iter().all(|len| parts.next().is_some_and(|part| part.len() == *len && Set::HEX.holds(part)))
        && !is_filler(token)
}

/// A personal access token of Azure DevOps, with the mark of its issuer.
fn devops(token: &[u8]) -> bool {
    slice(token, 76, 80) == b"AZDO" && Set::ALNUM.holds(token) && is_random(slice(token, 0, 52))
}

/// The end of a string by itself that chance has drawn. Hexadecimal is not among them: most of it are hashes.
pub(super) fn read_bare(cased: &[u8], at: usize) -> Option<usize> {
    const SET: Set = Set::ANY64;
    // Part of a path or a name with dots.
    if SET.has(byte_before(cased, at)) || b".?#@~".contains(&byte_before(cased, at)) {
        return None;
    }
    let end = at + SET.run(cased, at, BARE.end() + 1);
    let text = slice(cased, at, end);
    let any = |set: Set| text.iter().any(|b| set.has(*b));
    let is_mixed = || any(Set::DIGIT) && any(Set::LOWER) && any(Set::UPPER);
    (BARE.contains(&text.len()) && is_mixed() && !Set::UUID.holds(text) && is_random(text)).then_some(end)
}
