//! What must not leave in an answer: the instructions that its request had, values that were sensitive in it, put into
//! links, and strings that the policy names.
//!
//! A request is remembered while it is judged ([`Memory`]), its answer is held against that ([`Watch`]). What is
//! remembered are salted numbers and never text, has a bound, and goes with the exchange.

mod canary;
mod hash;
mod link;
mod prompt;
mod values;
mod words;

pub(crate) use canary::Canaries;

use alloc::{string::String, vec::Vec};
use core::fmt;

use sentinel_model::{Channel, Family};

use self::{
    link::{Link, Links},
    prompt::Prompt,
    values::{Letters, Values},
    words::ROW_WORDS,
};
use super::{Detector, Hit, Hits, RuleIdx, RuleInfo};
use crate::{
    act::{mask::Placeholders, mask::name_len},
    action::Direction,
    text::View,
    traffic::{Extraction, pieces},
};

macro_rules! rules {
    ($($rule:ident $id:literal $level:literal $score:literal)*) => {
        /// What is found, in the order of the rules. One id may stand for more and for less certain finds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Rule { $($rule),* }

        /// Id, level and score.
        const RULES: &[(&str, u8, f32)] = &[$(($id, $level, $score)),*];
    };
}

rules! {
    Echo "leak/prompt-echo" 1 0.60
    SureEcho "leak/prompt-echo" 1 0.85
    LinkOfTool "leak/exfil-link" 1 0.60
    Link "leak/exfil-link" 1 0.80
    Image "leak/exfil-link" 1 0.90
    DataImage "leak/exfil-image" 2 0.60
    Canary "leak/canary" 1 1.00
}

pub(crate) fn rule_infos() -> impl Iterator<Item = RuleInfo> {
    RULES.iter().map(|(id, level, score)| RuleInfo {
        id: String::from(*id),
        version: 1,
        family: Family::Leak,
        level: *level,
        score: *score,
    })
}

/// Links of a request that are remembered.
const LINKS_MAX: usize = 512;

/// So many words of the prompt in a link are no title of a page.
const LINK_WORDS_MIN: usize = ROW_WORDS + 2;

/// What a request said that its answer must not.
#[derive(Default)]
pub(crate) struct Memory {
    seed: u64,
    prompt: Prompt,
    values: Values,
    /// Links that the request had, and values together with the hosts that they had in links.
    links: Vec<u64>,
    /// Hosts that the instructions name: the application's own.
    hosts: Vec<u64>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, values) = (self.prompt.len(), self.values.len());
        f.debug_struct("Memory").field("rows", &rows).field("values", &values).finish_non_exhaustive()
    }
}

impl Memory {
    /// `seed` is different for every exchange.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed: hash::mix(seed), ..Self::default() }
    }

    /// Takes in a request. `sensitive` are those of its hits that are values; `needs_links` says that links count
    /// even if nothing in the request could be carried by one.
    pub(crate) fn learn<'h>(
        &mut self,
        body: &[u8],
        extraction: &Extraction,
        sensitive: impl Iterator<Item = &'h Hit>,
        needs_links: bool,
    ) {
        for hit in sensitive {
            self.learn_value(body, extraction, hit);
        }
        self.values.settle();
        let is_prompt = |channel: Channel| matches!(channel, Channel::System | Channel::Developer);
        let of_prompt = extraction.segments.iter().filter(|segment| is_prompt(segment.channel));
        self.prompt.reserve(of_prompt.map(|segment| segment.span.len() as usize).sum());
        let mut view = View::default();
        for (channel, idx) in texts(extraction).filter(|(channel, _)| is_prompt(*channel)) {
            read(&mut view, body, extraction, idx);
            self.prompt.learn(view.text(), self.seed);
            self.learn_links(view.text(), channel);
        }
        if self.prompt.is_too_short() {
            self.prompt.clear();
        }
        if self.is_empty() && !needs_links {
            return;
        }
        for (channel, idx) in texts(extraction).filter(|(channel, _)| !is_prompt(*channel)) {
            read(&mut view, body, extraction, idx);
            // What tools are for is told to the model and not by the user.
            if channel != Channel::ToolDefinition {
                self.prompt.forget(view.text(), self.seed);
            }
            self.learn_links(view.text(), channel);
        }
        self.links.sort_unstable();
        self.hosts.sort_unstable();
    }

    /// Nothing could be found.
    const fn is_empty(&self) -> bool {
        self.prompt.is_empty() && self.values.is_empty()
    }

    fn learn_value(&mut self, body: &[u8], extraction: &Extraction, hit: &Hit) {
        let mut view = View::default();
        for (segment, span) in pieces(extraction, hit.segment as usize, hit.span) {
            view.append(core::str::from_utf8(span.of(body)).unwrap_or(""), span.start, segment.layers);
        }
        self.values.learn(view.text(), self.seed);
    }

    fn learn_links(&mut self, text: &str, channel: Channel) {
        for link in Links::of(text) {
            if self.links.len() >= LINKS_MAX {
                return;
            }
            let Some(target) = text.get(link.host..link.end) else { continue };
            if matches!(channel, Channel::System | Channel::Developer) {
                self.hosts.push(self.number_of(host_of(target)));
            }
            self.links.push(self.number_of(target));
            let host = self.number_of(host_of(target));
            let letters = Letters::of(link::decoded(target).as_bytes());
            let (links, seed) = (&mut self.links, self.seed);
            self.values.find(&letters, seed, |value| links.push(hash::mix(host ^ value)));
        }
    }

    fn number_of(&self, text: &str) -> u64 {
        hash::of(self.seed, text.as_bytes())
    }

    fn knows_link(&self, target: &str) -> bool {
        self.links.binary_search(&self.number_of(target)).is_ok()
            || self.hosts.binary_search(&self.number_of(host_of(target))).is_ok()
    }

    /// Whether a link takes along what the request had, and had not given to that host itself.
    fn is_carried_by(&self, target: &str, cased: &str, placeholders: &Placeholders) -> bool {
        let host = self.number_of(host_of(target));
        // Of base64 nothing is left in lower case, so what is encoded is read in the case that it has.
        self.is_carried_in(&link::decoded(target), host, placeholders)
            || link::encoded(&link::decoded(cased)).any(|text| self.is_carried_in(&text, host, placeholders))
    }

    fn is_carried_in(&self, text: &str, host: u64, placeholders: &Placeholders) -> bool {
        let mut is_carried = false;
        let mut note = |value: u64| is_carried |= self.links.binary_search(&hash::mix(host ^ value)).is_err();
        self.values.find(&Letters::of(text.as_bytes()), self.seed, &mut note);
        for original in originals_in(text, placeholders) {
            note(values::number_of(&link::folded(original), self.seed));
        }
        is_carried || self.prompt.longest(text, self.seed) >= LINK_WORDS_MIN
    }
}

