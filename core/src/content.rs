//! What an event carries of an exchange's content, where policy asks for it: the text that was judged, masked, and what
//! else its decision depended on, so that the decision can be made again ([`replay`](crate::replay)).
//!
//! Invariants: everything private that was found in a body is a placeholder here, whatever policy does about it; a body of
//! which a part was not read is not kept at all; and what is masked is read once more before it is kept. What is left out
//! is named.

mod tape;
mod told;

use alloc::{borrow::ToOwned, boxed::Box, string::String, vec::Vec};

use sentinel_model::Family;
use serde::{Deserialize, Serialize};

pub use self::told::{Kind, Piece, Told};
pub(crate) use self::{
    tape::Tape,
    told::{Placed, Retold},
};
use crate::{
    act::{Edit, mask, mask::Placeholders, splice},
    action::{Action, Direction, Verdict},
    decide::{Decision, Mask},
    detect::{Found, Hit, RuleInfo, detect},
    engine::Engine,
    guard::session::Lift,
    lap::Laps,
    opinion::Opinion,
    policy::MaskStyle,
    receipt::{Gap, GapReason},
    traffic::{Extraction, Format, extract},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Numbers of the exemptions of the policy that were about this exchange.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exemptions: Vec<u16>,
    pub request: Part,
    /// Missing when the exchange ended before a response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Part>,
}

/// One direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Part {
    Kept(Box<KeptText>),
    LeftOut { left_out: LeftOut },
}

/// Why there is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// There was none.
    NoBody,
    /// It went on, or was refused, unread: the receipt says why.
    NotRead,
    /// Refused before anybody looked at it.
    NotJudged,
    /// Judged event by event, by a filter that keeps nothing of that.
    Stream,
    TooLong,
    NotText,
    /// Files with names and types of their own.
    Multipart,
    /// What was not read was not masked, either.
    PartsUnread,
    /// Something private was still found in what was masked.
    NotMasked,
}

/// A body as it was judged, decoded if it came encoded, or what was read of a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptText {
    /// As what it was read: `json`, `text`, `form`, `lines`, `auto` (nobody said) or `unknown`; `events` for a stream.
    pub format: String,
    pub text: String,
    /// Where in the stream the text comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    /// In order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masks: Vec<Masked>,
    /// What this direction came to by itself.
    pub judged: Judged,
    /// What the session added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lift: Option<Lift>,
    /// Second opinions that took part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opinions: Vec<Opinion>,
    /// Something was found only together with what the user had said before.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub across: bool,
    /// Memory was short, and the second stage of the model was left out.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub sheds: bool,
}

/// Bytes of the body that are others in the text: where they began and ended, and how many bytes stand for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u32; 3]", into = "[u32; 3]")]
pub struct Masked {
    pub start: u32,
    pub end: u32,
    pub shown: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    pub verdict: Verdict,
    pub action: Action,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would: Option<Action>,
    pub score: f32,
    pub findings: u32,
}

impl From<[u32; 3]> for Masked {
    fn from([start, end, shown]: [u32; 3]) -> Self {
        Self { start, end, shown }
    }
}

impl From<Masked> for [u32; 3] {
    fn from(Masked { start, end, shown }: Masked) -> Self {
        [start, end, shown]
    }
}

impl Judged {
    pub(crate) fn of(decision: &Decision) -> Self {
        let Decision { verdict, action, would, score, findings_total, .. } = *decision;
        Self { verdict, action, would, score, findings: findings_total }
    }
}

/// What is seen of a body while it is judged, and is gone afterwards.
#[derive(Debug)]
pub(crate) struct Witnessed {
    masks: Vec<Mask>,
    is_whole: bool,
    lift: Lift,
    opinions: Vec<Opinion>,
    is_across: bool,
    sheds: bool,
}

impl Witnessed {
    pub(crate) fn new(
        engine: &Engine,
        extraction: &Extraction,
        hits: &[Hit],
        lift: Lift,
        opinions: Vec<Opinion>,
        is_across: bool,
        sheds: bool,
    ) -> Self {
        let is_whole = !extraction.gaps.iter().any(hides_text);
        Self { masks: masks(engine, extraction, hits), is_whole, lift, opinions, is_across, sheds }
    }
}

/// The parts of one exchange, as they become known.
#[derive(Debug)]
pub(crate) struct Draft {
    names: Placeholders,
    exemptions: Vec<u16>,
    request: Option<Part>,
    response: Option<Part>,
}

/// A body that was judged.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    pub(crate) direction: Direction,
    pub(crate) format: Format,
    pub(crate) bytes: &'a [u8],
    pub(crate) judged: Judged,
    /// How much of it an event may carry.
    pub(crate) bytes_max: u32,
}

impl Draft {
    /// With the numbers of the exemptions that are about the exchange.
    pub(crate) fn new(exemptions: Vec<u16>) -> Self {
        Self { names: Placeholders::default(), exemptions, request: None, response: None }
    }

    pub(crate) fn keep(&mut self, engine: &Engine, body: &Body<'_>, witnessed: Witnessed) {
        let part = match text(engine, body, &witnessed, &mut self.names) {
            Ok((text, masks)) => {
                let Witnessed { lift, opinions, is_across: across, sheds, .. } = witnessed;
                let lift = (lift != Lift::default()).then_some(lift);
                let format = body.format.name().to_owned();
                let judged = body.judged;
                let told = None;
                Part::Kept(Box::new(KeptText {
                    format,
                    text,
                    told,
                    masks,
                    judged,
                    lift,
                    opinions,
                    across,
                    sheds,
                }))
            }
            Err(left_out) => Part::LeftOut { left_out },
        };
        self.put(body.direction, part);
    }

