//! Forms as `multipart/form-data`: fields of text, JSON, and files.
//!
//! Two readers that disagree on where a part ends disagree on what is text, so whatever one of them might read in
//! another way (line ends without a carriage return, a header twice, a boundary that goes on) is not understood here,
//! and policy decides.

use alloc::vec::Vec;

use super::{Extraction, Format, Segment, default_channel, extract};
use crate::{
    action::Direction,
    http::media_type,
    receipt::{Gap, GapReason},
    span::Span,
    text::find,
};

/// RFC 2046 allows no longer one.
const BOUNDARY_BYTES_MAX: usize = 70;
const PARTS_MAX: usize = 1024;
const HEADERS_MAX: usize = 16;

/// What stands between the parts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Boundary {
    bytes: [u8; BOUNDARY_BYTES_MAX],
    len: u8,
}

impl core::fmt::Debug for Boundary {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?}", core::str::from_utf8(self.as_bytes()).unwrap_or(""))
    }
}

impl Boundary {
    /// The one parameter `boundary` of a content-type; `None` where readers may see different ones.
    pub(super) fn of_content_type(value: &str) -> Option<Self> {
        let mut found = None;
        for parameter in value.split(';').skip(1) {
            let (name, value) = parameter.split_once('=')?;
            if !name.trim().eq_ignore_ascii_case("boundary") {
                continue;
            }
            let value = value.trim();
            let value = value.strip_prefix('"').map_or(Some(value), |rest| rest.strip_suffix('"'))?;
            let boundary = Self::new(value.as_bytes())?;
            if found.replace(boundary).is_some() {
                return None;
            }
        }
        found
    }

    pub(super) fn new(value: &[u8]) -> Option<Self> {
        let is_fine = |b: &u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(b);
        if value.is_empty() || !value.iter().all(is_fine) || value.ends_with(b" ") {
            return None;
        }
        let mut bytes = [0; BOUNDARY_BYTES_MAX];
        bytes.get_mut(..value.len())?.copy_from_slice(value);
        Some(Self { bytes, len: value.len() as u8 })
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// The parts of a body, or `None` where it is not clear what they are.
pub(super) fn read(body: &[u8], boundary: Boundary, direction: Direction) -> Option<Extraction> {
    let mut out = Extraction::default();
    let mut delimiters = delimiters(body, boundary)?.into_iter();
    let first = delimiters.next()?;
    outside(body, 0, first.start, direction, &mut out)?;
    let mut start = first.end;
    let mut is_closed = first.is_last;
    for delimiter in delimiters {
        if is_closed {
            return None;
        }
        part(body, start, delimiter.start, direction, &mut out)?;
        start = delimiter.end;
        is_closed = delimiter.is_last;
    }
    if !is_closed {
        return None;
    }
    outside(body, start, body.len(), direction, &mut out)?;
    Some(out)
}

/// A line of its own, with the line end before it.
struct Delimiter {
    start: usize,
    end: usize,
    is_last: bool,
}

fn delimiters(body: &[u8], boundary: Boundary) -> Option<Vec<Delimiter>> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let dashes = body.get(at..).filter(|rest| !rest.is_empty());
        let is_one = dashes.and_then(|rest| rest.strip_prefix(b"--")?.strip_prefix(boundary.as_bytes()));
        if let Some(after) = is_one {
            let before = body.get(..at).unwrap_or_default();
            let start = if at == 0 { 0 } else { before.strip_suffix(b"\r\n")?.len() };
            let is_last = after.starts_with(b"--");
            let after = after.strip_prefix(b"--").unwrap_or(after);
            let padding = after.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
            let rest = after.get(padding..).unwrap_or_default();
            let ends_here = rest.starts_with(b"\r\n") || (is_last && rest.is_empty());
            if !ends_here {
                return None;
            }
            let line_end = if rest.is_empty() { 0 } else { 2 };
            let end = body.len() - rest.len() + line_end;
            found.push(Delimiter { start, end, is_last });
            if found.len() > PARTS_MAX {
                return None;
            }
        }
        // The next line, whatever ends this one.
        let rest = body.get(at..)?;
        let line = find(rest, |b| b.are(b'\n') | b.are(b'\r'));
        if line == rest.len() {
            return Some(found);
        }
        at += line + 1;
    }
}

/// Before the first delimiter and behind the last one: nobody reads it, so it should be nothing.
fn outside(body: &[u8], start: usize, end: usize, direction: Direction, out: &mut Extraction) -> Option<()> {
    let text = core::str::from_utf8(body.get(start..end)?).ok()?;
    if !text.trim().is_empty() {
        out.segments.push(Segment::plain(default_channel(direction), Span::new(start, end)));
    }
    Some(())
}

#[derive(Default)]
struct Headers<'b> {
    content_type: Option<&'b str>,
    is_file: bool,
    is_encoded: bool,
}

fn part(body: &[u8], start: usize, end: usize, direction: Direction, out: &mut Extraction) -> Option<()> {
    // Delimiters of an empty part may share a line end.
    let bytes = body.get(start..end.max(start))?;
    let head_len = match bytes.starts_with(b"\r\n") {
        true => 0,
        false => bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 2,
    };
    let headers = headers(body, start, start + head_len, direction, out)?;
    let from = start + head_len + 2;
    let content = body.get(from..end)?;
    content_of(&headers, content, from, direction, out);
    Some(())
}

