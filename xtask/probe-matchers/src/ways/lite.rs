//! One small regex engine for each rule, which simulates its automaton anew for each text.

use regex_lite::{Regex, RegexBuilder};
use sentinel_probe::matchers::Row;

use super::{Built, expressions};
use crate::{regex::Dialect, rules::Rule, texts::Text, timing::micros};

/// All of them would take minutes.
const SAMPLE_EVERY: usize = 25;

pub(super) fn measure(rules: &[Rule], texts: &[Text]) -> Vec<Row> {
    let sources = expressions(rules, Dialect::Chars);
    let sample: Vec<&String> = sources.iter().step_by(SAMPLE_EVERY).collect();
    let build = || -> Vec<Regex> {
        let compile = |source: &&String| RegexBuilder::new(source).size_limit(usize::MAX).build();
        sample.iter().map(compile).collect::<Result<_, _>>().expect("expressions")
    };
    let (regexes, built) = Built::new(sample.len(), build);
    let built = Built { rules: rules.len(), ..built };
    let row = |text: &Text| {
        let search = || regexes.iter().filter(|regex| regex.is_match(text.folded.text())).count();
        built.row("regex-lite, one for each rule", text, micros(search))
    };
    // What is multiplied up per KB does not need the longer texts.
    texts.iter().filter(|text| text.kilobytes() < 5.0).map(row).collect()
}
