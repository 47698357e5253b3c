//! Forms (`application/x-www-form-urlencoded`) with something planted in a name or a value.

use sentinel_core::Direction;

use crate::{
    drive::{Message, Traffic},
    law::{self, is_covered, receipt},
    plant::{ATTACK, CARD},
    source::Source,
};

/// Bytes that are a body as they are; then a field of it is replaced.
pub fn run(data: &[u8]) {
    let (body, mut source) = Source::after_body(data);
    let (cuts, ending) = (source.cuts(), source.ending());
    let content_type = source.pick(&[
        &b"application/x-www-form-urlencoded"[..],
        b"application/x-www-form-urlencoded; charset=UTF-8",
        b"Application/X-WWW-Form-URLEncoded",
    ]);
    let post = |body: &[u8]| Traffic::request(Message::post("/v1/fuzz", content_type, body));
    law::run(&post(body), &cuts, ending);

    let (pick, spelling) = (source.below(1 << 12), source.byte());
    let fields: Vec<&[u8]> = body.split(|byte| matches!(byte, b'&' | b'=')).collect();
    let idx = pick % fields.len();
    let before: usize = fields[..idx].iter().map(|field| field.len() + 1).sum();
    for (text, rule) in [(CARD, "pii/card"), (ATTACK, "injection/ignore-instructions")] {
        let planted = encoded(text, spelling);
        let end = before + fields[idx].len();
        let traffic = post(&[&body[..before], planted.as_bytes(), &body[end..]].concat());
        let outcome = law::run(&traffic, &cuts, ending);
        let event = &outcome.event;
        let place = before..before + planted.len();
        let hits = |start: u32, end: u32| (start as usize) < place.end && place.start < end as usize;
        let is_found =
            event.findings.iter().any(|finding| finding.rule == rule && hits(finding.start, finding.end));
        let request = receipt(event, Direction::Request).cloned().unwrap_or_default();
        let unlisted = event.findings_total as usize > event.findings.len();
        assert!(
            is_found || unlisted || is_covered(&request, before),
            "{rule} is at {place:?} and neither found nor in a gap\n{planted}\n{event:?}"
        );
    }
}

/// The text as browsers and others write it into a form.
fn encoded(text: &str, spelling: u8) -> String {
    let all = spelling % 4 == 3;
    let space = if spelling.is_multiple_of(2) { "+" } else { "%20" };
    let letter = |c: char| match c {
        ' ' => space.to_owned(),
        c if all => format!("%{:02x}", u32::from(c)),
        c if spelling % 8 == 4 && c.is_ascii_lowercase() => format!("%{:02X}", u32::from(c)),
        c => c.to_string(),
    };
    text.chars().map(letter).collect()
}
