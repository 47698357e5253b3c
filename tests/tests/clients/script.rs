//! What the scripted providers say, whatever their formats: the user's own words, as they came, or a card number.

use sentinel_harness::wire::Response;
use serde_json::{Value, json};

pub(crate) enum Answer {
    Text(String),
    /// With the arguments as JSON.
    ToolCall {
        name: String,
        arguments: String,
    },
}

impl Answer {
    pub(crate) fn to(heard: &str, tool: Option<&str>) -> Self {
        let asks_for_card = heard.contains("card is on file");
        let card = || "On file is 4111 1111 1111 1111, as you asked.".to_owned();
        match tool {
            Some(name) => {
                let note = if asks_for_card { card() } else { heard.to_owned() };
                Self::ToolCall { name: name.to_owned(), arguments: json!({ "note": note }).to_string() }
            }
            None if asks_for_card => Self::Text(card()),
            None => Self::Text(format!("You said: {heard}")),
        }
    }
}

/// A text, or the text of the last part.
pub(crate) fn last_text(content: &Value) -> String {
    let text = match content {
        Value::Array(parts) => &parts.last().unwrap()["text"],
        text => text,
    };
    text.as_str().unwrap().to_owned()
}

/// So small that every placeholder and every card number is spread over several.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    assert!(text.is_ascii());
    (0..text.len()).step_by(3).map(|at| &text[at..text.len().min(at + 3)])
}

pub(crate) fn server_sent_events(events: impl IntoIterator<Item = String>) -> Response {
    Response::chunked(200, events.into_iter().map(String::into_bytes).collect())
        .with_header("content-type", "text/event-stream; charset=utf-8")
        .with_header("cache-control", "no-cache")
}
