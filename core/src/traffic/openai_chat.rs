//! OpenAI chat completions, request and response; any other JSON gets the generic walk by the same code.
//!
//! One pass over the tokens. A stack of places says where in the document a leaf stands; messages learn their
//! role when they close, because `role` may come after `content`. Fields that are not known are walked like any
//! JSON: text that a provider may hand to the model is judged as the user's.

use alloc::{borrow::Cow, vec::Vec};

use sentinel_model::Channel;

use super::{
    Extraction, Segment, default_channel,
    json::{JsonError, Reader, Token},
};
use crate::{
    action::Direction,
    receipt::{Gap, GapReason},
    span::Span,
    text::{Form, View},
};

/// Where a container or a leaf stands. What is not named here is `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Root,
    /// The array under `messages`, or `choices` of a response.
    Messages,
    /// One element of `messages`; a choice's `message` or `delta` counts as one.
    Message,
    Role,
    Content,
    /// `tools`, `functions`, `tool_choice`, `response_format`: what the model may call and must return.
    ToolDefinitions,
    /// `tool_calls` or `function_call` of a message.
    ToolCalls,
    /// `image_url` or `input_image`, and the same for sound and files.
    Media(GapReason),
    Other,
}

/// A message whose role is not known yet.
#[derive(Debug)]
struct OpenMessage {
    depth: usize,
    first_segment: usize,
    role: Option<Channel>,
}

#[derive(Debug)]
struct Walk<'a> {
    text: &'a str,
    direction: Direction,
    out: Extraction,
    places: Vec<Place>,
    /// The place of the value that the last key announced.
    next: Place,
    message: Option<OpenMessage>,
}

pub(crate) fn read(text: &str, direction: Direction) -> Result<Extraction, JsonError> {
    let mut reader = Reader::new(text);
    let mut walk = Walk {
        text,
        direction,
        out: Extraction::default(),
        places: Vec::new(),
        next: Place::Root,
        message: None,
    };
    while let Some(token) = reader.token()? {
        walk.token(token);
    }
    Ok(walk.out)
}

impl Walk<'_> {
    fn token(&mut self, token: Token) {
        match token {
            Token::ObjectStart | Token::ArrayStart => self.open(token),
            Token::ObjectEnd | Token::ArrayEnd => self.close(),
            Token::Key(span) => self.key(span),
            Token::String(span) => self.string(span),
            Token::Number(span) => self.push(span, Form::JsonNumber),
            Token::Word => {}
        }
    }

    fn open(&mut self, token: Token) {
        let mut place = self.value_place();
        if place == Place::Messages && self.parent() == Place::Messages && token == Token::ObjectStart {
            place = Place::Message;
        }
        self.places.push(place);
        self.next = place;
        if place == Place::Message && self.message.is_none() {
            self.message = Some(OpenMessage {
                depth: self.places.len(),
                first_segment: self.out.segments.len(),
                role: None,
            });
        }
    }

    fn close(&mut self) {
        if self.message.as_ref().is_some_and(|message| message.depth == self.places.len()) {
            self.settle_message();
        }
        self.places.pop();
        // An element of an array stands where the array stands.
        self.next = self.parent();
    }

    fn key(&mut self, span: Span) {
        let key = key_name(self.text.get(span.range()).unwrap_or(""));
        self.next = place_of_key(self.parent(), &key, self.direction);
        // Keys carry text of the sender's choosing, too.
        self.push(span, Form::JsonString);
    }

    fn string(&mut self, span: Span) {
        let value = self.text.get(span.range()).unwrap_or("");
        match self.value_place() {
            Place::Role => {
                self.note_role(role_channel(value, self.direction));
                self.push(span, Form::JsonString);
            }
            Place::Media(reason) if carries_media(value) => self.out.gaps.push(Gap::new(reason, span)),
            Place::Media(reason) => {
                self.out.gaps.push(Gap::new(reason, Span { start: span.start, end: span.start }));
                self.push(span, Form::JsonString);
            }
            _ => self.push(span, Form::JsonString),
        }
    }

    fn push(&mut self, span: Span, form: Form) {
        self.out.segments.push(Segment { channel: self.channel(), span, form });
    }

    /// Two different roles in one message are a trick on whoever reads only one of them: judge as the user's.
    fn note_role(&mut self, role: Channel) {
        if let Some(message) = &mut self.message {
            message.role = match message.role {
                Some(known) if known != role => Some(Channel::User),
                _ => Some(role),
            };
        }
    }

    fn settle_message(&mut self) {
        let Some(message) = self.message.take() else { return };
        let role = message.role.unwrap_or_else(|| default_channel(self.direction));
        for segment in self.out.segments.iter_mut().skip(message.first_segment) {
            if segment.channel != Channel::ToolArguments {
                segment.channel = role;
            }
        }
    }

    fn channel(&self) -> Channel {
        for place in core::iter::once(&self.next).chain(self.places.iter().rev()) {
            match place {
                Place::ToolCalls => return Channel::ToolArguments,
                Place::ToolDefinitions => return Channel::ToolDefinition,
                _ => {}
            }
        }
        default_channel(self.direction)
    }

    fn parent(&self) -> Place {
        self.places.last().copied().unwrap_or(Place::Root)
    }

    fn value_place(&self) -> Place {
        if self.places.is_empty() { Place::Root } else { self.next }
    }
}

