//! The walk through a JSON body that all JSON formats share.
//!
//! One pass over the tokens. A stack of places says where in the document a value stands; what a key leads to is the
//! only thing a format has to say ([`Shape`]). Messages and content blocks learn their channel when they close,
//! because `role` and `type` may come after the text. A value that a format does not know is walked all the same: its
//! text is judged as the user's, and a string that holds JSON is read as JSON.

use alloc::{borrow::Cow, vec::Vec};

use sentinel_model::Channel;

use super::{
    Extraction, Form, SHAPES, Segment, default_channel,
    json::{JsonError, Reader, Token},
};
use crate::{
    action::Direction,
    receipt::{Gap, GapReason},
    span::Span,
    text::{Layers, View},
};

/// Answers side by side that are told apart; further ones count as one.
const CHOICES_MAX: u32 = 15;

/// JSON in a string in JSON … is followed this deep. What lies deeper is read as text.
const STRINGIFIED_DEPTH_MAX: u8 = 3;

/// Where a container or a leaf stands, in the words that provider formats have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Root,
    /// A list of messages, or one by itself.
    Messages,
    /// One message: its text stands on the channel of its role.
    Message,
    /// The string that names the role of the message around it.
    Role,
    /// The content of a message: a string, or blocks.
    Content,
    /// One content block: its `type` may give it a channel of its own.
    Block,
    /// The string that names the type of the block around it.
    BlockType,
    /// The string that names the type of the item around it.
    MessageType,
    /// Text that a model reads, one piece after the other.
    Text,
    /// A whole subtree on one channel.
    On(Channel),
    /// Images, sound and files, where the body carries them.
    Media(GapReason),
    /// The same where the body may only refer to them.
    Reference(GapReason),
    /// The parameters or the result of a remote call.
    Rpc,
    /// A reference to a conversation that the provider keeps.
    History,
    Other,
}

/// What a provider's format says: where each key leads to, and what roles and block types mean. Keys, roles and types
/// come in lower case. What a format does not know is `Other` or `None`, and the next format is asked.
pub(super) struct Shape {
    pub(super) key: fn(Place, &str, Direction) -> Place,
    pub(super) role: fn(&str) -> Option<Channel>,
    pub(super) block_type: fn(&str) -> Option<Channel>,
}

/// For a format that has no roles, or no types of blocks, of its own.
pub(super) fn silent(_: &str) -> Option<Channel> {
    None
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// A body: its texts are joined here.
    Whole,
    /// One event of a stream: its texts go on in the next one, and whoever has the stream joins them.
    Stream,
}

/// Walks a whole body. All formats are asked about every key: gateways mix the dialects of providers, and a wrong
/// guess of the format would leave text on the wrong channel.
pub(super) fn walk(text: &str, direction: Direction, mode: Mode) -> Result<Extraction, JsonError> {
    let mut walk = Walk {
        text,
        direction,
        mode,
        is_partial: false,
        is_index: false,
        out: Extraction::default(),
        open: Vec::new(),
        next: Place::Root,
        scopes: Vec::new(),
        last_text: None,
        call: Call::default(),
        is_id: false,
        is_prose: false,
        last_prose: None,
        views: Vec::new(),
    };
    walk.out.calls.is_batch = text.trim_start().starts_with('[');
    let mut reader = Reader::new(text);
    while let Some(token) = reader.token()? {
        walk.token(token);
    }
    Ok(walk.out)
}

/// Walks JSON that stands behind other layers, if it is JSON that stands there.
pub(super) fn walk_behind(raw: &str, base: u32, layers: Layers, direction: Direction) -> Option<Extraction> {
    let mut inner = View::default();
    inner.append_plain(raw, base, layers);
    if !inner.text().trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut out = walk(inner.text(), direction, Mode::Whole).ok()?;
    let source = |span: Span| match inner.source(span.start as usize, span.end.max(span.start + 1) as usize) {
        outer if span.is_empty() => Span { start: outer.start, end: outer.start },
        outer => outer,
    };
    for segment in &mut out.segments {
        segment.span = source(segment.span);
        let strings = segment.layers.strings + layers.strings;
        segment.layers = Layers { strings, ..layers };
    }
    for gap in &mut out.gaps {
        let Span { start, end } = source(gap.span());
        (gap.start, gap.end) = (start, end);
    }
    Some(out)
}

