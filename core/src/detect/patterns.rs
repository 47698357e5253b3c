//! The rules of all packs behind one literal pass.
//!
//! One automaton over the anchors of every pattern reads the view once; only where an anchor stands, as a word of its
//! own, are the words around it compared ([`phrase`](super::phrase)). The automaton is built once per VM and shared
//! by every policy that is loaded in it.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use aho_corasick::{Anchored, MatchKind, automaton::Automaton, dfa::DFA};
use sentinel_model::{
    ChannelSet, Pack,
    pack::{self, PackError, Rule},
    phrase::{Literal, Phrase, Word},
};

use super::{
    ContextInfo, Contexts, Detector, Hits, RuleIdx, RuleInfo,
    near::{Context, Near, Surroundings},
    phrase::{Matcher, Place},
};
use crate::{
    event::PackId,
    hash,
    span::Span,
    text::{View, Vocabulary, is_inside_word, may_be_word},
};

/// What stands in quotation marks is more often spoken of than meant.
const QUOTED: &str = "mention/quoted";
const QUOTED_FACTOR: f32 = 0.8;

/// The same rule is not reported more often than this for one segment.
const HITS_PER_RULE_MAX: usize = 4;

#[derive(Debug)]
pub struct PatternSet {
    rules: Vec<CompiledRule>,
    automaton: DFA,
    /// For each literal of the automaton, the places where patterns use it.
    uses: Vec<Vec<Use>>,
    /// Which literals are patterns by themselves.
    letters: Vec<bool>,
    packs: Vec<PackId>,
    contexts: Vec<Context>,
    context_infos: Vec<ContextInfo>,
    /// Words of the rules, and beginnings of words: what a word in disguise is held against.
    words: BTreeSet<String>,
    stems: BTreeSet<String>,
}

#[derive(Debug)]
struct CompiledRule {
    info: RuleInfo,
    channels: ChannelSet,
    patterns: Vec<Pattern>,
    with: Vec<Near>,
    unless: Vec<Near>,
}

#[derive(Debug)]
enum Pattern {
    Literal { begins_line: bool },
    Words(Matcher),
}

/// An anchor of one pattern.
#[derive(Clone, Copy, Debug)]
struct Use {
    rule: u16,
    pattern: u16,
    place: Place,
}

/// An anchor that stands in the view.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    literal: u32,
    span: Span,
    /// Nothing word-like stands directly before it.
    begins_word: bool,
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
        pack::check(packs)?;
        let mut literals: BTreeMap<String, Vec<Use>> = BTreeMap::new();
        let mut rules = Vec::new();
        let (mut words, mut stems) = (BTreeSet::new(), BTreeSet::new());
        for word in packs.iter().flat_map(|pack| &pack.rules).flat_map(words_of) {
            if word.prefix {
                stems.insert(word.text)
            } else {
                words.insert(word.text)
            };
        }
        for rule in packs.iter().flat_map(|pack| &pack.rules) {
            let rule_idx = rules.len() as u16;
            rules.push(compile_rule(rule, |literal, pattern, place| {
                literals.entry(literal).or_default().push(Use { rule: rule_idx, pattern, place });
            })?);
        }
        let automaton = DFA::builder()
            .match_kind(MatchKind::Standard)
            .build(literals.keys())
            .map_err(|e| CompileError(alloc::format!("literal pass: {e}")))?;
        let is_letters = |at: &Use| {
            let rule: Option<&CompiledRule> = rules.get(usize::from(at.rule));
            matches!(
                rule.and_then(|rule| rule.patterns.get(usize::from(at.pattern))),
                Some(Pattern::Literal { .. })
            )
        };
        let letters = literals.values().map(|uses| uses.iter().any(is_letters)).collect();
        let uses = literals.into_values().collect();
        let sources = || packs.iter().flat_map(|pack| &pack.contexts);
        let quoted = ContextInfo { id: QUOTED.into(), factor: QUOTED_FACTOR };
        let context_infos = sources()
            .map(|context| ContextInfo { id: context.id.clone(), factor: context.factor })
            .chain([quoted])
            .collect();
        let contexts = sources()
            .map(|context| Ok(Context { side: context.side, any: compile_near(&context.any, &context.id)? }))
            .collect::<Result<_, CompileError>>()?;
        let packs = packs.iter().map(pack_id).collect();
        Ok(Self { rules, automaton, uses, letters, packs, contexts, context_infos, words, stems })
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

    pub(crate) fn context_infos(&self) -> Vec<ContextInfo> {
        self.context_infos.clone()
    }

    pub(crate) fn rule_infos(&self) -> impl Iterator<Item = &RuleInfo> {
        self.rules.iter().map(|rule| &rule.info)
    }

    pub(crate) fn rule_id(&self, rule: RuleIdx) -> &str {
        self.rules.get(usize::from(rule.0)).map_or("", |rule| rule.info.id.as_str())
    }
}

