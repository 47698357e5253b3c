//! Rules that the policy brings along.
//!
//! Phrases are compiled as those of packs are. Of regular expressions, the literals that their matches cannot do without
//! are looked for first, all of them in one pass over the folded view; only around those, and only for the expressions
//! that they belong to, is the text matched, with the case it has. A policy without such rules pays for nothing.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::ops::Range;

use aho_corasick::{Anchored, MatchKind, automaton::Automaton, nfa::contiguous::NFA};
use sentinel_model::{ChannelSet, Rule};

use super::{Budget, Detector, Hits, PatternSet, RuleIdx, RuleInfo, patterns::CompileError};
use crate::{
    policy::{InlineRule, PolicyError},
    regex::{Machine, Regex},
    text::View,
};

/// How far a match may reach around its literal.
const BYTES_BEFORE: usize = 256;
const BYTES_AFTER: usize = 512;

/// So much of a literal at the end of a text makes a stream wait for the rest.
const OPEN_BYTES_MIN: usize = 2;

#[derive(Debug, Default)]
pub(crate) struct Inline {
    phrases: Option<PatternSet>,
    expressions: Vec<Expression>,
    /// Channels that some expression judges.
    channels: ChannelSet,
    literals: Vec<Literal>,
    /// Finds the literals; none if there are none.
    automaton: Option<NFA>,
}

#[derive(Debug)]
struct Expression {
    rule: RuleIdx,
    channels: ChannelSet,
    regex: Regex,
}

#[derive(Debug)]
struct Literal {
    text: String,
    /// Index of its expression.
    expression: u16,
}

/// A stretch of a text that an expression is to be matched in.
#[derive(Debug, PartialEq, Eq)]
struct Window {
    expression: u16,
    bytes: Range<usize>,
}

impl Inline {
    /// `first` is the place of the first of the rules in the engine's list. Expressions of rules
    /// above `level_max`, which no profile uses, are checked and not looked for.
    pub(crate) fn new(rules: &[InlineRule], first: RuleIdx, level_max: u8) -> Result<Self, PolicyError> {
        let idx_of = |place: usize| RuleIdx(first.0 + place as u16);
        let mut inline = Self { phrases: phrases_of(rules, first)?, ..Self::default() };
        for (place, rule) in rules.iter().enumerate() {
            for (text, source) in rule.regex.iter().enumerate() {
                let regex = Regex::new(source).map_err(|e| {
                    let field = InlineRule::field(place, "regex", &rule.regex, text);
                    PolicyError { field, reason: e.to_string() }
                })?;
                if rule.level <= level_max {
                    inline.add(Expression { rule: idx_of(place), channels: channels_of(rule), regex });
                }
            }
        }
        let judged = rules.iter().filter(|rule| !rule.regex.is_empty()).flat_map(|rule| &rule.channels);
        inline.channels = judged.copied().collect();
        let texts = inline.literals.iter().map(|literal| &literal.text);
        let build = || NFA::builder().match_kind(MatchKind::Standard).build(texts);
        let automaton = (!inline.literals.is_empty()).then(build).transpose();
        inline.automaton =
            automaton.map_err(|e| PolicyError { field: "patterns".into(), reason: e.to_string() })?;
        Ok(inline)
    }

    pub(crate) fn rule_info(rule: &InlineRule) -> RuleInfo {
        RuleInfo {
            id: rule.id.clone(),
            version: 1,
            family: rule.family,
            level: rule.level,
            score: rule.score,
        }
    }

    pub(crate) const fn phrases(&self) -> Option<&PatternSet> {
        self.phrases.as_ref()
    }

    fn add(&mut self, expression: Expression) {
        let idx = self.expressions.len() as u16;
        let literals = expression.regex.literals().iter();
        self.literals.extend(literals.map(|text| Literal { text: text.clone(), expression: idx }));
        self.expressions.push(expression);
    }

    fn expression(&self, idx: u16) -> Option<&Expression> {
        self.expressions.get(usize::from(idx))
    }

