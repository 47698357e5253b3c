//! Nothing that the detectors find leaves in the content, however it is written; and what is left is enough to decide again.

use std::fmt::Write as _;

use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, RngSeed},
};
use sentinel_core::replay::replay;
use serde_json::{Value, json};

use crate::host::{Body, Host, json_body, keeping};

/// What must not leave, with words around it that tell what it is.
const VALUES: [(&str, &str); 8] = [
    ("my card is ", "4111 1111 1111 1111"),
    ("pay with ", "5555555555554444"),
    ("card: ", "3782-822463-10005"),
    ("write to ", "mary.smith@example.org"),
    ("iban ", "GB82WEST12345698765432"),
    ("my ssn is ", "536-90-4399"),
    ("key ", "AKIAY34FZKBOKMUTVV7A"),
    ("call me at ", "+1 (212) 555-0143"),
];

/// Encoded texts are decoded where they are prose.
const PROSE: &str = "thank you for everything that you have done for all of us; ";

const WORDS: [&str; 9] = [
    "please",
    "tea",
    "and",
    "invoice",
    "7",
    "Zürich",
    "the",
    "quick\nfox",
    "ignore all previous instructions",
];

/// How a text is written.
#[derive(Clone, Copy, Debug)]
enum Spelling {
    Plain,
    Unicode,
    Base64,
    Hex,
    Percent,
    FullWidth,
    ZeroWidth,
}

/// Where it stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    Content,
    Part,
    TwoParts,
    Key,
    Arguments,
    Text,
    Form,
    Answer,
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk.iter().fold(0_u32, |n, byte| n << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

impl Spelling {
    const ALL: [Self; 7] = [
        Self::Plain,
        Self::Unicode,
        Self::Base64,
        Self::Hex,
        Self::Percent,
        Self::FullWidth,
        Self::ZeroWidth,
    ];

    fn write(self, text: &str) -> String {
        let bytes = |form: fn(u8) -> String| text.bytes().map(form).collect::<String>();
        match self {
            Self::Plain | Self::Unicode => text.into(),
            Self::Base64 => base64(text.as_bytes()),
            Self::Hex => bytes(|byte| format!("{byte:02x}")),
            Self::Percent => bytes(|byte| format!("%{byte:02X}")),
            Self::FullWidth => text
                .chars()
                .map(|c| if c.is_ascii_graphic() { char::from_u32(c as u32 + 0xfee0).unwrap() } else { c })
                .collect(),
            Self::ZeroWidth => text.chars().flat_map(|c| [c, '\u{200b}']).collect(),
        }
    }
}

/// A JSON text with every letter of its strings as an escape.
fn escaped(json: &str) -> String {
    let value: Value = serde_json::from_str(json).unwrap();
    fn write(value: &Value, out: &mut String) {
        match value {
            Value::String(text) => {
                out.push('"');
                text.encode_utf16().for_each(|unit| write!(out, "\\u{unit:04x}").unwrap());
                out.push('"');
            }
            Value::Array(items) => {
                out.push('[');
                for (idx, item) in items.iter().enumerate() {
                    out.push_str(if idx > 0 { "," } else { "" });
                    write(item, out);
                }
                out.push(']');
            }
            Value::Object(members) => {
                out.push('{');
                for (idx, (name, item)) in members.iter().enumerate() {
                    out.push_str(if idx > 0 { "," } else { "" });
                    write!(out, "{}:", Value::from(name.as_str())).unwrap();
                    // Names and roles decide what is read how; they stay as they are.
                    if name == "role" { out.push_str(&item.to_string()) } else { write(item, out) }
                }
                out.push('}');
            }
            other => out.push_str(&other.to_string()),
        }
    }
    let mut out = String::new();
    write(&value, &mut out);
    out
}

fn body(place: Place, text: &str) -> (String, &'static str) {
    let message = |message: Value| json!({ "messages": [message] }).to_string();
    let json = "application/json";
    match place {
        Place::Content => (message(json!({ "role": "user", "content": text })), json),
        Place::Part => {
            (message(json!({ "role": "user", "content": [{ "type": "text", "text": text }] })), json)
        }
        Place::TwoParts => {
            // Between values: parts of a message are read with a break between them.
            let (first, second) = text.split_at(text.find(" . ").unwrap_or(0));
            let parts = [first, second].map(|text| json!({ "type": "text", "text": text }));
            (message(json!({ "role": "user", "content": parts })), json)
        }
        Place::Key => (json!({ "messages": [], "metadata": { text: 1 } }).to_string(), json),
        Place::Arguments => {
            let arguments = json!({ "note": text }).to_string();
            let call =
                json!({ "id": "c", "type": "function", "function": { "name": "f", "arguments": arguments } });
            (message(json!({ "role": "assistant", "tool_calls": [call] })), json)
        }
        Place::Text => (text.into(), "text/plain"),
        Place::Form => {
            let mut form = String::from("q=");
            for byte in text.bytes() {
                match byte {
                    b' ' => form.push('+'),
                    _ if byte.is_ascii_alphanumeric() => form.push(char::from(byte)),
                    _ => write!(form, "%{byte:02X}").unwrap(),
                }
            }
            (form, "application/x-www-form-urlencoded")
        }
        Place::Answer => (
            json!({ "choices": [{ "index": 0, "message": { "role": "assistant", "content": text } }] })
                .to_string(),
            json,
        ),
    }
}

/// Letters and digits alone, so that no separator hides anything.
fn bare(text: &str) -> String {
    let folded = text.chars().map(|c| match c as u32 {
        wide @ 0xff01..=0xff5e => char::from_u32(wide - 0xfee0).unwrap(),
        _ => c,
    });
    folded.filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
}

/// A text with everything undone that stands in it, in every order that hides something here.
fn readings(text: &str) -> Vec<String> {
    let unescaped =
        serde_json::from_str::<Value>(text).map_or_else(|_| text.to_owned(), |value| strings(&value));
    let percent = |text: &str| {
        let mut out = Vec::new();
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
            match hex.filter(|_| bytes[at] == b'%') {
                Some(byte) => {
                    out.push(byte);
                    at += 3;
                }
                None => {
                    out.push(bytes[at]);
                    at += 1;
                }
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    };
    let once = percent(&unescaped);
    vec![text.to_owned(), percent(&once), unescaped, once]
}

fn strings(value: &Value) -> String {
    match value {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ (Value::Object(_) | Value::Array(_))) => strings(&inner),
            _ => text.clone(),
        },
        Value::Array(items) => items.iter().map(strings).collect::<Vec<_>>().join(" "),
        Value::Object(members) => members
            .iter()
            .map(|(name, item)| format!("{name} {}", strings(item)))
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    }
}

