//! Paths and hosts as patterns, and a path as any server might read it.

use alloc::vec::Vec;

pub(super) fn path_matches(pattern: &str, path: &[u8]) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix.as_bytes()),
        None => path == pattern.as_bytes(),
    }
}

/// A path as the most generous server reads it: percent signs resolved, in lower case, one slash for many, no dots.
pub(super) fn plain_path(path: &[u8]) -> Vec<u8> {
    let mut path = path.to_vec();
    // Some chains of servers decode more than once.
    for _ in 0..3 {
        path = decoded(&path);
    }
    let mut plain: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        // Some servers strip parameters of a path segment.
        match part.split(|b| *b == b';').next().unwrap_or_default() {
            b"" | b"." => {}
            b".." => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    let mut out = Vec::with_capacity(path.len() + 1);
    for part in plain {
        out.push(b'/');
        out.extend_from_slice(part);
    }
    if path.ends_with(b"/") || out.is_empty() {
        out.push(b'/');
    }
    out
}

/// Percent signs resolved once, in lower case, slashes forward.
fn decoded(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        let digits = after.first_chunk::<2>().filter(|_| *byte == b'%').and_then(|[high, low]| {
            Some(char::from(*high).to_digit(16)? << 4 | char::from(*low).to_digit(16)?)
        });
        let (byte, used) = digits.map_or((*byte, 0), |value| (value as u8, 2));
        decoded.push(if byte == b'\\' { b'/' } else { byte.to_ascii_lowercase() });
        rest = after.get(used..).unwrap_or_default();
    }
    decoded
}

pub(super) fn host_matches(pattern: &str, host: &[u8]) -> bool {
    let name = host.rsplitn(2, |b| *b == b':').last().unwrap_or(host);
    let name = name.strip_suffix(b".").unwrap_or(name);
    match pattern.strip_prefix('*') {
        Some(suffix) => {
            let from = name.len().saturating_sub(suffix.len());
            name.get(from..).is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes()))
        }
        None => {
            name.eq_ignore_ascii_case(pattern.as_bytes()) || host.eq_ignore_ascii_case(pattern.as_bytes())
        }
    }
}
