//! A module that matches in one way, chosen by a feature: what it weighs more than one without is what that way adds.

use std::hint::black_box;

/// Called by nobody; keeps everything from being left out.
#[unsafe(no_mangle)]
pub extern "C" fn run(len: usize) -> usize {
    let lines = String::from_utf8(vec![black_box(b'a'); len]).unwrap_or_default();
    let lines: Vec<&str> = black_box(&lines).lines().collect();
    match_lines(&lines)
}

#[cfg(not(any(
    feature = "ground",
    feature = "aho-nfa",
    feature = "aho-dfa",
    feature = "lite",
    feature = "lazy",
    feature = "dense",
    feature = "dense-search"
)))]
fn match_lines(lines: &[&str]) -> usize {
    lines.len()
}

#[cfg(feature = "ground")]
fn match_lines(lines: &[&str]) -> usize {
    use sentinel_core::FoldedText;
    let Ok(packs) = sentinel_model::Pack::read_all(lines[0]) else { return 0 };
    let text = FoldedText::new(lines[1]);
    matches(&packs, text)
}

#[cfg(all(feature = "ground", not(feature = "ours")))]
fn matches(packs: &[sentinel_model::Pack], text: sentinel_core::FoldedText) -> usize {
    packs.len() + text.text().len()
}

#[cfg(feature = "ours")]
fn matches(packs: &[sentinel_model::Pack], mut text: sentinel_core::FoldedText) -> usize {
    let Ok(patterns) = sentinel_core::PatternSet::compile(packs) else { return 0 };
    text.matches(&patterns.into(), sentinel_core::Channel::User).len()
}

#[cfg(feature = "aho-nfa")]
fn match_lines(lines: &[&str]) -> usize {
    aho_corasick::nfa::contiguous::NFA::new(lines).map_or(0, |automaton| find(&automaton, lines))
}

#[cfg(feature = "aho-dfa")]
fn match_lines(lines: &[&str]) -> usize {
    aho_corasick::dfa::DFA::new(lines).map_or(0, |automaton| find(&automaton, lines))
}

#[cfg(any(feature = "aho-nfa", feature = "aho-dfa"))]
fn find(automaton: &impl aho_corasick::automaton::Automaton, lines: &[&str]) -> usize {
    let mut state = aho_corasick::automaton::OverlappingState::start();
    let found = automaton.try_find_overlapping(&aho_corasick::Input::new(lines[0]), &mut state);
    found.map_or(0, |()| state.get_match().map_or(0, |found| found.end()))
}

#[cfg(feature = "lite")]
fn match_lines(lines: &[&str]) -> usize {
    lines
        .iter()
        .filter(|line| regex_lite::Regex::new(line).is_ok_and(|regex| regex.is_match(lines[0])))
        .count()
}

#[cfg(feature = "lazy")]
fn match_lines(lines: &[&str]) -> usize {
    use regex_automata::{Input, PatternSet, hybrid::dfa::DFA};
    let Ok(automaton) = DFA::new_many(lines) else { return 0 };
    let mut found = PatternSet::new(lines.len());
    let searched = automaton.try_which_overlapping_matches(
        &mut automaton.create_cache(),
        &Input::new(lines[0]),
        &mut found,
    );
    searched.map_or(0, |()| found.len())
}

#[cfg(feature = "dense")]
fn match_lines(lines: &[&str]) -> usize {
    regex_automata::dfa::dense::DFA::new_many(lines).map_or(0, |automaton| search(&automaton, lines))
}

#[cfg(feature = "dense-search")]
fn match_lines(lines: &[&str]) -> usize {
    let table = regex_automata::dfa::sparse::DFA::from_bytes(lines[0].as_bytes());
    table.map_or(0, |(automaton, _)| search(&automaton, lines))
}

#[cfg(any(feature = "dense", feature = "dense-search"))]
fn search(automaton: &impl regex_automata::dfa::Automaton, lines: &[&str]) -> usize {
    let mut found = regex_automata::PatternSet::new(lines.len());
    let input = regex_automata::Input::new(lines[0]);
    automaton.try_which_overlapping_matches(&input, &mut found).map_or(0, |()| found.len())
}
