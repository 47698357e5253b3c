//! The coverage receipt: what was forwarded was scanned, or the receipt says so.
//!
//! Every byte of a body is exactly one of three things: *scanned* (a detector saw it as text), *structural*
//! (punctuation of a format that was fully understood), or part of a *gap* with a reason from a closed list.
//! Invariant: `bytes == scanned + structural + Σ gap bytes`. A gap of zero length names something that the
//! body refers to but does not carry, such as an image behind a link.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// More gaps than this are merged into one that spans them all, so that a receipt stays small.
const GAPS_MAX: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// A content-encoding that is not read.
    Encoding,
    /// The body is over the limit that policy set.
    Size,
    /// Nested deeper than is followed.
    Depth,
    /// The work allowed for one exchange was used up.
    Budget,
    /// A text is longer than policy wants it. It was scanned all the same, so this gap has no bytes.
    Length,
    /// The second stage of the model had no time for a text that the first left open. The first stage and all rules have
    /// read it, so this gap has no bytes.
    SecondLook,
    /// A second opinion was asked for, and did not come in time.
    Opinion,
    /// Bytes that are not text.
    BinaryPart,
    Image,
    Audio,
    /// Conversation that the provider keeps and this exchange only refers to.
    HistoryNotVisible,
    /// An event of a stream that cannot be read.
    UnknownEvent,
    /// A stream in a framing that no reader exists for.
    Stream,
    /// The connection became something else than HTTP.
    Upgrade,
    /// Not well-formed, or of a format that no reader exists for.
    Unparsable,
    /// A detector or the host failed while the bytes were looked at.
    DetectorError,
    /// Policy does not ask for this traffic to be looked at.
    NotGuarded,
}

impl GapReason {
    pub const ALL: [Self; 17] = [
        Self::Encoding,
        Self::Size,
        Self::Depth,
        Self::Budget,
        Self::Length,
        Self::SecondLook,
        Self::Opinion,
        Self::BinaryPart,
        Self::Image,
        Self::Audio,
        Self::HistoryNotVisible,
        Self::UnknownEvent,
        Self::Stream,
        Self::Upgrade,
        Self::Unparsable,
        Self::DetectorError,
        Self::NotGuarded,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Encoding => "encoding",
            Self::Size => "size",
            Self::Depth => "depth",
            Self::Budget => "budget",
            Self::Length => "length",
            Self::SecondLook => "second_look",
            Self::Opinion => "opinion",
            Self::BinaryPart => "binary_part",
            Self::Image => "image",
            Self::Audio => "audio",
            Self::HistoryNotVisible => "history_not_visible",
            Self::UnknownEvent => "unknown_event",
            Self::Stream => "stream",
            Self::Upgrade => "upgrade",
            Self::Unparsable => "unparsable",
            Self::DetectorError => "detector_error",
            Self::NotGuarded => "not_guarded",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub reason: GapReason,
    pub start: u32,
    pub end: u32,
}

impl Gap {
    pub fn new(reason: GapReason, span: Span) -> Self {
        Self { reason, start: span.start, end: span.end }
    }

    pub(crate) const fn shifted(self, by: u32) -> Self {
        let (start, end) = (self.start.saturating_add(by), self.end.saturating_add(by));
        Self { reason: self.reason, start, end }
    }

    pub const fn span(&self) -> Span {
        Span { start: self.start, end: self.end }
    }
}

/// The account of one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub bytes: u32,
    pub scanned: u32,
    pub structural: u32,
    pub gaps: Vec<Gap>,
    /// Size on the wire of a body that came compressed. The account is about what it decodes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoded: Option<u32>,
}

impl Receipt {
    /// A body of which nothing was looked at.
    pub fn unscanned(reason: GapReason, bytes: usize) -> Self {
        let span = Span::whole(bytes);
        Self {
            bytes: span.end,
            scanned: 0,
            structural: 0,
            gaps: Vec::from([Gap::new(reason, span)]),
            encoded: None,
        }
    }