struct Walk<'a> {
    text: &'a str,
    direction: Direction,
    mode: Mode,
    /// The last key announces a piece of JSON that goes on in later events.
    is_partial: bool,
    /// The last key announces the number of a choice.
    is_index: bool,
    out: Extraction,
    open: Vec<Open>,
    /// The place of the value that comes next.
    next: Place,
    /// Open messages and blocks, innermost last.
    scopes: Vec<Scope>,
    /// The last text of the message before, for the next one to join.
    last_text: Option<usize>,
    /// The remote call that the outermost object may be.
    call: Call,
    /// The last key announces the id of that call.
    is_id: bool,
    /// The last key announces prose, wherever it stands.
    is_prose: bool,
    /// The last prose of the subtree that is on one channel, for the next one to join.
    last_prose: Option<usize>,
    /// For strings that hold JSON: memory is kept from one to the next.
    views: Vec<View>,
}

/// A container that has not closed yet.
#[derive(Clone, Copy)]
struct Open {
    place: Place,
    /// The channel of the innermost subtree around that has one.
    channel: Option<Channel>,
}

/// What makes an object a call by JSON-RPC that wants an answer.
#[derive(Default)]
struct Call {
    is_rpc: bool,
    has_method: bool,
    /// As it stands in the text.
    id: Option<Span>,
}

/// A message or block whose channel is not settled yet.
struct Scope {
    depth: usize,
    first_segment: usize,
    is_message: bool,
    channel: Option<Channel>,
    choice: Option<u32>,
}