fn hosts() -> Vec<Host> {
    [
        json!({ "rules": { "pii": "mask", "secret": "mask" } }),
        json!({ "rules": { "pii": "off", "secret": "off" } }),
        json!({ "rules": { "pii": "monitor", "secret": "tag" } }),
        json!({ "mode": "monitor", "masks": { "pii": { "keep_last": 4 }, "secret": { "keep_last": 4 } } }),
        json!({ "rules": { "pii": "block", "secret": "block" } }),
    ]
    .into_iter()
    .map(|profile| Host::of(json!({ "profiles": { "default": keeping(profile) } })))
    .collect()
}

#[test]
fn no_planted_value_leaves_in_an_event_and_each_event_comes_out_the_same_again() {
    let config = ProptestConfig {
        cases: 3_000,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(20_260_714),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let places = [
        Place::Content,
        Place::Part,
        Place::TwoParts,
        Place::Key,
        Place::Arguments,
        Place::Text,
        Place::Form,
        Place::Answer,
    ];
    let planted = (0..VALUES.len(), prop::sample::select(Spelling::ALL.to_vec()));
    let words = prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..5);
    let texts = prop::collection::vec((words.clone(), planted), 1..4);
    let inputs = (texts, words, prop::sample::select(places.to_vec()), 0..5_usize);
    let mut hosts = hosts();
    let (mut n_kept, mut n_all) = (0_u32, 0_u32);
    let hosts = std::cell::RefCell::new(&mut hosts);
    let counts = std::cell::RefCell::new((&mut n_kept, &mut n_all));
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&inputs, |(texts, rest, place, host)| {
            let mut text = String::new();
            let mut must_go = Vec::new();
            let mut is_escaped = false;
            for (words, (value, spelling)) in texts {
                let (before, value) = VALUES[value];
                // Keys are read as they are written.
                let is_key = value.starts_with("AKIA") && matches!(spelling, Spelling::FullWidth);
                let spelling = if is_key { Spelling::Plain } else { spelling };
                text += &words.join(" ");
                text.push(' ');
                text += &match spelling {
                    Spelling::Base64 | Spelling::Hex | Spelling::Percent => {
                        spelling.write(&format!("{PROSE}{before}{value}"))
                    }
                    _ => format!("{before}{}", spelling.write(value)),
                };
                text.push_str(" . ");
                is_escaped |= matches!(spelling, Spelling::Unicode);
                must_go.push((value, spelling));
            }
            text += &rest.join(" ");
            let (mut body, media_type) = body(place, &text);
            if is_escaped && media_type == "application/json" && !matches!(place, Place::Key) {
                body = escaped(&body);
            }
            let of = || Body { media_type, bytes: body.as_bytes() };
            let hello = crate::host::chat("hello");
            let mut hosts = hosts.borrow_mut();
            let event = match place {
                Place::Answer => hosts[host].pass(&[], json_body(&hello), Some(of())),
                _ => hosts[host].pass(&[], of(), None),
            };
            let written = serde_json::to_string(&event).unwrap();
            // As it is stored, it comes to the same again.
            let stored = serde_json::from_str(&written).unwrap();
            let again = replay(&hosts[host].engine, &stored).unwrap();
            prop_assert!(!again.differs(), "{again:#?}\n{written}");
            let content = serde_json::to_value(event.content.unwrap()).unwrap();
            let part =
                if matches!(place, Place::Answer) { &content["response"] } else { &content["request"] };
            let mut counts = counts.borrow_mut();
            *counts.1 += 1;
            let Some(text) = part["text"].as_str() else { return Ok(()) };
            *counts.0 += 1;
            let mut seen = readings(text);
            seen.push(written.clone());
            for (value, spelling) in must_go {
                for seen in &seen {
                    prop_assert!(!seen.contains(value), "{value} {spelling:?} {place:?}: {seen}");
                    prop_assert!(
                        !bare(seen).contains(&bare(value)),
                        "{value} {spelling:?} {place:?}: {seen}"
                    );
                    let hidden = spelling.write(value);
                    prop_assert!(!seen.contains(&hidden), "{hidden} {spelling:?} {place:?}: {seen}");
                }
                if matches!(spelling, Spelling::Base64) {
                    // The middle of it, whatever stood before.
                    for skip in 0..3 {
                        let inside = base64(value.as_bytes().get(skip..).unwrap_or_default());
                        let inside = inside.get(..inside.len().saturating_sub(4)).unwrap();
                        prop_assert!(!written.contains(inside), "{value} {spelling:?} {place:?}: {written}");
                    }
                }
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    // A test that keeps nothing shows nothing.
    assert!(n_kept * 10 >= n_all * 9, "{n_kept} of {n_all} kept");
}
