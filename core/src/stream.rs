//! A body that is read while it is sent: server-sent events and NDJSON, event by event.
//!
//! Every event is judged by itself and together with the text that came before it, then released. Held back is only
//! what might still grow into something: a run of digits at the end of the text, or a match that the next letter
//! could undo. So the first event of an answer leaves when it is complete, and nothing waits for a timer.
//!
//! Invariants: no byte leaves before its event was judged; masks are applied to bytes that are still held; what comes
//! out does not depend on how the bytes came in, because judging goes by events and never by chunks.

use alloc::{string::String, vec::Vec};
use core::ops::Range;

use sentinel_model::Channel;

use crate::{
    act::{Edit, mask, restore, splice},
    action::{Action, Direction},
    content::{LeftOut, Retold, Tape},
    decide::{Decision, decide},
    detect::{self, Budget, Hit, Hits, leak::Watch},
    engine::{Engine, Kept},
    guard::Usage,
    lap::{Laps, Layer},
    length,
    policy::{Profile, Restore},
    receipt::{Gap, GapReason, Receipt},
    span::Span,
    text::View,
    traffic::{Extraction, Frames, Framing, Segment, member, payloads, read_event},
};

/// Text before an event that is looked at with it: more than any phrase reaches.
const CONTEXT_BYTES: usize = 512;

#[derive(Debug)]
pub(crate) struct Stream {
    framing: Framing,
    direction: Direction,
    frames: Frames,
    /// Bytes that have not been released, and how many of them are whole, judged events.
    held: Vec<u8>,
    judged: usize,
    /// Ends of the judged events in `held`.
    ends: Vec<usize>,
    /// Offset of `held` in the stream.
    base: u32,
    windows: Vec<Window>,
    /// Replacements in `held`, in order.
    edits: Vec<Edit>,
    kept: Kept,
    restored: u32,
    hits: Vec<Hit>,
    /// The first gap of each reason.
    gaps: Vec<Gap>,
    receipt: Receipt,
    decision: Decision,
    opening: Opening,
    /// In the middle of an event that is too long to be read.
    skips: bool,
    /// What the answer says of the tokens that it took, if anybody asks.
    usage: Option<Usage>,
    /// What its event shall carry of it, if policy wants that.
    tape: Option<Tape>,
}

/// What the receiver has seen of the stream, for an end that refers to it.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// The data of the first event that has some, unless it is very long.
    pub(crate) payload: String,
    pub(crate) events: u32,
    /// Answers side by side are numbered up to this.
    pub(crate) last_choice: u32,
    /// The content block of Anthropic's that has begun and not ended.
    pub(crate) open_block: Option<u32>,
}

/// What is read as one text: the channel, and which of several answers side by side.
type Lane = (Channel, u32);

/// The text of one lane: what was released, and the segments that are still held.
#[derive(Debug)]
struct Window {
    lane: Lane,
    /// The end of what was released, with where in the stream it stood.
    context: View,
    /// Spans are offsets in the stream.
    segments: Vec<Segment>,
    /// End of the text that was judged.
    judged: u32,
    /// Characters so far.
    chars: u32,
    /// Held from here on: it may still grow.
    open: Option<u32>,
}

/// What to do with what came in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fed {
    Release(Vec<u8>),
    /// These bytes may still go on, and nothing after them.
    Refuse(Vec<u8>),
}

impl Stream {
    pub(crate) fn new(framing: Framing, direction: Direction, mut kept: Kept) -> Self {
        kept.placeholders.seal();
        Self {
            framing,
            direction,
            frames: Frames::new(framing),
            held: Vec::new(),
            judged: 0,
            ends: Vec::new(),
            base: 0,
            windows: Vec::new(),
            edits: Vec::new(),
            kept,
            restored: 0,
            hits: Vec::new(),
            gaps: Vec::new(),
            receipt: Receipt::default(),
            decision: Decision::default(),
            opening: Opening::default(),
            skips: false,
            usage: None,
            tape: None,
        }
    }

    pub(crate) fn records(&mut self, tape: Tape) {
        self.tape = Some(tape);
    }

