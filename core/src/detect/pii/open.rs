//! What a stream has to hold back: the start of something, at the end of a text, that more text could complete.
//!
//! Ordinary words are none: a token counts when it has a digit, an `@` or a dot inside, or when an address was
//! announced; and with it the groups that a number before it has.

use super::{
    Bytes,
    context::{Context, EMAIL, Words},
};
use crate::detect::Budget;

/// No address or number that is split over events is longer, or it is not held back as a whole.
const HELD_MAX: usize = 64;
/// Enough for the words around the end.
const WORK: usize = 64;

pub(super) fn start(text: Bytes<'_>, words: &Words) -> Option<usize> {
    let len = text.len();
    let floor = len.saturating_sub(HELD_MAX);
    let trailing = usize::from(text.before(len) == b' ' && len > 0);
    let mut start = token_start(text, floor, len - trailing)?;
    let token = text.range(start, len - trailing);
    let is_started = has_digit(token) || (trailing == 0 && is_address_like(token, text, start, words));
    if !is_started || token.is_empty() || (trailing == 1 && !ends_in_group(token)) {
        return None;
    }
    // The groups before it: each has a digit, or is the four letters of a bank.
    while text.before(start) == b' ' && start > floor {
        let Some(previous) = token_start(text, floor, start - 1) else { break };
        let group = text.range(previous, start - 1);
        if group.is_empty() || !(has_digit(group) || group.len() <= 4) {
            break;
        }
        start = previous;
    }
    Some(start)
}

/// Where the token begins that ends at `end`; nothing if it is too long to be anything.
fn token_start(text: Bytes<'_>, floor: usize, end: usize) -> Option<usize> {
    let mut start = end;
    while start > floor && is_part(text.before(start)) {
        start -= 1;
    }
    (start == 0 || !is_part(text.before(start))).then_some(start)
}

fn is_part(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"@._+-:/()'%".contains(&b) || b >= 0x80
}

fn has_digit(token: &[u8]) -> bool {
    token.iter().any(u8::is_ascii_digit)
}

/// A number may go on behind a space; a word with a digit in it does not.
fn ends_in_group(token: &[u8]) -> bool {
    const GROUP_MAX: usize = 6;
    let is_group = |token: &[u8]| token.len() <= GROUP_MAX || token.iter().all(|b| !b.is_ascii_lowercase());
    has_digit(token) && is_group(token)
}

fn is_address_like(token: &[u8], text: Bytes<'_>, start: usize, words: &Words) -> bool {
    let inner = token.get(..token.len().saturating_sub(1)).unwrap_or_default();
    token.contains(&b'@')
        || (inner.iter().any(|b| b"._".contains(b)) && token.last().is_some_and(u8::is_ascii_alphanumeric))
        || (token.last().is_some_and(|b| b.is_ascii_alphanumeric() || b"._".contains(b))
            && Context::new(words, text).has(start, text.len(), EMAIL, &mut Budget::for_bytes(WORK)))
}