    /// Accounts for a body of `bytes` bytes: gaps first, then what was scanned outside of them; the rest is
    /// structure. `scanned` is in the order of the body and does not overlap itself.
    pub fn account(bytes: usize, scanned: &[Span], gaps: Vec<Gap>) -> Self {
        let gaps = disjoint(gaps);
        let in_gaps: u32 = gaps.iter().map(|gap| gap.span().len()).sum();
        let n_scanned: u32 = scanned.iter().map(|span| span.len() - covered(&gaps, *span)).sum();
        let bytes = Span::whole(bytes).end;
        Self {
            bytes,
            scanned: n_scanned,
            structural: bytes.saturating_sub(n_scanned + in_gaps),
            gaps,
            encoded: None,
        }
    }

    /// More bytes were forwarded under a gap that is already named, or under a new one.
    pub fn forward_unscanned(&mut self, reason: GapReason, bytes: usize) {
        let start = self.bytes;
        self.bytes = self.bytes.saturating_add(Span::whole(bytes).end);
        match self.gaps.last_mut() {
            Some(last) if last.reason == reason && last.end == start => last.end = self.bytes,
            _ => self.gaps.push(Gap { reason, start, end: self.bytes }),
        }
    }

    /// What came after is accounted for by `next`.
    pub(crate) fn append(&mut self, next: &Self) {
        let at = self.bytes;
        self.bytes = self.bytes.saturating_add(next.bytes);
        self.scanned = self.scanned.saturating_add(next.scanned);
        self.structural = self.structural.saturating_add(next.structural);
        self.gaps.extend(next.gaps.iter().map(|gap| gap.shifted(at)));
        if self.gaps.len() > 2 * GAPS_MAX {
            let merged = core::mem::take(&mut self.gaps);
            let spread: u32 = merged.iter().map(|gap| gap.span().len()).sum();
            self.gaps = disjoint(merged);
            // Merging widens gaps over what lies between them: it no longer counts as scanned.
            let widened = self.gap_bytes().saturating_sub(spread);
            let from_scanned = widened.min(self.scanned);
            self.scanned -= from_scanned;
            self.structural = self.structural.saturating_sub(widened - from_scanned);
        }
    }

    pub fn gap_bytes(&self) -> u32 {
        self.gaps.iter().map(|gap| gap.span().len()).sum()
    }

    pub fn balances(&self) -> bool {
        u64::from(self.bytes)
            == u64::from(self.scanned) + u64::from(self.structural) + u64::from(self.gap_bytes())
    }
}

/// Sorted, without overlap, bounded in number. An overlapping gap keeps only what is new.
fn disjoint(mut gaps: Vec<Gap>) -> Vec<Gap> {
    gaps.sort_by_key(|gap| (gap.start, gap.end));
    let mut reached = 0;
    for gap in &mut gaps {
        gap.start = gap.start.max(reached);
        gap.end = gap.end.max(gap.start);
        reached = gap.end;
    }
    gaps.dedup_by(|next, last| {
        let joins = next.reason == last.reason && next.start == last.end;
        if joins {
            last.end = next.end;
        }
        joins
    });
    if gaps.len() > GAPS_MAX
        && let (Some(first), Some(last)) = (gaps.get(GAPS_MAX - 1).copied(), gaps.last().copied())
    {
        gaps.truncate(GAPS_MAX - 1);
        gaps.push(Gap { reason: first.reason, start: first.start, end: last.end });
    }
    gaps
}

/// How many bytes of `span` lie in the gaps.
fn covered(gaps: &[Gap], span: Span) -> u32 {
    let first = gaps.partition_point(|gap| gap.end <= span.start);
    gaps.iter()
        .skip(first)
        .take_while(|gap| gap.start < span.end)
        .map(|gap| gap.end.min(span.end).saturating_sub(gap.start.max(span.start)))
        .sum()
}