    pub(crate) fn take_tape(&mut self) -> Option<Tape> {
        self.tape.take()
    }

    pub(crate) fn reads_usage(&mut self) {
        self.usage = Some(Usage::default());
    }

    pub(crate) const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    pub(crate) fn feed(&mut self, engine: &Engine, profile: &Profile, chunk: &[u8], end: bool) -> Fed {
        self.held.extend_from_slice(chunk);
        // Released event by event: what has left when the stream is cut does not depend on how the bytes came in.
        let mut out = Vec::new();
        let limit = profile.limits.body_bytes as usize;
        while let Some(event_end) = self.frames.next(&self.held) {
            if self.skips || event_end - self.judged > limit {
                self.give_up(engine, profile, event_end);
                self.skips = false;
            } else {
                self.judge_event(engine, profile, event_end);
            }
            if self.decision.action == Action::Block {
                return Fed::Refuse(out);
            }
            out.append(&mut self.release(false));
        }
        let rest = self.held.len() - self.judged;
        if rest > 0 && (self.skips || rest > limit) {
            // Given up as it is, as a gap that policy may refuse, to its end.
            self.give_up(engine, profile, self.held.len());
            self.skips = true;
        } else if rest > 0 && end {
            self.judge_event(engine, profile, self.held.len());
        }
        if end {
            self.close(engine, profile);
        }
        if self.decision.action == Action::Block {
            return Fed::Refuse(out);
        }
        out.append(&mut self.release(end));
        Fed::Release(out)
    }

    /// What comes cannot be read any more.
    pub(crate) fn refuse(&mut self, reason: GapReason) {
        self.decision.refuse(reason);
        self.receipt.append(&Receipt::unscanned(reason, 0));
        if let Some(tape) = &mut self.tape {
            tape.lose(LeftOut::PartsUnread);
        }
    }

    /// Whether something is kept back that came in before.
    pub(crate) const fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// How many bytes came that are no whole event yet.
    pub(crate) fn unjudged(&self) -> usize {
        self.held.len() - self.judged
    }

    pub(crate) fn decision(&self) -> &Decision {
        &self.decision
    }

    pub(crate) fn opening(&self) -> &Opening {
        &self.opening
    }

    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    /// The account of what was judged, once the stream is over or refused.
    pub(crate) fn into_outcome(self) -> (Decision, Receipt, u32) {
        (self.decision, self.receipt, self.restored)
    }

    /// An event of a stream that was told, behind those before it.
    pub(crate) fn hear(&mut self, engine: &Engine, profile: &Profile, text: &[u8], told: Retold) {
        self.held.extend_from_slice(text.get(told.text).unwrap_or_default());
        let event = Extraction { segments: told.segments, ..Extraction::default() };
        self.judge_read(engine, profile, self.held.len(), event);
        self.release(false);
    }

    /// What was found in a stream that was told.
    pub(crate) fn into_hits(mut self, engine: &Engine, profile: &Profile, is_over: bool) -> Vec<Hit> {
        if is_over {
            self.close(engine, profile);
        }
        self.hits
    }

    fn judge_event(&mut self, engine: &Engine, profile: &Profile, end: usize) {
        self.kept.laps.enter(Layer::Traffic);
        let bytes = self.held.get(self.judged..end).unwrap_or_default();
        let event = match core::str::from_utf8(bytes) {
            Ok(text) => read_event(self.framing, self.direction, text),
            Err(_) => Extraction::unreadable(self.direction, bytes, GapReason::UnknownEvent),
        };
        if let (Some(usage), Ok(text)) = (self.usage.as_mut(), core::str::from_utf8(bytes)) {
            payloads(self.framing, text).for_each(|(_, payload)| usage.read(payload));
        }
        self.judge_read(engine, profile, end, event);
    }