impl Vocabulary for PatternSet {
    fn knows(&self, word: &str) -> bool {
        /// A shorter word is too often something else.
        const BYTES_MIN: usize = 3;
        let beginnings = (BYTES_MIN..=word.len()).filter_map(|len| word.get(..len));
        word.len() >= BYTES_MIN
            && (self.words.contains(word) || beginnings.into_iter().any(|stem| self.stems.contains(stem)))
    }
}

/// The words of a rule's phrases.
fn words_of(rule: &Rule) -> Vec<Word> {
    let phrases = rule.any.iter().filter_map(|source| match Phrase::parse(source) {
        Ok(Phrase::Words(words)) => Some(words),
        _ => None,
    });
    let steps = phrases.flat_map(|words| words.steps);
    steps.flat_map(|step| step.alternatives).flat_map(|alternative| alternative.words).collect()
}

impl Detector for PatternSet {
    fn detect(&self, view: &mut View, hits: &mut Hits) {
        let mut anchors = Vec::new();
        self.find_anchors(view.text().as_bytes(), &mut anchors, hits);
        if anchors.is_empty() {
            return;
        }
        let mut found: Vec<Found> = Vec::new();
        for anchor in anchors {
            let (text, words) = view.words_around(anchor.span.start as usize);
            for at in self.uses.get(anchor.literal as usize).map_or(&[][..], Vec::as_slice) {
                let Some(rule) = self.rules.get(usize::from(at.rule)) else { continue };
                let rule_idx = RuleIdx(at.rule);
                let n_found = found.iter().filter(|found| found.rule == rule_idx).count();
                if !rule.channels.contains(hits.channel()) || n_found == HITS_PER_RULE_MAX {
                    continue;
                }
                let span = match rule.patterns.get(usize::from(at.pattern)) {
                    Some(Pattern::Literal { begins_line }) => {
                        (!begins_line || begins_line_at(text, anchor.span.start)).then_some(anchor.span)
                    }
                    Some(Pattern::Words(matcher)) if anchor.begins_word => {
                        matcher.find(at.place, text, words, anchor.span.start, &mut hits.budget)
                    }
                    _ => None,
                };
                if let Some(span) = span {
                    let around = Surroundings { text, words, span };
                    let budget = &mut hits.budget;
                    if (rule.with.is_empty() || around.hold(&rule.with, pack::Side::Around, budget))
                        && !around.hold(&rule.unless, pack::Side::Around, budget)
                    {
                        let contexts = around.contexts(&self.contexts, budget);
                        note(&mut found, Found { rule: rule_idx, span, contexts });
                    }
                }
                if hits.budget.is_spent() {
                    return;
                }
            }
        }
        for Found { rule, span, contexts } in found {
            let source = view.source(span.start as usize, span.end as usize);
            hits.push_in(rule, source, contexts);
        }
    }
}

impl PatternSet {
    /// Whether a literal leads to patterns that are matched letter by letter, inside of words as well.
    fn is_literal(&self, literal: usize) -> bool {
        self.letters.get(literal).copied().unwrap_or(false)
    }

