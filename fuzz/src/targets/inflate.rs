//! Bodies with a content-encoding, well formed or not, in both directions. What is compressed is read, or a gap is
//! named; and no few bytes make the core work for long.

use sentinel_core::{Direction, receipt::Receipt};

use crate::{
    drive::{Kind, Message, Traffic},
    law::{self, receipt},
    plant::{ATTACK, CARD, Way},
    source::Source,
};

/// Bytes that are a body as they are, or choices about a text to be packed.
pub fn run(data: &[u8]) {
    match data.strip_prefix(b"\0") {
        Some(choices) => packed(&mut Source::new(choices)),
        None => any_bytes(data),
    }
}

fn any_bytes(data: &[u8]) {
    let (body, mut source) = Source::after_body(data);
    let (cuts, ending) = (source.cuts(), source.ending());
    let content_type = source.pick(&[&b"application/json"[..], b"text/event-stream"]);
    let traffic = choose(&mut source, body, content_type, None);
    law::run(&traffic, &cuts, ending);
}

type Pack = fn(&[u8], usize) -> Vec<u8>;

fn packed(source: &mut Source<'_>) {
    let (cuts, ending) = (source.cuts(), source.ending());
    let way = Way::pick(source);
    let (pack, is_bare) = source.pick::<(Pack, bool)>(&[(gzip, false), (zlib, false), (stored, true)]);
    let name = source.pick(&[&b"gzip"[..], b"deflate", b"GZIP", b"x-gzip", b"gzip, gzip"]);
    let piece = 1 + source.below(200);
    let damage = source.byte();
    let (text, at) = (source.text(200), source.below(1 << 12));
    for (planted, rule) in [(CARD, "pii/card"), (ATTACK, "injection/ignore-instructions")] {
        let json =
            serde_json::json!({ "messages": [{ "role": "tool", "content": way.put(planted, &text) }] });
        let mut body = pack(json.to_string().as_bytes(), piece);
        // Without a checksum nobody can tell.
        if damage % 4 == 1 && !is_bare {
            let at = at % body.len();
            body[at] ^= damage;
        }
        let traffic = choose(&mut source.clone(), &body, b"application/json", Some(name));
        let direction = if traffic.response.is_some() { Direction::Response } else { Direction::Request };
        let outcome = law::run(&traffic, &cuts, ending);
        let event = &outcome.event;
        let is_found = event.findings.iter().any(|finding| finding.rule == rule);
        let named = receipt(event, direction).is_some_and(|receipt: &Receipt| !receipt.gaps.is_empty());
        assert!(is_found || named, "{rule} is packed, and neither found nor is a gap named\n{event:?}");
    }
}

fn choose(source: &mut Source<'_>, body: &[u8], content_type: &[u8], encoding: Option<&[u8]>) -> Traffic {
    let direction = source.pick(&[Direction::Request, Direction::Response]);
    let policy = source.pick(&Kind::ALL);
    let chosen =
        source.pick(&[&b"gzip"[..], b"deflate", b"br", b"gzip, identity", b"identity, gzip", b"br, gzip"]);
    let message = match direction {
        Direction::Request => Message::post("/v1/chat/completions", content_type, body),
        Direction::Response => Message::answer(content_type, body),
    };
    let message = message.with("content-encoding", encoding.unwrap_or(chosen));
    Traffic { policy, ..Traffic::of(direction, message) }
}

/// The simplest form of deflate: blocks that are stored as they are.
fn stored(data: &[u8], piece: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let pieces: Vec<&[u8]> = data.chunks(piece).collect();
    for (idx, piece) in pieces.iter().enumerate() {
        let len = piece.len() as u16;
        out.push(u8::from(idx + 1 == pieces.len()));
        out.extend(len.to_le_bytes());
        out.extend((!len).to_le_bytes());
        out.extend_from_slice(piece);
    }
    out
}

fn gzip(data: &[u8], piece: usize) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    out.extend(stored(data, piece));
    out.extend(crc32(data).to_le_bytes());
    out.extend((data.len() as u32).to_le_bytes());
    out
}

fn zlib(data: &[u8], piece: usize) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    out.extend(stored(data, piece));
    out.extend(adler32(data).to_be_bytes());
    out
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn adler32(data: &[u8]) -> u32 {
    let (a, b) = data.iter().fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (a + b) % 65_521)
    });
    b << 16 | a
}