    /// A stream that is over, or as much of it as came.
    pub(crate) fn keep_stream(&mut self, engine: &Engine, direction: Direction, judged: Judged, tape: Tape) {
        let part = match tape.tell(engine, &mut self.names) {
            Ok((text, masks, told)) => Part::Kept(Box::new(KeptText {
                format: EVENTS.to_owned(),
                text,
                told: Some(told),
                masks,
                judged,
                lift: None,
                opinions: Vec::new(),
                across: false,
                sheds: false,
            })),
            Err(left_out) => Part::LeftOut { left_out },
        };
        self.put(direction, part);
    }

    fn put(&mut self, direction: Direction, part: Part) {
        match direction {
            Direction::Request => self.request = Some(part),
            Direction::Response => self.response = Some(part),
        }
    }

    /// `request` and `response` say why there is no text where nothing else does; no `response`: there was none.
    pub(crate) fn finish(self, request: LeftOut, response: Option<LeftOut>) -> Content {
        let Self { exemptions, request: of_request, response: of_response, .. } = self;
        let left_out = |left_out| Part::LeftOut { left_out };
        let response = response.map(|reason| of_response.unwrap_or(left_out(reason)));
        Content { exemptions, request: of_request.unwrap_or(left_out(request)), response }
    }
}

/// The masked text and what is masked in it.
fn text(
    engine: &Engine,
    Body { direction, format, bytes, bytes_max, .. }: &Body<'_>,
    witnessed: &Witnessed,
    names: &mut Placeholders,
) -> Result<(String, Vec<Masked>), LeftOut> {
    if let Format::Multipart(_) = format {
        return Err(LeftOut::Multipart);
    }
    core::str::from_utf8(bytes).map_err(|_| LeftOut::NotText)?;
    if !witnessed.is_whole {
        return Err(LeftOut::PartsUnread);
    }
    let hidden: usize = witnessed.masks.iter().map(|mask| mask.span.len() as usize).sum();
    if bytes.len().saturating_sub(hidden) > *bytes_max as usize {
        return Err(LeftOut::TooLong);
    }
    let edits = mask::edits(bytes, 0, &witnessed.masks, names);
    let text = String::from_utf8(splice(bytes, &edits)).map_err(|_| LeftOut::NotText)?;
    if length_in_event(&text) + edits.len() * MASK_BYTES > *bytes_max as usize {
        return Err(LeftOut::TooLong);
    }
    if !edits.is_empty() && has_more(engine, *direction, *format, &text) {
        return Err(LeftOut::NotMasked);
    }
    let masked = |Edit { span, text }: &Edit| {
        let shown = u32::try_from(text.len()).unwrap_or(u32::MAX);
        Masked { start: span.start, end: span.end, shown }
    };
    Ok((text, edits.iter().map(masked).collect()))
}

/// Whether a text that was masked still has something private: where two finds lie in each other, or what is left of
/// one is another.
fn has_more(engine: &Engine, direction: Direction, format: Format, text: &str) -> bool {
    let mut extraction = extract(format, direction, text.as_bytes());
    let Found { hits, .. } = detect(
        &engine.detectors(),
        engine.vocabulary(),
        text.as_bytes(),
        &mut extraction,
        0,
        None,
        &Laps::default(),
    );
    let is_private = |hit: &Hit| engine.catalog().rule(hit.rule).is_some_and(is_private);
    extraction.gaps.iter().any(hides_text) || hits.iter().any(is_private)
}

fn masks(engine: &Engine, extraction: &Extraction, hits: &[Hit]) -> Vec<Mask> {
    let mut masks = Vec::new();
    for (number, hit) in hits.iter().enumerate() {
        if let Some(rule) = engine.catalog().rule(hit.rule).filter(|rule| is_private(rule)) {
            masks.extend(Mask::all_of(hit, number as u32, rule, MaskStyle::Placeholder, extraction));
        }
    }
    masks
}

/// Whether what a rule finds is something that nobody else shall read: personal data and secrets, what carries them out
/// in an answer, and words that only the operator knows to be sensitive.
pub(crate) fn is_private(rule: &RuleInfo) -> bool {
    match rule.family {
        Family::Pii | Family::Secret => true,
        Family::Leak => CARRIERS.contains(&rule.id.as_str()) || rule.id.starts_with("custom/"),
        _ => false,
    }
}

const CARRIERS: [&str; 3] = ["leak/exfil-link", "leak/exfil-image", "leak/canary"];

/// Gaps that only name something have no text that could be private.
fn hides_text(gap: &Gap) -> bool {
    let breaks_off = matches!(gap.reason, GapReason::Budget | GapReason::Depth | GapReason::Unparsable);
    breaks_off || !gap.span().is_empty()
}

/// How many bytes a text has as a JSON string.
fn length_in_event(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..=0x1f => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum()
}

/// The three numbers of a mask, at their longest.
const MASK_BYTES: usize = 28;

/// What a stream was read as.
pub(crate) const EVENTS: &str = "events";
