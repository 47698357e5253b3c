//! What is searched: harmless texts that do not repeat, and one that nearly matches all the time.

use sentinel_core::FoldedText;
use sentinel_model::phrase::{Phrase, Words};
use sentinel_probe::judge::{Chance, log_lines, prose};

use crate::rules::Rule;

pub(crate) struct Text {
    pub(crate) name: &'static str,
    pub(crate) folded: FoldedText,
}

impl Text {
    pub(crate) fn kilobytes(&self) -> f64 {
        self.folded.text().len() as f64 / 1024.0
    }
}

pub(crate) fn all(rules: &[Rule]) -> Vec<Text> {
    let text = |name, text: String| Text { name, folded: FoldedText::new(&text) };
    let of_size = |bytes: usize| {
        [
            text("prose", cut(prose(bytes), bytes)),
            text("logs", cut(log_lines(bytes), bytes)),
            text("near misses", cut(near_misses(rules, bytes), bytes)),
        ]
    };
    [4 * 1024, 32 * 1024].into_iter().flat_map(of_size).collect()
}

/// Phrases of the packs in any order, each without one of its steps.
fn near_misses(rules: &[Rule], bytes: usize) -> String {
    let phrases: Vec<&Words> = rules.iter().flat_map(|rule| &rule.phrases).filter_map(words_of).collect();
    let (mut chance, mut text) = (Chance(11), String::new());
    while text.len() < bytes {
        let words = phrases[chance.below(phrases.len())];
        let missing = chance.below(words.steps.len());
        for (idx, step) in words.steps.iter().enumerate() {
            let row = &step.alternatives[chance.below(step.alternatives.len())];
            for word in row.words.iter().filter(|_| idx != missing) {
                text.push_str(&word.text);
                text.push(' ');
            }
        }
    }
    text
}

/// Those that are written in ASCII: a text in twenty languages at once is nobody's.
fn words_of(phrase: &Phrase) -> Option<&Words> {
    let Phrase::Words(words) = phrase else { return None };
    let rows = words.steps.iter().flat_map(|step| &step.alternatives);
    let is_ascii = rows.flat_map(|row| &row.words).all(|word| word.text.is_ascii());
    (is_ascii && words.steps.len() > 1).then_some(words)
}

fn cut(mut text: String, bytes: usize) -> String {
    text.truncate(bytes);
    text
}
