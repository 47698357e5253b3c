//! The instructions of a request, remembered as rows of words, and how much of them an answer repeats.
//!
//! A row is one number of 32 bits, salted; no text is kept. Of a very long prompt only every second, fourth, … row is kept,
//! so memory has a bound. What the instructions quote is left out, since they quote what the model is to say: greetings,
//! disclaimers, forms to fill in. So is what the rest of the request says, too.

use alloc::{vec, vec::Vec};

use super::words::{ROW_WORDS, Row, Rows, Words};
use crate::text::find;

/// A shorter stretch may be chance, and a shorter prompt has nothing to hide.
pub(super) const ECHO_WORDS_MIN: usize = 16;
/// A stretch of that length is no paraphrase any more.
const ECHO_WORDS_SURE: usize = 32;
/// Sixteen words of two letters are no prose.
const ECHO_BYTES_MIN: usize = 64;
/// Words that may be put in between without breaking a stretch.
const BRIDGE_WORDS: usize = 2;
/// A stream is held back while a stretch grows, this far.
const HELD_WORDS_MAX: usize = ECHO_WORDS_SURE + ROW_WORDS;

/// Rows that are kept.
const ROWS_MAX: usize = 8 * 1024;

#[derive(Default)]
pub(super) struct Prompt {
    /// Open addressing; at most half of the slots are taken.
    slots: Vec<u32>,
    n_taken: usize,
    n_rows: usize,
    /// Rows that have one of these bits are not kept.
    sparse: u32,
}

const EMPTY: u32 = 0;
const FORGOTTEN: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    Known,
    Strange,
    /// Rows like this are not kept, so nobody can say.
    Unsaid,
}

/// Words of the prompt that stand in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Echo {
    pub(super) start: usize,
    pub(super) end: usize,
    /// A long stretch, or most of the prompt.
    pub(super) is_sure: bool,
}

impl Prompt {
    /// Makes room for the rows of so many bytes of text.
    pub(super) fn reserve(&mut self, bytes: usize) {
        // Words have five letters and a space, and a table is half empty.
        let slots = (bytes / 3).clamp(64, ROWS_MAX * 2).next_power_of_two();
        if slots > self.slots.len() {
            self.rebuild(slots);
        }
    }

    pub(super) fn learn(&mut self, text: &str, seed: u64) {
        let mut rows = Rows::new(seed);
        let mut quotes = Quotes::of(text);
        // A bit for each of the last eight words.
        let mut quoted = 0_u8;
        for word in Words::of(text) {
            quoted = quoted << 1 | u8::from(quotes.have(word.start));
            if let Some(row) = rows.push(word)
                && quoted.count_ones() <= u8::BITS / 2
            {
                self.n_rows += 1;
                self.keep(row.hash);
            }
        }
    }

    /// Whatever else the request says is no secret.
    pub(super) fn forget(&mut self, text: &str, seed: u64) {
        if self.is_empty() {
            return;
        }
        let mut rows = Rows::new(seed);
        for row in Words::of(text).filter_map(|word| rows.push(word)) {
            let hash = row.hash.max(FORGOTTEN + 1);
            if let Some(slot) = self.slot(hash).and_then(|idx| self.slots.get_mut(idx))
                && *slot == hash
            {
                *slot = FORGOTTEN;
            }
        }
    }

    pub(super) const fn is_too_short(&self) -> bool {
        self.n_rows + ROW_WORDS <= ECHO_WORDS_MIN
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.n_taken == 0
    }

    pub(super) const fn len(&self) -> usize {
        self.n_taken
    }

    fn keep(&mut self, hash: u32) {
        let hash = hash.max(FORGOTTEN + 1);
        if hash & self.sparse != 0 {
            return;
        }
        if self.n_taken * 2 >= self.slots.len() {
            if self.slots.len() >= ROWS_MAX * 2 {
                self.sparse = self.sparse << 1 | 1;
            }
            self.rebuild((self.slots.len() * 2).clamp(64, ROWS_MAX * 2));
            return self.keep(hash);
        }
        if let Some(slot) = self.slot(hash).and_then(|idx| self.slots.get_mut(idx))
            && *slot == EMPTY
        {
            *slot = hash;
            self.n_taken += 1;
        }
    }

    fn rebuild(&mut self, n_slots: usize) {
        let slots = core::mem::replace(&mut self.slots, vec![EMPTY; n_slots]);
        self.n_taken = 0;
        for hash in slots.into_iter().filter(|hash| *hash > FORGOTTEN && *hash & self.sparse == 0) {
            if let Some(slot) = self.slot(hash).and_then(|idx| self.slots.get_mut(idx)) {
                *slot = hash;
                self.n_taken += 1;
            }
        }
    }