    fn judge_read(&mut self, engine: &Engine, profile: &Profile, end: usize, mut event: Extraction) {
        let start = core::mem::replace(&mut self.judged, end);
        self.ends.push(end);
        let at = self.base.saturating_add(start as u32);
        let bytes = self.held.get(start..end).unwrap_or_default();
        let mut new_hits = Vec::new();
        let mut budget = Budget::for_bytes(bytes.len() + CONTEXT_BYTES);
        let alone = Extraction {
            segments: event.segments.iter().filter(|segment| !segment.is_text).copied().collect(),
            ..Extraction::default()
        };
        self.judge_alone(engine, bytes, at, &alone, &mut new_hits, &mut budget);
        if let Some(tape) = &mut self.tape {
            tape.record(bytes, at, &event, &new_hits);
        }
        let mut masks = restore::edits(bytes, &alone, &self.kept.placeholders, profile.response.restore);
        self.restored += masks.len() as u32;
        masks.iter_mut().for_each(|edit| edit.span = edit.span.shifted(at));
        let scanned: Vec<Span> = event.segments.iter().map(|segment| segment.span).collect();
        let texts: Vec<Segment> =
            event.segments.iter().filter(|s| s.is_text).map(|segment| segment.shifted(at)).collect();
        let mut touched: Vec<Lane> = texts.iter().map(lane_of).collect();
        touched.sort_unstable();
        touched.dedup();
        let (limited, chars_max) = length::limit(&profile.limits, self.direction);
        for segment in texts {
            let local = Span { start: segment.span.start - at, end: segment.span.end - at };
            let chars = length::chars(&segment, local.of(self.held.get(start..end).unwrap_or_default()));
            let window = self.window(lane_of(&segment));
            window.segments.push(segment);
            window.chars += chars;
            let crosses = (window.chars - chars..window.chars).contains(&chars_max);
            if crosses && window.lane.0 == limited {
                event.gaps.push(Gap::new(GapReason::Length, Span::default()));
            }
        }
        masks.extend(self.masks(profile, engine, &new_hits, &shifted(alone, at)));
        for lane in touched {
            let hits = self.judge_window(engine, profile, lane, false, &mut budget);
            masks.extend(self.window_masks(profile, engine, lane, &hits));
            new_hits.extend(hits);
        }
        if budget.is_spent() {
            event.gaps.push(Gap::new(GapReason::Budget, Span::whole(end - start)));
            if let Some(tape) = &mut self.tape {
                tape.lose(LeftOut::PartsUnread);
            }
        }
        self.receipt.append(&Receipt::account(end - start, &scanned, event.gaps.clone()));
        self.edits.extend(masks);
        new_hits.extend(self.drifts(engine, profile, start..end, at, &event));
        self.conclude(engine, profile, new_hits, &event.gaps);
        self.kept.offers.settle(self.decision.action != Action::Block);
    }

    /// Tools in the event that are not what they were.
    fn drifts(
        &mut self,
        engine: &Engine,
        profile: &Profile,
        event: Range<usize>,
        at: u32,
        extraction: &Extraction,
    ) -> Vec<Hit> {
        let text = self.held.get(event).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("");
        let payloads = || payloads(self.framing, text);
        let mut hits = engine.drifts(profile, self.direction, extraction, payloads, &mut self.kept.offers);
        hits.iter_mut().for_each(|hit| hit.span = hit.span.shifted(at));
        hits
    }

    /// Segments that stand by themselves.
    fn judge_alone(
        &self,
        engine: &Engine,
        event: &[u8],
        at: u32,
        alone: &Extraction,
        found: &mut Vec<Hit>,
        budget: &mut Budget,
    ) {
        let mut view = View::default();
        let (watch, laps) = (self.watch(engine), &self.kept.laps);
        for (idx, segment) in alone.segments.iter().enumerate() {
            let Ok(text) = core::str::from_utf8(segment.span.of(event)) else { continue };
            view.clear();
            view.append(text, segment.span.start + at, segment.layers);
            found.extend(look(engine, &watch, &mut view, segment.channel, idx as u32, budget, laps));
        }
    }

