//! One automaton of all rules whose states are made as texts need them.

use regex_automata::{
    Input, MatchKind, PatternSet,
    hybrid::{
        BuildError,
        dfa::{Cache, Config, DFA},
    },
    nfa::thompson::{self, WhichCaptures},
    util::syntax,
};
use sentinel_probe::matchers::Row;

use super::{Built, expressions};
use crate::{
    heap::Mark,
    regex::Dialect,
    rules::Rule,
    texts::Text,
    timing::{micros, once},
};

/// A text is left out that will take longer, by what a shorter one took.
const MICROS_MAX: f64 = 10e6;

/// Expects the memory that the states may take, in MiB.
pub(super) fn measure(rules: &[Rule], texts: &[Text], mebibytes: usize) -> Vec<Row> {
    let sources = expressions(rules, Dialect::Bytes);
    let (lazy, built) = Built::new(rules.len(), || build(&sources, mebibytes << 20));
    let lazy = match lazy {
        Ok(lazy) => lazy,
        Err(e) => return vec![built.only_note("lazy DFA", e.to_string())],
    };
    let mut rows: Vec<Row> = Vec::new();
    for text in texts {
        let shorter = rows.iter().find(|row| row.text == text.name);
        if shorter.is_some_and(|row| row.per_kb * text.kilobytes() > MICROS_MAX) {
            continue;
        }
        let mark = Mark::set();
        let (mut cache, cold) = once(|| {
            let mut cache = lazy.create_cache();
            search(&lazy, &mut cache, text);
            cache
        });
        let (held, _) = mark.held_and_peak();
        let built = Built { held: built.held + held, ..built };
        let note = match cache.clear_count() {
            0 => format!("states of this text: {:.1} MiB", held as f64 / f64::from(1 << 20)),
            n => format!("states thrown away {n} times for want of {mebibytes} MiB"),
        };
        rows.push(Row {
            note: note.clone(),
            ..built.row(&format!("lazy DFA, {mebibytes} MiB, new"), text, cold)
        });
        let warm = micros(|| search(&lazy, &mut cache, text));
        rows.push(Row { note, ..built.row(&format!("lazy DFA, {mebibytes} MiB, again"), text, warm) });
    }
    rows
}

pub(crate) fn build(sources: &[String], cache_bytes: usize) -> Result<DFA, Box<BuildError>> {
    let config = Config::new().match_kind(MatchKind::All).cache_capacity(cache_bytes);
    let mut builder = DFA::builder();
    builder
        .configure(config.skip_cache_capacity_check(true))
        .thompson(thompson_config())
        .syntax(syntax_config());
    builder.build_many(sources).map_err(Box::new)
}

pub(super) fn thompson_config() -> thompson::Config {
    thompson::Config::new().utf8(false).which_captures(WhichCaptures::None)
}

pub(super) fn syntax_config() -> syntax::Config {
    syntax::Config::new().utf8(false)
}

fn search(lazy: &DFA, cache: &mut Cache, text: &Text) -> usize {
    let mut found = PatternSet::new(lazy.pattern_len());
    let input = Input::new(text.folded.text());
    lazy.try_which_overlapping_matches(cache, &input, &mut found).expect("a search");
    found.len()
}