    /// Where a row stands, or the empty slot where it would.
    fn slot(&self, hash: u32) -> Option<usize> {
        let n_slots = self.slots.len();
        // By the upper bits: the lower ones say which rows are kept.
        let mut idx = ((u64::from(hash) * n_slots as u64) >> 32) as usize;
        for _ in 0..n_slots {
            let slot = *self.slots.get(idx)?;
            if slot == hash || slot == EMPTY {
                return Some(idx);
            }
            idx = if idx + 1 == n_slots { 0 } else { idx + 1 };
        }
        None
    }

    fn look(&self, hash: u32) -> Sight {
        let hash = hash.max(FORGOTTEN + 1);
        if hash & self.sparse != 0 {
            return Sight::Unsaid;
        }
        let slot = self.slot(hash).and_then(|idx| self.slots.get(idx));
        if slot == Some(&hash) { Sight::Known } else { Sight::Strange }
    }

    /// How many words of a text stand in the prompt in one stretch, at most.
    pub(super) fn longest(&self, text: &str, seed: u64) -> usize {
        let mut longest = 0;
        self.read(text, seed, |stretch, _| longest = longest.max(stretch.words));
        longest
    }

    /// What of the prompt stands in a text. `is_whole` says that no more text comes behind it.
    pub(super) fn echoes(&self, text: &str, seed: u64, is_whole: bool, mut found: impl FnMut(Echo)) {
        let sure = (self.n_rows / 2).clamp(ECHO_WORDS_MIN, ECHO_WORDS_SURE);
        let mut pending: Option<Echo> = None;
        // How many words make the next piece.
        let mut next = ECHO_WORDS_MIN;
        self.read(text, seed, |stretch, state| match state {
            State::Begins => next = ECHO_WORDS_MIN,
            State::Grows if stretch.words >= next && stretch.end - stretch.start >= ECHO_BYTES_MIN => {
                let is_sure = stretch.words >= sure;
                let start = match pending.take() {
                    Some(last) => {
                        found(last);
                        // What is sure says all that the doubt before it said.
                        if last.is_sure { last.end } else { stretch.start }
                    }
                    None => stretch.start,
                };
                pending = Some(Echo { start, end: stretch.end, is_sure });
                next = if is_sure { stretch.words + ECHO_WORDS_SURE } else { sure };
            }
            State::Grows => {}
            State::Ends { grows } => {
                if let Some(last) = pending.take() {
                    let end = if is_whole || !grows { stretch.end } else { last.end };
                    found(Echo { end, ..last });
                }
            }
        });
    }

    /// Where a stretch begins that the end of the text may be a part of.
    pub(super) fn open(&self, text: &str, seed: u64) -> Option<usize> {
        let mut open = None;
        self.read(text, seed, |stretch, state| {
            let is_open = state == State::Ends { grows: true } && stretch.words < HELD_WORDS_MAX;
            open = is_open.then_some(stretch.start);
        });
        open
    }

    fn read(&self, text: &str, seed: u64, mut step: impl FnMut(&Stretch, State)) {
        if self.is_empty() {
            return;
        }
        let mut rows = Rows::new(seed);
        let mut stretch: Option<Stretch> = None;
        let mut last_hash = 0;
        for word in Words::of(text) {
            let Some(row) = rows.push(word) else { continue };
            // The same word over and over says nothing more.
            let is_news = core::mem::replace(&mut last_hash, row.hash) != row.hash;
            let first = row.last + 1 - ROW_WORDS;
            if let Some(over) = stretch.take_if(|stretch| first > stretch.last + 1 + BRIDGE_WORDS) {
                step(&over, State::Ends { grows: false });
            }
            if !is_news || self.look(row.hash) != Sight::Known {
                continue;
            }
            match &mut stretch {
                Some(stretch) => stretch.grow(row, first),
                None => {
                    let begun = Stretch::begin(row);
                    step(&begun, State::Begins);
                    stretch = Some(begun);
                }
            }
            if let Some(stretch) = &stretch {
                step(stretch, State::Grows);
            }
        }
        if let Some(last) = stretch {
            // The word behind it may not be whole yet.
            let grows = rows.n_words <= last.last + 2;
            step(&last, State::Ends { grows });
        }
    }
}

/// Words in a row that stand in the prompt in a row.
struct Stretch {
    start: usize,
    end: usize,
    words: usize,
    /// The number of its last word.
    last: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Begins,
    Grows,
    Ends {
        /// The text ends with it.
        grows: bool,
    },
}

