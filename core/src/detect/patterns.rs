//! The rules of all packs behind one literal pass.
//!
//! One automaton over the anchors of every pattern reads the view once; only where an anchor stands are the
//! words around it compared. Nothing backtracks: the words that a pattern may have reached are a set of bits,
//! moved forward step by step, so one anchor costs at most steps × gap × alternatives comparisons, whatever the
//! text. The automaton is built once per VM and shared by every policy that is loaded in it.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use sentinel_model::{
    ChannelSet, Pack,
    pack::{PackError, Rule},
    phrase::{Alternative, Phrase, Words},
};

use super::{Budget, Detector, Hits, RuleIdx, RuleInfo};
use crate::{event::PackId, hash, span::Span, text::View, traffic::Segment};

/// A phrase reaches at most this many words to each side of its anchor.
const REACH_WORDS: usize = 63;

/// The same rule is not reported more often than this for one segment.
const HITS_PER_RULE_MAX: usize = 4;

#[derive(Debug)]
pub struct PatternSet {
    rules: Vec<CompiledRule>,
    automaton: AhoCorasick,
    /// For each literal of the automaton, the places where patterns use it.
    uses: Vec<Vec<Use>>,
    packs: Vec<PackId>,
}

#[derive(Debug)]
struct CompiledRule {
    info: RuleInfo,
    channels: ChannelSet,
    patterns: Vec<Phrase>,
}

/// An anchor of one pattern.
#[derive(Clone, Copy, Debug)]
struct Use {
    rule: u16,
    pattern: u16,
    /// Which alternative of the anchor step, and which of its words, the literal is.
    alternative: u16,
    word: u16,
}

#[derive(Debug)]
pub struct CompileError(String);

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for CompileError {}

impl From<PackError> for CompileError {
    fn from(error: PackError) -> Self {
        Self(error.to_string())
    }
}

impl PatternSet {
    /// The packs that this version was built with.
    pub fn builtin() -> Result<Self, CompileError> {
        Self::compile(&Pack::read_all(sentinel_model::BUILTIN_PACKS)?)
    }

    pub fn compile(packs: &[Pack]) -> Result<Self, CompileError> {
        sentinel_model::pack::check(packs)?;
        let rules: Vec<CompiledRule> =
            packs.iter().flat_map(|pack| &pack.rules).map(compile_rule).collect::<Result<_, _>>()?;
        let mut literals: BTreeMap<&str, Vec<Use>> = BTreeMap::new();
        for (rule_idx, rule) in rules.iter().enumerate() {
            for (pattern_idx, pattern) in rule.patterns.iter().enumerate() {
                for (literal, alternative, word) in anchors(pattern) {
                    literals.entry(literal).or_default().push(Use {
                        rule: rule_idx as u16,
                        pattern: pattern_idx as u16,
                        alternative: alternative as u16,
                        word: word as u16,
                    });
                }
            }
        }
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::DFA))
            .match_kind(MatchKind::Standard)
            .build(literals.keys())
            .map_err(|e| CompileError(alloc::format!("literal pass: {e}")))?;
        let uses = literals.into_values().collect();
        let packs = packs.iter().map(pack_id).collect();
        Ok(Self { rules, automaton, uses, packs })
    }

    pub fn packs(&self) -> &[PackId] {
        &self.packs
    }

    pub fn rule_ids(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.info.id.as_str())
    }

    /// Bytes that the compiled tables take.
    pub fn memory_bytes(&self) -> usize {
        self.automaton.memory_usage()
    }

    pub(crate) fn rule_infos(&self) -> impl Iterator<Item = &RuleInfo> {
        self.rules.iter().map(|rule| &rule.info)
    }

    pub(crate) fn rule_id(&self, rule: RuleIdx) -> &str {
        self.rules.get(usize::from(rule.0)).map_or("", |rule| rule.info.id.as_str())
    }
}

impl Detector for PatternSet {
    fn detect(&self, segment: Segment, view: &mut View, hits: &mut Hits) {
        if self.automaton.find(view.text()).is_none() {
            return;
        }
        let mut found: Vec<(RuleIdx, Span)> = Vec::new();
        let (text, words) = view.words();
        for anchor in self.automaton.find_overlapping_iter(text) {
            let Some(uses) = self.uses.get(anchor.pattern().as_usize()) else { continue };
            for at in uses {
                let Some(rule) = self.rules.get(usize::from(at.rule)) else { continue };
                let rule_idx = RuleIdx(at.rule);
                let n_found = found.iter().filter(|(idx, _)| *idx == rule_idx).count();
                if !rule.channels.contains(segment.channel) || n_found == HITS_PER_RULE_MAX {
                    continue;
                }
                if !hits.budget.spend(1) {
                    return;
                }
                let anchor = Span::new(anchor.start(), anchor.end());
                if let Some(span) = rule.find(*at, text, words, anchor, &mut hits.budget) {
                    note(&mut found, rule_idx, span);
                }
            }
        }
        for (rule, span) in found {
            let source = view.source(span.start as usize, span.end as usize);
            hits.push(rule, segment, source);
        }
    }
}

/// Overlapping matches of one rule are one finding.
fn note(found: &mut Vec<(RuleIdx, Span)>, rule: RuleIdx, span: Span) {
    match found.iter_mut().find(|(idx, known)| *idx == rule && known.overlaps(span)) {
        Some((_, known)) => *known = Span { start: known.start.min(span.start), end: known.end.max(span.end) },
        None => found.push((rule, span)),
    }
}