    /// Every literal that ends in a text, with where it begins and ends, in the order of ends.
    fn each_literal(&self, text: &str, mut found: impl FnMut(&Literal, Range<usize>) -> bool) {
        let Some(automaton) = &self.automaton else { return };
        let Ok(mut state) = automaton.start_state(Anchored::No) else { return };
        for (at, byte) in text.bytes().enumerate() {
            state = automaton.next_state(Anchored::No, state, byte);
            if !automaton.is_match(state) {
                continue;
            }
            for nth in 0..automaton.match_len(state) {
                let literal = self.literals.get(automaton.match_pattern(state, nth).as_usize());
                let Some(literal) = literal else { continue };
                if !found(literal, at + 1 - literal.text.len()..at + 1) {
                    return;
                }
            }
        }
    }

    /// Where matches may be, joined where they touch: within one expression no byte is in two.
    fn windows(&self, text: &str, hits: &mut Hits) -> Vec<Window> {
        let channel = hits.channel();
        let mut open: Vec<Option<Range<usize>>> = vec![None; self.expressions.len()];
        let mut windows = Vec::new();
        self.each_literal(text, |literal, bytes| {
            let judges = self.expression(literal.expression).is_some_and(|e| e.channels.contains(channel));
            let Some(open) = open.get_mut(usize::from(literal.expression)).filter(|_| judges) else {
                return true;
            };
            let new = around(text, &bytes);
            match open {
                Some(known) if new.start <= known.end => {
                    *known = known.start.min(new.start)..known.end.max(new.end);
                }
                known => {
                    let done = known.replace(new);
                    windows.extend(done.map(|bytes| Window { expression: literal.expression, bytes }));
                }
            }
            hits.budget.spend(1)
        });
        let rest = open.into_iter().zip(0..);
        windows.extend(rest.filter_map(|(bytes, expression)| Some(Window { expression, bytes: bytes? })));
        windows
    }

    fn find_matches(&self, view: &View, hits: &mut Hits) {
        if self.automaton.is_none() || !self.channels.contains(hits.channel()) {
            return;
        }
        let windows = self.windows(view.text(), hits);
        let (mut machine, mut found) = (Machine::default(), Vec::new());
        for Window { expression, bytes } in windows {
            let Some(Expression { rule, regex, .. }) = self.expression(expression) else { continue };
            let mut rest = bytes;
            while let Some(bytes) = regex.find(view.cased(), rest.clone(), &mut machine, &mut hits.budget) {
                rest.start = bytes.end;
                found.push((*rule, bytes));
            }
        }
        found.sort_unstable_by_key(|(rule, bytes)| (*rule, bytes.start));
        // Expressions of one rule may find the same.
        found.dedup_by(|(next_rule, next), (rule, bytes)| {
            let joins = next_rule == rule && next.start < bytes.end;
            if joins {
                bytes.end = bytes.end.max(next.end);
            }
            joins
        });
        for (rule, bytes) in found {
            hits.push(rule, view.source(bytes.start, bytes.end));
        }
    }

    /// Where the literals of each expression stand at the end of a text: the first of those that a match could still grow
    /// from, and the last.
    fn open_literals(&self, view: &View) -> Vec<Option<Range<usize>>> {
        let text = view.text();
        let from = floor(text, text.len().saturating_sub(BYTES_AFTER));
        let mut open: Vec<Option<Range<usize>>> = vec![None; self.expressions.len()];
        let mut note = |expression: u16, start: usize| {
            let Some(open) = open.get_mut(usize::from(expression)) else { return };
            let known = open.take().unwrap_or(start..start);
            *open = Some(known.start.min(start)..known.end.max(start));
        };
        self.each_literal(text.get(from..).unwrap_or(""), |literal, bytes| {
            note(literal.expression, from + bytes.start);
            true
        });
        for Literal { text: literal, expression } in &self.literals {
            let lens = 1..literal.len();
            let begun = lens.rev().find(|len| {
                let start = text.len().saturating_sub(*len);
                literal.as_bytes().get(..*len).is_some_and(|begun| text.as_bytes().ends_with(begun))
                    && (*len >= OPEN_BYTES_MIN || loses_its_case(view, start))
            });
            if let Some(len) = begun {
                note(*expression, text.len() - len);
            }
        }
        open
    }
}

