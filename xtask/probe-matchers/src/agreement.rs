//! Whether the regular expressions find what the phrases find, on the examples and twins of the packs.

use std::sync::Arc;

use regex_automata::{Input, PatternSet as Found};
use sentinel_core::{FoldedText, PatternSet};
use sentinel_model::{BUILTIN_SOURCES, source::PackSource};
use sentinel_probe::matchers::Row;

use crate::{
    regex::{Dialect, of_rule},
    rules::{self, CHANNEL},
    ways::lazy,
};

/// Pairs of a text and a rule that both find, that only the phrases find, and that only the expressions find. Rules that
/// ask for more than their phrases are left out of the last.
pub(crate) fn measure() -> Row {
    let (packs, rules) = rules::all();
    let ours = Arc::new(PatternSet::compile(&packs).expect("the packs compile"));
    let sources: Vec<String> = rules.iter().map(|rule| of_rule(rule, Dialect::Bytes)).collect();
    let lazy = lazy::build(&sources, 256 << 20).expect("the expressions compile");
    let mut cache = lazy.create_cache();
    let (mut texts, mut both, mut only_ours, mut beyond_ascii, mut only_theirs) = (0, 0, 0, 0, 0);
    for text in examples() {
        texts += 1;
        let mut text = FoldedText::new(&text);
        let mut theirs = Found::new(rules.len());
        let input = Input::new(text.text());
        lazy.try_which_overlapping_matches(&mut cache, &input, &mut theirs).expect("a search");
        let found = text.matches(&ours, CHANNEL);
        for (rule, idx) in rules.iter().zip(0..) {
            let theirs = theirs.contains(regex_automata::PatternID::must(idx));
            match (found.contains(&rule.id.as_str()), theirs) {
                (true, true) => both += 1,
                (true, false) if !text.text().is_ascii() => beyond_ascii += 1,
                (true, false) => only_ours += 1,
                (false, true) if !rule.has_conditions => only_theirs += 1,
                _ => {}
            }
        }
    }
    let note = format!(
        "{texts} examples and twins: {both} matches are the same, {only_ours} only by phrases and {beyond_ascii} \
         more in texts beyond ASCII, {only_theirs} only by expressions"
    );
    Row {
        way: "agreement".into(),
        text: String::new(),
        bytes: 0,
        per_kb: 0.0,
        build_ms: 0.0,
        table_bytes: 0.0,
        peak_bytes: 0.0,
        measured: rules.len(),
        rules: rules.len(),
        note,
    }
}

fn examples() -> impl Iterator<Item = String> {
    let packs = BUILTIN_SOURCES.iter().map(|(_, yaml)| PackSource::read(yaml).expect("a pack"));
    packs.flat_map(|pack| pack.rules).flat_map(|rule| rule.examples.into_iter().chain(rule.twins))
}