impl CompiledRule {
    /// The match of the pattern around an anchor that stands at `anchor` of the view.
    fn find(&self, at: Use, text: &str, words: &[Span], anchor: Span, budget: &mut Budget) -> Option<Span> {
        match self.patterns.get(usize::from(at.pattern))? {
            Phrase::Literal(_) => Some(anchor),
            Phrase::Words(phrase) => Around { phrase, text, words, budget }.find(at, anchor),
        }
    }
}

/// A phrase being compared with the words around one anchor.
struct Around<'a> {
    phrase: &'a Words,
    text: &'a str,
    words: &'a [Span],
    budget: &'a mut Budget,
}

impl Around<'_> {
    fn find(&mut self, at: Use, anchor: Span) -> Option<Span> {
        let idx = self.words.binary_search_by_key(&anchor.start, |word| word.start).ok()?;
        let step = self.phrase.steps.get(self.phrase.anchor)?;
        let alternative = step.alternatives.get(usize::from(at.alternative))?;
        let first = idx.checked_sub(usize::from(at.word))?;
        if !self.alternative_at(alternative, first) {
            return None;
        }
        let end = self.forward(first + alternative.words.len())?;
        let start = self.backward(first)?;
        Some(Span { start: self.words.get(start)?.start, end: self.words.get(end.checked_sub(1)?)?.end })
    }

    /// The steps after the anchor. Bit `i` of the set says that the phrase may have come as far as the word
    /// `origin + i`. Answers the nearest end.
    fn forward(&mut self, origin: usize) -> Option<usize> {
        let mut reached = 1_u64;
        for idx in self.phrase.anchor + 1..self.phrase.steps.len() {
            let step = self.phrase.steps.get(idx)?;
            let mut next = 0_u64;
            for offset in candidates(reached, step.gap) {
                for alternative in &step.alternatives {
                    let end = offset + alternative.words.len();
                    if end <= REACH_WORDS && self.alternative_at(alternative, origin + offset) {
                        next |= 1 << end;
                    }
                }
            }
            reached = next;
            if reached == 0 {
                return None;
            }
        }
        Some(origin + reached.trailing_zeros() as usize)
    }

    /// The steps before the anchor; bit `i` stands for the word `origin - i`. Answers the nearest start.
    fn backward(&mut self, origin: usize) -> Option<usize> {
        let mut reached = 1_u64;
        for idx in (0..self.phrase.anchor).rev() {
            let gap = self.phrase.steps.get(idx + 1)?.gap;
            let step = self.phrase.steps.get(idx)?;
            let mut next = 0_u64;
            for offset in candidates(reached, gap) {
                for alternative in &step.alternatives {
                    let back = offset + alternative.words.len();
                    let start = origin.checked_sub(back);
                    if back <= REACH_WORDS && start.is_some_and(|start| self.alternative_at(alternative, start)) {
                        next |= 1 << back;
                    }
                }
            }
            reached = next;
            if reached == 0 {
                return None;
            }
        }
        origin.checked_sub(reached.trailing_zeros() as usize)
    }

    fn alternative_at(&mut self, alternative: &Alternative, first: usize) -> bool {
        alternative.words.iter().enumerate().all(|(offset, word)| {
            self.budget.spend(1)
                && self.words.get(first + offset).is_some_and(|span| {
                    self.text.get(span.range()).is_some_and(|text| word.matches(text))
                })
        })
    }
}

/// Every word offset at which the next step may begin: what was reached, and up to `gap` words more.
fn candidates(reached: u64, gap: u8) -> impl Iterator<Item = usize> {
    let spread = (0..=u32::from(gap)).fold(0_u64, |set, shift| set | reached << shift);
    (0..=REACH_WORDS).filter(move |offset| spread & (1 << offset) != 0)
}

fn compile_rule(rule: &Rule) -> Result<CompiledRule, CompileError> {
    let patterns = rule.any.iter().map(|pattern| Phrase::parse(pattern)).collect::<Result<_, _>>();
    Ok(CompiledRule {
        info: RuleInfo {
            id: rule.id.clone(),
            version: rule.version,
            family: rule.family,
            level: rule.level,
            score: rule.score,
        },
        channels: rule.channels.iter().copied().collect(),
        patterns: patterns.map_err(|e| CompileError(alloc::format!("rule {}: {e}", rule.id)))?,
    })
}

/// The literals that lead to a pattern: text, alternative, word.
fn anchors(pattern: &Phrase) -> Vec<(&str, usize, usize)> {
    match pattern {
        Phrase::Literal(literal) => Vec::from([(literal.as_str(), 0, 0)]),
        Phrase::Words(words) => {
            let alternatives = words.steps.get(words.anchor).map_or(&[][..], |step| &step.alternatives);
            let with_anchor = alternatives.iter().enumerate().map(|(idx, alternative)| {
                let (word, text) = alternative.anchor();
                (text, idx, word)
            });
            with_anchor.collect()
        }
    }
}

fn pack_id(pack: &Pack) -> PackId {
    let text = serde_json::to_string(pack).unwrap_or_default();
    PackId { name: pack.name.clone(), version: pack.version, hash: hash::sha256_hex(text.as_bytes()) }
}
