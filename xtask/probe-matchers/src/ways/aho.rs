//! Automata over the anchors: the pass alone, before any phrase is compared.

use aho_corasick::{
    Anchored, MatchKind,
    automaton::{Automaton, OverlappingState},
    dfa,
    nfa::contiguous,
};
use sentinel_probe::matchers::Row;

use super::Built;
use crate::{
    rules::{Rule, anchors},
    texts::Text,
    timing::micros,
};

pub(super) fn dfa(rules: &[Rule], texts: &[Text]) -> Vec<Row> {
    let anchors = anchors(rules);
    let build = || {
        let mut builder = dfa::Builder::new();
        builder.match_kind(MatchKind::Standard).start_kind(aho_corasick::StartKind::Unanchored);
        builder.build(&anchors).expect("anchors")
    };
    let (automaton, built) = Built::new(rules.len(), build);
    rows("aho-corasick DFA", &automaton, &built, texts, anchors.len())
}

pub(super) fn nfa(rules: &[Rule], texts: &[Text]) -> Vec<Row> {
    let anchors = anchors(rules);
    let build =
        || contiguous::Builder::new().match_kind(MatchKind::Standard).build(&anchors).expect("anchors");
    let (automaton, built) = Built::new(rules.len(), build);
    rows("aho-corasick NFA", &automaton, &built, texts, anchors.len())
}

fn rows(way: &str, automaton: &impl Automaton, built: &Built, texts: &[Text], n_anchors: usize) -> Vec<Row> {
    let row = |text: &Text| {
        let taken = micros(|| count(automaton, text.folded.text()));
        let note = format!("{n_anchors} anchors, nothing compared around them");
        Row { note, ..built.row(way, text, taken) }
    };
    texts.iter().map(row).collect()
}

fn count(automaton: &impl Automaton, text: &str) -> usize {
    let input = aho_corasick::Input::new(text).anchored(Anchored::No);
    let (mut state, mut n_found) = (OverlappingState::start(), 0);
    loop {
        automaton.try_find_overlapping(&input, &mut state).expect("a search");
        if state.get_match().is_none() {
            return n_found;
        }
        n_found += 1;
    }
}