/// What a stream has released it remembers in lower case.
fn loses_its_case(view: &View, at: usize) -> bool {
    view.cased().as_bytes().get(at).is_some_and(u8::is_ascii_uppercase)
}

fn phrases_of(rules: &[InlineRule], first: RuleIdx) -> Result<Option<PatternSet>, PolicyError> {
    let with_phrases = rules.iter().zip(first.0..).filter(|(rule, _)| !rule.any.is_empty());
    let as_packs: Vec<(RuleIdx, Rule)> =
        with_phrases.map(|(rule, idx)| (RuleIdx(idx), as_pack_rule(rule))).collect();
    if as_packs.is_empty() {
        return Ok(None);
    }
    // All that phrases which were parsed may still lack. The error goes into logs, so it does not name the text.
    let wrong = |(idx, _): (RuleIdx, CompileError)| PolicyError {
        field: format!("patterns[{}].any", idx.0 - first.0),
        reason: "a literal in quotes needs a sign such as < or [; write words without quotes".into(),
    };
    PatternSet::of_policy(as_packs.iter().map(|(idx, rule)| (*idx, rule))).map(Some).map_err(wrong)
}

fn as_pack_rule(rule: &InlineRule) -> Rule {
    Rule {
        id: rule.id.clone(),
        version: 1,
        family: rule.family,
        level: rule.level,
        score: rule.score,
        channels: rule.channels.clone(),
        any: rule.any.clone(),
        with: Vec::new(),
        unless: Vec::new(),
        description: String::new(),
        owasp: Vec::new(),
        atlas: Vec::new(),
    }
}

fn channels_of(rule: &InlineRule) -> ChannelSet {
    rule.channels.iter().copied().collect()
}

/// The bytes around a literal, on boundaries of characters.
fn around(text: &str, literal: &Range<usize>) -> Range<usize> {
    let end = literal.end.saturating_add(BYTES_AFTER);
    floor(text, literal.start.saturating_sub(BYTES_BEFORE))..floor(text, end)
}

/// The last boundary of characters at or before a place.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

impl Detector for Inline {
    fn detect(&self, view: &mut View, hits: &mut Hits) {
        if let Some(phrases) = &self.phrases {
            phrases.detect(u8::MAX, view, hits);
        }
        self.find_matches(view, hits);
    }