impl Walk<'_> {
    fn token(&mut self, token: Token) {
        match token {
            Token::ObjectStart | Token::ArrayStart => self.open(token),
            Token::ObjectEnd | Token::ArrayEnd => self.close(),
            Token::Key(span) => self.key(span),
            Token::String(span) => self.string(span),
            Token::Number(span) => self.number(span),
            Token::Word => {}
        }
    }

    fn open(&mut self, token: Token) {
        let place = match (self.next, token) {
            // One message or block where a list of them may stand.
            (Place::Messages, Token::ObjectStart) => Place::Message,
            (Place::Content, Token::ObjectStart) => Place::Block,
            // An answer inside an event or a line of a batch, where a text may stand as well.
            (Place::Text, Token::ObjectStart) if self.wraps_an_answer() => Place::Root,
            (place, _) => place,
        };
        self.open.push(Open { place, channel: self.channel_at(place) });
        self.next = place;
        if place == Place::Root && token == Token::ObjectStart {
            self.call = Call::default();
        }
        // An event as a whole may be on one channel, as a block is.
        let is_event = place == Place::Root && self.mode == Mode::Stream && self.open.len() == 1;
        if token == Token::ObjectStart && (is_event || matches!(place, Place::Message | Place::Block)) {
            self.scopes.push(Scope {
                depth: self.open.len(),
                first_segment: self.out.segments.len(),
                is_message: place == Place::Message,
                channel: None,
                choice: None,
            });
        }
    }

    fn close(&mut self) {
        if self.scopes.last().is_some_and(|scope| scope.depth == self.open.len())
            && let Some(scope) = self.scopes.pop()
        {
            self.settle(&scope);
        }
        if self.open.pop().is_some_and(|open| open.place == Place::Root) {
            self.note_call();
        }
        if self.last_prose.is_some() && !self.is_on_one_channel() {
            self.last_prose = None;
        }
        // The next element of an array stands where the array stands.
        self.next = self.parent();
    }

    fn key(&mut self, span: Span) {
        let name = key_name(self.text.get(span.range()).unwrap_or(""));
        let (parent, direction) = (self.parent(), self.direction);
        let places = SHAPES.iter().map(|shape| (shape.key)(parent, &name, direction));
        let place = places.into_iter().find(|place| *place != Place::Other).unwrap_or(Place::Other);
        self.next = place;
        self.is_index = name == "index" && parent == Place::Message;
        self.is_id = name == "id" && parent == Place::Root;
        self.is_prose = name == "text";
        if parent == Place::Root {
            self.call.is_rpc |= name == "jsonrpc";
            self.call.has_method |= name == "method";
        }
        self.is_partial = self.mode == Mode::Stream && matches!(&*name, "arguments" | "partial_json");
        // Keys carry text of the sender's choosing, too.
        let place = if matches!(place, Place::On(_)) { place } else { Place::Other };
        self.push(place, span, Form::JsonString, 1);
    }

    fn number(&mut self, span: Span) {
        // Where text may stand, numbers are the ids of tokens: text that only the model can read.
        match self.next {
            Place::Text | Place::Messages => self.out.gaps.push(Gap::new(GapReason::BinaryPart, span)),
            Place::History => self.out.gaps.push(Gap::new(GapReason::HistoryNotVisible, span)),
            _ => {}
        }
        if self.is_index {
            let choice = self.text.get(span.range()).and_then(|digits| digits.parse::<u32>().ok());
            let choice = choice.map(|choice| choice.min(CHOICES_MAX));
            if let Some(scope) = self.scopes.last_mut() {
                scope.choice = choice;
            }
        }
        if self.is_id {
            self.call.id = Some(span);
        }
        self.push(self.next, span, Form::JsonNumber, 0);
    }

    fn string(&mut self, span: Span) {
        let value = self.text.get(span.range()).unwrap_or("");
        if self.is_id {
            self.call.id = Some(Span { start: span.start.saturating_sub(1), end: span.end + 1 });
        }
        match self.next {
            Place::Role => self.note_role(value),
            Place::BlockType => self.note_block_type(value),
            Place::Media(reason) | Place::Reference(reason) if carries_media(value) => {
                self.out.gaps.push(Gap::new(kind_of_media(value).unwrap_or(reason), span));
                return;
            }
            Place::Reference(reason) => self.refer(reason, span),
            Place::History => self.refer(GapReason::HistoryNotVisible, span),
            Place::MessageType if value == "item_reference" => {
                self.refer(GapReason::HistoryNotVisible, span);
            }
            _ => {}
        }
        match self.next {
            place if self.is_partial => {
                self.push(place, span, Form::JsonString, 1);
                if let Some(segment) = self.out.segments.last_mut() {
                    (segment.is_text, segment.is_partial) = (true, true);
                }
            }
            Place::Text | Place::Content | Place::Messages | Place::Message | Place::Block => {
                // Text that is JSON is read through its own escapes.
                let strings = if self.has_inner_escapes(span) && self.is_json(span) { 2 } else { 1 };
                self.push(Place::Text, span, Form::JsonString, strings);
            }
            place if self.joins_prose(span) => {
                self.push(place, span, Form::JsonString, 1);
                self.join_prose();
            }
            place => self.leaf(place, span),
        }
    }

    /// Whether the string is a block of a result, and no JSON, whose leaves count one by one.
    fn joins_prose(&self, span: Span) -> bool {
        self.is_prose && self.mode == Mode::Whole && self.is_on_one_channel() && !self.is_json(span)
    }

    /// Whether an escape is left when the string's own have been resolved.
    fn has_inner_escapes(&self, span: Span) -> bool {
        let raw = self.text.get(span.range()).unwrap_or("");
        raw.starts_with(['{', '[']) && (raw.contains("\\\\") || raw.contains("\\u005"))
    }

    fn is_json(&self, span: Span) -> bool {
        let raw = self.text.get(span.range()).unwrap_or("");
        if !raw.starts_with(['{', '[']) || !raw.ends_with(['}', ']']) {
            return false;
        }
        let mut inner = View::default();
        inner.append_plain(raw, span.start, Layers::STRING);
        let mut reader = Reader::new(inner.text());
        loop {
            match reader.token() {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Blocks of one result are one text, as the parts of a message are.
    fn join_prose(&mut self) {
        let idx = self.out.segments.len().saturating_sub(1);
        if let Some(before) = self.last_prose.replace(idx).and_then(|last| self.out.segments.get_mut(last)) {
            before.next = Some(idx as u32);
            if let Some(segment) = self.out.segments.get_mut(idx) {
                segment.continues = true;
            }
        }
    }

    /// A string that nobody reads as prose: where it holds JSON, its leaves are what counts.
    fn leaf(&mut self, place: Place, span: Span) {
        if !self.stringified(place, span, 1) {
            self.push(place, span, Form::JsonString, 1);
        }
    }

    /// Reads the string as JSON if it is JSON. `depth` counts the strings around what is read.
    fn stringified(&mut self, place: Place, span: Span, depth: u8) -> bool {
        let raw = self.text.get(span.range()).unwrap_or("");
        if depth > STRINGIFIED_DEPTH_MAX || !raw.trim_start().starts_with(['{', '[', '\\']) {
            return false;
        }
        let mut inner = self.views.pop().unwrap_or_default();
        inner.clear();
        inner.append_plain(raw, span.start, Layers { is_form: false, strings: depth });
        let n_segments = self.out.segments.len();
        let is_json =
            inner.text().trim_start().starts_with(['{', '[', '"']) && self.leaves(&inner, place, depth);
        if !is_json {
            self.out.segments.truncate(n_segments);
        }
        self.views.push(inner);
        is_json
    }

    /// The keys, strings and numbers of a JSON text; false where it turns out to be none.
    fn leaves(&mut self, inner: &View, place: Place, depth: u8) -> bool {
        let mut reader = Reader::new(inner.text());
        let mut way_back = inner.way_back();
        loop {
            let (at, form) = match reader.token() {
                Ok(Some(Token::Key(at) | Token::String(at))) => (at, Form::JsonString),
                Ok(Some(Token::Number(at))) => (at, Form::JsonNumber),
                Ok(Some(_)) => continue,
                Ok(None) => return true,
                Err(_) => return false,
            };
            if at.is_empty() {
                continue;
            }
            let source = way_back.source(at.start as usize, at.end as usize);
            match form {
                Form::JsonNumber => self.push(place, source, form, depth),
                _ if self.stringified(place, source, depth + 1) => {}
                _ => self.push(place, source, form, depth + 1),
            }
        }
    }

    fn push(&mut self, place: Place, span: Span, form: Form, strings: u8) {
        let settled = self.channel_at(place);
        self.out.segments.push(Segment {
            channel: settled.unwrap_or_else(|| default_channel(self.direction)),
            settled: settled.is_some(),
            is_text: place == Place::Text,
            span,
            form,
            layers: Layers { is_form: false, strings },
            next: None,
            continues: false,
            choice: 0,
            is_partial: false,
        });
    }

    /// Something that the body names and does not carry.
    fn refer(&mut self, reason: GapReason, span: Span) {
        self.out.gaps.push(Gap::new(reason, Span { start: span.start, end: span.start }));
    }

    /// Two different roles in one message are a trick on whoever reads only one of them: judge as the user's.
    fn note_role(&mut self, raw: &str) {
        let name = key_name(raw);
        let role = SHAPES.iter().find_map(|shape| (shape.role)(&name));
        let role = role.unwrap_or_else(|| default_channel(self.direction));
        if let Some(message) = self.scopes.iter_mut().rev().find(|scope| scope.is_message) {
            message.channel = match message.channel {
                Some(known) if known != role => Some(Channel::User),
                _ => Some(role),
            };
        }
    }

    fn note_block_type(&mut self, raw: &str) {
        let name = key_name(raw);
        let channel = SHAPES.iter().find_map(|shape| (shape.block_type)(&name));
        if let Some(block) = self.scopes.last_mut().filter(|scope| !scope.is_message) {
            block.channel = block.channel.or(channel);
        }
    }

    /// The scope has closed: what stands in it gets its channel, and its texts are joined.
    fn settle(&mut self, scope: &Scope) {
        if let Some(choice) = scope.choice {
            let within = self.out.segments.iter_mut().skip(scope.first_segment);
            within.for_each(|segment| segment.choice = choice);
        }
        let channel = match (scope.channel, scope.is_message) {
            (None, false) => return,
            (channel, _) => channel.unwrap_or_else(|| default_channel(self.direction)),
        };
        let mut last = if scope.is_message { self.last_text.take() } else { None };
        last =
            last.filter(|idx| self.out.segments.get(*idx).is_some_and(|segment| segment.channel == channel));
        for idx in scope.first_segment..self.out.segments.len() {
            let Some(segment) = self.out.segments.get_mut(idx).filter(|segment| !segment.settled) else {
                continue;
            };
            segment.settled = true;
            segment.channel = channel;
            if segment.is_text && self.mode == Mode::Whole {
                segment.continues = last.is_some();
                if let Some(before) = last.and_then(|last| self.out.segments.get_mut(last)) {
                    before.next = Some(idx as u32);
                }
                last = Some(idx);
            }
        }
        if scope.is_message {
            self.last_text = last;
        }
    }

    /// An object has closed that may have been a call. Closing what stands around it changes nothing more.
    fn note_call(&mut self) {
        const CALLS_MAX: usize = 64;
        let Call { is_rpc, has_method, id } = core::mem::take(&mut self.call);
        self.out.calls.is_rpc |= is_rpc;
        let id = id.filter(|_| is_rpc && has_method).and_then(|id| self.text.get(id.range()));
        if let Some(id) = id.filter(|_| self.out.calls.ids.len() < CALLS_MAX) {
            self.out.calls.ids.push(id.into());
        }
    }

    fn wraps_an_answer(&self) -> bool {
        self.direction == Direction::Response
            && matches!(self.open.as_slice(), [open] if open.place == Place::Root)
    }

    fn is_on_one_channel(&self) -> bool {
        self.open.last().is_some_and(|open| open.channel.is_some())
    }

    fn parent(&self) -> Place {
        self.open.last().map_or(Place::Root, |open| open.place)
    }

    /// The channel of what stands at that place, where a subtree around it or the place itself settles it.
    fn channel_at(&self, place: Place) -> Option<Channel> {
        match place {
            Place::On(channel) => Some(channel),
            _ => self.open.last().and_then(|open| open.channel),
        }
    }
}

/// A key, role or type as the most generous reader takes it: escapes resolved, in lower case. Some servers match
/// without regard to case, and all of them resolve escapes; a role must not hide from us behind either.
pub(super) fn key_name(raw: &str) -> Cow<'_, str> {
    match raw.bytes().any(|b| b == b'\\' || b.is_ascii_uppercase()) {
        true => {
            let mut view = View::default();
            view.append(raw, 0, Layers::STRING);
            Cow::Owned(view.text().into())
        }
        false => Cow::Borrowed(raw),
    }
}

/// Whether the string holds the media itself: a data URL, or base64 that is long or begins like a known kind.
fn carries_media(value: &str) -> bool {
    const BASE64_BYTES_MIN: usize = 256;
    is_data_url(value)
        || (is_base64(value) && (value.len() >= BASE64_BYTES_MIN || kind_of_media(value).is_some()))
}

fn is_data_url(value: &str) -> bool {
    let is_labelled = value.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("data:"));
    let parts = value.split_once(',').filter(|_| is_labelled);
    parts.is_some_and(|(label, data)| label.to_ascii_lowercase().ends_with(";base64") && is_base64(data))
}

