//! Answers that come event by event. No chunk lets go of a card number, wherever it is put and however it is spread.

use sentinel_core::Direction;
use serde_json::{Value, json};

use crate::{
    document::escaped,
    drive::{Message, Traffic},
    law::{self, is_json},
    plant::{self, Way},
    source::Source,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    ServerSentEvents,
    Lines,
}

impl Framing {
    pub const fn content_type(self) -> &'static [u8] {
        match self {
            Self::ServerSentEvents => b"text/event-stream",
            Self::Lines => b"application/x-ndjson",
        }
    }

    pub fn event(self, payload: &str) -> String {
        match self {
            Self::ServerSentEvents => format!("data: {payload}\n\n"),
            Self::Lines => format!("{payload}\n"),
        }
    }
}

/// Bytes that are a stream as they are, or choices about a stream that is spread over events.
pub fn run(framing: Framing, data: &[u8]) {
    match data.strip_prefix(b"\0") {
        Some(choices) => spread(framing, &mut Source::new(choices)),
        None => any_bytes(framing, data),
    }
}

fn any_bytes(framing: Framing, data: &[u8]) {
    let (stream, mut source) = Source::after_body(data);
    let (cuts, ending) = (source.cuts(), source.ending());
    let answer = |stream: &[u8]| Traffic::response(Message::answer(framing.content_type(), stream));
    law::run(&answer(stream), &cuts, ending);
    let (line, pick, way) = (source.below(64), source.below(1 << 12), Way::pick(&mut source));
    if let Some(place) = payload(framing, stream, line) {
        let build = |planted: &str| {
            let text = String::from_utf8_lossy(&stream[place.clone()]);
            let changed = match is_json(text.as_bytes()) {
                true => plant::into_json(&text, pick, way, planted),
                false => into_text(&text, pick, planted),
            };
            let changed = changed.unwrap_or_else(|| text.into_owned());
            answer(&[&stream[..place.start], changed.as_bytes(), &stream[place.end..]].concat())
        };
        plant::check(Direction::Response, build, &cuts, ending);
    }
}

/// Where the payload number `pick` stands, counted around.
fn payload(framing: Framing, stream: &[u8], pick: usize) -> Option<std::ops::Range<usize>> {
    let mut payloads = Vec::new();
    let mut at = 0;
    for line in stream.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let prefix = match framing {
            Framing::Lines => Some(0),
            Framing::ServerSentEvents if line.starts_with(b"data: ") => Some(6),
            Framing::ServerSentEvents if line.starts_with(b"data:") => Some(5),
            Framing::ServerSentEvents => None,
        };
        if let Some(prefix) = prefix.filter(|prefix| line.len() > *prefix) {
            payloads.push(at + prefix..at + line.len());
        }
        at += line.len() + 1;
    }
    payloads.get(pick.checked_rem(payloads.len())?).cloned()
}

/// Puts a text between two characters.
fn into_text(text: &str, pick: usize, planted: &str) -> Option<String> {
    let at = (0..=text.len()).cycle().skip(pick % (text.len() + 1)).find(|at| text.is_char_boundary(*at))?;
    Some(format!("{} x {planted} x {}", &text[..at], &text[at..]))
}

/// An answer whose text has a card number in it, cut into deltas anywhere, with other events between.
fn spread(framing: Framing, source: &mut Source<'_>) {
    let (cuts, ending) = (source.cuts(), source.ending());
    let delta = source.pick(&DELTAS);
    let words = |source: &mut Source<'_>| source.text(24).replace(|c: char| c.is_ascii_digit(), "d");
    let card = source.pick(&CARDS);
    let text = format!("{} {card} {}", words(source), words(source));
    let mut stream = String::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let mut len = (1 + source.below(24)).min(rest.len());
        while !rest.is_char_boundary(len) {
            len += 1;
        }
        let (piece, after) = rest.split_at(len);
        stream.push_str(&framing.event(&delta(&spelled(piece, source.byte()))));
        stream.push_str(&between(framing, source));
        rest = after;
    }
    let answer = Traffic::response(Message::answer(framing.content_type(), stream.as_bytes()));
    let outcome = law::run(&answer, &cuts, ending);
    // By chance the words around it are something else that is masked.
    if outcome.event.findings.iter().any(|finding| finding.rule != "pii/card") {
        return;
    }
    let said = said(framing, outcome.passed(Direction::Response));
    assert_eq!(said, text.replace(card, "[CARD_1]"), "the text around a card was changed");
}

/// The same text in other escapes.
fn spelled(piece: &str, how: u8) -> String {
    match how % 4 {
        3 => piece.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect(),
        _ => escaped(piece),
    }
}

const CARDS: [&str; 3] = ["4111111111111111", "4111 1111 1111 1111", "3782-822463-10005"];

/// Ways of providers to send a piece of an answer.
const DELTAS: [fn(&str) -> String; 4] = [
    |text| format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#),
    |text| {
        format!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}}}"#
        )
    },
    |text| format!(r#"{{"candidates":[{{"content":{{"role":"model","parts":[{{"text":"{text}"}}]}}}}]}}"#),
    |text| format!(r#"{{"message":{{"role":"assistant","content":"{text}"}},"done":false}}"#),
];

/// Events that say nothing to the same reader.
fn between(framing: Framing, source: &mut Source<'_>) -> String {
    let event = |value: Value| framing.event(&value.to_string());
    match (source.byte() % 12, framing) {
        (1, Framing::ServerSentEvents) => ": keep-alive\n\n".into(),
        (2, Framing::ServerSentEvents) => "event: ping\n".into(),
        (3, _) => event(json!({ "choices": [] })),
        (4, _) => event(json!({ "choices": [{ "index": 1, "delta": { "content": "other" } }] })),
        (5, _) => event(json!({ "choices": [{ "index": 0, "delta": { "content": "" } }] })),
        (6, _) => event(json!({ "usage": { "total_tokens": 7 } })),
        (7, _) => event(json!({ "choices": [{ "index": 0, "delta": { "role": "assistant" } }] })),
        (8, _) => "\n".into(),
        _ => String::new(),
    }
}

/// The text that a client puts together from a stream, of the first choice.
fn said(framing: Framing, stream: &[u8]) -> String {
    let stream = String::from_utf8_lossy(stream);
    let payloads = stream.lines().filter_map(|line| match framing {
        Framing::Lines => Some(line),
        Framing::ServerSentEvents => line.strip_prefix("data: "),
    });
    let texts = payloads.filter_map(|payload| {
        let event: Value = serde_json::from_str(payload).ok()?;
        if event.pointer("/choices/0/index").is_some_and(|index| index != 0) {
            return None;
        }
        let places = [
            "/choices/0/delta/content",
            "/delta/text",
            "/candidates/0/content/parts/0/text",
            "/message/content",
        ];
        places.iter().find_map(|place| Some(event.pointer(place)?.as_str()?.to_owned()))
    });
    texts.collect()
}