/// The texts of a body, with the segments that they begin with.
fn texts(extraction: &Extraction) -> impl Iterator<Item = (Channel, usize)> {
    let segments = extraction.segments.iter().enumerate().filter(|(_, segment)| !segment.continues);
    segments.map(|(idx, segment)| (segment.channel, idx))
}

fn read(view: &mut View, body: &[u8], extraction: &Extraction, first: usize) {
    view.clear();
    for (part, segment) in extraction.run(first).enumerate() {
        if part > 0 {
            view.separate(segment.span.start);
        }
        let text = core::str::from_utf8(segment.span.of(body)).unwrap_or("");
        view.append(text, segment.span.start, segment.layers);
    }
}

fn host_of(target: &str) -> &str {
    let end = target.find(['/', '?', '#']).unwrap_or(target.len());
    target.get(..end).unwrap_or("")
}

/// What the placeholders of ours in a text stand for.
fn originals_in<'a>(text: &'a str, placeholders: &'a Placeholders) -> impl Iterator<Item = &'a str> {
    let starts = text.match_indices('[').filter(|_| !placeholders.is_empty());
    starts.filter_map(|(at, _)| {
        let rest = text.get(at..)?;
        placeholders.original(rest.get(..name_len(rest.as_bytes())?)?)
    })
}

/// Holds one body against what must not be in it.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    pub(crate) first_rule: RuleIdx,
    pub(crate) direction: Direction,
    pub(crate) canaries: &'a Canaries,
    pub(crate) memory: &'a Memory,
    pub(crate) placeholders: &'a Placeholders,
    /// Some profile uses rules of level 2.
    pub(crate) looks_for_data: bool,
    /// No more text comes behind this one.
    pub(crate) is_whole: bool,
}

impl Watch<'_> {
    fn push(&self, rule: Rule, view: &View, start: usize, end: usize, hits: &mut Hits) {
        hits.push(RuleIdx(self.first_rule.0 + rule as u16), view.source(start, end));
    }

    fn find_canaries(&self, view: &View, hits: &mut Hits) {
        let leaves = self.direction == Direction::Response || hits.channel() == Channel::ToolArguments;
        if leaves {
            self.canaries.find(view.text(), |start, end| self.push(Rule::Canary, view, start, end, hits));
        }
    }

    fn find_echoes(&self, view: &View, hits: &mut Hits) {
        let Memory { prompt, seed, .. } = self.memory;
        prompt.echoes(view.text(), *seed, self.is_whole, |echo| {
            let rule = if echo.is_sure { Rule::SureEcho } else { Rule::Echo };
            self.push(rule, view, echo.start, echo.end, hits);
        });
    }

    fn find_links(&self, view: &View, hits: &mut Hits) {
        if self.memory.is_empty() && self.placeholders.is_empty() && !self.looks_for_data {
            return;
        }
        for link in Links::of(view.text()) {
            if let Some(rule) = self.rule_for(link, view, hits.channel()) {
                self.push(rule, view, link.start, link.end, hits);
            }
        }
    }

    fn rule_for(&self, link: Link, view: &View, channel: Channel) -> Option<Rule> {
        let target = view.text().get(link.host..link.end)?;
        let cased = view.cased().get(link.host..link.end)?;
        if self.memory.knows_link(target) {
            return None;
        }
        let carries = self.memory.is_carried_by(target, cased, self.placeholders);
        match (carries, link.is_image) {
            (true, true) => Some(Rule::Image),
            (true, false) if channel == Channel::ToolArguments => Some(Rule::LinkOfTool),
            (true, false) => Some(Rule::Link),
            (false, true) if self.looks_for_data && link::carries_data(cased) => Some(Rule::DataImage),
            (false, _) => None,
        }
    }
}

impl Detector for Watch<'_> {
    fn detect(&self, view: &mut View, hits: &mut Hits) {
        self.find_canaries(view, hits);
        let is_answer = matches!(hits.channel(), Channel::Assistant | Channel::ToolArguments);
        if self.direction == Direction::Response && is_answer {
            self.find_echoes(view, hits);
            self.find_links(view, hits);
        }
    }

    fn open(&self, view: &View) -> Option<usize> {
        let Memory { prompt, seed, .. } = self.memory;
        let watches_links = !self.memory.is_empty() || !self.placeholders.is_empty();
        let link = watches_links.then(|| Links::of(view.text()).last()).flatten();
        let link = link.filter(|link| link.is_open).map(|link| link.start);
        let echo = prompt.open(view.text(), *seed);
        link.into_iter().chain(echo).chain(self.canaries.open(view.text())).min()
    }
}