/// Letters of base64 and nothing else; a slash may be escaped. The alphabet for URLs is left out: it has a hyphen, and
/// so words with hyphens between them would pass as base64.
fn is_base64(value: &str) -> bool {
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        let fits = match byte {
            b'\\' => bytes.next() == Some(b'/'),
            _ => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
        };
        if !fits {
            return false;
        }
    }
    !value.is_empty()
}

/// What base64 begins with says what it is, whatever the field was made for.
fn kind_of_media(value: &str) -> Option<GapReason> {
    let value = value.split_once(',').map_or(value, |(_, data)| data);
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| value.starts_with(prefix));
    if begins(&["iVBORw0", "/9j/", "R0lGOD", "Qk0"]) {
        Some(GapReason::Image)
    } else if begins(&["SUQz", "T2dnUw", "//uQ", "ZkxhQ"]) {
        Some(GapReason::Audio)
    } else if begins(&["JVBERi0", "UEsDB", "H4sI"]) {
        Some(GapReason::BinaryPart)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use super::*;

    /// `channel:text` for every segment that is a value, in order.
    #[track_caller]
    fn check(direction: Direction, text: &str, expected: &[&str]) -> Extraction {
        let out = walk(text, direction, Mode::Whole).expect("well formed");
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
            r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":"{\"a\":\"b\"}"}}]}],"tools":[{"function":{"description":"d"}}]}"#,
            &[
                "assistant:assistant",
                "tool_arguments:1",
                "tool_arguments:f",
                "tool_arguments:a",
                "tool_arguments:b",
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

    #[test]
    fn texts_that_a_model_reads_together_are_joined() {
        let out = check(
            Direction::Request,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"role":"user","content":"c"},{"role":"assistant","content":"d"},{"role":"user","content":"e"}]}"#,
            &[
                "user:user",
                "user:text",
                "user:a",
                "user:text",
                "user:b",
                "user:user",
                "user:c",
                "assistant:assistant",
                "assistant:d",
                "user:user",
                "user:e",
            ],
        );
        let runs: Vec<usize> = (0..out.segments.len())
            .filter(|idx| out.segments.get(*idx).is_some_and(|segment| segment.is_text && !segment.continues))
            .map(|idx| out.run(idx).count())
            .collect();
        assert_eq!(runs, [3, 1, 1]);
    }

    #[test]
    fn formats_put_text_on_its_channel() {
        for (direction, text, expected) in [
            (
                Direction::Request,
                r#"{"system":"s","messages":[{"role":"user","content":[{"type":"tool_result","content":[{"type":"text","text":"r"}]},{"type":"text","text":"u"}]},{"role":"assistant","content":[{"type":"tool_use","input":{"q":"i"}}]}]}"#,
                &["system:s", "tool_result:r", "user:u", "tool_arguments:i"][..],
            ),
            (
                Direction::Request,
                r#"{"instructions":"s","previous_response_id":"p","input":[{"type":"function_call_output","output":"r"},{"type":"function_call","arguments":"{\"q\":\"i\"}"},{"role":"user","content":[{"type":"input_text","text":"u"}]}]}"#,
                &["system:s", "tool_result:r", "tool_arguments:i", "user:u"],
            ),
            (
                Direction::Request,
                r#"{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"model","parts":[{"functionCall":{"args":{"q":"i"}}}]},{"role":"user","parts":[{"functionResponse":{"response":{"x":"r"}}},{"text":"u"}]}]}"#,
                &["system:s", "tool_arguments:i", "tool_result:r", "user:u"],
            ),
            (
                Direction::Request,
                r#"{"system":[{"text":"s"}],"messages":[{"role":"user","content":[{"toolResult":{"content":[{"text":"r"}]}},{"text":"u"}]},{"role":"assistant","content":[{"toolUse":{"input":{"q":"i"}}}]}]}"#,
                &["system:s", "tool_result:r", "user:u", "tool_arguments:i"],
            ),
            (
                Direction::Request,
                r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"t","arguments":{"q":"i"}}}"#,
                &["tool_arguments:i"],
            ),
            (
                Direction::Response,
                r#"{"jsonrpc":"2.0","result":{"content":[{"type":"text","text":"r"}],"tools":[{"description":"d"}],"contents":[{"text":"f"}]}}"#,
                &["tool_result:r", "tool_definition:d", "document:f"],
            ),
            (
                Direction::Request,
                r#"{"jsonrpc":"2.0","method":"message/send","params":{"message":{"role":"agent","parts":[{"kind":"text","text":"a"}]}}}"#,
                &["assistant:a"],
            ),
            (
                Direction::Request,
                r#"{"message":"u","chat_history":[{"role":"CHATBOT","message":"a"}],"preamble":"s","documents":[{"t":"f"}]}"#,
                &["user:u", "assistant:a", "system:s", "document:f"],
            ),
            (Direction::Request, r#"{"input":["u"],"model":"m"}"#, &["user:u"]),
            (Direction::Response, r#"{"content":[{"type":"text","text":"a"}]}"#, &["assistant:a"]),
        ] {
            let out = walk(text, direction, Mode::Whole).expect("well formed");
            let seen: Vec<String> = out
                .segments
                .iter()
                .map(|s| format!("{}:{}", s.channel.name(), text.get(s.span.range()).unwrap()))
                .collect();
            for value in expected {
                assert!(seen.iter().any(|s| s == value), "{value} is not in {seen:?} of {text}");
            }
        }
    }
}
