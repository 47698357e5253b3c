//! Tokens that stand for a text. Whatever a token decodes to, what is found in it leads back to the token; and an attack
//! that is encoded is found, up to a depth.

use std::sync::LazyLock;

use sentinel_core::{Direction, Engine, Format, Span, receipt::GapReason};
use sentinel_model::Channel;

use crate::{drive::engine_at, plant::ATTACK, source::Source};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| engine_at(1));

const RULE: &str = "injection/ignore-instructions";

/// Texts in texts are followed so deep, and so many of one text.
const DEPTH_MAX: usize = 3;
const TOKENS_MAX: usize = 8;

/// Tokens of this length may be encoded texts.
const TOKEN_MIN: usize = 16;

type Encode = fn(&str) -> String;

const WAYS: [Encode; 7] = [base64, base64_url, hex, percent, entities, escapes, long_escapes];

pub fn run(data: &[u8]) {
    let (bytes, mut source) = Source::after_body(data);
    let text = String::from_utf8_lossy(bytes);
    let around: Vec<&str> = text.split_whitespace().collect();
    // Any token may stand for a text, whoever made it.
    for sighting in ENGINE.sightings(Channel::User, &text) {
        assert!(text.get(sighting.span.range()).is_some(), "{sighting:?} cuts a character");
    }
    if around.iter().filter(|token| token.len() >= TOKEN_MIN).count() >= TOKENS_MAX {
        return;
    }
    let n_rounds = 1 + source.below(DEPTH_MAX);
    let token = (0..n_rounds).fold(format!("please {ATTACK} now"), |text, _| source.pick(&WAYS)(&text));
    let at = source.below(around.len() + 1);
    let before: String = around[..at].iter().map(|word| format!("{word} ")).collect();
    let after: String = around[at..].iter().map(|word| format!(" {word}")).collect();
    let planted = format!("{before}{token}{after}");
    let place = Span::new(before.len(), before.len() + token.len());
    let sightings = ENGINE.sightings(Channel::User, &planted);
    let found = sightings.iter().find(|sighting| sighting.rule == RULE && sighting.span.overlaps(place));
    match found {
        Some(sighting) => {
            let (start, end) = (sighting.span.start, sighting.span.end);
            assert!(
                place.start <= start && end <= place.end || n_attacks(&around) > 0,
                "{sighting:?} {place:?}"
            );
        }
        None => {
            assert!(is_given_up(&planted) || n_attacks(&around) > 0, "{token:?} is not read in {planted:?}")
        }
    }
}

/// Words that are part of the attack, and may join what is planted.
fn n_attacks(around: &[&str]) -> usize {
    let is_part = |word: &&&str| {
        let word: String = word.to_lowercase().chars().filter(char::is_ascii_alphabetic).collect();
        ["ignor", "disreg", "forg", "instr", "rule", "prompt", "overr"].iter().any(|part| word.contains(part))
    };
    around.iter().filter(is_part).count()
}

fn is_given_up(text: &str) -> bool {
    let scan = ENGINE.scan("default", Direction::Request, Format::PlainText, text.as_bytes());
    let gaps = scan.map(|scan| scan.receipt.gaps).unwrap_or_default();
    gaps.iter().any(|gap| gap.reason == GapReason::Budget)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(text: &str) -> String {
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for idx in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * idx) & 63) as usize];
            out.push(if idx > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    out
}

fn base64_url(text: &str) -> String {
    base64(text).replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned()
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_lowercase() { char::from(byte).into() } else { format!("%{byte:02X}") })
        .collect()
}

fn entities(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_lowercase() { c.into() } else { format!("&#{};", u32::from(c)) })
        .collect()
}

fn escapes(text: &str) -> String {
    text.bytes().map(|byte| format!("\\x{byte:02x}")).collect()
}

fn long_escapes(text: &str) -> String {
    text.chars().map(|c| format!("\\u{{{:x}}}", u32::from(c))).collect()
}
