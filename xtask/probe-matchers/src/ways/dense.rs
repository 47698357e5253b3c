//! Automata whose states are all made beforehand: dense, and sparse made of them.

use std::time::{Duration, Instant};

use regex_automata::{
    Input, MatchKind, PatternSet,
    dfa::{
        Automaton, StartKind,
        dense::{BuildError, Builder, Config, DFA},
        sparse,
    },
};
use sentinel_probe::matchers::Row;

use super::{
    Built, expressions,
    lazy::{syntax_config, thompson_config},
};
use crate::{
    regex::{self, Dialect},
    rules::Rule,
    texts::Text,
    timing::micros,
};

/// What was not built by then is not tried.
const BUILD_FOR: Duration = Duration::from_secs(12);
const SAMPLES: usize = 48;

type Dense = DFA<Vec<u32>>;
type Sparse = sparse::DFA<Vec<u8>>;

/// What one automaton is made of, and what it may take at most, while it is built and afterwards.
#[derive(Clone, Copy)]
pub(super) enum Part {
    All,
    Rule,
    Phrases(usize),
}

impl Part {
    const fn mebibytes_max(self) -> usize {
        match self {
            Self::All => 64,
            Self::Rule => 16,
            Self::Phrases(_) => 4,
        }
    }

    fn name(self) -> String {
        match self {
            Self::All => "DFA of all rules".into(),
            Self::Rule => "DFA for each rule".into(),
            Self::Phrases(1) => "DFA for each phrase".into(),
            Self::Phrases(n) => format!("DFA for every {n} phrases"),
        }
    }

    fn of(self, rules: &[Rule]) -> Vec<Vec<String>> {
        match self {
            Self::All => vec![expressions(rules, Dialect::Bytes)],
            Self::Rule => expressions(rules, Dialect::Bytes).into_iter().map(|rule| vec![rule]).collect(),
            Self::Phrases(n) => {
                let phrases = rules.iter().flat_map(|rule| &rule.phrases);
                let phrases: Vec<String> =
                    phrases.map(|phrase| regex::of_phrase(phrase, Dialect::Bytes)).collect();
                phrases.chunks(n).map(<[String]>::to_vec).collect()
            }
        }
    }
}

pub(super) fn measure(rules: &[Rule], texts: &[Text], part: Part) -> Vec<Row> {
    let parts = part.of(rules);
    let sample = parts.iter().step_by(parts.len().div_ceil(SAMPLES));
    let started = Instant::now();
    let mut tried = 0;
    let (automata, built) = Built::new(rules.len(), || {
        let sample = sample.clone().take_while(|_| started.elapsed() < BUILD_FOR);
        sample.fold(Vec::new(), |mut automata, sources| {
            tried += 1;
            match build(sources, part.mebibytes_max() << 20) {
                Ok(automaton) => automata.push(automaton),
                Err(e) if e.is_size_limit_exceeded() => {}
                Err(e) => panic!("{e}"),
            }
            automata
        })
    });
    let (n_fit, limit) = (automata.len(), part.mebibytes_max());
    let note = format!("of {} automata {tried} were tried, and {n_fit} fit into {limit} MiB", parts.len());
    let built = Built { measured: n_fit, rules: parts.len(), ..built };
    // The few that fit would say nothing about the others.
    if n_fit * 2 < tried {
        return vec![built.only_note(&format!("dense {}", part.name()), note)];
    }
    let sparse: Vec<Sparse> = automata.iter().map(|dense| dense.to_sparse().expect("sparse")).collect();
    let of_sparse = Built { held: sparse.iter().map(Sparse::memory_usage).sum(), ..built };
    let dense_row =
        |text| built.row(&format!("dense {}", part.name()), text, micros(|| search(&automata, text)));
    let sparse_row =
        |text| of_sparse.row(&format!("sparse {}", part.name()), text, micros(|| search(&sparse, text)));
    let rows = texts.iter().map(dense_row).chain(texts.iter().map(sparse_row));
    rows.map(|row| Row { note: note.clone(), ..row }).collect()
}

fn build(sources: &[String], bytes_max: usize) -> Result<Dense, Box<BuildError>> {
    let config = Config::new()
        .match_kind(MatchKind::All)
        .start_kind(StartKind::Unanchored)
        .determinize_size_limit(Some(bytes_max))
        .dfa_size_limit(Some(bytes_max));
    let mut builder = Builder::new();
    builder.configure(config).thompson(thompson_config()).syntax(syntax_config());
    builder.build_many(sources).map_err(Box::new)
}

fn search(automata: &[impl Automaton], text: &Text) -> usize {
    let found = automata.iter().map(|automaton| {
        let mut found = PatternSet::new(automaton.pattern_len());
        let input = Input::new(text.folded.text());
        automaton.try_which_overlapping_matches(&input, &mut found).expect("a search");
        found.len()
    });
    found.sum()
}