fn place_of_key(parent: Place, key: &str, direction: Direction) -> Place {
    match (parent, key) {
        (Place::Root, "messages" | "choices") => Place::Messages,
        (Place::Root, "tools" | "functions" | "tool_choice" | "response_format") => Place::ToolDefinitions,
        (Place::Message, "role") => Place::Role,
        // A choice is an element of `choices`; its message or delta is the message proper.
        (Place::Message, "message" | "delta") if direction == Direction::Response => Place::Message,
        (Place::Message, "content") => Place::Content,
        (Place::Message, "tool_calls" | "function_call") => Place::ToolCalls,
        (Place::Content, "image_url") => Place::Media(GapReason::Image),
        (Place::Content, "input_audio") => Place::Media(GapReason::Audio),
        (Place::Content, "file") => Place::Media(GapReason::BinaryPart),
        (Place::Message, "audio") => Place::Media(GapReason::Audio),
        (Place::Media(reason), "url" | "data" | "file_data" | "file_id" | "id") => Place::Media(reason),
        (Place::ToolCalls, _) => Place::ToolCalls,
        (Place::ToolDefinitions, _) => Place::ToolDefinitions,
        // `detail`, `format` and the like beside the media itself are plain words.
        _ => Place::Other,
    }
}

/// A key as the most generous reader takes it: escapes resolved, in lower case. Some servers match keys without
/// regard to case, and all of them resolve escapes; a role must not hide from us behind either.
fn key_name(raw: &str) -> Cow<'_, str> {
    match raw.bytes().any(|b| b == b'\\' || b.is_ascii_uppercase()) {
        true => {
            let mut view = View::default();
            view.fold(raw, 0, Form::JsonString);
            Cow::Owned(view.text().into())
        }
        false => Cow::Borrowed(raw),
    }
}

fn role_channel(role: &str, direction: Direction) -> Channel {
    match role {
        "system" => Channel::System,
        "developer" => Channel::Developer,
        "assistant" => Channel::Assistant,
        "tool" | "function" => Channel::ToolResult,
        "user" => Channel::User,
        _ => default_channel(direction),
    }
}

/// Whether the string holds the media itself: a data URL or a long run of base64.
fn carries_media(value: &str) -> bool {
    const BASE64_BYTES_MIN: usize = 256;
    let is_data_url = value.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("data:"));
    let is_base64 =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'=' | b'\\');
    is_data_url || (value.len() >= BASE64_BYTES_MIN && value.bytes().all(is_base64))
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use super::*;

    /// `channel:text` for every segment that is a value, in order.
    #[track_caller]
    fn check(direction: Direction, text: &str, expected: &[&str]) -> Extraction {
        let out = read(text, direction).expect("well formed");
        let seen: Vec<String> = out
            .segments
            .iter()
            .map(|s| (s, text.get(s.span.range()).unwrap()))
            .filter(|(s, _)| {
                !text.get(s.span.end as usize..).unwrap().trim_start_matches('"').starts_with(':')
            })
            .map(|(s, value)| format!("{}:{value}", s.channel.name()))
            .collect();
        assert_eq!(seen, expected);
        out
    }

    #[test]
    fn roles_give_channels_even_when_they_come_last() {
        check(
            Direction::Request,
            r#"{"model":"m","messages":[{"content":"a","role":"system"},{"role":"user","content":[{"type":"text","text":"b"}]},{"role":"tool","content":"c"}],"user":"u"}"#,
            &[
                "user:m",
                "system:a",
                "system:system",
                "user:user",
                "user:text",
                "user:b",
                "tool_result:tool",
                "tool_result:c",
                "user:u",
            ],
        );
    }

    #[test]
    fn tool_calls_are_arguments_whatever_the_role() {
        check(
            Direction::Request,
            r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]}],"tools":[{"function":{"description":"d"}}]}"#,
            &[
                "assistant:assistant",
                "tool_arguments:1",
                "tool_arguments:f",
                "tool_arguments:{}",
                "tool_definition:d",
            ],
        );
    }

    #[test]
    fn a_message_with_two_roles_is_judged_as_the_users() {
        check(
            Direction::Request,
            r#"{"messages":[{"role":"system","role":"assistant","content":"a"}]}"#,
            &["user:system", "user:assistant", "user:a"],
        );
    }

    #[test]
    fn choices_of_a_response_are_the_assistants() {
        check(
            Direction::Response,
            r#"{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"a","tool_calls":[{"function":{"arguments":"z"}}]}}]}"#,
            &["assistant:x", "assistant:0", "assistant:assistant", "assistant:a", "tool_arguments:z"],
        );
    }

    #[test]
    fn media_is_a_gap_and_a_link_is_read() {
        let out = check(
            Direction::Request,
            r#"{"messages":[{"role":"user","content":[{"image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}},{"image_url":{"url":"https://h/i"}}]}]}"#,
            &["user:user", "user:low", "user:https://h/i"],
        );
        let lens: Vec<_> = out.gaps.iter().map(|gap| (gap.reason, gap.span().len())).collect();
        assert_eq!(lens, [(GapReason::Image, 26), (GapReason::Image, 0)]);
    }
}