    /// The text of one lane, with what came before. Answers hits that are new and will not change any more.
    fn judge_window(
        &mut self,
        engine: &Engine,
        profile: &Profile,
        lane: Lane,
        is_final: bool,
        budget: &mut Budget,
    ) -> Vec<Hit> {
        let (mut view, _) = self.view_of(lane);
        let watch = self.watch(engine);
        let hits = look(engine, &watch, &mut view, lane.0, 0, budget, &self.kept.laps);
        let grows =
            engine.detectors_with(&watch).into_iter().filter_map(|detector| detector.open(&view)).min();
        let placeholder = self.restore_window(profile, lane, &view, is_final);
        let base = self.base;
        let window = self.window(lane);
        let end = window.segments.last().map_or(window.judged, |segment| segment.span.end);
        let is_open = |hit: &Hit| hit.span.end == end && !is_final;
        let open_hits = hits.iter().filter(|hit| is_open(hit)).map(|hit| hit.span.start).min();
        let grows = grows.filter(|_| !is_final).map(|at| view.source(at, at + 1).start);
        window.open = open_hits.into_iter().chain(grows).chain(placeholder).min();
        let judged = core::mem::replace(&mut window.judged, end);
        hits.into_iter()
            .filter(|hit| hit.span.end > base && hit.span.end >= judged && !is_open(hit))
            .collect()
    }

    fn watch<'a>(&'a self, engine: &'a Engine) -> Watch<'a> {
        Watch { is_whole: false, ..engine.watch(self.direction, &self.kept.memory, &self.kept.placeholders) }
    }

    /// Placeholders that this event has completed get their text back. Answers where one may have begun.
    fn restore_window(&mut self, profile: &Profile, lane: Lane, view: &View, is_final: bool) -> Option<u32> {
        let restore = profile.response.restore;
        if self.kept.placeholders.is_empty() || restore == Restore::Off {
            return None;
        }
        let run = self.run_of(lane);
        let edits = restore::in_view(view, &run, 0, &self.kept.placeholders, restore);
        let is_new = |edit: &Edit| !self.edits.iter().any(|known| known.span == edit.span);
        let new: Vec<Edit> = edits.into_iter().filter(is_new).collect();
        self.restored += new.iter().filter(|edit| !edit.text.is_empty()).count() as u32;
        self.edits.extend(new);
        let open = restore::open_at(view, &self.kept.placeholders).filter(|_| !is_final)?;
        Some(view.source(open, open + 1).start)
    }

    /// The held segments of a lane as one text.
    fn run_of(&mut self, lane: Lane) -> Extraction {
        let mut segments = self.window(lane).segments.clone();
        let n_segments = segments.len();
        for (idx, segment) in segments.iter_mut().enumerate() {
            segment.next = (idx + 1 < n_segments).then_some(idx as u32 + 1);
        }
        Extraction { segments, ..Extraction::default() }
    }

    /// Context and held segments of a lane as one view, and where in it each segment begins.
    fn view_of(&mut self, lane: Lane) -> (View, Vec<usize>) {
        let base = self.base;
        let idx = self.window_idx(lane);
        let mut view = View::default();
        let mut starts = Vec::new();
        let Some(window) = self.windows.get(idx) else { return (view, starts) };
        view.go_on_from(&window.context);
        for segment in &window.segments {
            starts.push(view.text().len());
            let start = (segment.span.start - base) as usize;
            let bytes = self.held.get(start..start + segment.span.len() as usize).unwrap_or_default();
            view.append(core::str::from_utf8(bytes).unwrap_or(""), segment.span.start, segment.layers);
        }
        (view, starts)
    }

    fn window_masks(&mut self, profile: &Profile, engine: &Engine, lane: Lane, hits: &[Hit]) -> Vec<Edit> {
        if hits.is_empty() {
            return Vec::new();
        }
        let run = self.run_of(lane);
        self.masks(profile, engine, hits, &run)
    }

    /// Edits for the hits that are to be masked, at offsets of the stream.
    fn masks(
        &mut self,
        profile: &Profile,
        engine: &Engine,
        hits: &[Hit],
        extraction: &Extraction,
    ) -> Vec<Edit> {
        if hits.is_empty() {
            return Vec::new();
        }
        if let Some(tape) = &mut self.tape {
            tape.hide(engine, extraction, hits);
        }
        let terms = engine.terms(profile, &self.kept.exemptions);
        let decision = decide(terms, self.direction, engine.catalog(), hits, extraction);
        mask::edits(&self.held, self.base, &decision.masks, &mut self.kept.placeholders)
    }

