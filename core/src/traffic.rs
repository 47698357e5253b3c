//! From bytes to segments: which parts of a body are text, on which channel each stands, and what cannot be read.
//!
//! Invariant: every byte of a body is inside a segment, inside a gap, or structure that the reader of the format
//! has understood. A format that is not known falls back to the generic walk, and a body that is not well formed
//! becomes one gap; neither is ever passed over in silence.

mod anthropic;
mod bedrock;
mod cohere;
mod dialect;
mod form;
mod frames;
mod gemini;
mod json;
mod json_rpc;
mod multipart;
mod ollama;
mod openai_chat;
mod openai_responses;
mod openai_text;
mod tools;
mod walk;

pub(crate) use dialect::{Calls, Dialect};
pub(crate) use frames::{Frames, Framing, payloads, read_event};
pub(crate) use json::{Reader, Token, any_member, member, string_member};
pub use multipart::Boundary;
pub(crate) use tools::{Tool, read as read_tools};

use alloc::{boxed::Box, vec::Vec};

use sentinel_model::Channel;

use crate::{
    action::Direction,
    http::{Headers, media_type},
    receipt::{Gap, GapReason},
    span::Span,
    text::Layers,
};

/// Every format of JSON that is known. Where two know the same key, the first has it.
const SHAPES: [walk::Shape; 9] = [
    openai_chat::SHAPE,
    openai_responses::SHAPE,
    anthropic::SHAPE,
    gemini::SHAPE,
    bedrock::SHAPE,
    json_rpc::SHAPE,
    ollama::SHAPE,
    cohere::SHAPE,
    openai_text::SHAPE,
];

/// What a body is said or found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Nobody says; the shape decides.
    Auto,
    OpenAiChat,
    Json,
    /// Labelled as text. If it is JSON it is read as JSON all the same.
    Text,
    /// Text, and nothing else: for a person who says so.
    PlainText,
    /// One JSON text a line.
    Lines,
    /// `application/x-www-form-urlencoded`.
    Form,
    Multipart(Boundary),
    /// A media type that no reader exists for.
    Unknown,
}

impl Format {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::OpenAiChat => "openai_chat",
            Self::Json => "json",
            Self::Text | Self::PlainText => "text",
            Self::Lines => "lines",
            Self::Form => "form",
            Self::Multipart(_) => "multipart",
            Self::Unknown => "unknown",
        }
    }

    /// What [`Self::name`] says of a format that headers can name, a multipart body's apart: it goes with its boundary.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        [Self::Auto, Self::Json, Self::Text, Self::Lines, Self::Form, Self::Unknown]
            .into_iter()
            .find(|format| format.name() == name)
    }

    /// What the sender says. The body has the last word: see [`extract`].
    pub(crate) fn of_headers(headers: &Headers<'_>) -> Self {
        let Some(content_type) = headers.value("content-type") else { return Self::Auto };
        let media_type =
            core::str::from_utf8(content_type).map(media_type).unwrap_or("").to_ascii_lowercase();
        match media_type.as_str() {
            "application/json" | "text/json" => Self::Json,
            t if t.ends_with("+json") => Self::Json,
            "application/x-www-form-urlencoded" => Self::Form,
            t if t.starts_with("multipart/") => {
                let value = core::str::from_utf8(content_type).unwrap_or("");
                Boundary::of_content_type(value).map_or(Self::Unknown, Self::Multipart)
            }
            t if is_lines(t) => Self::Lines,
            t if t.starts_with("text/") => Self::Text,
            _ => Self::Unknown,
        }
    }
}

/// How the bytes of a segment stand in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    /// The inside of a JSON string.
    JsonString,
    /// A JSON number: a replacement must become a string.
    JsonNumber,
}

/// A part of the body that is text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) channel: Channel,
    /// The channel is final; until then it is what a message without a role gets.
    settled: bool,
    /// Prose that a model reads together with what stands beside it.
    pub(crate) is_text: bool,
    pub(crate) span: Span,
    pub(crate) form: Form,
    pub(crate) layers: Layers,
    /// The segment that goes on where this one ends: the next part of a message, or of the next message of the same
    /// role.
    pub(crate) next: Option<u32>,
    /// Some segment before this one has it as its `next`.
    pub(crate) continues: bool,
    /// Which of several answers side by side the text belongs to.
    pub(crate) choice: u32,
    /// A piece of JSON in a string that goes on in the next event of a stream.
    pub(crate) is_partial: bool,
}

impl Segment {
    pub(crate) const fn shifted(self, by: u32) -> Self {
        Self { span: self.span.shifted(by), ..self }
    }

