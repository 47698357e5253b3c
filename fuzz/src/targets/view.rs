//! Any text, wrapped as bodies wrap it: a form, a JSON string, a string of JSON in a string. What is found lies between
//! characters, the same is found twice, and a mask touches nothing else.

use std::sync::LazyLock;

use sentinel_core::{Action, Direction, Engine, Format, Scan, Span};
use sentinel_model::Channel;

use crate::{
    drive::{Message, Traffic, engine_at},
    law::{self, is_json, shown},
    source::Source,
};

/// Every rule is looked for.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| engine_at(4));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrap {
    Plain,
    Form,
    FormOfJson,
    /// So many rounds of strings.
    Strings(u8),
}

const WRAPS: [Wrap; 6] =
    [Wrap::Strings(1), Wrap::Plain, Wrap::Form, Wrap::Strings(2), Wrap::FormOfJson, Wrap::Strings(3)];

pub fn run(data: &[u8]) {
    let (bytes, mut source) = Source::after_body(data);
    let text = String::from_utf8_lossy(bytes);
    let wrap = source.pick(&WRAPS);
    let spelling = source.byte();
    let (cuts, ending) = (source.cuts(), source.ending());
    let (format, content_type, body) = wrapped(&text, wrap, spelling);

    let scan = scan(format, &body);
    check_spans(&body, &scan);
    for sighting in ENGINE.sightings(Channel::User, &text) {
        check_span(&text, sighting.span, sighting.rule);
    }
    let again: Vec<_> = ENGINE.sightings(Channel::User, &text);
    assert_eq!(ENGINE.sightings(Channel::User, &text), again, "not the same twice");

    let traffic = Traffic::request(Message::post("/v1/fuzz", content_type, body.as_bytes()));
    let outcome = law::run(&traffic, &cuts, ending);
    let passed = outcome.passed(Direction::Request);
    if outcome.event.action == Action::Mask && matches!(wrap, Wrap::Strings(_)) {
        assert!(is_json(passed), "masked, and no JSON any more\n{}", shown(passed));
    }
}

fn scan(format: Format, body: &str) -> Scan {
    let scan = || ENGINE.scan("default", Direction::Request, format, body.as_bytes());
    let (first, second) = (scan(), scan());
    assert_eq!(first, second, "not the same twice");
    first.expect("there is a default profile")
}

fn check_spans(body: &str, scan: &Scan) {
    assert!(scan.receipt.balances(), "{:?}", scan.receipt);
    for finding in &scan.findings {
        check_span(body, Span { start: finding.start, end: finding.end }, &finding.rule);
    }
}

fn check_span(text: &str, span: Span, rule: &str) {
    assert!(!span.is_empty(), "{rule} is nowhere");
    assert!(text.get(span.range()).is_some(), "{rule} at {span:?} cuts a character, or is not in the text");
}

/// The text in its wrap, with what it is called.
fn wrapped(text: &str, wrap: Wrap, spelling: u8) -> (Format, &'static [u8], String) {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    match wrap {
        Wrap::Plain => (Format::PlainText, b"text/plain", text.to_owned()),
        Wrap::Form => (Format::Form, FORM, format!("a={}&b=1", in_form(text, spelling))),
        Wrap::FormOfJson => {
            (Format::Form, FORM, format!("a={}", in_form(&in_strings(text, 1, spelling), spelling)))
        }
        Wrap::Strings(rounds) => (Format::Json, b"application/json", in_strings(text, rounds, spelling)),
    }
}

fn in_form(text: &str, spelling: u8) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let stays = byte.is_ascii_alphanumeric() && !(spelling & 1 == 1 && byte.is_ascii_digit());
        match byte {
            b' ' if spelling & 2 == 2 => out.push('+'),
            _ if stays => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02x}")),
        }
    }
    out
}

fn in_strings(text: &str, rounds: u8, spelling: u8) -> String {
    (0..rounds).fold(text.to_owned(), |text, _| format!("{{\"text\": \"{}\"}}", in_string(&text, spelling)))
}

/// The inside of a string: what must be escaped is, and more as the spelling says.
fn in_string(text: &str, spelling: u8) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let must = c < ' ' || matches!(c, '"' | '\\');
        let may = (spelling & 4 == 4 && c.is_ascii_digit()) || (spelling & 8 == 8 && !c.is_ascii());
        if must || may {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}
