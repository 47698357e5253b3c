//! Addresses of devices: IPv4, IPv6, MAC. Those that lead to nobody (private, local, reserved) are no finds.

use super::{Bytes, Candidate, Entity, Evidence, Scan, Token, context::VERSION};

/// Four numbers with dots. Answers the end of the whole chain of numbers and dots, so that a longer one costs no more.
pub(super) fn dotted(scan: &mut Scan<'_>, token: Token) -> Option<usize> {
    const PARTS: usize = 4;
    let text = scan.text;
    if text.at(token.end) != b'.' || !text.at(token.end + 1).is_ascii_digit() || token.end - token.start > 3 {
        return None;
    }
    let (mut end, mut n_parts, mut parts, mut fits) = (token.start, 0, [0_u32; PARTS], true);
    loop {
        let start = end;
        while text.at(end).is_ascii_digit() {
            end += 1;
        }
        let part = text.range(start, end);
        let value = part.iter().take(3).fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
        fits &= part.len() <= 3 && value < 256 && (part.len() == 1 || part.first() != Some(&b'0'));
        if let Some(slot) = parts.get_mut(n_parts) {
            *slot = value;
        }
        n_parts += 1;
        if text.at(end) != b'.' || !text.at(end + 1).is_ascii_digit() {
            break;
        }
        end += 1;
    }
    let is_network = text.at(end) == b'/' && text.at(end + 1).is_ascii_digit();
    let ends = is_port(text, end) || text.at(end) == b'/' || text.ends(end);
    let begins = matches!(text.before(token.start), b'/' | b'@') || text.begins(token.start);
    if n_parts == PARTS && fits && begins && ends && !is_network && is_public(parts) {
        let last = scan.context.last_before(token.start, end, scan.budget);
        if last & VERSION == 0 {
            scan.offer(Candidate::new(Entity::Ip, token.start, end, Evidence::Context));
        }
    }
    Some(end)
}

fn is_port(text: Bytes<'_>, end: usize) -> bool {
    text.at(end) == b':' && text.at(end + 1).is_ascii_digit()
}

const fn is_public(parts: [u32; 4]) -> bool {
    !matches!(
        parts,
        [0 | 10 | 127 | 224.., ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [192, 0, 0 | 2, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [1, 2, 3, 4]
            | [_, 0, 0, 0]
    )
}

/// Groups of hexadecimal digits with colons, or pairs with dashes. Answers the end of the whole.
pub(super) fn colons(scan: &mut Scan<'_>, token: Token) -> Option<usize> {
    /// The longest IPv6 address that is written in full.
    const LEN_MAX: usize = 39;
    let text = scan.text;
    if token.end - token.start == 2
        && matches!((text.at(token.end), text.before(token.start)), (b'-', _) | (_, b'-'))
    {
        return mac(scan, token, b'-');
    }
    if text.at(token.end) != b':' && text.before(token.start) != b':' {
        return None;
    }
    let is_part = |b: u8| b.is_ascii_hexdigit() || b == b':';
    let (mut start, mut end) = (token.start, token.end);
    while start > scan.floor && token.start - start < LEN_MAX && is_part(text.before(start)) {
        start -= 1;
    }
    while end - start <= LEN_MAX && is_part(text.at(end)) {
        end += 1;
    }
    if !text.range(token.start, token.end).iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    if let Some(end) = mac(scan, token, b':') {
        return Some(end);
    }
    while text.at(start) == b':' && text.at(start + 1) != b':' && start < token.start {
        start += 1;
    }
    while text.before(end) == b':' && end > token.end {
        end -= 1;
    }
    let address = text.range(start, end);
    let begins =
        !text.before(start).is_ascii_alphanumeric() && !matches!(text.before(start), b':' | b'_' | b'.');
    if begins && text.ends(end) && is_public_ipv6(address) {
        scan.offer(Candidate::new(Entity::Ip, start, end, Evidence::Context));
        return Some(end);
    }
    // Times, and whatever else is written so: nothing begins behind one of its colons.
    (address.iter().filter(|b| **b == b':').count() > 1).then_some(end)
}

fn is_public_ipv6(address: &[u8]) -> bool {
    let (mut n_groups, mut n_gaps, mut first, mut total) = (0, 0, 0, 0_u32);
    for (idx, group) in address.split(|b| *b == b':').enumerate() {
        if group.len() > 4 {
            return false;
        }
        if group.is_empty() {
            n_gaps += 1;
            continue;
        }
        let value = group.iter().fold(0, |value, c| value << 4 | char::from(*c).to_digit(16).unwrap_or(0));
        if idx == 0 {
            first = value;
        }
        total |= value;
        n_groups += 1;
    }
    let is_local = matches!(first, 0 | 0xfc00..=0xfdff | 0xfe80..=0xfebf | 0xff00..) || total <= 1;
    let is_example = address.starts_with(b"2001:db8:");
    let is_short = n_gaps == 1 && (3..8).contains(&n_groups) && (0x2000..0x4000).contains(&first);
    ((n_gaps == 0 && n_groups == 8) || is_short) && !is_local && !is_example
}

/// Six pairs of hexadecimal digits with the same separator.
fn mac(scan: &mut Scan<'_>, token: Token, separator: u8) -> Option<usize> {
    const PAIRS: usize = 6;
    const LEN: usize = 3 * PAIRS - 1;
    let text = scan.text;
    let mut start = token.start;
    let is_pair =
        |at: usize| text.range(at, at + 2).iter().all(u8::is_ascii_hexdigit) && at + 2 <= text.len();
    while start >= scan.floor + 3
        && token.start - start < LEN
        && text.before(start) == separator
        && is_pair(start - 3)
    {
        start -= 3;
    }
    let end = start + LEN;
    let pairs = (0..PAIRS).all(|pair| {
        let at = start + pair * 3;
        is_pair(at) && (pair + 1 == PAIRS || text.at(at + 2) == separator)
    });
    let is_longer = text.at(end) == separator || text.at(end).is_ascii_alphanumeric();
    let begins = !text.before(start).is_ascii_alphanumeric() && text.before(start) != separator;
    if !pairs || is_longer || !begins {
        return None;
    }
    let address = text.range(start, end);
    let is_nobody = address.iter().filter(|b| **b != separator).all(|b| Some(b) == address.first());
    if !is_nobody {
        scan.offer(Candidate::new(Entity::Mac, start, end, Evidence::Context));
    }
    Some(end)
}