    /// Text that stands by itself.
    pub(crate) fn plain(channel: Channel, span: Span) -> Self {
        let (settled, is_text) = (true, true);
        Self {
            channel,
            settled,
            is_text,
            span,
            form: Form::Text,
            layers: Layers::NONE,
            next: None,
            continues: false,
            choice: 0,
            is_partial: false,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Extraction {
    pub(crate) segments: Vec<Segment>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) calls: Calls,
    /// What a reader sees that goes by the label, where this goes by the shape.
    pub(crate) by_label: Option<Box<Self>>,
}

impl Extraction {
    /// Bytes that no reader understands: one gap, and what is text in them is looked at all the same.
    pub(crate) fn unreadable(direction: Direction, body: &[u8], reason: GapReason) -> Self {
        let channel = default_channel(direction);
        let mut segments = Vec::new();
        let mut at = 0;
        for chunk in body.utf8_chunks() {
            let len = chunk.valid().len();
            if len > 0 {
                segments.push(Segment::plain(channel, Span::new(at, at + len)));
            }
            at += len + chunk.invalid().len();
        }
        let gaps = Vec::from([Gap::new(reason, Span::whole(body.len()))]);
        Self { segments, gaps, ..Self::default() }
    }

    /// What stands in a part of the body that begins at `at`.
    pub(crate) fn absorb(&mut self, part: Self, at: u32) {
        let first = self.segments.len() as u32;
        self.segments.extend(part.segments.into_iter().map(|segment| {
            let next = segment.next.map(|idx| idx + first);
            Segment { next, ..segment.shifted(at) }
        }));
        self.gaps.extend(part.gaps.into_iter().map(|gap| gap.shifted(at)));
    }

    /// A segment and those that go on where it ends, in order.
    pub(crate) fn run(&self, first: usize) -> impl Iterator<Item = &Segment> {
        let mut next = Some(first);
        core::iter::from_fn(move || {
            let segment = self.segments.get(next?)?;
            // `next` only ever points forward, so this ends.
            next = segment.next.map(|idx| idx as usize);
            Some(segment)
        })
    }
}

/// What a span covers of the run of segments that begins at `first`: between them stands structure.
pub(crate) fn pieces(
    extraction: &Extraction,
    first: usize,
    span: Span,
) -> impl Iterator<Item = (&Segment, Span)> {
    let reached = extraction.run(first).filter(move |segment| segment.span.overlaps(span));
    reached.map(move |segment| {
        let (start, end) = (span.start.max(segment.span.start), span.end.min(segment.span.end));
        (segment, Span { start, end })
    })
}

/// Reads a whole body.
///
/// Shape beats label: a server may parse JSON whatever the content-type says, so whatever is JSON is read as JSON.
/// A body that does not parse is one gap, and its text is still looked at: evidence found there counts, but
/// nobody can say that everything was understood.
pub(crate) fn extract(format: Format, direction: Direction, body: &[u8]) -> Extraction {
    if body.is_empty() {
        return Extraction::default();
    }
    if let Format::Multipart(boundary) = format
        && let Some(parts) = multipart::read(body, boundary, direction)
    {
        return parts;
    }
    let Ok(text) = core::str::from_utf8(body) else {
        return Extraction::unreadable(direction, body, GapReason::Unparsable);
    };
    let labelled = matches!(format, Format::Json | Format::OpenAiChat);
    if format == Format::Lines {
        let lines = lines(text, direction);
        let whole = || walk::walk(text, direction, walk::Mode::Whole).ok();
        let is_unread = |gap: &Gap| gap.reason == GapReason::Unparsable;
        return lines.gaps.iter().any(is_unread).then(whole).flatten().unwrap_or(lines);
    }
    if labelled || (format != Format::PlainText && looks_like_json(text)) {
        let read = walk::walk(text, direction, walk::Mode::Whole);
        let by_label = (format == Format::Form).then(|| Box::new(form::read(text, direction)));
        return match read {
            Ok(read) => Extraction { by_label, ..read },
            Err(error) => Extraction::unreadable(direction, body, error.reason()),
        };
    }
    match format {
        Format::Form => form::read(text, direction),
        Format::Unknown | Format::Multipart(_) => {
            Extraction::unreadable(direction, body, GapReason::Unparsable)
        }
        // Text in a wider encoding that happens to be UTF-8, letter by letter with zeros between.
        _ if body.contains(&0) => Extraction::unreadable(direction, body, GapReason::Unparsable),
        _ => whole(direction, body.len()),
    }
}

/// Media types of one JSON text a line.
pub(crate) fn is_lines(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/x-ndjson"
            | "application/x-jsonl"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/json-lines"
            | "application/stream+json"
    )
}

/// Every line by itself; one that cannot be read is a gap.
fn lines(text: &str, direction: Direction) -> Extraction {
    let mut out = Extraction::default();
    let mut at = 0;
    for line in text.split('\n') {
        if !line.trim().is_empty() {
            out.absorb(extract(Format::Json, direction, line.as_bytes()), at as u32);
        }
        at += line.len() + 1;
    }
    out
}

/// Whether some server might read this as JSON, laxer ones and a byte order mark included. What begins so and is not
/// JSON by the standard cannot be called understood.
fn looks_like_json(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    match text.strip_prefix('[').map(str::trim_start) {
        Some(rest) => {
            rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '{' | '[' | '"' | '\'' | ']' | '-'))
                || ["true", "false", "null"].iter().any(|word| rest.starts_with(word))
        }
        None => text.starts_with('{'),
    }
}

/// The channel of text that no format gives a better one: the strictest of its direction.
pub(crate) fn default_channel(direction: Direction) -> Channel {
    match direction {
        Direction::Request => Channel::User,
        Direction::Response => Channel::Assistant,
    }
}

fn whole(direction: Direction, len: usize) -> Extraction {
    let segment = Segment::plain(default_channel(direction), Span::whole(len));
    Extraction { segments: Vec::from([segment]), ..Extraction::default() }
}