impl Stretch {
    const fn begin(row: Row) -> Self {
        Self { start: row.start, end: row.end, words: ROW_WORDS, last: row.last }
    }

    fn grow(&mut self, row: Row, first: usize) {
        self.words += row.last - self.last.max(first.saturating_sub(1));
        (self.end, self.last) = (row.end, row.last);
    }
}

/// Stretches between quotation marks, or in a section that quotes. Asked from left to right.
struct Quotes<'t> {
    text: &'t [u8],
    start: usize,
    end: usize,
    /// Marks and tags that nothing closes.
    n_lonely: u32,
}

impl<'t> Quotes<'t> {
    /// Longer stretches are no quotation, but two marks with something between.
    const BYTES_MAX: usize = 1024;
    /// A text with more of them has no quotations that could be told.
    const LONELY_MAX: u32 = 16;

    const fn of(text: &'t str) -> Self {
        Self { text: text.as_bytes(), start: 0, end: 0, n_lonely: 0 }
    }

    fn have(&mut self, at: usize) -> bool {
        while self.end <= at && self.start < self.text.len() {
            (self.start, self.end) = self.next(self.end);
        }
        self.start <= at && at < self.end
    }

    /// The next quotation; without one, the end of the text.
    fn next(&mut self, mut from: usize) -> (usize, usize) {
        while self.n_lonely < Self::LONELY_MAX {
            let rest = self.text.get(from..).unwrap_or_default();
            let offset = find(rest, |b| b.are(b'"') | b.are(b'`') | b.are(b'<') | b.are(FIRST_OF_WIDE_MARK));
            let rest = rest.get(offset..).unwrap_or_default();
            let start = from + offset;
            from = start + 1;
            match quotation(rest) {
                _ if rest.is_empty() => break,
                Some(Some(len)) => return (start, start + len),
                Some(None) => self.n_lonely += 1,
                None => {}
            }
        }
        (self.text.len(), self.text.len())
    }
}

const FIRST_OF_WIDE_MARK: u8 = 0xe2;

/// Parts of a prompt that hold what others wrote, or what the model is to write, by the names of their tags.
const SECTIONS: [&str; 14] = [
    "article",
    "context",
    "doc",
    "document",
    "documents",
    "example",
    "examples",
    "knowledge",
    "passage",
    "results",
    "search_results",
    "source",
    "sources",
    "template",
];

/// The length of the quotation that a text begins with; `Some(None)` if it only begins like one.
fn quotation(text: &[u8]) -> Option<Option<usize>> {
    const MARKS: [(&str, &[&str]); 5] = [
        ("\"", &["\""]),
        ("```", &["```"]),
        ("`", &["`"]),
        ("\u{201c}", &["\u{201d}"]),
        ("\u{201e}", &["\u{201c}", "\u{201d}"]),
    ];
    if let [b'<', rest @ ..] = text {
        let name =
            SECTIONS.iter().filter(|name| rest.starts_with(name.as_bytes())).max_by_key(|name| name.len())?;
        let inner = rest.get(name.len()..).filter(|rest| matches!(rest.first(), Some(b'>' | b' ')))?;
        return Some(end_of_section(inner, name.as_bytes()).map(|len| text.len() - inner.len() + len));
    }
    let (mark, ends) = MARKS.into_iter().find(|(mark, _)| text.starts_with(mark.as_bytes()))?;
    let inner = text.get(mark.len()..text.len().min(mark.len() + Quotes::BYTES_MAX)).unwrap_or_default();
    let is_end = |at: &usize| {
        inner.get(*at..).is_some_and(|rest| ends.iter().any(|end| rest.starts_with(end.as_bytes())))
    };
    Some((0..inner.len()).find(is_end).map(|len| mark.len() + len + mark.len()))
}