/// Names of fields and files are of the sender's choosing, so headers are text as well.
fn headers<'b>(
    body: &'b [u8],
    start: usize,
    end: usize,
    direction: Direction,
    out: &mut Extraction,
) -> Option<Headers<'b>> {
    let text = core::str::from_utf8(body.get(start..end)?).ok()?;
    if text.is_empty() {
        return Some(Headers::default());
    }
    out.segments.push(Segment::plain(default_channel(direction), Span::new(start, end)));
    let mut headers = Headers::default();
    let mut seen: Vec<&str> = Vec::new();
    for line in text.strip_suffix("\r\n")?.split("\r\n") {
        let (name, value) = line.split_once(':')?;
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let is_double = seen.iter().any(|known| known.eq_ignore_ascii_case(name));
        if name.is_empty() || !name.bytes().all(is_name) || value.contains(['\r', '\n', '\0']) || is_double {
            return None;
        }
        if name.eq_ignore_ascii_case("content-type") {
            headers.content_type = Some(value.trim());
        } else if name.eq_ignore_ascii_case("content-disposition") {
            headers.is_file = value.to_ascii_lowercase().contains("filename");
        } else if name.eq_ignore_ascii_case("content-transfer-encoding") {
            let plain = ["7bit", "8bit", "binary"];
            headers.is_encoded = !plain.iter().any(|plain| value.trim().eq_ignore_ascii_case(plain));
        }
        seen.push(name);
        if seen.len() > HEADERS_MAX {
            return None;
        }
    }
    Some(headers)
}

fn content_of(
    headers: &Headers<'_>,
    content: &[u8],
    from: usize,
    direction: Direction,
    out: &mut Extraction,
) {
    if content.is_empty() {
        return;
    }
    let media = media_type(headers.content_type.unwrap_or("")).to_ascii_lowercase();
    let reason = match media.split('/').next() {
        Some("image") => Some(GapReason::Image),
        Some("audio" | "video") => Some(GapReason::Audio),
        _ if headers.is_encoded => Some(GapReason::Encoding),
        _ if core::str::from_utf8(content).is_err() || content.contains(&0) => Some(GapReason::BinaryPart),
        _ => None,
    };
    // Media that is text after all (an SVG, or a lie) is looked at, and remains a gap.
    if let Some(reason) = reason {
        let span = Span::new(from, from + content.len());
        if core::str::from_utf8(content).is_ok() {
            out.segments.push(Segment::plain(default_channel(direction), span));
        }
        out.gaps.push(Gap::new(reason, span));
        return;
    }
    let format = match media.as_str() {
        "application/json" | "text/json" => Format::Json,
        "application/x-ndjson" | "application/jsonl" | "application/x-jsonlines" => Format::Lines,
        // Batches are uploaded as files of lines under many names.
        _ if headers.is_file && is_lines(content) => Format::Lines,
        _ => Format::Text,
    };
    out.absorb(extract(format, direction, content), from as u32);
}

/// Whether a file looks like one JSON object on each line.
fn is_lines(content: &[u8]) -> bool {
    let text = content.trim_ascii();
    let first = find(text, |b| b.are(b'\n'));
    let line = text.get(..first).unwrap_or_default().trim_ascii_end();
    first < text.len() && line.starts_with(b"{") && line.ends_with(b"}")
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    fn boundary() -> Boundary {
        Boundary::new(b"b").expect("a boundary")
    }

    /// The texts of the segments and the reasons of the gaps.
    #[track_caller]
    fn check(body: &str, texts: &[&str], gaps: &[GapReason]) {
        let out = read(body.as_bytes(), boundary(), Direction::Request).expect("clear parts");
        let seen: Vec<&str> = out.segments.iter().filter_map(|s| body.get(s.span.range())).collect();
        assert_eq!(seen, texts);
        assert_eq!(out.gaps.iter().map(|gap| gap.reason).collect::<Vec<_>>(), gaps);
    }

    #[test]
    fn parts_are_read_by_what_they_are() {
        check(
            "--b\r\nContent-Disposition: form-data; name=\"p\"\r\n\r\nhello\r\n--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\nPNG\r\n--b--\r\n",
            &[
                "Content-Disposition: form-data; name=\"p\"\r\n",
                "hello",
                "Content-Disposition: form-data; name=\"f\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n",
                "PNG",
            ],
            &[GapReason::Image],
        );
        check("--b\r\n\r\n{\"k\":\"v\"}\r\n--b--", &["k", "v"], &[]);
        check("--b\r\n\r\n\r\n--b--\r\n", &[], &[]);
    }

    #[test]
    fn what_another_reader_may_see_in_another_way_is_not_understood() {
        for body in [
            "",
            "--b",
            "--b\r\n\r\nx",
            "--b\r\n\r\nx\r\n--b\r\n",
            "--b\n\nx\n--b--\n",
            "--b\r\n\r\nx\n--b--\r\n",
            "--b\r\n\r\nx\r--b--\r\n",
            "--b\r\n\r\nx\r\n--bc\r\n\r\n--b--",
            "--b\r\nA: 1\r\na: 2\r\n\r\nx\r\n--b--",
            "--b\r\nno header\r\n\r\nx\r\n--b--",
            "--b\r\n\r\nx\r\n--b--\r\n--b\r\n\r\ny\r\n--b--",
        ] {
            assert!(read(body.as_bytes(), boundary(), Direction::Request).is_none(), "{body:?}");
        }
    }

    #[test]
    fn boundaries_that_are_not_one_are_none() {
        let of = |value| {
            Boundary::of_content_type(value)
                .map(|found| String::from_utf8_lossy(found.as_bytes()).into_owned())
        };
        assert_eq!(of("multipart/form-data; boundary=ab").as_deref(), Some("ab"));
        assert_eq!(of("multipart/form-data; charset=x; Boundary=\"a b\"").as_deref(), Some("a b"));
        for value in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=a; boundary=b",
            "multipart/form-data; boundary=\"a",
            "multipart/form-data; boundary=a\u{e4}",
        ] {
            assert_eq!(of(value), None, "{value}");
        }
    }
}