    /// The literal pass: one table look-up per byte, whatever the text.
    fn find_anchors(&self, text: &[u8], anchors: &mut Vec<Anchor>, hits: &mut Hits) {
        let Ok(mut state) = self.automaton.start_state(Anchored::No) else { return };
        for (at, &byte) in text.iter().enumerate() {
            state = self.automaton.next_state(Anchored::No, state, byte);
            if !self.automaton.is_special(state) || !self.automaton.is_match(state) {
                continue;
            }
            for idx in 0..self.automaton.match_len(state) {
                let pattern = self.automaton.match_pattern(state, idx);
                let start = (at + 1).saturating_sub(self.automaton.pattern_len(pattern));
                let before = start.checked_sub(1).and_then(|before| text.get(before));
                // After a byte of a longer character only the words can tell.
                let begins_word = match before {
                    Some(b'\'') => !is_inside_word(text, start - 1),
                    Some(b) => !may_be_word(*b) || !b.is_ascii(),
                    None => true,
                };
                if begins_word || self.is_literal(pattern.as_usize()) {
                    anchors.push(Anchor {
                        literal: pattern.as_u32(),
                        span: Span::new(start, at + 1),
                        begins_word,
                    });
                }
                if !hits.budget.spend(1) {
                    return;
                }
            }
        }
    }
}

/// A match in the view.
struct Found {
    rule: RuleIdx,
    span: Span,
    contexts: Contexts,
}

/// Overlapping matches of one rule are one finding.
fn note(found: &mut Vec<Found>, new: Found) {
    match found.iter_mut().find(|known| known.rule == new.rule && known.span.overlaps(new.span)) {
        Some(known) => {
            let (start, end) = (known.span.start.min(new.span.start), known.span.end.max(new.span.end));
            known.span = Span { start, end };
            known.contexts = known.contexts.and(new.contexts);
        }
        None => found.push(new),
    }
}

/// Whether only a few spaces stand between the beginning of a line and a place.
fn begins_line_at(text: &str, at: u32) -> bool {
    /// Indented further, a line is code or part of a list.
    const SPACES_MAX: usize = 8;
    let before = text.as_bytes().get(..at as usize).unwrap_or_default();
    let mut back = before.iter().rev();
    let first = back.by_ref().take(SPACES_MAX).find(|byte| !matches!(byte, b' ' | b'\t'));
    first.or_else(|| back.next()).is_none_or(|byte| *byte == b'\n')
}

/// Phrases that are looked for around matches.
fn compile_near(sources: &[String], id: &str) -> Result<Vec<Near>, CompileError> {
    let near = |source: &String| match Phrase::parse(source) {
        Ok(phrase) => Ok(Near::new(&phrase)),
        Err(e) => Err(CompileError(alloc::format!("{id}: {e}"))),
    };
    sources.iter().map(near).collect()
}

/// Compiles one rule; `on_anchor` gets every literal that leads to one of its patterns.
fn compile_rule(
    rule: &Rule,
    mut on_anchor: impl FnMut(String, u16, Place),
) -> Result<CompiledRule, CompileError> {
    let mut patterns = Vec::new();
    for source in &rule.any {
        let phrase =
            Phrase::parse(source).map_err(|e| CompileError(alloc::format!("rule {}: {e}", rule.id)))?;
        let pattern_idx = patterns.len() as u16;
        patterns.push(match phrase {
            Phrase::Literal(Literal { text, begins_line }) => {
                on_anchor(text, pattern_idx, Place::default());
                Pattern::Literal { begins_line }
            }
            Phrase::Words(words) => {
                let matcher = Matcher::new(&words);
                matcher
                    .anchors(&words)
                    .for_each(|(literal, place)| on_anchor(literal.into(), pattern_idx, place));
                Pattern::Words(matcher)
            }
        });
    }
    Ok(CompiledRule {
        info: RuleInfo {
            id: rule.id.clone(),
            version: rule.version,
            family: rule.family,
            level: rule.level,
            score: rule.score,
        },
        channels: rule.channels.iter().copied().collect(),
        patterns,
        with: compile_near(&rule.with, &rule.id)?,
        unless: compile_near(&rule.unless, &rule.id)?,
    })
}

fn pack_id(pack: &Pack) -> PackId {
    let text = serde_json::to_string(pack).unwrap_or_default();
    PackId { name: pack.name.clone(), version: pack.version, hash: hash::sha256_hex(text.as_bytes()) }
}