    /// A literal that has begun, and a match that may still grow from one.
    fn open(&self, view: &View) -> Option<usize> {
        self.automaton.as_ref()?;
        let (mut machine, mut budget) = (Machine::default(), Budget::for_bytes(0));
        let open = self.open_literals(view).into_iter().zip(&self.expressions);
        let begun = open.filter_map(|(literals, expression)| {
            let Range { start, end } = literals?;
            let from = floor(view.text(), start.saturating_sub(BYTES_BEFORE));
            expression.regex.open(view.cased(), from..end, &mut machine, &mut budget)
        });
        begun.min()
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;
    use sentinel_model::{Channel, Family};

    use super::*;
    use crate::text::Layers;

    fn rule(any: &[&str], regex: &[&str]) -> InlineRule {
        InlineRule {
            id: "custom/test".into(),
            family: Family::Leak,
            level: 1,
            score: 0.9,
            channels: Channel::ALL.to_vec(),
            any: any.iter().map(ToString::to_string).collect(),
            regex: regex.iter().map(ToString::to_string).collect(),
        }
    }

    fn inline(any: &[&str], regex: &[&str]) -> Inline {
        Inline::new(&[rule(any, regex)], RuleIdx(7), 1).unwrap()
    }

    fn view_of(text: &str) -> View {
        let mut view = View::default();
        view.append(text, 0, Layers::NONE);
        view
    }

    fn found<'t>(inline: &Inline, text: &'t str) -> Vec<&'t str> {
        let mut hits = Hits::new(Budget::for_bytes(text.len()), Channel::User, 0);
        inline.detect(&mut view_of(text), &mut hits);
        assert!(!hits.budget.is_spent(), "{text}");
        let (hits, _) = hits.into_parts();
        assert!(hits.iter().all(|hit| hit.rule == RuleIdx(7)));
        hits.iter().map(|hit| text.get(hit.span.range()).unwrap()).collect()
    }

    #[test]
    fn every_match_is_found() {
        let phrases = inline(&["(project|operation) ~1 bluebird"], &[]);
        assert_eq!(found(&phrases, "Project Bluebird, operation the Bluebird").len(), 2);
        assert_eq!(found(&phrases, &"project bluebird. ".repeat(100)).len(), 100);
        let regex = inline(&[], &[r"BLUEBIRD-[0-9]{4,8}\b"]);
        assert_eq!(found(&regex, "BLUEBIRD-1234, bluebird-1234 and BLUEBIRD-123456789"), ["BLUEBIRD-1234"]);
        assert_eq!(found(&regex, &"BLUEBIRD-1234 ".repeat(100)).len(), 100);
    }

    #[test]
    fn expressions_of_one_rule_find_a_place_once() {
        let both = inline(&[], &["bluebird-[0-9]+", "[a-z]{0,9} bluebird"]);
        assert_eq!(found(&both, "the bluebird-77"), ["the bluebird-77"]);
    }

    #[test]
    fn a_match_reaches_only_so_far_around_its_literal() {
        let regex = inline(&[], &["x+bluebird", "blackbirdy+"]);
        assert_eq!(found(&regex, &format!("{}bluebird", "x".repeat(400))).first().unwrap().len(), 256 + 8);
        assert_eq!(found(&regex, &format!("blackbird{}", "y".repeat(900))).first().unwrap().len(), 9 + 512);
    }

    #[test]
    fn a_stream_waits_for_what_may_become_a_match() {
        let regex = inline(&[], &[r"BLUEBIRD-[0-9]{4,8}\b", "(?i)operation [a-z]+ thistle!"]);
        for (open, text) in [
            (Some(4), "see BL"),
            (Some(4), "see B"),
            (None, "see b"),
            (Some(4), "see BLUEBIRD-"),
            (Some(4), "see BLUEBIRD-12"),
            (None, "see BLUEBIRD-12 "),
            (None, "a blue bird"),
            (Some(3), "an operation plain th"),
        ] {
            assert_eq!(regex.open(&view_of(text)), open, "{text}");
        }
    }

    #[test]
    fn a_text_of_nothing_but_literals_stays_within_its_budget() {
        let regex = inline(&[], &["bluebird.*x[0-9]", "(bluebird|bird)+y"]);
        let text = "bluebird ".repeat(20_000);
        let mut hits = Hits::new(Budget::for_bytes(text.len()), Channel::User, 0);
        regex.detect(&mut view_of(&text), &mut hits);
        assert!(hits.into_parts().0.is_empty());
    }

    #[test]
    fn what_cannot_be_paid_for_is_not_looked_at() {
        let regex = inline(&[], &["(bluebird|blue.*bird|bluebir.*d)+7"]);
        let text = "bluebird ".repeat(20_000);
        let mut hits = Hits::new(Budget::for_bytes(0), Channel::User, 0);
        regex.detect(&mut view_of(&text), &mut hits);
        assert!(hits.budget.is_spent());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error_of = |rules: &[InlineRule]| {
            let policy = crate::policy::Policy { patterns: rules.to_vec(), ..Default::default() };
            let checked = policy.check(core::iter::empty());
            let error = checked.and_then(|()| Inline::new(rules, RuleIdx(0), 1).map(drop)).err();
            error.map_or_else(String::new, |error| error.to_string())
        };
        let good = || rule(&["bluebird"], &[]);
        let named = |id: &str| InlineRule { id: id.into(), ..good() };
        assert_eq!(error_of(&[good(), named("custom/other")]), "");
        assert_eq!(
            error_of(&[good(), good()]),
            r#"patterns[1].id: is "custom/test", as that of a rule before it"#
        );
        for id in ["test", "custom/", "custom/Test", "custom/a/b", "custom/7", "leak/canary"] {
            assert!(error_of(&[named(id)]).starts_with("patterns[0].id: is"), "{id}");
        }
        for (expected, rule) in [
            ("patterns[0].level: is 5, expected 1 to 4", InlineRule { level: 5, ..good() }),
            ("patterns[0].score: is 0, expected above 0 and at most 1", InlineRule { score: 0.0, ..good() }),
            (
                "patterns[0].channels: is empty: the rule would judge nothing",
                InlineRule { channels: Vec::new(), ..good() },
            ),
            ("patterns[0].any: is empty, and so is regex: the rule would find nothing", rule(&[], &[])),
            ("patterns[0].any[1]: ~ needs a number of words", rule(&["bluebird", "~ kite"], &[])),
            (
                "patterns[0].any: a literal in quotes needs a sign such as < or [; write words without quotes",
                rule(&["\"kite\""], &[]),
            ),
            (
                "patterns[0].regex: no match of it must contain a word or at least three fixed letters; add some",
                rule(&[], &["[0-9]+"]),
            ),
            ("patterns[0].regex[1]: there is a ( without its )", rule(&[], &["kite", "(kite"])),
            ("patterns[0].regex: has 9 texts, expected at most 8", rule(&[], &["kite"; 9])),
        ] {
            assert_eq!(error_of(&[rule]), expected);
        }
        assert_eq!(error_of(&vec![good(); 65]), "patterns: has 65 rules, expected at most 64");
        let long = rule(&[], &[&"kite".repeat(4097)]);
        let reason = "patterns: has 16388 bytes of phrases and regexes, expected at most 16384";
        assert_eq!(error_of(&[long]), reason);
    }

    #[test]
    fn one_text_needs_no_list() {
        let read = |text: &str| serde_json::from_str::<InlineRule>(text);
        let rule = read(r#"{"id":"custom/a","family":"pii","regex":"kite","any":["b","c"]}"#).unwrap();
        assert_eq!((rule.any.len(), rule.regex.len(), rule.level), (2, 1, 1));
        assert_eq!(rule.channels, Channel::ALL);
        let error = read(r#"{"id":"custom/a","family":"pii","regex":7}"#).unwrap_err().to_string();
        assert!(error.contains("expected a text or a list of texts"), "{error}");
    }

    proptest! {
        #[test]
        fn a_literal_expression_finds_what_a_plain_search_finds(
            word in "[a-zA-Z-]{3,6}",
            text in "[a-c -]{0,9}",
            places in prop::collection::vec("[a-c A-C]{0,5}", 0..5),
        ) {
            let text = places.iter().fold(text, |text, place| format!("{text}{word}{place}"));
            let regex = inline(&[], &[&word.replace('-', "\\-")]);
            let plain: Vec<&str> = text.matches(&word).collect();
            prop_assert_eq!(found(&regex, &text), plain);
        }

        #[test]
        fn a_match_waits_from_its_start_wherever_a_stream_is_cut(
            before in "[a-z \\n]{0,40}",
            digits in "[0-9]{4,8}",
        ) {
            let regex = inline(&[], &[r"BLUEBIRD-[0-9]{4,8}\b"]);
            let text = format!("{before} BLUEBIRD-{digits}");
            let start = before.len() + 1;
            for cut in start + 1..text.len() {
                let cut = text.get(..cut).unwrap();
                let is_hit = !found(&regex, cut).is_empty();
                prop_assert!(is_hit || regex.open(&view_of(cut)).is_some_and(|open| open <= start), "{}", cut);
            }
        }

        #[test]
        fn any_text_is_read(text in "((BLUEBIRD-|bluebird|[0-9]{1,9}|é|\\n| |Я){1,3}){0,12}") {
            let regex = inline(&["blue* bird*"], &[r"(?i)\bBLUEBIRD-[0-9]{4,8}\b", r"\W+bluebird.{0,9}$"]);
            for found in found(&regex, &text) {
                prop_assert!(!found.is_empty());
            }
            prop_assert!(regex.open(&view_of(&text)).is_none_or(|open| open < text.len()));
        }
    }
}