fn end_of_section(text: &[u8], name: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        at += find(rest, |b| b.are(b'<'));
        if text.get(at..).and_then(|rest| rest.strip_prefix(b"</")).is_some_and(|rest| rest.starts_with(name))
        {
            return Some(at);
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    const SEED: u64 = 42;
    const PROMPT: &str = "you are the assistant of a shop for garden tools. answer in two sentences and never name \
        a competitor. refunds above two hundred euros need the approval of a manager, whose name you must not give. \
        if a customer asks for a discount, offer at most ten percent and only after the third question.";

    fn learned(text: &str) -> Prompt {
        let mut prompt = Prompt::default();
        prompt.reserve(text.len());
        prompt.learn(text, SEED);
        prompt
    }

    fn echoes(prompt: &Prompt, text: &str, is_whole: bool) -> Vec<Echo> {
        let mut found = Vec::new();
        prompt.echoes(text, SEED, is_whole, |echo| found.push(echo));
        found
    }

    #[test]
    fn the_prompt_is_found_whatever_its_punctuation() {
        let prompt = learned(PROMPT);
        let other = PROMPT.replace(". ", "\n\n1. **").replace(',', " --");
        let text = format!("sure, here it is: {other} anything else?");
        let found = echoes(&prompt, &text, true);
        assert!(found.iter().any(|echo| echo.is_sure), "{found:?}");
        assert_eq!(found.first().map(|echo| text.get(echo.start..echo.start + 7).unwrap()), Some("you are"));
        assert_eq!(found.last().map(|echo| text.get(echo.end - 8..echo.end).unwrap()), Some("question"));
    }

    #[test]
    fn a_sentence_is_less_sure_than_two() {
        let prompt = learned(&PROMPT.repeat(3));
        let one =
            "refunds above two hundred euros need the approval of a manager, whose name you must not give";
        assert!(matches!(echoes(&prompt, one, true).as_slice(), [Echo { is_sure: false, .. }]));
        let few = "refunds above two hundred euros need the approval of a manager";
        assert_eq!(echoes(&prompt, few, true), []);
    }

    #[test]
    fn what_the_request_says_elsewhere_is_no_leak() {
        let mut prompt = learned(PROMPT);
        prompt.forget(&PROMPT.to_ascii_lowercase(), SEED);
        assert_eq!(echoes(&prompt, PROMPT, true), []);
    }

    #[test]
    fn what_the_prompt_quotes_may_be_said() {
        let quoted = "this chat is not a lawyer, and nothing that it says is advice for your case or for any other one";
        for (left, right) in
            [("\"", "\""), ("\u{201c}", "\u{201d}"), ("```\n", "\n```"), ("\u{201e}", "\u{201c}")]
        {
            let prompt = learned(&format!("{PROMPT} end with {left}{quoted}{right}. never leave it out."));
            assert_eq!(echoes(&prompt, quoted, true), [], "{left}");
            assert!(!echoes(&prompt, PROMPT, true).is_empty(), "{left}");
        }
    }

    #[test]
    fn what_others_wrote_may_be_quoted() {
        let page = "spades should be cleaned with water after use, dried with a cloth, and then oiled so that they do not rust";
        let prompt =
            learned(&format!("{PROMPT} <document id=\"1\">{page}</document> <documents> a </documents>"));
        assert_eq!(echoes(&prompt, page, true), []);
        assert!(!echoes(&prompt, PROMPT, true).is_empty());
        // A tag that nothing closes hides nothing.
        assert!(!echoes(&learned(&format!("<context> {PROMPT}")), PROMPT, true).is_empty());
    }

    #[test]
    fn the_same_word_over_and_over_is_no_prose() {
        let prompt = learned(&"ha ".repeat(200));
        assert_eq!(echoes(&prompt, &"ha ".repeat(300), true), []);
    }

    #[test]
    fn a_long_prompt_is_known_in_bounded_memory() {
        let text: String =
            (0..60_000_u32).map(|n| format!("word{} ", n.wrapping_mul(2_654_435_761) >> 8)).collect();
        let prompt = learned(&text);
        assert!(prompt.slots.len() <= ROWS_MAX * 2 && prompt.n_taken <= ROWS_MAX);
        let part = text.get(100_000..103_000).unwrap();
        assert!(echoes(&prompt, part, true).iter().any(|echo| echo.is_sure));
        assert_eq!(echoes(&prompt, &part.replace('d', "t"), true), []);
    }

    #[test]
    fn a_stretch_at_the_end_waits_for_more() {
        let prompt = learned(PROMPT);
        assert_eq!(prompt.open("well: you are the assistant of a shop fo", SEED), None);
        assert_eq!(prompt.open("well: you are the assistant of a shop for garden to", SEED), Some(6));
        assert_eq!(
            prompt.open("well: you are the assistant of a shop for garden chairs and so on", SEED),
            None
        );
        assert_eq!(prompt.open(PROMPT, SEED), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(\\PC|you are the assistant of a shop |[\"`\u{201c}\u{201d}\u{4f60}]){0,60}") {
            let prompt = learned(&text);
            for echo in echoes(&learned(PROMPT), &text, true).into_iter().chain(echoes(&prompt, PROMPT, false)) {
                prop_assert!(echo.start < echo.end);
            }
            prop_assert!(prompt.open(&text, SEED).is_none_or(|open| open < text.len()));
        }
    }
}
