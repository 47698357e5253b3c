//! E-mail addresses, with letters of any script, and spelled ones: `mary at example dot org`.

use super::{Bytes, Candidate, Entity, Evidence, Scan};

const LOCAL_MAX: usize = 64;
const DOMAIN_MAX: usize = 190;
const TLD_MAX: usize = 24;
const BLOCK: usize = 32;

/// The offset of the first digit, `@` or spelled dot, or the length. Whole blocks are tested without a branch per
/// byte.
pub(super) fn find_anchor(text: &[u8]) -> usize {
    let is_anchor = |a: u8, b: u8, c: u8| {
        (a.wrapping_sub(b'0') < 10) | (a == b'@') | ((a == b'd') & (b == b'o') & (c == b't'))
    };
    let mut at = 0;
    while let Some(window) =
        text.get(at..at + BLOCK + 2).and_then(|window| window.first_chunk::<{ BLOCK + 2 }>())
    {
        let triples = window.iter().zip(window.iter().skip(1)).zip(window.iter().skip(2));
        if triples.fold(false, |any, ((&a, &b), &c)| any | is_anchor(a, b, c)) {
            break;
        }
        at += BLOCK;
    }
    let rest = text.get(at..).unwrap_or_default();
    let mut windows = rest.array_windows::<3>();
    if let Some(found) = windows.position(|[a, b, c]| is_anchor(*a, *b, *c)) {
        return at + found;
    }
    // Too near the end for a spelled dot.
    let last = rest.len().saturating_sub(2);
    let found = rest.iter().skip(last).position(|byte| is_anchor(*byte, b' ', b' '));
    at + found.map_or(rest.len(), |found| last + found)
}

pub(super) fn at_sign(scan: &mut Scan<'_>, at: usize) -> usize {
    let text = scan.text;
    let Some(end) = domain_end(text, at + 1) else { return at + 1 };
    let Some(start) = local_start(text, scan.floor.saturating_sub(LOCAL_MAX), at) else { return end };
    let (local, domain) = (text.range(start, at), text.range(at + 1, end));
    if !is_placeholder(local, domain) && !is_credential(text, start) && local != b"git" {
        scan.offer(Candidate::new(Entity::Email, start, end, Evidence::Checksum));
    }
    end
}

/// The first byte of the local part that ends at `at`.
fn local_start(text: Bytes<'_>, floor: usize, at: usize) -> Option<usize> {
    let mut start = at;
    while start > floor && at - start < LOCAL_MAX && is_local(text.before(start)) {
        start -= 1;
    }
    if is_local(text.before(start)) && start > floor {
        return None;
    }
    // East Asian text has no spaces: where letters of ASCII follow it, it is the sentence before the address.
    let local = text.range(start, at);
    let has_ascii = local.iter().any(u8::is_ascii_alphanumeric);
    let wide_end = local.iter().rposition(|b| *b >= 0x80).map_or(0, |last| last + 1);
    let is_wide = local.iter().any(|b| (0xe3..=0xed).contains(b));
    if has_ascii && is_wide && wide_end < local.len() {
        start += wide_end;
    }
    while start < at && b".-'%".contains(&text.at(start)) {
        start += 1;
    }
    (start < at && text.before(at) != b'.').then_some(start)
}

fn is_local(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b >= 0x80 || b"._%+'-".contains(&b)
}

/// The end of a domain with at least one dot, whose last label is of letters.
fn domain_end(text: Bytes<'_>, start: usize) -> Option<usize> {
    let (mut at, mut end, mut n_labels) = (start, None, 0);
    while at - start < DOMAIN_MAX {
        let label_end = label_end(text, at);
        let label = text.range(at, label_end);
        let (Some(first), Some(last)) = (label.first(), label.last()) else { break };
        if *first == b'-' || *last == b'-' {
            break;
        }
        n_labels += 1;
        if n_labels > 1 && is_top_level(label) {
            end = Some(label_end);
        }
        if text.at(label_end) != b'.' {
            // What does not end in a top level is a version, a number, a file.
            return end.filter(|end| *end == label_end && text.at(*end) != b'@' && text.at(*end) != b'_');
        }
        at = label_end + 1;
    }
    // A dot that ends the sentence.
    end.filter(|end| *end + 1 == at)
}

/// A label is of ASCII, or not: `com` ends before a particle that is written without a space.
fn label_end(text: Bytes<'_>, start: usize) -> usize {
    let is_wide = text.at(start) >= 0xe0;
    let mut end = start;
    while end - start < 63 {
        let b = text.at(end);
        let goes_on = b.is_ascii_alphanumeric() || b == b'-' || b >= 0x80;
        if !goes_on || (!is_wide && b >= 0xe0) {
            break;
        }
        end += 1;
    }
    end
}

