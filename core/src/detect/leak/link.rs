//! Links in a text: where they begin and end, and what becomes of them. A client loads an image by itself; any other link
//! waits for somebody to follow it.

use alloc::{string::String, vec::Vec};

use crate::text::{Layers, View, base64, find, hex};

/// Of a longer link the rest is not looked at.
const LINK_BYTES_MAX: usize = 4 * 1024;
/// How far before a link its kind can show.
const BEFORE_BYTES_MAX: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) start: usize,
    /// Behind the two slashes.
    pub(super) host: usize,
    pub(super) end: usize,
    pub(super) is_image: bool,
    /// The text ends with it.
    pub(super) is_open: bool,
}

/// The links of a text in lower case, in order.
pub(super) struct Links<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Links<'t> {
    pub(super) const fn of(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// Where the link begins whose slashes stand at `slashes`.
    fn start(&self, slashes: usize) -> Option<usize> {
        let before = self.text.get(..slashes)?;
        for scheme in ["https:", "http:"] {
            if let Some(outer) = before.strip_suffix(scheme) {
                let is_word = outer.as_bytes().last().is_some_and(u8::is_ascii_alphanumeric);
                return (!is_word).then_some(outer.len());
            }
        }
        // Without a scheme it is a link only where nothing else can stand.
        let is_target = ["](", "](<", "src=\"", "src='", "src=", "href=\"", "href='"]
            .iter()
            .any(|mark| before.ends_with(mark));
        is_target.then_some(slashes)
    }
}

impl Iterator for Links<'_> {
    type Item = Link;

    fn next(&mut self) -> Option<Link> {
        let bytes = self.text.as_bytes();
        loop {
            let rest = bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
            let slashes = self.at + find(rest, |b| b.are(b'/'));
            self.at = slashes + 1;
            if bytes.get(slashes + 1) != Some(&b'/') {
                continue;
            }
            let Some(start) = self.start(slashes) else { continue };
            let host = slashes + 2;
            let rest = bytes.get(host..).unwrap_or_default();
            let len = len_of_run(rest);
            self.at = host + len;
            let is_open = self.at >= bytes.len();
            let len = without_end(rest.get(..len).unwrap_or_default());
            return Some(Link {
                start,
                host,
                end: host + len,
                is_image: is_image(self.text, start),
                is_open,
            });
        }
    }
}

/// How far a link may go: brackets that it opens belong to it.
fn len_of_run(text: &[u8]) -> usize {
    let (mut round, mut square) = (0_u32, 0_u32);
    let mut len = 0;
    for byte in text.iter().take(LINK_BYTES_MAX) {
        match byte {
            0..=b' ' | b'"' | b'<' | b'>' | b'`' | b'\\' | b'|' | b'{' | b'}' => break,
            b'(' => round += 1,
            b'[' => square += 1,
            b')' if round == 0 => break,
            b']' if square == 0 => break,
            b')' => round -= 1,
            b']' => square -= 1,
            _ => {}
        }
        len += 1;
    }
    len
}

/// The length of a link without the full stop behind it.
fn without_end(link: &[u8]) -> usize {
    let is_end =
        |byte: &u8| matches!(byte, b'.' | b',' | b';' | b':' | b'!' | b'?' | b'*' | b'_' | b'~' | b'\'');
    link.iter().rposition(|byte| !is_end(byte)).map_or(0, |last| last + 1)
}

/// `![text](link)`, or a tag of HTML that loads what it names.
fn is_image(text: &str, start: usize) -> bool {
    let from = (start.saturating_sub(BEFORE_BYTES_MAX)..=start).find(|at| text.is_char_boundary(*at));
    let before = from.and_then(|from| text.get(from..start)).unwrap_or("");
    let before = before.strip_suffix('<').unwrap_or(before).trim_end();
    if let Some(label) = before.strip_suffix("](") {
        let mut depth = 0_u32;
        for (at, byte) in label.bytes().enumerate().rev() {
            match byte {
                b']' => depth += 1,
                b'[' if depth == 0 => return label.get(..at).is_some_and(|rest| rest.ends_with('!')),
                b'[' => depth -= 1,
                _ => {}
            }
        }
        return false;
    }
    let tag = before.rfind('<').and_then(|at| before.get(at + 1..)).unwrap_or("");
    !tag.contains('>')
        && ["img", "image", "iframe", "video", "audio", "source", "link"].iter().any(|name| {
            tag.strip_prefix(name).is_some_and(|rest| rest.starts_with(|c: char| !c.is_ascii_alphanumeric()))
        })
}

