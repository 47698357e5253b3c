//! Bodies with a place for text.
//!
//! | written | becomes |
//! |---|---|
//! | `{{text}}` | the text inside of a JSON string |
//! | `{{json-string}}` | the text inside of JSON that stands in a JSON string |
//! | `{{plain}}` | the text as it is |
//! | `{{percent}}` | the text as a form writes it |
//! | `{{piece}}`, `{{json-string-piece}}` | in a stream: the event comes once for each piece of the text |
//! | `{{bytes}}` | bytes that are not text |

use serde_json::Value;

/// A text, cut as a stream would bring it.
pub type Text<'t> = [&'t str; 3];

/// A body in one of the forms that a place is sent in.
#[derive(Clone, Debug)]
pub enum Form {
    Whole(String),
    /// Server-sent events: the data of each.
    Events {
        data: Vec<String>,
        /// Each event has a name: its `type`.
        named: bool,
    },
    /// One JSON text a line.
    Lines(Vec<String>),
}

impl Form {
    /// As a row of the matrix calls it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Whole(_) => "whole",
            Self::Events { .. } => "events",
            Self::Lines(_) => "lines",
        }
    }

    pub const fn is_stream(&self) -> bool {
        !matches!(self, Self::Whole(_))
    }

    /// Nothing is sent but headers.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Whole(template) if template.is_empty())
    }

    pub fn has_place(&self) -> bool {
        let templates = match self {
            Self::Whole(template) => std::slice::from_ref(template),
            Self::Events { data, .. } => data.as_slice(),
            Self::Lines(lines) => lines.as_slice(),
        };
        templates.iter().any(|template| PLACES.iter().any(|(place, _)| template.contains(place)))
    }

    /// The body in pieces as a server would write them: a stream event by event.
    pub fn chunks(&self, text: Text<'_>) -> Vec<Vec<u8>> {
        match self {
            Self::Whole(template) => vec![fill(template, &text.concat(), "")],
            Self::Events { data, named } => {
                events(data, text).into_iter().map(|data| event(&data, *named)).collect()
            }
            Self::Lines(lines) => {
                let lines = events(lines, text).into_iter();
                lines.map(|line| [line.as_slice(), b"\n"].concat()).collect()
            }
        }
    }
}

fn events(templates: &[String], text: Text<'_>) -> Vec<Vec<u8>> {
    let whole = text.concat();
    let filled = templates.iter().flat_map(|template| {
        let pieces = if is_repeated(template) { text.as_slice() } else { &[""] };
        pieces.iter().map(|piece| fill(template, &whole, piece)).collect::<Vec<_>>()
    });
    filled.collect()
}

fn is_repeated(template: &str) -> bool {
    template.contains(PIECE) || template.contains(JSON_STRING_PIECE)
}

fn event(data: &[u8], named: bool) -> Vec<u8> {
    let name = named.then(|| {
        let value: Option<Value> = serde_json::from_slice(data).ok();
        let kind = value.as_ref().and_then(|value| value.get("type")).and_then(Value::as_str);
        format!("event: {}\n", kind.unwrap_or("message"))
    });
    [name.unwrap_or_default().as_bytes(), b"data: ", data, b"\n\n"].concat()
}

fn fill(template: &str, whole: &str, piece: &str) -> Vec<u8> {
    let filled = PLACES.iter().fold(template.to_owned(), |filled, (place, write)| {
        let text = if *place == PIECE || *place == JSON_STRING_PIECE { piece } else { whole };
        filled.replace(place, &write(text))
    });
    let parts: Vec<&[u8]> = filled.split(BYTES).map(str::as_bytes).collect();
    parts.join(&NO_TEXT[..])
}

type Write = fn(&str) -> String;

const PIECE: &str = "{{piece}}";
const JSON_STRING_PIECE: &str = "{{json-string-piece}}";
const BYTES: &str = "{{bytes}}";
/// As MP3 begins.
const NO_TEXT: [u8; 4] = [0xff, 0xfb, 0x90, 0x00];

const PLACES: [(&str, Write); 6] = [
    ("{{text}}", in_json),
    ("{{json-string}}", in_json_in_a_string),
    (PIECE, in_json),
    (JSON_STRING_PIECE, in_json_in_a_string),
    ("{{plain}}", str::to_owned),
    ("{{percent}}", in_a_form),
];

/// The inside of a JSON string.
fn in_json(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}

fn in_json_in_a_string(text: &str) -> String {
    in_json(&in_json(text))
}

fn in_a_form(text: &str) -> String {
    let write = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Text<'_> = ["a \"b", "\"", "\n\\"];

    #[track_caller]
    fn check(form: &Form, expected: &[&str]) {
        let chunks = form.chunks(TEXT);
        let texts: Vec<&str> = chunks.iter().map(|chunk| std::str::from_utf8(chunk).unwrap()).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_text_is_written_as_its_place_asks() {
        for (template, expected) in [
            ("\"{{text}}\"", r#""a \"b\"\n\\""#),
            ("\"{\\\"a\\\":\\\"{{json-string}}\\\"}\"", r#""{\"a\":\"a \\\"b\\\"\\n\\\\\"}""#),
            ("{{plain}}", "a \"b\"\n\\"),
            ("t={{percent}}", "t=a+%22b%22%0A%5C"),
        ] {
            check(&Form::Whole(template.to_owned()), &[expected]);
        }
    }

    #[test]
    fn a_stream_brings_it_piece_by_piece() {
        let data = ["{\"type\":\"begin\"}", "{\"type\":\"go\",\"t\":\"{{piece}}\"}", "[DONE]"];
        let data: Vec<String> = data.map(str::to_owned).to_vec();
        check(
            &Form::Events { data: data.clone(), named: true },
            &[
                "event: begin\ndata: {\"type\":\"begin\"}\n\n",
                "event: go\ndata: {\"type\":\"go\",\"t\":\"a \\\"b\"}\n\n",
                "event: go\ndata: {\"type\":\"go\",\"t\":\"\\\"\"}\n\n",
                "event: go\ndata: {\"type\":\"go\",\"t\":\"\\n\\\\\"}\n\n",
                "event: message\ndata: [DONE]\n\n",
            ],
        );
        check(
            &Form::Lines(data),
            &[
                "{\"type\":\"begin\"}\n",
                "{\"type\":\"go\",\"t\":\"a \\\"b\"}\n",
                "{\"type\":\"go\",\"t\":\"\\\"\"}\n",
                "{\"type\":\"go\",\"t\":\"\\n\\\\\"}\n",
                "[DONE]\n",
            ],
        );
    }
}