    /// Everything found so far decides, as it would in a body that came whole. Gaps count by their reasons, each once,
    /// so that a stream without end costs the same for every event.
    fn conclude(&mut self, engine: &Engine, profile: &Profile, new_hits: Vec<Hit>, new_gaps: &[Gap]) {
        self.kept.laps.enter(Layer::Policy);
        let mut is_news = !new_hits.is_empty();
        for hit in new_hits {
            let same = |known: &Hit| {
                known.rule == hit.rule && known.channel == hit.channel && known.span.overlaps(hit.span)
            };
            let is_full = self.hits.len() == HITS_MAX;
            let known = self.hits.iter().position(same);
            match known.and_then(|idx| self.hits.get_mut(idx)) {
                Some(known) => known.span.end = known.span.end.max(hit.span.end),
                None if is_full => is_news |= self.note_gap(Gap::new(GapReason::Budget, hit.span)),
                None => self.hits.push(hit),
            }
        }
        for gap in new_gaps {
            is_news |= self.note_gap(*gap);
        }
        if is_news {
            let all = Extraction { gaps: self.gaps.clone(), ..Extraction::default() };
            let terms = engine.terms(profile, &self.kept.exemptions);
            self.decision = decide(terms, self.direction, engine.catalog(), &self.hits, &all);
        }
    }

    /// Whether a gap of that reason is new.
    fn note_gap(&mut self, gap: Gap) -> bool {
        let is_new = !self.gaps.iter().any(|known| known.reason == gap.reason);
        if is_new {
            self.gaps.push(gap);
        }
        is_new
    }

    /// The stream is over: what was open is settled.
    fn close(&mut self, engine: &Engine, profile: &Profile) {
        let open = self.windows.iter().filter(|window| window.open.is_some());
        let lanes: Vec<Lane> = open.map(|window| window.lane).collect();
        let mut new_hits = Vec::new();
        for lane in lanes {
            let mut budget = Budget::for_bytes(CONTEXT_BYTES);
            let hits = self.judge_window(engine, profile, lane, true, &mut budget);
            let masks = self.window_masks(profile, engine, lane, &hits);
            self.edits.extend(masks);
            new_hits.extend(hits);
        }
        if !new_hits.is_empty() {
            self.conclude(engine, profile, new_hits, &[]);
        }
        if let Some(tape) = &mut self.tape {
            tape.is_over = true;
        }
    }

    fn give_up(&mut self, engine: &Engine, profile: &Profile, end: usize) {
        let len = end - self.judged;
        let at = self.base.saturating_add(self.judged as u32);
        let gap = Gap::new(GapReason::Size, Span { start: at, end: at.saturating_add(len as u32) });
        self.receipt.append(&Receipt::unscanned(GapReason::Size, len));
        if let Some(tape) = &mut self.tape {
            tape.lose(LeftOut::PartsUnread);
        }
        self.judged = end;
        self.ends.push(end);
        self.conclude(engine, profile, Vec::new(), &[gap]);
    }

    /// Takes the judged events off the front that nothing holds back any more.
    fn release(&mut self, end: bool) -> Vec<u8> {
        self.kept.laps.enter(Layer::Act);
        let open = self.windows.iter().filter_map(|window| window.open).min().filter(|_| !end);
        let open = open.map_or(self.judged, |open| open.saturating_sub(self.base) as usize);
        let n_events = self.ends.partition_point(|event_end| *event_end <= open);
        let Some(len) = n_events.checked_sub(1).and_then(|last| self.ends.get(last)).copied() else {
            return Vec::new();
        };
        let released = self.base.saturating_add(len as u32);
        for lane in self.windows.iter().map(|window| window.lane).collect::<Vec<_>>() {
            self.move_to_context(lane, released);
        }
        let local = |edit: &Edit| Edit {
            span: Span { start: edit.span.start - self.base, end: edit.span.end - self.base },
            text: edit.text.clone(),
        };
        self.edits.sort_by_key(|edit| edit.span.start);
        let n_edits = self.edits.partition_point(|edit| edit.span.start < released);
        let edits: Vec<Edit> = self.edits.iter().take(n_edits).map(local).collect();
        self.edits.drain(..n_edits);
        let bytes = splice(self.held.get(..len).unwrap_or_default(), &edits);
        if self.opening.payload.is_empty() {
            self.opening.payload = first_payload(&bytes);
        }
        let starts = core::iter::once(0).chain(self.ends.iter().copied());
        for (start, end) in starts.zip(self.ends.iter().copied()).take(n_events) {
            self.opening.note_event(self.held.get(start..end).unwrap_or_default());
        }
        self.opening.last_choice = self.windows.iter().map(|window| window.lane.1).max().unwrap_or(0);
        self.held.drain(..len);
        self.ends.drain(..n_events);
        self.ends.iter_mut().for_each(|event_end| *event_end -= len);
        self.judged -= len;
        self.frames.taken(len);
        self.base = released;
        bytes
    }