fn is_top_level(label: &[u8]) -> bool {
    /// Files, services, and names that are reserved for nobody.
    const OTHERS: [&[u8]; 22] = [
        b"png",
        b"jpg",
        b"jpeg",
        b"gif",
        b"svg",
        b"webp",
        b"css",
        b"js",
        b"mjs",
        b"ts",
        b"tsx",
        b"jsx",
        b"json",
        b"service",
        b"socket",
        b"timer",
        b"local",
        b"internal",
        b"localhost",
        b"invalid",
        b"example",
        b"test",
    ];
    let is_letters = label.iter().all(|b| b.is_ascii_lowercase() || *b >= 0x80) || label.starts_with(b"xn--");
    is_letters && (2..=TLD_MAX).contains(&label.len()) && !OTHERS.contains(&label)
}

/// Addresses that documentation uses for nobody.
fn is_placeholder(local: &[u8], domain: &[u8]) -> bool {
    const LOCALS: [&[u8]; 22] = [
        b"user",
        b"username",
        b"name",
        b"you",
        b"your",
        b"your.name",
        b"yourname",
        b"your-name",
        b"your_name",
        b"email",
        b"your.email",
        b"your-email",
        b"your_email",
        b"youremail",
        b"someone",
        b"somebody",
        b"me",
        b"test",
        b"foo",
        b"example",
        b"noreply",
        b"no-reply",
    ];
    const DOMAINS: [&[u8]; 9] = [
        b"example.com",
        b"example.org",
        b"example.net",
        b"domain.com",
        b"yourdomain.com",
        b"your-domain.com",
        b"email.com",
        b"company.com",
        b"mail.com",
    ];
    LOCALS.contains(&local) && DOMAINS.contains(&domain)
}

/// The password of an URL: `//user:password@host.example.com`.
fn is_credential(text: Bytes<'_>, start: usize) -> bool {
    if !matches!(text.before(start), b':' | b'/') {
        return false;
    }
    let before = text.range(start.saturating_sub(LOCAL_MAX), start);
    let token = before.rsplit(|b| b.is_ascii_whitespace()).next().unwrap_or_default();
    token.windows(2).any(|pair| pair == b"//")
}

/// `dot`, set apart, with a spelled `at` before it: `mary (at) example [dot] org`.
pub(super) fn spelled_dot(scan: &mut Scan<'_>, at: usize) -> usize {
    const WORD: usize = 3;
    let end = spelled(scan, at, at + WORD);
    end.unwrap_or(at + WORD)
}

fn spelled(scan: &mut Scan<'_>, dot: usize, dot_end: usize) -> Option<usize> {
    let text = scan.text;
    let host_end = apart_before(text, dot)?;
    let mut host = host_end;
    while (is_name(text.before(host)) || text.before(host) == b'.') && host_end - host < 63 {
        host -= 1;
    }
    let at_end = if text.before(host) == b'@' { Some(host) } else { apart_before(text, host) }?;
    let at = if text.before(host) == b'@' {
        host - 1
    } else {
        let at = at_end.checked_sub(2).filter(|at| text.range(*at, at_end) == b"at")?;
        apart_before(text, at)?
    };
    let start = local_start(text, 0, at)?;
    let tld = apart_after(text, dot_end)?;
    let mut end = label_end(text, tld);
    // Without brackets these are words like any others.
    let is_marked = b"([{<".contains(&text.before(dot));
    let is_known = is_marked || COMMON.contains(&text.range(tld, end));
    if !is_known || !is_top_level(text.range(tld, end)) || host == host_end {
        return None;
    }
    // `co dot uk`
    if let Some(next) = apart_after(text, end).filter(|next| text.range(*next, next + 3) == b"dot")
        && let Some(last) = apart_after(text, next + 3)
    {
        end = label_end(text, last);
    }
    scan.offer(Candidate::new(Entity::LooseEmail, start, end, Evidence::Context));
    Some(end)
}

/// Top levels that spelled addresses end in.
const COMMON: [&[u8]; 20] = [
    b"com", b"org", b"net", b"edu", b"gov", b"io", b"co", b"uk", b"de", b"fr", b"es", b"it", b"nl", b"ch",
    b"at", b"eu", b"info", b"dev", b"ai", b"me",
];

fn is_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-' || b >= 0x80
}

/// Where the word before ends, if spaces or brackets lie between.
fn apart_before(text: Bytes<'_>, at: usize) -> Option<usize> {
    let mut end = at;
    while b" ()[]{}<>".contains(&text.before(end)) && end > 0 && at - end < 3 {
        end -= 1;
    }
    (end < at && is_name(text.before(end))).then_some(end)
}

fn apart_after(text: Bytes<'_>, at: usize) -> Option<usize> {
    let mut start = at;
    while b" ()[]{}<>".contains(&text.at(start)) && start < text.len() && start - at < 3 {
        start += 1;
    }
    (start > at && is_name(text.at(start))).then_some(start)
}