/// Percent signs resolved.
pub(super) fn decoded(link: &str) -> String {
    let bytes = link.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let escaped = (*byte == b'%').then(|| Some(digit(at + 1)? << 4 | digit(at + 2)?)).flatten();
        out.push(escaped.map_or(*byte, |value| value as u8));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A text as a view has it.
pub(super) fn folded(text: &str) -> String {
    let mut view = View::default();
    view.append(text, 0, Layers::NONE);
    view.text().into()
}

/// What the parts of a link decode to that may be encoded texts.
pub(super) fn encoded(link: &str) -> impl Iterator<Item = String> {
    const PART_BYTES_MIN: usize = 10;
    let is_sign = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '_' | '/'));
    // A slash is a digit of base64 and parts a path.
    let parts = link.split(is_sign).flat_map(|part| {
        let is_path = part.contains('/');
        core::iter::once(part).chain(part.split('/').filter(move |_| is_path))
    });
    parts.filter(|part| part.len() >= PART_BYTES_MIN).filter_map(move |part| {
        let bytes = hex(part.as_bytes()).or_else(|| base64(part.as_bytes()))?;
        Some(folded(core::str::from_utf8(&bytes).ok()?))
    })
}

/// Whether a link carries a long value that looks like data, and is not the name of a file.
pub(super) fn carries_data(link: &str) -> bool {
    const DATA_BYTES_MIN: usize = 40;
    let (path, query) =
        link.split_at_checked(link.find(['?', '#']).unwrap_or(link.len())).unwrap_or_default();
    let parts = query.split(['?', '#', '&', '=', ';']);
    let folders = path.split('/').skip(1).filter(|part| !part.contains('.'));
    parts.chain(folders).any(|part| part.len() >= DATA_BYTES_MIN && looks_like_data(part.as_bytes()))
}

fn looks_like_data(part: &[u8]) -> bool {
    let count = |is: fn(&u8) -> bool| part.iter().filter(|byte| is(byte)).count();
    let (digits, upper, lower) =
        (count(u8::is_ascii_digit), count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase));
    let joints = count(|byte| matches!(byte, b'-' | b'_' | b'+' | b'/' | b'%'));
    let is_hex = part.iter().all(u8::is_ascii_hexdigit) && digits >= 4 && upper + lower >= 4;
    let is_base64 = digits + upper + lower + joints == part.len()
        && digits >= 3
        && upper >= 3
        && lower >= 3
        && joints * 8 <= part.len();
    is_hex || is_base64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, bool)]) {
        let links: Vec<(&str, bool)> =
            Links::of(text).map(|link| (text.get(link.start..link.end).unwrap(), link.is_image)).collect();
        assert_eq!(links, expected, "{text}");
    }

    #[test]
    fn links_end_where_people_end_them() {
        check("see https://a.io/x?y=1. then", &[("https://a.io/x?y=1", false)]);
        check(
            "(http://a.io/b_(c)) and <https://d.io>",
            &[("http://a.io/b_(c)", false), ("https://d.io", false)],
        );
        check("![a [b]](https://a.io/?e=[email_1])", &[("https://a.io/?e=[email_1]", true)]);
        check("[a](https://a.io/1)![b]( <//b.io/2>)", &[("https://a.io/1", false)]);
        check("![b](<//b.io/2>) a // b http:// /c//d", &[("//b.io/2", true), ("http://", false)]);
        check(
            "<img width=1 src=\"https://a.io/p.png\"> <a href='https://b.io'>",
            &[("https://a.io/p.png", true), ("https://b.io", false)],
        );
    }

    #[test]
    fn what_a_link_hides_is_decoded() {
        assert_eq!(decoded("a%40b%zz%4"), "a@b%zz%4");
        let found: Vec<_> = encoded("a.io/x?d=bWFyeUBhY21lLmlv&h=6d61727940").collect();
        assert_eq!(found, ["mary@acme.io", "mary@"]);
    }

    #[test]
    fn data_is_told_from_names_and_words() {
        let data = "Zm9vYmFyYmF6MTIzNDU2Nzg5MFFXRVJUWXVpb3Bhc2RmZ2hqa2w";
        assert!(carries_data(&alloc::format!("a.io/p.png?d={data}")));
        assert!(carries_data(&alloc::format!("a.io/{data}/p.png")));
        assert!(!carries_data(&alloc::format!("a.io/{data}.png")));
        assert!(!carries_data("a.io/how-to-get-the-most-out-of-your-garden-tools-in-2026"));
        assert!(!carries_data("a.io/p.png?w=100&h=200&fit=crop"));
    }
}