    /// Segments that leave become context: the end of their text is remembered, folded.
    fn move_to_context(&mut self, lane: Lane, released: u32) {
        let (view, starts) = self.view_of(lane);
        let window = self.window(lane);
        let n_left = window.segments.partition_point(|segment| segment.span.start < released);
        if n_left == 0 {
            return;
        }
        let end = starts.get(n_left).copied().unwrap_or(view.text().len());
        let from = view.text().floor_char_boundary(end.saturating_sub(CONTEXT_BYTES));
        window.context = view.part(from, end);
        window.segments.drain(..n_left);
    }

    fn window(&mut self, lane: Lane) -> &mut Window {
        let idx = self.window_idx(lane);
        #[expect(clippy::indexing_slicing, reason = "window_idx answers an index that exists")]
        &mut self.windows[idx]
    }

    fn window_idx(&mut self, lane: Lane) -> usize {
        match self.windows.iter().position(|window| window.lane == lane) {
            Some(idx) => idx,
            None => {
                let (context, segments) = (View::default(), Vec::new());
                self.windows.push(Window { lane, context, segments, judged: 0, chars: 0, open: None });
                self.windows.len() - 1
            }
        }
    }
}

impl Opening {
    fn note_event(&mut self, event: &[u8]) {
        self.events += 1;
        let block = event.strip_prefix(b"event: content_block_");
        match block {
            Some(rest) if rest.starts_with(b"start") => {
                let payload = first_payload(event);
                self.open_block = member(&payload, "index").and_then(|index| index.parse().ok());
            }
            Some(rest) if rest.starts_with(b"stop") => self.open_block = None,
            _ => {}
        }
    }
}

/// The first `data` of some events, or the first line; nothing if it is very long.
fn first_payload(events: &[u8]) -> String {
    const PAYLOAD_BYTES_MAX: usize = 8 * 1024;
    let text = core::str::from_utf8(events).unwrap_or("");
    let data = text.split(['\n', '\r']).find_map(|line| line.strip_prefix("data:"));
    let payload = data.or_else(|| text.lines().next()).unwrap_or("").trim();
    if payload.len() > PAYLOAD_BYTES_MAX { String::new() } else { payload.into() }
}

/// What there is in one view.
fn look(
    engine: &Engine,
    watch: &Watch<'_>,
    view: &mut View,
    channel: Channel,
    segment: u32,
    budget: &mut Budget,
    laps: &Laps,
) -> Vec<Hit> {
    let mut hits = Hits::new(core::mem::take(budget), channel, segment);
    hits.laps = laps.clone();
    detect::look(&engine.detectors_with(watch), engine.vocabulary(), view, &mut hits);
    let (list, left) = hits.into_parts();
    *budget = left;
    list
}

fn lane_of(segment: &Segment) -> Lane {
    (segment.channel, segment.choice)
}

fn shifted(mut extraction: Extraction, by: u32) -> Extraction {
    extraction.segments.iter_mut().for_each(|segment| *segment = segment.shifted(by));
    extraction
}

/// Hits of one stream; past this it is refused as a `budget` gap, unless policy lets that pass.
const HITS_MAX: usize = 4096;
