//! The ways of matching that are compared. Each builds what it needs from the same rules and searches the same texts.

mod aho;
mod dense;
pub(crate) mod lazy;
mod lite;
mod ours;

use sentinel_probe::matchers::Row;

use self::dense::Part;
use crate::{
    heap::Mark,
    regex::{Dialect, of_rule},
    rules::{self, Rule},
    texts::{self, Text},
    timing,
};

pub(crate) fn measure(way: &str) -> Vec<Row> {
    let (packs, rules) = rules::all();
    let texts = texts::all(&rules);
    match way {
        "aho-nfa" => aho::nfa(&rules, &texts),
        "aho-dfa" => aho::dfa(&rules, &texts),
        "lite" => lite::measure(&rules, &texts),
        "lazy-64" => lazy::measure(&rules, &texts, 64),
        "lazy-1024" => lazy::measure(&rules, &texts, 1024),
        "dfa-all" => dense::measure(&rules, &texts, Part::All),
        "dfa-rules" => dense::measure(&rules, &texts, Part::Rule),
        "dfa-4-phrases" => dense::measure(&rules, &texts, Part::Phrases(4)),
        "dfa-phrases" => dense::measure(&rules, &texts, Part::Phrases(1)),
        _ => ours::measure(&packs, &rules, texts),
    }
}

fn expressions(rules: &[Rule], dialect: Dialect) -> Vec<String> {
    rules.iter().map(|rule| of_rule(rule, dialect)).collect()
}

/// What building one thing took.
struct Built {
    millis: f64,
    held: usize,
    peak: usize,
    measured: usize,
    rules: usize,
}

impl Built {
    fn new<T>(rules: usize, build: impl FnMut() -> T) -> (T, Self) {
        let mark = Mark::set();
        let (made, micros) = timing::once(build);
        let (held, peak) = mark.held_and_peak();
        (made, Self { millis: micros / 1000.0, held, peak, measured: rules, rules })
    }

    /// One that stands for more rules than were built.
    fn share(&self) -> f64 {
        self.rules as f64 / self.measured.max(1) as f64
    }

    fn row(&self, way: &str, text: &Text, micros: f64) -> Row {
        Row {
            way: way.into(),
            text: text.name.into(),
            bytes: text.folded.text().len(),
            per_kb: micros / text.kilobytes() * self.share(),
            build_ms: self.millis * self.share(),
            table_bytes: self.held as f64 * self.share(),
            peak_bytes: self.peak as f64,
            measured: self.measured,
            rules: self.rules,
            note: String::new(),
        }
    }

    /// Something that could not be measured.
    fn only_note(&self, way: &str, note: String) -> Row {
        Row {
            way: way.into(),
            text: String::new(),
            bytes: 0,
            per_kb: 0.0,
            build_ms: self.millis,
            table_bytes: 0.0,
            peak_bytes: self.peak as f64,
            measured: self.measured,
            rules: self.rules,
            note,
        }
    }
}
